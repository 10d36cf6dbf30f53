#include "cli/image_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "image/load.h"

static const char *name_of(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static enum err_code read_all(int fd, const char *path, size_t max, struct buf *out, struct err *e)
{
    char chunk[65536];
    buf_init(out, max);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", name_of(path));
        if (n == 0)
            return ERR_OK;
        buf_add(out, chunk, (size_t)n);
        if (buf_failed(out))
            return err_set(e, ERR_LIMIT, "'%s' gives more than %zu bytes", name_of(path), max);
    }
}

/* Is it a stream rather than a file? A folder is neither: reading it as a file says so. */
static bool is_stream(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 &&
           (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode));
}

enum err_code cli_read_input(const char *path, size_t max, struct buf *out, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    if (!standard && !is_stream(path))
        return file_read(path, max, out, e);
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", path);
    enum err_code rc = read_all(fd, path, max, out, e);
    if (!standard)
        close(fd);
    if (rc != ERR_OK)
        buf_deinit(out);
    return rc;
}

static enum err_code load(const char *path, bool deep, struct cli_progress *p, struct image *out,
                          struct err *e)
{
    struct image_info info = {0};
    struct buf bytes;
    char note[768];
    uint64_t max = image_limits_defaults().max_file_bytes;
    *out = (struct image){0};
    enum err_code rc = cli_read_input(path, max < SIZE_MAX ? (size_t)max : SIZE_MAX, &bytes, e);
    if (rc == ERR_OK) {
        rc = deep ? image_load_deep(buf_str(&bytes), NULL, &info, out, e)
                  : image_load_memory(buf_str(&bytes), NULL, &info, out, e);
        buf_deinit(&bytes);
    }
    if (rc != ERR_OK)
        return strstr(e->text, name_of(path)) ? rc : err_note(e, "'%s'", name_of(path));
    (void)snprintf(note, sizeof note, "%.300s: %s", name_of(path), info.notes);
    if (p && info.notes[0])
        cli_progress_note(p, note);
    return ERR_OK;
}

enum err_code cli_image_load(const char *path, struct cli_progress *p, struct image *out,
                             struct err *e)
{
    return load(path, false, p, out, e);
}

enum err_code cli_image_load_deep(const char *path, struct cli_progress *p, struct image *out,
                                  struct err *e)
{
    return load(path, true, p, out, e);
}

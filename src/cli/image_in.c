/* image_in.c - reads what -i, --mask and --from name: a file, "-" or a pipe.
 *
 * A pipe is read to its end, up to the largest file that the limits allow. A stack is a file of a layered format, or
 * a folder that its manifest names. A recipe may lie in an image or be a text; images that it names are looked for
 * as they are named, then beside the file that named them.
 */
#include "cli/image_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "cli/cli.h"
#include "image/load.h"
#include "image/save.h"
#include "layers/file.h"
#include "layers/json.h"

const char *cli_input_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static enum err_code read_all(int fd, const char *path, size_t max, struct buf *out, struct err *e)
{
    char chunk[65536];
    buf_init(out, max);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR && atomic_load(cli_stop_flag()))
            return err_set(e, ERR_CANCELLED, "stopped while reading '%s'", cli_input_name(path));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", cli_input_name(path));
        if (n == 0)
            return ERR_OK;
        buf_add(out, chunk, (size_t)n);
        if (buf_failed(out))
            return err_set(e, ERR_LIMIT, "'%s' gives more than %zu bytes", cli_input_name(path),
                           max);
    }
}

bool cli_input_is_stream(const char *path)
{
    struct stat st;
    return strcmp(path, "-") == 0 ||
           (stat(path, &st) == 0 &&
            (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode)));
}

enum err_code cli_read_input(const char *path, size_t max, struct buf *out, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    if (!cli_input_is_stream(path))
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

static size_t max_bytes(void)
{
    uint64_t max = image_limits_defaults().max_file_bytes;
    return max < SIZE_MAX ? (size_t)max : SIZE_MAX;
}

static enum err_code load(const char *path, bool deep, struct cli_progress *p, struct image *out,
                          struct err *e)
{
    struct image_info info = {0};
    struct buf bytes;
    char note[768];
    *out = (struct image){0};
    enum err_code rc = cli_read_input(path, max_bytes(), &bytes, e);
    if (rc == ERR_OK) {
        rc = deep ? image_load_deep(buf_str(&bytes), NULL, &info, out, e)
                  : image_load_memory(buf_str(&bytes), NULL, &info, out, e);
        buf_deinit(&bytes);
    }
    if (rc != ERR_OK)
        return strstr(e->text, cli_input_name(path)) ? rc
                                                     : err_note(e, "'%s'", cli_input_name(path));
    (void)snprintf(note, sizeof note, "%.300s: %s", cli_input_name(path), info.notes);
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

/* The folder that path lies in, if it is that of a manifest. */
static bool folder_of_manifest(const char *path, char dir[FOLDER_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, LAYERS_JSON_NAME) == 0 &&
           folder_of(path, dir, NULL) == ERR_OK;
}

enum err_code cli_stack_load(const char *path, struct layer_stack *out, struct err *e)
{
    char dir[FOLDER_PATH_BYTES];
    struct buf bytes;
    if (!cli_input_is_stream(path))
        return layers_import(folder_of_manifest(path, dir) ? dir : path, NULL, out, e);
    layer_stack_init(out, 0, 0);
    TRY(cli_read_input(path, max_bytes(), &bytes, e));
    enum err_code rc = layers_import_memory(buf_str(&bytes), NULL, out, e);
    buf_deinit(&bytes);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", cli_input_name(path));
}

/* ---- recipes --------------------------------------------------------------------------------- */

enum { MAX_RECIPE = 8 << 20, MAX_IMAGE_FILE = 512 << 20 };

enum err_code cli_recipe_read(const char *from, struct recipe *out, struct err *e)
{
    struct buf bytes = {0}, text;
    enum err_code rc;
    buf_init(&text, MAX_RECIPE);
    TRY_GOTO(cli_read_input(from, MAX_IMAGE_FILE, &bytes, e), done);
    TRY_GOTO(image_parameters(buf_str(&bytes), &text, e), done);
    rc = recipe_read(buf_str(&text), out, e);
done:
    buf_deinit(&bytes);
    buf_deinit(&text);
    from = cli_input_name(from);
    return rc == ERR_OK || strstr(e->text, from) ? rc : err_note(e, "'%s'", from);
}

enum err_code cli_recipe_image(const char *from, const char *name, char out[CLI_PATH_BYTES],
                               struct err *e)
{
    const char *slash = strrchr(from, '/');
    (void)snprintf(out, CLI_PATH_BYTES, "%s", name);
    if (name[0] && !file_exists(out) && slash)
        (void)snprintf(out, CLI_PATH_BYTES, "%.*s/%s", (int)(slash - from), from, name);
    if (name[0] && file_exists(out))
        return ERR_OK;
    return err_set(e, ERR_NOTFOUND,
                   "the recipe's image '%.200s' is not here; name it with -i (a mask with --mask)",
                   name);
}

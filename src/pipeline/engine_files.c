/* engine_files.c - images of a request that come as files: read and decoded for the request. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/load.h"
#include "pipeline/engine_internal.h"
#include "pipeline/lend.h"

/* A file that shrinks while it is mapped would end the process, so it is read. */
static enum err_code read_all(int fd, struct buf *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read an image's file");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_ARG, "an image should be a file, not a folder or device");
    for (off_t at = 0;;) {
        char *room = buf_grow(out, 1 << 16);
        if (!room)
            return err_set(e, ERR_LIMIT, "an image's file is larger than %zu bytes", out->max);
        ssize_t n;
        do
            n = pread(fd, room, 1 << 16, at);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot read an image's file");
        at += n;
        buf_cut(out, (size_t)at);
        if (n == 0)
            return ERR_OK;
    }
}

enum err_code engine_file_read(struct engine_files *f, int fd, struct vt_image *im, struct err *e)
{
    struct buf bytes;
    if (f->n == ENGINE_MAX_FILES)
        return err_set(e, ERR_ARG, "a request has too many images");
    buf_init(&bytes, image_limits_defaults().max_file_bytes + (1 << 16));
    enum err_code rc = read_all(fd, &bytes, e);
    if (rc == ERR_OK)
        rc = image_load_deep(buf_str(&bytes), NULL, NULL, &f->images[f->n], e);
    buf_deinit(&bytes);
    if (rc == ERR_OK)
        *im = lend_image(&f->images[f->n++]);
    return rc;
}

enum err_code engine_file_open(struct engine_files *f, struct vt_image *im, struct err *e)
{
    if (im->pixels || !im->file)
        return ERR_OK;
    const char *path = im->file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_set_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno,
                           "cannot read '%.300s'", path);
    enum err_code rc = engine_file_read(f, fd, im, e);
    (void)close(fd);
    return rc == ERR_OK ? rc : err_note(e, "'%.200s'", path);
}

void engine_files_deinit(struct engine_files *f)
{
    for (int i = 0; i < f->n; i++)
        image_free(&f->images[i]);
    f->n = 0;
}

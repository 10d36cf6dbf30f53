/* thumbs.c - small versions of assets. They can be made again at any time, so nothing is synced and a
 * failure to keep one (a full disk) only costs its making. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_out.h"
#include "image/resize.h"
#include "image/save.h"
#include "store/store_impl.h"

enum { THUMB_QUALITY = 82, THUMB_MAX_BYTES = 16 << 20 };

static int round_side(int side)
{
    int s = 64;
    while (s < side && s < ASSET_THUMB_MAX)
        s *= 2;
    return s;
}

static bool open_made(struct store *s, const char *name, int *fd, uint64_t *bytes)
{
    struct stat st;
    if (s->files.thumbs < 0)
        return false;
    *fd = openat(s->files.thumbs, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return false;
    /* An empty file is what a power cut may leave of one that was not synced. */
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 12) {
        close(*fd);
        *fd = -1;
        return false;
    }
    *bytes = (uint64_t)st.st_size;
    return true;
}

static enum err_code render(struct store *s, const char *id, int side, struct buf *out,
                            struct err *e)
{
    struct image im = {0}, small = {0};
    enum err_code rc;
    TRY_GOTO(asset_load(s, id, &im, e), done);
    TRY_GOTO(image_thumbnail(&im, side, side, &small, e), done);
    rc = image_webp_write(&small, THUMB_QUALITY, out, e);
done:
    image_free(&im);
    image_free(&small);
    return rc;
}

/* A file without a name, for when the thumbnail cannot be kept. */
static enum err_code hand_over(const struct buf *b, int *fd, struct err *e)
{
    *fd = memfd_create("thumbnail", MFD_CLOEXEC);
    if (*fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot hold a thumbnail");
    enum err_code rc;
    TRY_GOTO(file_write_all(*fd, b->p, b->n, e), done);
    if (lseek(*fd, 0, SEEK_SET) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot hold a thumbnail");
done:
    if (rc != ERR_OK) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static void keep(struct store *s, const char *name, const struct buf *b)
{
    char temp[FILES_NAME_SIZE];
    int fd;
    if (s->look_only || files_temp(&s->files, temp, &fd, NULL) != ERR_OK)
        return;
    bool good = file_write_all(fd, b->p, b->n, NULL) == ERR_OK;
    if (close(fd) != 0 || !good ||
        files_settle(&s->files, temp, s->files.thumbs, name, false, NULL) != ERR_OK)
        files_temp_drop(&s->files, temp);
}

enum err_code asset_thumb_find(struct store *s, const char *id, int side, int *fd, uint64_t *bytes,
                               int *side_used, struct err *e)
{
    char name[FILES_NAME_SIZE];
    struct asset a;
    *fd = -1;
    TRY(asset_get(s, id, &a, e));
    *side_used = round_side(side);
    files_thumb_name(a.id, *side_used, name);
    (void)open_made(s, name, fd, bytes);
    return ERR_OK;
}

enum err_code asset_thumb_open(struct store *s, const char *id, int side, int *fd, uint64_t *bytes,
                               int *side_used, struct err *e)
{
    char name[FILES_NAME_SIZE];
    struct asset a;
    struct buf b;
    uint64_t size = 0;
    *fd = -1;
    enum err_code rc = asset_get(s, id, &a, e);
    if (rc != ERR_OK)
        return rc;
    side = round_side(side);
    files_thumb_name(a.id, side, name);
    buf_init(&b, THUMB_MAX_BYTES);
    if (!open_made(s, name, fd, &size)) {
        pthread_mutex_lock(&s->thumbs_lock);
        if (!open_made(s, name, fd, &size)) { /* another thread may have been faster */
            rc = render(s, a.id, side, &b, e);
            if (rc == ERR_OK)
                keep(s, name, &b);
            if (rc == ERR_OK)
                rc = hand_over(&b, fd, e);
            size = b.n;
        }
        pthread_mutex_unlock(&s->thumbs_lock);
    }
    buf_deinit(&b);
    if (bytes)
        *bytes = size;
    if (side_used)
        *side_used = side;
    return rc;
}

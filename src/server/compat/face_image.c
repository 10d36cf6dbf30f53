/* face_image.c - images as the clients of other APIs send and want them: base64, data URLs, PNG, JPEG, WebP. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/base64.h"
#include "image/mask.h"
#include "image/save.h"
#include "reader/reader.h"
#include "server/compat/face.h"
#include "server/limits.h"
#include "server/server_internal.h"
#include "store/assets.h"

/* ---- out ----------------------------------------------------------------------------------------------- */

enum err_code face_encode(const struct image *im, struct face_format format,
                          const struct image_about *about, struct buf *out, struct err *e)
{
    const struct image_save s = {.format = format.kind, .quality = format.quality, .about = about};
    return image_save(im, &s, out, e);
}

static enum err_code read_all(int fd, struct buf *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size > LIMIT_FILE)
        return err_set(e, ERR_IO, "the image's file cannot be read");
    char *p = buf_grow(out, (size_t)st.st_size);
    for (off_t done = 0; p && done < st.st_size;) {
        ssize_t k = pread(fd, p + done, (size_t)(st.st_size - done), done);
        if (k <= 0)
            return err_set(e, ERR_IO, "the image's file cannot be read");
        done += k;
    }
    return p ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the image");
}

/* Written anew, with what the file says of how it was made. The pixels are read first: they may need a library, which a
 * process can open before its first file only. */
static enum err_code convert(struct store *s, const char *asset, struct face_format format,
                             struct buf *out, struct err *e)
{
    struct image im = {0};
    struct image_about about;
    image_about_init(&about);
    struct reader_series series = {0};
    enum err_code rc = asset_load_next(s, asset, &series, &im, e);
    if (rc == ERR_OK)
        rc = asset_about(s, asset, &series, &about, e);
    reader_series_end(&series);
    if (rc == ERR_OK)
        rc = face_encode(&im, format, &about, out, e);
    image_about_deinit(&about);
    image_free(&im);
    return rc;
}

enum err_code face_file(struct store *s, const char *asset, struct face_format format,
                        struct buf *b, struct err *e)
{
    struct asset a;
    int fd = -1;
    enum err_code rc = asset_open(s, asset, &a, &fd, e);
    bool keeps = rc == ERR_OK && a.format == format.kind && format.kind == IMAGE_FORMAT_PNG;
    if (rc == ERR_OK)
        rc = keeps ? read_all(fd, b, e) : convert(s, a.id, format, b, e);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

enum err_code face_base64(struct store *s, const char *asset, struct face_format format,
                          struct buf *b, struct err *e)
{
    struct buf file;
    buf_init(&file, LIMIT_FILE);
    enum err_code rc = face_file(s, asset, format, &file, e);
    if (rc == ERR_OK)
        base64_add(b, buf_str(&file));
    buf_deinit(&file);
    return rc;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

/* What stands behind "data:image/png;base64,", or all of it when it is no data URL. */
static bool base64_part(struct str text, struct str *out)
{
    while (text.n && strchr(" \t\r\n", text.p[0]))
        text = str_skip(text, 1);
    const char *comma = text.n ? memchr(text.p, ',', text.n) : NULL;
    *out = text;
    if (!str_starts(text, STR_LIT("data:")))
        return true;
    if (!comma)
        return false;
    struct str head = {text.p, (size_t)(comma - text.p)};
    *out = str_skip(text, head.n + 1);
    return head.n >= 7 && strncasecmp(comma - 7, ";base64", 7) == 0;
}

enum err_code face_bytes(struct http_request *rq, struct str text, const char *field,
                         struct buf *out, struct err *e)
{
    struct str digits;
    if (base64_part(text, &digits) && base64_decode(digits, out) && out->n)
        return ERR_OK;
    return http_refuse(rq, 422, field, e,
                       "%s should be an image in base64, as it is or as a data URL "
                       "(data:image/png;base64,...)",
                       field);
}

static enum err_code keep_id(struct http_request *rq, const struct asset *a, const char **id,
                             struct err *e)
{
    *id = arena_strdup(http_arena(rq), str_from(a->id));
    return *id ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the request");
}

enum err_code face_upload(struct http_request *rq, struct str text, const char *field,
                          const char **id, struct err *e)
{
    struct buf bytes;
    struct asset a;
    buf_init(&bytes, LIMIT_FILE);
    enum err_code rc = face_bytes(rq, text, field, &bytes, e);
    if (rc == ERR_OK)
        rc = asset_put(server_of(rq)->store, buf_str(&bytes), NULL, &a, e);
    if (rc == ERR_OK)
        rc = keep_id(rq, &a, id, e);
    else
        http_set_error_field(rq, "%s", field);
    buf_deinit(&bytes);
    return rc;
}

enum err_code face_put(struct http_request *rq, const struct image *im, const char *name,
                       const char **id, struct err *e)
{
    struct asset_note note = {.name = name, .origin = "upload", .trusted = true};
    struct asset a;
    TRY(asset_put_image(server_of(rq)->store, im, &note, &a, e));
    return keep_id(rq, &a, id, e);
}

enum err_code face_mask_of_alpha(struct http_request *rq, const char *asset, const char **id,
                                 struct err *e)
{
    struct image im = {0}, mask = {0};
    enum err_code rc = asset_load(server_of(rq)->store, asset, &im, e);
    *id = asset;
    if (rc == ERR_OK && image_has_alpha(&im)) {
        rc = image_mask_of_alpha(&im, &mask, e);
        if (rc == ERR_OK)
            rc = face_put(rq, &mask, "mask.png", id, e);
    }
    image_free(&mask);
    image_free(&im);
    return rc;
}

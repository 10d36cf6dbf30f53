/* webp_save.c - WebP through libwebp; see save.h.
 *
 * libwebp wants the whole image as input and keeps its own copy. It asks a callback on the way, which is where a
 * sink can stop it. EXIF data and XMP need the muxer, which makes a second copy of the file, so files without any take
 * the direct way.
 */
#include "image/save.h"

#include <webp/encode.h>
#include <webp/mux.h>

#include "base/file.h"
#include "base/late.h"

#define WEBP_FUNCTIONS(X)                                                                          \
    X(WebPConfigInitInternal)                                                                      \
    X(WebPEncode)                                                                                  \
    X(WebPFree)                                                                                    \
    X(WebPMuxAssemble)                                                                             \
    X(WebPMuxCreateInternal)                                                                       \
    X(WebPMuxDelete)                                                                               \
    X(WebPMuxSetChunk)                                                                             \
    X(WebPPictureFree)                                                                             \
    X(WebPPictureImportRGB)                                                                        \
    X(WebPPictureImportRGBA)                                                                       \
    X(WebPPictureInitInternal)

enum { WEBP_MAX_BYTES = 1 << 30 };

LATE_LIBRARY(image_webp_save, "writing WebP", WEBP_FUNCTIONS)

struct target {
    const struct image_out *out;
    enum err_code rc;
    struct err *e;
};

static int on_write(const uint8_t *p, size_t n, const WebPPicture *image)
{
    struct target *t = image->custom_ptr;
    t->rc = image_out_write(t->out, p, n, t->e);
    return t->rc == ERR_OK;
}

static int on_progress(int percent, const WebPPicture *image)
{
    struct target *t = image->user_data;
    (void)percent;
    t->rc = image_out_poll(t->out, t->e);
    return t->rc == ERR_OK;
}

static enum err_code import(WebPPicture *image, const struct image *im, struct err *e)
{
    struct image colour = {0};
    if (im->channels < 3) {
        enum err_code rc = image_convert(im, im->channels + 2, &colour, e);
        if (rc != ERR_OK)
            return rc;
        im = &colour;
    }
    int ok = im->channels == 4 ? WebPPictureImportRGBA(image, im->p, (int)im->stride)
                               : WebPPictureImportRGB(image, im->p, (int)im->stride);
    enum err_code rc = ok ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a WebP");
    image_free(&colour);
    return rc;
}

static enum err_code encode(WebPPicture *image, const WebPConfig *config,
                            const struct image_out *out, struct err *e)
{
    struct target t = {.out = out, .e = e};
    image->writer = on_write;
    image->progress_hook = on_progress;
    image->custom_ptr = image->user_data = &t;
    if (WebPEncode(config, image))
        return ERR_OK;
    if (t.rc != ERR_OK)
        return t.rc;
    WebPEncodingError code = image->error_code;
    if (code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY)
        return err_set(e, ERR_NOMEM, "no memory for a WebP");
    return err_set(e, ERR_INTERNAL, "cannot write a WebP: error %d of the encoder", (int)code);
}

enum err_code image_webp_write(const struct image *im, int quality, struct buf *out, struct err *e)
{
    const struct image_out to = image_out_buf(out);
    return image_webp_write_to(im, quality, &to, e);
}

enum err_code image_webp_write_to(const struct image *im, int quality, const struct image_out *out,
                                  struct err *e)
{
    WebPConfig config;
    WebPPicture image;
    bool lossless = quality == IMAGE_WEBP_LOSSLESS;
    if (quality < 1 || quality > IMAGE_WEBP_LOSSLESS)
        return err_set(e, ERR_ARG, "the WebP quality %d is not in 1..100", quality);
    if (im->w > WEBP_MAX_DIMENSION || im->h > WEBP_MAX_DIMENSION)
        return err_set(e, ERR_LIMIT, "WebP cannot hold %d x %d pixels, only %d a side", im->w,
                       im->h, WEBP_MAX_DIMENSION);
    TRY(late_open(&image_webp_save, e));
    if (!WebPConfigInit(&config) || !WebPPictureInit(&image))
        return err_set(e, ERR_INTERNAL, "libwebp is of another version than its headers");
    config.quality = lossless ? 50.0f : (float)quality; /* lossless: effort */
    config.lossless = lossless;
    config.exact = lossless;
    image.use_argb = lossless;
    image.width = im->w;
    image.height = im->h;
    enum err_code rc;
    TRY_GOTO(import(&image, im, e), done);
    rc = encode(&image, &config, out, e);
done:
    WebPPictureFree(&image);
    return rc;
}

static bool set_chunk(WebPMux *mux, const char *name, struct str data)
{
    const WebPData chunk = {(const uint8_t *)data.p, data.n};
    return data.n == 0 || WebPMuxSetChunk(mux, name, &chunk, 0) == WEBP_MUX_OK;
}

/* A second copy of the file, with the blocks in it. */
static enum err_code write_muxed(struct str file, const struct image_blocks *blocks,
                                 const struct image_out *out, struct err *e)
{
    WebPData in = {(const uint8_t *)file.p, file.n}, whole = {0};
    WebPMux *mux = WebPMuxCreate(&in, 0);
    bool ok = mux && set_chunk(mux, "EXIF", blocks->exif) && set_chunk(mux, "XMP ", blocks->xmp) &&
              WebPMuxAssemble(mux, &whole) == WEBP_MUX_OK;
    enum err_code rc = ok ? image_out_write(out, whole.bytes, whole.size, e)
                          : err_set(e, ERR_NOMEM, "no memory for a WebP");
    WebPDataClear(&whole);
    WebPMuxDelete(mux);
    return rc;
}

/* Bytes are kept; whether they are still wanted is asked of the sink that gets the whole. */
struct kept {
    struct buf bytes;
    const struct image_out *out;
};

static enum err_code keep(const void *p, size_t n, void *user, struct err *e)
{
    struct kept *k = user;
    buf_add(&k->bytes, p, n);
    return buf_failed(&k->bytes) ? err_set(e, ERR_NOMEM, "no memory for a WebP")
                                 : image_out_poll(k->out, e);
}

enum err_code image_webp_write_with(const struct image *im, int quality,
                                    const struct image_blocks *blocks, const struct image_out *out,
                                    struct err *e)
{
    struct kept plain = {.out = out};
    const struct image_out to = {keep, &plain};
    if (blocks->exif.n == 0 && blocks->xmp.n == 0)
        return image_webp_write_to(im, quality, out, e);
    buf_init(&plain.bytes, WEBP_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(image_webp_write_to(im, quality, &to, e), done);
    rc = write_muxed(buf_str(&plain.bytes), blocks, out, e);
done:
    buf_deinit(&plain.bytes);
    return rc;
}

enum err_code image_webp_write_file(const char *path, const struct image *im, int quality,
                                    struct err *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err_code rc;
    TRY_GOTO(image_webp_write(im, quality, &b, e), done);
    rc = file_write_atomic(path, buf_z(&b), b.n, e);
done:
    buf_deinit(&b);
    return rc;
}

/* save.c - which encoder writes an image, and what it is told about it. PNG has text chunks of its own; JPEG and WebP
 * carry the recipe as EXIF. All have XMP. Reading them back: about.c. */
#include "image/save.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/exif.h"
#include "image/xmp.h"

enum { JPEG_QUALITY = 95, WEBP_QUALITY = 90, WEBP_EXIF_MAX = 64 << 20, JPEG_MAX_BYTES = 1 << 30 };

enum err_code image_save_format(const char *path, enum image_format *out, struct err *e)
{
    static const struct {
        const char *ending;
        enum image_format format;
    } endings[] = {{".png", IMAGE_FORMAT_PNG},
                   {".jpg", IMAGE_FORMAT_JPEG},
                   {".jpeg", IMAGE_FORMAT_JPEG},
                   {".webp", IMAGE_FORMAT_WEBP}};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *out = IMAGE_FORMAT_PNG;
    if (!dot || dot == name)
        return ERR_OK;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (strcasecmp(dot, endings[i].ending) == 0) {
            *out = endings[i].format;
            return ERR_OK;
        }
    }
    return err_set(e, ERR_ARG,
                   "'%.200s': images are written as .png, .jpg, .jpeg or .webp, not as '%.20s'",
                   path, dot);
}

static enum err_code save_png(const struct image *im, const struct image_save *s,
                              const struct image_about *about, const struct image_out *out,
                              struct err *e)
{
    struct image_about_texts first;
    image_about_texts_init(&first, about);
    size_t n = first.n + s->n_texts;
    struct image_text *all = mem_try_array(n + 1, sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        all[i] = i < first.n ? first.texts[i] : s->texts[i - first.n];
    enum err_code rc = all && !buf_failed(&first.packet)
                           ? image_png_write_to(im, all, n, out, e)
                           : err_set(e, ERR_NOMEM, "no memory for the texts of a PNG");
    mem_free(all);
    image_about_texts_deinit(&first);
    return rc;
}

static enum err_code save_jpeg(const struct image *im, int quality,
                               const struct image_blocks *blocks, const struct image_out *out,
                               struct err *e)
{
    struct buf file;
    buf_init(&file, JPEG_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(image_jpeg_write_with(im, quality, blocks, &file, e), done);
    rc = image_out_write(out, file.p, file.n, e);
done:
    buf_deinit(&file);
    return rc;
}

/* JPEG and WebP. */
static enum err_code save_with_blocks(const struct image *im, const struct image_save *s,
                                      const struct image_about *about, const struct image_out *out,
                                      struct err *e)
{
    bool jpeg = s->format == IMAGE_FORMAT_JPEG;
    int quality = s->quality ? s->quality : jpeg ? JPEG_QUALITY : WEBP_QUALITY;
    size_t max = jpeg ? IMAGE_JPEG_EXIF_MAX : WEBP_EXIF_MAX;
    struct buf exif, packet;
    buf_init(&exif, max);
    buf_init(&packet, XMP_PACKET_MAX);
    if (about->recipe.n)
        exif_write(buf_str(&about->recipe), max, &exif);
    if (about->source)
        xmp_write(about->source, buf_str(&about->recipe), &packet);
    const struct image_blocks blocks = {buf_str(&exif), buf_str(&packet)};
    enum err_code rc = buf_failed(&exif) || buf_failed(&packet)
                           ? err_set(e, ERR_NOMEM, "no memory for what goes along with an image")
                       : jpeg ? save_jpeg(im, quality, &blocks, out, e)
                              : image_webp_write_with(im, quality, &blocks, out, e);
    buf_deinit(&exif);
    buf_deinit(&packet);
    return rc;
}

enum err_code image_save_to(const struct image *im, const struct image_save *s,
                            const struct image_out *out, struct err *e)
{
    static const struct image_about nothing;
    const struct image_about *about = s->about ? s->about : &nothing;
    if (s->format == IMAGE_FORMAT_PNG)
        return save_png(im, s, about, out, e);
    if (s->format == IMAGE_FORMAT_JPEG || s->format == IMAGE_FORMAT_WEBP)
        return save_with_blocks(im, s, about, out, e);
    return err_set(e, ERR_ARG, "%s cannot be written", image_format_name(s->format));
}

enum err_code image_save(const struct image *im, const struct image_save *s, struct buf *out,
                         struct err *e)
{
    const struct image_out to = image_out_buf(out);
    return image_save_to(im, s, &to, e);
}

enum err_code image_save_file(const char *path, const struct image *im, const struct image_save *s,
                              struct err *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err_code rc;
    TRY_GOTO(image_save(im, s, &b, e), done);
    rc = file_write_atomic(path, buf_z(&b), b.n, e);
done:
    buf_deinit(&b);
    return rc;
}

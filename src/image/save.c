/* save.c - which encoder writes an image, and what it is told about it; reading a recipe back.
 *
 * PNG has text chunks of its own; JPEG and WebP carry the same texts as EXIF. Reading them back needs no decoder:
 * the segments of the file are walked, bounds first, and what is damaged counts as absent.
 */
#include "image/save.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "image/exif.h"

enum { JPEG_QUALITY = 95, WEBP_QUALITY = 90, WEBP_EXIF_MAX = 64 << 20 };

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

/* EXIF data that hold the text "parameters"; nothing when there is none. */
static void add_exif(const struct image_save *s, size_t max_bytes, struct buf *out)
{
    for (size_t i = 0; i < s->n_texts; i++)
        if (strcmp(s->texts[i].key, "parameters") == 0)
            exif_write(s->texts[i].text, max_bytes, out);
}

enum err_code image_save(const struct image *im, const struct image_save *s, struct buf *out,
                         struct err *e)
{
    if (s->format == IMAGE_FORMAT_PNG)
        return image_png_write(im, s->texts, s->n_texts, out, e);
    bool jpeg = s->format == IMAGE_FORMAT_JPEG;
    if (!jpeg && s->format != IMAGE_FORMAT_WEBP)
        return err_set(e, ERR_ARG, "%s cannot be written", image_format_name(s->format));
    struct buf exif;
    size_t max = jpeg ? IMAGE_JPEG_EXIF_MAX : WEBP_EXIF_MAX;
    int quality = s->quality ? s->quality : jpeg ? JPEG_QUALITY : WEBP_QUALITY;
    buf_init(&exif, max);
    add_exif(s, max, &exif);
    enum err_code rc = buf_failed(&exif)
                           ? err_set(e, ERR_NOMEM, "no memory for what goes along with an image")
                       : jpeg ? image_jpeg_write_exif(im, quality, buf_str(&exif), out, e)
                              : image_webp_write_exif(im, quality, buf_str(&exif), out, e);
    buf_deinit(&exif);
    return rc;
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

/* ---- reading back ------------------------------------------------------------------------------ */

static size_t big16(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static size_t little32(const char *p)
{
    return (size_t)(unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8 |
           (size_t)(unsigned char)p[2] << 16 | (size_t)(unsigned char)p[3] << 24;
}

/* Segments: 0xff, a kind, a length (2) that counts itself; until the pixels begin (0xda). */
static struct str exif_of_jpeg(struct str s)
{
    s = str_skip(s, 2);
    while (s.n >= 4 && (unsigned char)s.p[0] == 0xff && (unsigned char)s.p[1] != 0xda) {
        size_t n = big16(s.p + 2);
        if (n < 2 || n + 2 > s.n)
            break;
        struct str data = {s.p + 4, n - 2};
        if ((unsigned char)s.p[1] == 0xe1 && str_starts(data, STR_LIT("Exif\0\0")))
            return exif_payload(data);
        s = str_skip(s, n + 2);
    }
    return STR_LIT("");
}

/* "RIFF", length (4), "WEBP", then chunks: name (4), length (4), data, a zero when the length is odd. */
static struct str exif_of_webp(struct str s)
{
    s = str_skip(s, 12);
    while (s.n >= 8) {
        size_t n = little32(s.p + 4);
        if (n > s.n - 8)
            break;
        if (str_starts(s, STR_LIT("EXIF")))
            return exif_payload((struct str){s.p + 8, n});
        s = str_skip(s, 8 + n + n % 2);
    }
    return STR_LIT("");
}

enum err_code image_parameters(struct str bytes, struct buf *out, struct err *e)
{
    switch (image_sniff(bytes)) {
    case IMAGE_FORMAT_PNG:
        return image_png_text(bytes, "parameters", out, e);
    case IMAGE_FORMAT_JPEG:
        if (exif_comment(exif_of_jpeg(bytes), out))
            return ERR_OK;
        return err_set(e, ERR_NOTFOUND, "the JPEG has no recipe in its EXIF data");
    case IMAGE_FORMAT_WEBP:
        if (exif_comment(exif_of_webp(bytes), out))
            return ERR_OK;
        return err_set(e, ERR_NOTFOUND, "the WebP has no recipe in its EXIF data");
    default:
        return err_set(e, ERR_FORMAT, "not a PNG, JPEG or WebP file (%zu bytes)", bytes.n);
    }
}

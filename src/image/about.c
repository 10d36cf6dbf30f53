/* about.c - where the parts of files lie that say something of the image, and what is made of it.
 *
 * No decoder is needed: segments and chunks are walked, bounds first, and what is damaged counts as absent. A recipe
 * is looked for where other programs have theirs, then in XMP; in a JPEG XMP comes first, as EXIF has less room.
 */
#include "image/about.h"

#include <string.h>

#include "image/exif.h"
#include "image/load.h"
#include "image/save.h"
#include "image/xmp.h"

const char *image_source_term(enum image_source source)
{
    static const char *const terms[IMAGE_SOURCES] = {
        [IMAGE_SOURCE_GENERATED] = "trainedAlgorithmicMedia",
        [IMAGE_SOURCE_EDITED] = "compositeWithTrainedAlgorithmicMedia",
        [IMAGE_SOURCE_COMPOSED] = "compositeSynthetic",
    };
    return (unsigned)source < IMAGE_SOURCES ? terms[source] : NULL;
}

void image_about_init(struct image_about *a)
{
    a->source = IMAGE_SOURCE_UNKNOWN;
    buf_init(&a->recipe, IMAGE_RECIPE_MAX_BYTES);
}

void image_about_deinit(struct image_about *a)
{
    buf_deinit(&a->recipe);
}

void image_about_clear(struct image_about *a)
{
    a->source = IMAGE_SOURCE_UNKNOWN;
    buf_clear(&a->recipe);
}

bool image_about_copy(const struct image_about *from, struct image_about *to)
{
    image_about_init(to);
    to->source = from->source;
    buf_add_str(&to->recipe, buf_str(&from->recipe));
    return !buf_failed(&to->recipe);
}

void image_about_join(struct image_about *sum, size_t before, const struct image_about *next)
{
    struct str recipe = buf_str(&next->recipe);
    if (before == 0) {
        image_about_clear(sum);
        sum->source = next->source;
        buf_add_str(&sum->recipe, recipe);
        return;
    }
    if (sum->source != next->source)
        sum->source = IMAGE_SOURCE_COMPOSED;
    if (!str_eq(buf_str(&sum->recipe), recipe))
        buf_clear(&sum->recipe);
}

/* ---- in PNG ---------------------------------------------------------------------------------- */

void image_about_texts_init(struct image_about_texts *t, const struct image_about *a)
{
    *t = (struct image_about_texts){.n = 0};
    buf_init(&t->packet, XMP_PACKET_MAX);
    if (a->recipe.n)
        t->texts[t->n++] = (struct image_text){"parameters", buf_str(&a->recipe)};
    if (a->source) {
        xmp_write(a->source, buf_str(&a->recipe), &t->packet);
        t->texts[t->n++] = (struct image_text){IMAGE_PNG_XMP, buf_str(&t->packet)};
    }
}

void image_about_texts_deinit(struct image_about_texts *t)
{
    buf_deinit(&t->packet);
}

/* ---- reading --------------------------------------------------------------------------------- */

static size_t big16(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static size_t big32(const char *p)
{
    return big16(p) << 16 | big16(p + 2);
}

static size_t little32(const char *p)
{
    return (size_t)(unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8 |
           (size_t)(unsigned char)p[2] << 16 | (size_t)(unsigned char)p[3] << 24;
}

/* Segments: 0xff, a kind, a length (2) that counts itself; until the pixels begin (0xda). What follows `head` in the
 * first APP1 that begins with it. */
static struct str jpeg_part(struct str s, struct str head)
{
    s = str_skip(s, 2);
    while (s.n >= 4 && (unsigned char)s.p[0] == 0xff && (unsigned char)s.p[1] != 0xda) {
        size_t n = big16(s.p + 2);
        if (n < 2 || n + 2 > s.n)
            break;
        struct str data = {s.p + 4, n - 2};
        if ((unsigned char)s.p[1] == 0xe1 && str_starts(data, head))
            return str_skip(data, head.n);
        s = str_skip(s, n + 2);
    }
    return STR_LIT("");
}

/* "RIFF", length (4), "WEBP", then chunks: name (4), length (4), data, a zero when the length is odd. */
static struct str webp_part(struct str s, struct str name)
{
    s = str_skip(s, 12);
    while (s.n >= 8) {
        size_t n = little32(s.p + 4);
        if (n > s.n - 8)
            break;
        if (str_starts(s, name))
            return (struct str){s.p + 8, n};
        s = str_skip(s, 8 + n + n % 2);
    }
    return STR_LIT("");
}

/* A length (4) and so many bytes, taken off s. */
static bool take_part(struct str *s, struct str *part)
{
    size_t n = s->n >= 4 ? big32(s->p) : 0;
    if (s->n < 4 || n > s->n - 4)
        return false;
    *part = (struct str){s->p + 4, n};
    *s = str_skip(*s, 4 + n);
    return true;
}

/* A header (26), the colour table and the resources, both with a length in front. A resource: "8BIM", id (2), a name
 * with its length byte, padded to even bytes, and the data with a length in front, padded as well. */
static struct str psd_part(struct str s, size_t id)
{
    enum { HEADER_BYTES = 26, NAME_AT = 6 };
    struct str part;
    s = str_skip(s, HEADER_BYTES);
    if (!take_part(&s, &part) || !take_part(&s, &part))
        return STR_LIT("");
    for (s = part; s.n > NAME_AT; s = str_skip(s, part.n % 2)) {
        size_t name = (size_t)(unsigned char)s.p[NAME_AT] | 1;
        bool wanted = big16(s.p + 4) == id;
        s = str_skip(s, NAME_AT + 1 + name);
        if (!take_part(&s, &part))
            break;
        if (wanted)
            return part;
    }
    return STR_LIT("");
}

enum { PSD_XMP = 1060 };

static bool is_psd(struct str bytes)
{
    return str_starts(bytes, STR_LIT("8BPS"));
}

/* The packet of a file, appended to out. */
static void add_packet(struct str bytes, struct buf *out)
{
    enum image_format format = image_sniff(bytes);
    if (format == IMAGE_FORMAT_PNG) {
        struct err missing = {0};
        if (image_png_text(bytes, IMAGE_PNG_XMP, out, &missing) != ERR_OK)
            err_clear(&missing);
    } else if (format == IMAGE_FORMAT_JPEG) {
        buf_add_str(out, jpeg_part(bytes, STR_LIT(XMP_JPEG_HEAD)));
    } else if (format == IMAGE_FORMAT_WEBP) {
        buf_add_str(out, webp_part(bytes, STR_LIT("XMP ")));
    } else if (is_psd(bytes)) {
        buf_add_str(out, psd_part(bytes, PSD_XMP));
    }
}

static bool add_recipe_of_xmp(struct str bytes, struct buf *recipe)
{
    enum image_source source;
    struct buf packet;
    buf_init(&packet, IMAGE_RECIPE_MAX_BYTES);
    add_packet(bytes, &packet);
    bool found = xmp_read(buf_str(&packet), &source, recipe);
    buf_deinit(&packet);
    return found;
}

static enum err_code png_parameters(struct str bytes, struct buf *out, struct err *e)
{
    struct err missing = {0};
    enum err_code rc = image_png_text(bytes, "parameters", out, &missing);
    if (rc == ERR_NOTFOUND && add_recipe_of_xmp(bytes, out)) {
        err_clear(&missing);
        return ERR_OK;
    }
    return rc == ERR_OK ? rc : err_set(e, rc, "%s", missing.text);
}

enum err_code image_parameters(struct str bytes, struct buf *out, struct err *e)
{
    bool found;
    enum image_format format = image_sniff(bytes);
    if (format == IMAGE_FORMAT_PNG)
        return png_parameters(bytes, out, e);
    if (format == IMAGE_FORMAT_JPEG)
        found = add_recipe_of_xmp(bytes, out) ||
                exif_comment(jpeg_part(bytes, STR_LIT("Exif\0\0")), out);
    else if (format == IMAGE_FORMAT_WEBP)
        found = exif_comment(exif_payload(webp_part(bytes, STR_LIT("EXIF"))), out) ||
                add_recipe_of_xmp(bytes, out);
    else if (is_psd(bytes))
        found = add_recipe_of_xmp(bytes, out);
    else
        return err_set(e, ERR_FORMAT, "not a PNG, JPEG, WebP or PSD file (%zu bytes)", bytes.n);
    return found ? ERR_OK
                 : err_set(e, ERR_NOTFOUND, "there is no recipe in what the %s file says of itself",
                           is_psd(bytes) ? "psd" : image_format_name(format));
}

void image_about_read(struct str bytes, struct image_about *out)
{
    struct err missing = {0};
    struct buf packet, ignored;
    image_about_clear(out);
    buf_init(&packet, IMAGE_RECIPE_MAX_BYTES);
    buf_init(&ignored, IMAGE_RECIPE_MAX_BYTES);
    add_packet(bytes, &packet);
    (void)xmp_read(buf_str(&packet), &out->source, &ignored);
    if (image_parameters(bytes, &out->recipe, &missing) != ERR_OK) {
        err_clear(&missing);
        buf_clear(&out->recipe);
    }
    buf_deinit(&packet);
    buf_deinit(&ignored);
}

/* load.c - images from bytes: recognise the format, let its codec decode, then colours and orientation; see
 * load.h.
 *
 * A codec only decodes (codec.h). What all formats have in common is done here, after it and in this order:
 * colours to sRGB, CMYK included, while samples still have the file's depth; then the orientation, which swaps
 * sides. On failure the image is freed here, whatever the codec had done by then.
 */
#include "image/load.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "image/codec.h"
#include "image/icc.h"
#include "image/late_jpeg.h"

static const struct format {
    const char *name;
    enum err_code (*decode)(struct decode *d);
} formats[] = {
    [IMAGE_FORMAT_UNKNOWN] = {"unknown", NULL}, [IMAGE_FORMAT_PNG] = {"png", codec_png},
    [IMAGE_FORMAT_JPEG] = {"jpeg", codec_jpeg}, [IMAGE_FORMAT_WEBP] = {"webp", codec_webp},
    [IMAGE_FORMAT_TIFF] = {"tiff", codec_tiff}, [IMAGE_FORMAT_HEIC] = {"heic", codec_heif},
    [IMAGE_FORMAT_AVIF] = {"avif", codec_heif}, [IMAGE_FORMAT_GIF] = {"gif", codec_gif},
    [IMAGE_FORMAT_BMP] = {"bmp", codec_bmp},
};

const char *image_format_name(enum image_format format)
{
    return formats[(unsigned)format < IMAGE_FORMATS ? format : IMAGE_FORMAT_UNKNOWN].name;
}

/* The brands behind "ftyp": the main one, a version, and those that it is compatible with. */
static enum image_format heif_kind(struct str bytes)
{
    size_t n = bytes.n < 64 ? bytes.n : 64;
    bool heic = false;
    for (size_t at = 8; at + 4 <= n; at += 4) {
        struct str brand = {bytes.p + at, 4};
        if (str_eq_z(brand, "avif") || str_eq_z(brand, "avis"))
            return IMAGE_FORMAT_AVIF;
        heic = heic || str_eq_z(brand, "heic") || str_eq_z(brand, "heix") ||
               str_eq_z(brand, "heim") || str_eq_z(brand, "heis") || str_eq_z(brand, "hevc") ||
               str_eq_z(brand, "mif1") || str_eq_z(brand, "msf1");
    }
    return heic ? IMAGE_FORMAT_HEIC : IMAGE_FORMAT_UNKNOWN;
}

enum image_format image_sniff(struct str bytes)
{
    if (str_starts(bytes, STR_LIT("\x89PNG\r\n\x1a\n")))
        return IMAGE_FORMAT_PNG;
    if (str_starts(bytes, STR_LIT("\xff\xd8\xff")))
        return IMAGE_FORMAT_JPEG;
    if (str_starts(bytes, STR_LIT("RIFF")) && str_starts(str_skip(bytes, 8), STR_LIT("WEBP")))
        return IMAGE_FORMAT_WEBP;
    if (str_starts(bytes, STR_LIT("II*\0")) || str_starts(bytes, STR_LIT("MM\0*")) ||
        str_starts(bytes, STR_LIT("II+\0")) || str_starts(bytes, STR_LIT("MM\0+")))
        return IMAGE_FORMAT_TIFF;
    if (str_starts(str_skip(bytes, 4), STR_LIT("ftyp")))
        return heif_kind(bytes);
    if (str_starts(bytes, STR_LIT("GIF87a")) || str_starts(bytes, STR_LIT("GIF89a")))
        return IMAGE_FORMAT_GIF;
    if (str_starts(bytes, STR_LIT("BM")) && bytes.n >= 26)
        return IMAGE_FORMAT_BMP;
    return IMAGE_FORMAT_UNKNOWN;
}

enum err_code image_prepare(enum image_format format, struct err *e)
{
    struct err missing = {0};
    if (late_open(&image_lcms, &missing) != ERR_OK) /* a note on every image that wants it */
        err_clear(&missing);
    switch (format) {
    case IMAGE_FORMAT_JPEG:
        return late_open(&image_jpeg, e);
    case IMAGE_FORMAT_WEBP:
        return late_open(&image_webp_load, e);
    case IMAGE_FORMAT_TIFF:
        return late_open(&image_tiff, e);
    case IMAGE_FORMAT_HEIC:
    case IMAGE_FORMAT_AVIF:
        return codec_heif_prepare(e);
    case IMAGE_FORMAT_GIF:
        return late_open(&image_gif, e);
    default:
        return ERR_OK;
    }
}

void codec_note(struct image_info *info, const char *fmt, ...)
{
    size_t used = strlen(info->notes), room = sizeof info->notes - used;
    int lead = used ? snprintf(info->notes + used, room, "; ") : 0;
    va_list ap;
    va_start(ap, fmt);
    int n = (size_t)lead < room ? vsnprintf(info->notes + used + lead, room - (size_t)lead, fmt, ap)
                                : -1;
    va_end(ap);
    if (n < 0 || (size_t)lead + (size_t)n >= room)
        info->notes[used] = 0;
}

enum err_code codec_keep_icc(struct decode *d, const void *p, size_t n)
{
    d->info->had_icc = true;
    if (n > CODEC_ICC_MAX_BYTES) {
        codec_note(d->info, "the ICC profile of %zu bytes was ignored", n);
        return ERR_OK;
    }
    buf_add(&d->icc, p, n);
    return buf_failed(&d->icc)
               ? err_set(d->e, ERR_NOMEM, "no memory for an ICC profile of %zu bytes", n)
               : ERR_OK;
}

/* CMYK and profiles to sRGB. */
static enum err_code finish_colours(struct decode *d)
{
    if (!d->cmyk) {
        icc_to_srgb(&d->out, buf_str(&d->icc), d->info);
        return ERR_OK;
    }
    struct image rgb;
    TRY(icc_cmyk_to_srgb(&d->out, buf_str(&d->icc), d->info, &rgb, d->e));
    image_free(&d->out);
    d->out = rgb;
    return ERR_OK;
}

static enum err_code finish_orientation(struct decode *d)
{
    if (d->info->orientation < 2)
        return ERR_OK;
    struct image upright;
    TRY(image_orient(&d->out, d->info->orientation, &upright, d->e));
    image_free(&d->out);
    d->out = upright;
    return ERR_OK;
}

static enum err_code no_image(struct str bytes, struct err *e)
{
    if (bytes.n == 0)
        return err_set(e, ERR_FORMAT, "the file is empty");
    return err_set(e, ERR_FORMAT,
                   "not a supported image format (PNG, JPEG, WebP, TIFF, HEIC, AVIF, GIF, BMP; %zu "
                   "bytes)",
                   bytes.n);
}

/* Everything behind the public functions; out NULL reads the header only. */
static enum err_code load(struct str bytes, const struct image_limits *limits, bool deep,
                          struct image_info *info, struct image *out, struct err *e)
{
    struct image_info mine;
    struct image_limits l = limits ? *limits : image_limits_defaults();
    info = info ? info : &mine;
    *info = (struct image_info){.orientation = 1, .frames = 1};
    if (bytes.n > l.max_file_bytes)
        return err_set(e, ERR_LIMIT, "the image's file has %zu bytes, the limit is %" PRIu64,
                       bytes.n, l.max_file_bytes);
    info->format = image_sniff(bytes);
    if (info->format == IMAGE_FORMAT_UNKNOWN)
        return no_image(bytes, e);
    struct decode d = {
        .bytes = bytes, .limits = &l, .header_only = !out, .deep = deep, .info = info, .e = e};
    buf_init(&d.icc, CODEC_ICC_MAX_BYTES + 1);
    enum err_code rc = formats[info->format].decode(&d);
    if (rc == ERR_OK && out)
        rc = finish_colours(&d);
    if (rc == ERR_OK && out)
        rc = finish_orientation(&d);
    buf_deinit(&d.icc);
    if (rc == ERR_OK && info->orientation >= 5) {
        int w = info->w;
        info->w = info->h;
        info->h = w;
    }
    if (rc == ERR_OK && out)
        *out = d.out;
    else
        image_free(&d.out);
    return rc;
}

enum err_code image_load_memory(struct str bytes, const struct image_limits *limits,
                                struct image_info *info, struct image *out, struct err *e)
{
    *out = (struct image){0};
    return load(bytes, limits, false, info, out, e);
}

enum err_code image_load_deep(struct str bytes, const struct image_limits *limits,
                              struct image_info *info, struct image *out, struct err *e)
{
    *out = (struct image){0};
    return load(bytes, limits, true, info, out, e);
}

enum err_code image_probe_memory(struct str bytes, const struct image_limits *limits,
                                 struct image_info *info, struct err *e)
{
    return load(bytes, limits, false, info, NULL, e);
}

enum err_code image_load_file(const char *path, const struct image_limits *limits,
                              struct image_info *info, struct image *out, struct err *e)
{
    struct buf b;
    uint64_t max = (limits ? *limits : image_limits_defaults()).max_file_bytes;
    *out = (struct image){0};
    if (info)
        *info = (struct image_info){.orientation = 1, .frames = 1};
    enum err_code rc = file_read(path, max < SIZE_MAX ? (size_t)max : SIZE_MAX, &b, e);
    if (rc != ERR_OK)
        return rc;
    rc = image_load_memory(buf_str(&b), limits, info, out, e);
    buf_deinit(&b);
    if (rc != ERR_OK)
        (void)err_note(e, "'%s'", path);
    return rc;
}

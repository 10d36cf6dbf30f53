/* tiff_load.c - TIFF through libtiff: the first image. Samples of 8 and 16 bits in grey, RGB and CMYK are taken as they
 * are; palettes, other depths, YCbCr and tiles go through libtiff's own conversion to RGBA. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tiffio.h>

#include "base/late.h"
#include "base/mem.h"
#include "image/codec.h"
#include "image/sample.h"

#define TIFF_FUNCTIONS(X)                                                                          \
    X(TIFFOpenOptionsAlloc)                                                                        \
    X(TIFFOpenOptionsSetMaxSingleMemAlloc)                                                         \
    X(TIFFOpenOptionsFree)                                                                         \
    X(TIFFOpenOptionsSetErrorHandlerExtR)                                                          \
    X(TIFFOpenOptionsSetWarningHandlerExtR)                                                        \
    X(TIFFClientOpenExt)                                                                           \
    X(TIFFClose)                                                                                   \
    X(TIFFGetField)                                                                                \
    X(TIFFGetFieldDefaulted)                                                                       \
    X(TIFFIsTiled)                                                                                 \
    X(TIFFScanlineSize64)                                                                          \
    X(TIFFReadScanline)                                                                            \
    X(TIFFReadRGBAImageOriented)                                                                   \
    X(TIFFLastDirectory)

LATE_LIBRARY(image_tiff, "reading TIFF", TIFF_FUNCTIONS)

enum { SAMPLES_MAX = 8, MEMORY_MAX_BYTES = 1 << 30 };

struct tiff_job {
    struct decode *d;
    TIFF *t;
    uint64_t at;    /* where in the file */
    char text[200]; /* the first error */
    uint32_t w, h;
    uint16_t bits, samples, photometric, planar, format;
    int colours; /* samples of colour: 1, 3, 4 */
    int alpha;   /* index of the sample, -1: none */
    bool associated;
    bool whole; /* libtiff makes RGBA of it */
};

/* ---- libtiff's callbacks ------------------------------------------------------------------------ */

static int on_error(TIFF *t, void *user, const char *module, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static int on_error(TIFF *t, void *user, const char *module, const char *fmt, va_list ap)
{
    struct tiff_job *j = user;
    (void)t;
    (void)module;
    if (!j->text[0])
        (void)vsnprintf(j->text, sizeof j->text, fmt, ap);
    return 1;
}

static int on_warning(TIFF *t, void *user, const char *module, const char *fmt, va_list ap)
{
    (void)t;
    (void)user;
    (void)module;
    (void)fmt;
    (void)ap;
    return 1;
}

static tmsize_t on_read(thandle_t user, void *to, tmsize_t n)
{
    struct tiff_job *j = user;
    uint64_t left = j->at < j->d->bytes.n ? j->d->bytes.n - j->at : 0;
    size_t k = (uint64_t)n < left ? (size_t)n : (size_t)left;
    if (k)
        memcpy(to, j->d->bytes.p + j->at, k);
    j->at += k;
    return (tmsize_t)k;
}

static tmsize_t on_write(thandle_t user, void *from, tmsize_t n)
{
    (void)user;
    (void)from;
    (void)n;
    return 0;
}

static toff_t on_seek(thandle_t user, toff_t at, int whence)
{
    struct tiff_job *j = user;
    j->at = whence == SEEK_CUR ? j->at + at : whence == SEEK_END ? j->d->bytes.n + at : at;
    return j->at;
}

static int on_close(thandle_t user)
{
    (void)user;
    return 0;
}

static toff_t on_size(thandle_t user)
{
    return ((struct tiff_job *)user)->d->bytes.n;
}

static enum err_code broken(const struct tiff_job *j)
{
    return err_set(j->d->e, ERR_FORMAT, "the TIFF cannot be read: %s",
                   j->text[0] ? j->text : "its data are not valid");
}

static enum err_code open_tiff(struct tiff_job *j)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return err_set(j->d->e, ERR_NOMEM, "no memory to read a TIFF");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MEMORY_MAX_BYTES);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, j);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, j);
    j->t = TIFFClientOpenExt("TIFF", "rm", j, on_read, on_write, on_seek, on_close, on_size, NULL,
                             NULL, options);
    TIFFOpenOptionsFree(options);
    return j->t ? ERR_OK : broken(j);
}

/* ---- the header --------------------------------------------------------------------------------- */

static uint16_t field(const struct tiff_job *j, uint32_t tag)
{
    uint16_t v = 0;
    (void)TIFFGetFieldDefaulted(j->t, tag, &v);
    return v;
}

/* Which of the samples behind the colours is transparency. */
static void find_alpha(struct tiff_job *j)
{
    uint16_t n = 0, *kinds = NULL;
    j->alpha = -1;
    (void)TIFFGetFieldDefaulted(j->t, TIFFTAG_EXTRASAMPLES, &n, &kinds);
    for (int i = 0; kinds && i < n && j->colours + i < j->samples && j->alpha < 0; i++)
        if (kinds[i] == EXTRASAMPLE_ASSOCALPHA || kinds[i] == EXTRASAMPLE_UNASSALPHA) {
            j->alpha = j->colours + i;
            j->associated = kinds[i] == EXTRASAMPLE_ASSOCALPHA;
        }
    if (j->samples > j->colours && j->alpha < 0)
        codec_note(j->d->info,
                   "further channels of the TIFF are not transparency and were left out");
}

static enum err_code read_header(struct tiff_job *j)
{
    struct image_info *info = j->d->info;
    if (!TIFFGetField(j->t, TIFFTAG_IMAGEWIDTH, &j->w) ||
        !TIFFGetField(j->t, TIFFTAG_IMAGELENGTH, &j->h))
        return err_set(j->d->e, ERR_FORMAT, "the TIFF has no size");
    TRY(image_check_size(j->w, j->h, j->d->limits, j->d->e));
    j->bits = field(j, TIFFTAG_BITSPERSAMPLE);
    j->samples = field(j, TIFFTAG_SAMPLESPERPIXEL);
    j->planar = field(j, TIFFTAG_PLANARCONFIG);
    j->format = field(j, TIFFTAG_SAMPLEFORMAT);
    if (!TIFFGetField(j->t, TIFFTAG_PHOTOMETRIC, &j->photometric))
        j->photometric = j->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    if (j->samples < 1 || j->samples > SAMPLES_MAX)
        return err_set(j->d->e, ERR_FORMAT, "a TIFF of %u samples a pixel; 1 to %d are read",
                       j->samples, SAMPLES_MAX);
    if (j->format != SAMPLEFORMAT_UINT && j->format != SAMPLEFORMAT_VOID)
        return err_set(j->d->e, ERR_FORMAT,
                       "a TIFF of signed or floating point samples; convert it to 16 bits");
    bool grey =
        j->photometric == PHOTOMETRIC_MINISBLACK || j->photometric == PHOTOMETRIC_MINISWHITE;
    j->colours = grey ? 1 : j->photometric == PHOTOMETRIC_SEPARATED ? 4 : 3;
    j->whole =
        (j->bits != 8 && j->bits != 16) || TIFFIsTiled(j->t) ||
        (!grey && j->photometric != PHOTOMETRIC_RGB && j->photometric != PHOTOMETRIC_SEPARATED) ||
        j->samples < j->colours;
    find_alpha(j);
    info->w = (int)j->w;
    info->h = (int)j->h;
    info->bit_depth = j->bits;
    info->had_alpha = j->alpha >= 0;
    info->channels = j->whole          ? (info->had_alpha ? 4 : 3)
                     : j->colours == 4 ? 3
                                       : j->colours + (info->had_alpha ? 1 : 0);
    info->orientation = field(j, TIFFTAG_ORIENTATION);
    if (info->orientation < 1 || info->orientation > 8)
        info->orientation = 1;
    info->frames = 1;
    if (!TIFFLastDirectory(j->t))
        codec_note(info, "several images in one TIFF: only the first one is used");
    uint32_t n = 0;
    void *icc = NULL;
    if (TIFFGetField(j->t, TIFFTAG_ICCPROFILE, &n, &icc) && n)
        return codec_keep_icc(j->d, icc, n);
    return ERR_OK;
}

/* ---- pixels ------------------------------------------------------------------------------------- */

/* A sample of every pixel of a row, `step` samples apart and the first at `from`, to sample `to` of ours. */
static void take_samples(const struct tiff_job *j, const unsigned char *row, int from, int step,
                         uint32_t y, int to)
{
    const struct image *out = &j->d->out;
    const bool invert = j->photometric == PHOTOMETRIC_MINISWHITE && to == 0;
    unsigned char *p = image_row(out, (int)y);
    for (size_t x = 0; x < j->w; x++, p += image_pixel_bytes(out)) {
        unsigned v = sample_get(row, x * (size_t)step + (size_t)from, j->bits == 16);
        if (j->bits == 16 && !out->deep)
            v = sample_narrow(v);
        sample_set(p, (size_t)to, invert ? sample_max(out->deep) - v : v, out->deep);
    }
}

/* A row of the image, or of one of its planes. plane -1: all samples of a pixel together. */
static void place_row(const struct tiff_job *j, const unsigned char *row, uint32_t y, int plane)
{
    const int step = plane < 0 ? j->samples : 1;
    for (int c = 0; c < j->colours; c++)
        if (plane < 0 || plane == c)
            take_samples(j, row, plane < 0 ? c : 0, step, y, c);
    bool own = j->colours == 4; /* CMYK has no room for alpha */
    if (j->alpha >= 0 && !own && (plane < 0 || plane == j->alpha))
        take_samples(j, row, plane < 0 ? j->alpha : 0, step, y, j->d->out.channels - 1);
}

static enum err_code read_rows(struct tiff_job *j)
{
    const bool separate = j->planar == PLANARCONFIG_SEPARATE;
    const uint64_t want = (uint64_t)j->w * (separate ? 1 : j->samples) * (j->bits / 8);
    const uint64_t size = TIFFScanlineSize64(j->t);
    if (size < want || size > 64 * want + 65536)
        return broken(j);
    unsigned char *row = mem_try_alloc((size_t)size);
    if (!row)
        return err_set(j->d->e, ERR_NOMEM, "no memory for a row of a TIFF");
    enum err_code rc = ERR_OK;
    for (int plane = separate ? 0 : -1; rc == ERR_OK && plane < (separate ? j->samples : 0);
         plane++)
        for (uint32_t y = 0; rc == ERR_OK && y < j->h; y++) {
            if (TIFFReadScanline(j->t, row, y, (uint16_t)(plane < 0 ? 0 : plane)) != 1)
                rc = broken(j);
            else
                place_row(j, row, y, plane);
        }
    mem_free(row);
    return rc;
}

/* libtiff's RGBA has premultiplied colours. Asked for the orientation that the file has, it turns nothing. */
static enum err_code read_whole(struct tiff_job *j)
{
    struct image rgba;
    struct image *out = &j->d->out;
    TRY(image_new(&rgba, (int)j->w, (int)j->h, 4, j->d->e));
    uint32_t *raster = (uint32_t *)(void *)rgba.p;
    enum err_code rc = ERR_OK;
    if (!TIFFReadRGBAImageOriented(j->t, j->w, j->h, raster, j->d->info->orientation, 1))
        TRY_GOTO(broken(j), done);
    for (size_t i = 0; i < (size_t)j->w * j->h; i++) {
        uint32_t v = raster[i];
        unsigned char *p = rgba.p + 4 * i;
        p[0] = (unsigned char)TIFFGetR(v);
        p[1] = (unsigned char)TIFFGetG(v);
        p[2] = (unsigned char)TIFFGetB(v);
        p[3] = (unsigned char)TIFFGetA(v);
    }
    if (j->alpha >= 0)
        image_unpremultiply(&rgba);
    rc = image_convert(&rgba, j->alpha >= 0 ? 4 : 3, out, j->d->e);
done:
    image_free(&rgba);
    return rc;
}

/* CMYK of TIFF is ink; ours is 255 - ink, and 65535 - ink is that of each byte. */
static void invert(struct image *im)
{
    for (int y = 0; y < im->h; y++)
        for (size_t i = 0; i < (size_t)im->w * image_pixel_bytes(im); i++)
            image_row(im, y)[i] = (unsigned char)(255 - image_row(im, y)[i]);
}

static enum err_code read_pixels(struct tiff_job *j)
{
    struct decode *d = j->d;
    if (j->whole)
        return read_whole(j);
    d->cmyk = j->colours == 4;
    TRY(image_new_deep(&d->out, d->info->w, d->info->h, d->cmyk ? 4 : d->info->channels,
                       d->deep && j->bits == 16, d->e));
    TRY(read_rows(j));
    if (d->cmyk)
        invert(&d->out);
    else if (j->alpha >= 0 && j->associated)
        image_unpremultiply(&d->out);
    if (d->cmyk && j->alpha >= 0)
        codec_note(d->info, "the transparency of a CMYK TIFF was left out");
    return ERR_OK;
}

enum err_code codec_tiff(struct decode *d)
{
    struct tiff_job j = {.d = d};
    enum err_code rc;
    TRY_GOTO(late_open(&image_tiff, d->e), done);
    TRY_GOTO(open_tiff(&j), done);
    TRY_GOTO(read_header(&j), done);
    if (!d->header_only)
        TRY_GOTO(read_pixels(&j), done);
done:
    if (j.t)
        TIFFClose(j.t);
    return rc;
}

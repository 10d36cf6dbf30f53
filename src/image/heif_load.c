/* heif_load.c - HEIC and AVIF through libheif: the primary image, turned as the file says.
 *
 * libheif is opened when the first such file comes. Its header gives the size, which is checked before any pixel is
 * decoded, as decoders allocate by it. libheif turns and mirrors the image itself, so the orientation that EXIF may
 * repeat is not applied again. Pixels come interleaved as RGB, more than 8 bits in 16 little endian; what was
 * decoded is compared with what the header said, because the two come from different parts of the file.
 *
 * Before 1.19 (Debian 12 has 1.15) libheif itself crashes on some damaged files while it decodes, and takes gigabytes that
 * they claim: fuzzing found both. With such a library only the headers of untrusted files are read
 * where that would be the end of more than their reader (a server has a process for each: reader/reader.h).
 */
#include <string.h>

#include <libheif/heif.h>

#include "base/late.h"
#include "base/mem.h"
#include "image/codec.h"
#include "image/sample.h"

#define HEIF_FUNCTIONS(X)                                                                          \
    X(heif_init)                                                                                   \
    X(heif_get_version_number)                                                                     \
    X(heif_get_version)                                                                            \
    X(heif_context_alloc)                                                                          \
    X(heif_context_free)                                                                           \
    X(heif_context_read_from_memory_without_copy)                                                  \
    X(heif_context_get_primary_image_handle)                                                       \
    X(heif_context_get_number_of_top_level_images)                                                 \
    X(heif_image_handle_release)                                                                   \
    X(heif_image_handle_get_width)                                                                 \
    X(heif_image_handle_get_height)                                                                \
    X(heif_image_handle_has_alpha_channel)                                                         \
    X(heif_image_handle_is_premultiplied_alpha)                                                    \
    X(heif_image_handle_get_luma_bits_per_pixel)                                                   \
    X(heif_image_handle_get_raw_color_profile_size)                                                \
    X(heif_image_handle_get_raw_color_profile)                                                     \
    X(heif_decode_image)                                                                           \
    X(heif_image_release)                                                                          \
    X(heif_image_get_width)                                                                        \
    X(heif_image_get_height)                                                                       \
    X(heif_image_get_bits_per_pixel_range)                                                         \
    X(heif_image_get_plane_readonly)

LATE_LIBRARY(image_heif, "reading HEIC and AVIF", HEIF_FUNCTIONS)

/* Later versions look for decoders in a folder when they are first used. */
enum err_code codec_heif_prepare(struct err *e)
{
    TRY(late_open(&image_heif, e));
    (void)heif_init(NULL);
    return ERR_OK;
}

struct heif_job {
    struct decode *d;
    struct heif_context *context;
    struct heif_image_handle *handle;
    struct heif_image *image;
};

static enum err_code broken(struct heif_job *j, struct heif_error why)
{
    return err_set(j->d->e, why.code == heif_error_Memory_allocation_error ? ERR_NOMEM : ERR_FORMAT,
                   "the %s cannot be read: %.200s", image_format_name(j->d->info->format),
                   why.message ? why.message : "?");
}

static enum err_code keep_profile(struct heif_job *j)
{
    size_t n = heif_image_handle_get_raw_color_profile_size(j->handle);
    if (n == 0 || n > CODEC_ICC_MAX_BYTES)
        return n ? codec_keep_icc(j->d, NULL, n) : ERR_OK;
    void *p = mem_try_alloc(n);
    if (!p)
        return err_set(j->d->e, ERR_NOMEM, "no memory for an ICC profile of %zu bytes", n);
    struct heif_error why = heif_image_handle_get_raw_color_profile(j->handle, p);
    enum err_code rc = why.code == heif_error_Ok ? codec_keep_icc(j->d, p, n) : ERR_OK;
    mem_free(p);
    return rc;
}

static enum err_code read_header(struct heif_job *j)
{
    struct image_info *info = j->d->info;
    struct heif_error why =
        heif_context_read_from_memory_without_copy(j->context, j->d->bytes.p, j->d->bytes.n, NULL);
    if (why.code == heif_error_Ok)
        why = heif_context_get_primary_image_handle(j->context, &j->handle);
    if (why.code != heif_error_Ok)
        return broken(j, why);
    int w = heif_image_handle_get_width(j->handle);
    int h = heif_image_handle_get_height(j->handle);
    enum err_code rc =
        image_check_size(w > 0 ? (uint64_t)w : 0, h > 0 ? (uint64_t)h : 0, j->d->limits, j->d->e);
    if (rc != ERR_OK)
        return rc;
    info->w = w;
    info->h = h;
    info->had_alpha = heif_image_handle_has_alpha_channel(j->handle) != 0;
    info->channels = info->had_alpha ? 4 : 3;
    info->bit_depth = heif_image_handle_get_luma_bits_per_pixel(j->handle);
    info->frames = heif_context_get_number_of_top_level_images(j->context);
    if (info->frames > 1)
        codec_note(info, "%d images in one file: only the first one is used", info->frames);
    return keep_profile(j);
}

/* Rows of 8 bits, or of `bits` in 16, to ours. */
static void copy_rows(const struct image *out, const unsigned char *p, size_t stride, int bits)
{
    size_t n = (size_t)out->w * (size_t)out->channels;
    const uint64_t max = ((uint64_t)1 << bits) - 1, to = sample_max(out->deep);
    for (int y = 0; y < out->h; y++, p += stride) {
        unsigned char *d = image_row(out, y);
        for (size_t i = 0; bits > 8 && i < n; i++) {
            uint64_t v = (uint64_t)p[2 * i] | (uint64_t)p[2 * i + 1] << 8;
            sample_set(d, i, (unsigned)(((v < max ? v : max) * to + max / 2) / max), out->deep);
        }
        if (bits <= 8)
            memcpy(d, p, n);
    }
}

enum { SOUND_VERSION = 1 << 24 | 19 << 16 };

static enum err_code check_trust(const struct heif_job *j)
{
    if (!j->d->limits->untrusted || heif_get_version_number() >= SOUND_VERSION)
        return ERR_OK;
    return err_set(j->d->e, ERR_FORMAT,
                   "this machine's libheif %s can crash on a damaged %s: here such files are read "
                   "only with libheif 1.19 or newer; make it a PNG first",
                   heif_get_version(), image_format_name(j->d->info->format));
}

static enum err_code read_pixels(struct heif_job *j)
{
    struct decode *d = j->d;
    bool deep = d->info->bit_depth > 8, alpha = d->info->had_alpha;
    enum heif_chroma chroma =
        deep ? (alpha ? heif_chroma_interleaved_RRGGBBAA_LE : heif_chroma_interleaved_RRGGBB_LE)
             : (alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB);
    struct heif_error why =
        heif_decode_image(j->handle, &j->image, heif_colorspace_RGB, chroma, NULL);
    int stride = 0;
    if (why.code != heif_error_Ok)
        return broken(j, why);
    const uint8_t *p = heif_image_get_plane_readonly(j->image, heif_channel_interleaved, &stride);
    int bits = deep ? heif_image_get_bits_per_pixel_range(j->image, heif_channel_interleaved) : 8;
    size_t row = (size_t)d->info->w * (size_t)d->info->channels * (deep ? 2 : 1);
    if (!p || stride < 0 || (size_t)stride < row || bits < 8 || bits > 16 ||
        heif_image_get_width(j->image, heif_channel_interleaved) != d->info->w ||
        heif_image_get_height(j->image, heif_channel_interleaved) != d->info->h)
        return err_set(d->e, ERR_FORMAT, "the %s does not decode to what its header says",
                       image_format_name(d->info->format));
    TRY(image_new_deep(&d->out, d->info->w, d->info->h, d->info->channels, d->deep && bits > 8,
                       d->e));
    copy_rows(&d->out, p, (size_t)stride, bits);
    if (alpha && heif_image_handle_is_premultiplied_alpha(j->handle))
        image_unpremultiply(&d->out);
    return ERR_OK;
}

enum err_code codec_heif(struct decode *d)
{
    struct heif_job j = {.d = d};
    TRY(late_open(&image_heif, d->e));
    j.context = heif_context_alloc();
    enum err_code rc;
    TRY_GOTO(j.context ? read_header(&j) : err_set(d->e, ERR_NOMEM, "no memory to read HEIF"),
             done);
    if (d->header_only)
        goto done;
    TRY_GOTO(check_trust(&j), done);
    rc = read_pixels(&j);
done:
    if (j.image)
        heif_image_release(j.image);
    if (j.handle)
        heif_image_handle_release(j.handle);
    if (j.context)
        heif_context_free(j.context);
    return rc;
}

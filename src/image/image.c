/* image.c - allocation, modes, cutting and turning of images; see image.h.
 *
 * Operations that give another image leave their source alone; those without an output work in place. Loops over
 * pixels that matter for speed are in *_kern.c.
 */
#include "image/image.h"

#include <inttypes.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"
#include "image/sample.h"
#include "image/sample_kern.h"

struct image_limits image_limits_defaults(void)
{
    return (struct image_limits){.max_pixels = 100000000u, .max_file_bytes = 256u << 20};
}

enum err_code image_check_size(uint64_t w, uint64_t h, const struct image_limits *limits,
                               struct err *e)
{
    struct image_limits l = limits ? *limits : image_limits_defaults();
    uint64_t pixels;
    if (w == 0 || h == 0)
        return err_set(e, ERR_FORMAT, "the image is %" PRIu64 " x %" PRIu64 " pixels: empty", w, h);
    if (!ck_mul_u64(w, h, &pixels) || pixels > l.max_pixels)
        return err_set(e, ERR_LIMIT,
                       "the image is %" PRIu64 " x %" PRIu64 " pixels, the limit is %.4g "
                       "megapixels",
                       w, h, (double)l.max_pixels * 1e-6);
    if (w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        return err_set(e, ERR_LIMIT,
                       "the image is %" PRIu64 " x %" PRIu64 " pixels, the longest side allowed "
                       "is %d",
                       w, h, IMAGE_SIDE_MAX);
    return ERR_OK;
}

enum err_code image_new(struct image *out, int w, int h, int channels, struct err *e)
{
    return image_new_deep(out, w, h, channels, false, e);
}

enum err_code image_new_deep(struct image *out, int w, int h, int channels, bool deep,
                             struct err *e)
{
    *out = (struct image){0};
    if (w <= 0 || h <= 0 || w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        return err_set(e, ERR_ARG, "an image cannot be %d x %d pixels", w, h);
    if (channels < 1 || channels > 4)
        return err_set(e, ERR_ARG, "an image cannot have %d channels", channels);
    size_t stride = (size_t)w * (size_t)channels * sample_bytes(deep), bytes;
    if (!ck_mul_size(stride, (size_t)h, &bytes))
        return err_set(e, ERR_NOMEM, "an image of %d x %d pixels does not fit in memory", w, h);
    unsigned char *p = mem_try_alloc(bytes);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for an image of %d x %d pixels (%zu bytes)", w, h,
                       bytes);
    *out = (struct image){
        .w = w, .h = h, .channels = channels, .stride = stride, .p = p, .deep = deep};
    return ERR_OK;
}

void image_free(struct image *im)
{
    if (!im)
        return;
    mem_free(im->p);
    *im = (struct image){0};
}

const char *image_mode_name(int channels)
{
    static const char *const names[] = {"?", "L", "LA", "RGB", "RGBA"};
    return names[channels >= 1 && channels <= 4 ? channels : 0];
}

enum err_code image_copy(const struct image *src, struct image *out, struct err *e)
{
    return image_crop(src, (struct image_rect){0, 0, src->w, src->h}, out, e);
}

enum err_code image_convert(const struct image *src, int channels, struct image *out, struct err *e)
{
    TRY(image_new_deep(out, src->w, src->h, channels, src->deep, e));
    for (int y = 0; y < src->h; y++) {
        if (channels == src->channels)
            memcpy(image_row(out, y), image_row(src, y), out->stride);
        else
            sample_kern_convert(image_row(out, y), channels, image_row(src, y), src->channels,
                                src->w, src->deep);
    }
    return ERR_OK;
}

/* A row never lies before the place it is written to, so *im may be narrowed in place. */
static void narrow_rows(const struct image *src, unsigned char *to, size_t stride)
{
    for (int y = 0; y < src->h; y++)
        sample_kern_narrow(to + (size_t)y * stride, image_row(src, y), stride);
}

void image_narrow(struct image *im)
{
    size_t stride = (size_t)im->w * (size_t)im->channels;
    if (!im->deep)
        return;
    narrow_rows(im, im->p, stride);
    unsigned char *smaller = mem_try_realloc(im->p, stride * (size_t)im->h);
    im->p = smaller ? smaller : im->p;
    im->stride = stride;
    im->deep = false;
}

enum err_code image_narrowed(const struct image *src, struct image *out, struct err *e)
{
    if (!src->deep)
        return image_copy(src, out, e);
    TRY(image_new(out, src->w, src->h, src->channels, e));
    narrow_rows(src, out->p, out->stride);
    return ERR_OK;
}

void image_planes(const struct image *im, float *out)
{
    size_t plane = (size_t)im->w * (size_t)im->h;
    for (int y = 0; y < im->h; y++)
        sample_kern_planes(out + (size_t)y * (size_t)im->w, plane, image_row(im, y), im->channels,
                           im->w, im->deep);
}

void image_from_planes(struct image *im, const float *planes)
{
    size_t plane = (size_t)im->w * (size_t)im->h;
    for (int y = 0; y < im->h; y++)
        sample_kern_pixels(image_row(im, y), planes + (size_t)y * (size_t)im->w, plane,
                           im->channels, im->w);
}

enum err_code image_crop(const struct image *src, struct image_rect r, struct image *out,
                         struct err *e)
{
    *out = (struct image){0};
    if (r.x < 0 || r.y < 0 || r.w <= 0 || r.h <= 0 || r.w > src->w || r.h > src->h ||
        r.x > src->w - r.w || r.y > src->h - r.h)
        return err_set(e, ERR_ARG, "a cut of %d x %d at %d,%d leaves an image of %d x %d", r.w, r.h,
                       r.x, r.y, src->w, src->h);
    TRY(image_new_deep(out, r.w, r.h, src->channels, src->deep, e));
    for (int y = 0; y < r.h; y++)
        memcpy(image_row(out, y), image_row(src, r.y + y) + (size_t)r.x * image_pixel_bytes(src),
               out->stride);
    return ERR_OK;
}

enum err_code image_crop_centre(const struct image *src, int w, int h, struct image *out,
                                struct err *e)
{
    return image_crop(src, (struct image_rect){(src->w - w) / 2, (src->h - h) / 2, w, h}, out, e);
}

enum { PIXEL_MAX_BYTES = 8 };

/* n bytes a pixel. */
static void fill_pixels(unsigned char *p, int count, const unsigned char *pixel, size_t n)
{
    for (int i = 0; i < count; i++, p += n)
        memcpy(p, pixel, n);
}

/* A colour of im->channels bytes as a pixel of im. */
static void make_pixel(const struct image *im, const unsigned char *colour,
                       unsigned char pixel[PIXEL_MAX_BYTES])
{
    if (im->deep)
        sample_kern_widen(pixel, colour, (size_t)im->channels);
    else
        memcpy(pixel, colour, (size_t)im->channels);
}

enum err_code image_pad(const struct image *src, struct image_border b, const unsigned char *fill,
                        struct image *out, struct err *e)
{
    *out = (struct image){0};
    if (b.left < 0 || b.top < 0 || b.right < 0 || b.bottom < 0 || b.left > IMAGE_SIDE_MAX ||
        b.top > IMAGE_SIDE_MAX || b.right > IMAGE_SIDE_MAX || b.bottom > IMAGE_SIDE_MAX)
        return err_set(e, ERR_ARG, "a border of %d,%d,%d,%d is not valid", b.left, b.top, b.right,
                       b.bottom);
    TRY(image_new_deep(out, src->w + b.left + b.right, src->h + b.top + b.bottom, src->channels,
                       src->deep, e));
    size_t n = image_pixel_bytes(src);
    unsigned char pixel[PIXEL_MAX_BYTES];
    if (fill)
        make_pixel(src, fill, pixel);
    for (int y = 0; y < out->h; y++) {
        int sy = y - b.top;
        unsigned char *d = image_row(out, y);
        if (fill && (sy < 0 || sy >= src->h)) {
            fill_pixels(d, out->w, pixel, n);
            continue;
        }
        sy = sy < 0 ? 0 : sy >= src->h ? src->h - 1 : sy;
        const unsigned char *s = image_row(src, sy);
        size_t row_bytes = (size_t)src->w * n, left_bytes = (size_t)b.left * n;
        fill_pixels(d, b.left, fill ? pixel : s, n);
        memcpy(d + left_bytes, s, row_bytes);
        fill_pixels(d + left_bytes + row_bytes, b.right, fill ? pixel : s + row_bytes - n, n);
    }
    return ERR_OK;
}

void image_flip_horizontal(struct image *im)
{
    size_t n = image_pixel_bytes(im);
    for (int y = 0; y < im->h; y++) {
        unsigned char *a = image_row(im, y), *b = a + (size_t)(im->w - 1) * n, t[PIXEL_MAX_BYTES];
        for (; a < b; a += n, b -= n) {
            memcpy(t, a, n);
            memcpy(a, b, n);
            memcpy(b, t, n);
        }
    }
}

void image_flip_vertical(struct image *im)
{
    size_t row_bytes = (size_t)im->w * image_pixel_bytes(im);
    for (int top = 0, bottom = im->h - 1; top < bottom; top++, bottom--) {
        unsigned char *a = image_row(im, top), *b = image_row(im, bottom);
        for (size_t i = 0; i < row_bytes; i++) {
            unsigned char t = a[i];
            a[i] = b[i];
            b[i] = t;
        }
    }
}

void image_fill(struct image *im, const unsigned char *colour)
{
    unsigned char pixel[PIXEL_MAX_BYTES];
    make_pixel(im, colour, pixel);
    for (int y = 0; y < im->h; y++)
        fill_pixels(image_row(im, y), im->w, pixel, image_pixel_bytes(im));
}

/* EXIF: 5..8 mirror at the main diagonal first; then 2, 3, 7, 8 ... mirror the axes. */
enum err_code image_orient(const struct image *src, int orientation, struct image *out,
                           struct err *e)
{
    if (orientation < 2 || orientation > 8)
        return image_copy(src, out, e);
    bool transpose = orientation >= 5;
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    int w = transpose ? src->h : src->w, h = transpose ? src->w : src->h;
    TRY(image_new_deep(out, w, h, src->channels, src->deep, e));
    size_t n = image_pixel_bytes(src);
    for (int y = 0; y < src->h; y++) {
        const unsigned char *s = image_row(src, y);
        for (int x = 0; x < src->w; x++, s += n) {
            int dx = transpose ? y : x, dy = transpose ? x : y;
            dx = mirror_x ? out->w - 1 - dx : dx;
            dy = mirror_y ? out->h - 1 - dy : dy;
            memcpy(image_row(out, dy) + (size_t)dx * n, s, n);
        }
    }
    return ERR_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

bool image_colour_parse(struct str text, unsigned char rgb[3])
{
    static const struct {
        const char *name;
        unsigned char level;
    } greys[] = {{"white", 255}, {"black", 0}, {"grey", 128}, {"gray", 128}};
    for (size_t i = 0; i < sizeof greys / sizeof greys[0]; i++) {
        if (str_eq_z(text, greys[i].name)) {
            memset(rgb, greys[i].level, 3);
            return true;
        }
    }
    size_t digits = text.n == 7 ? 2 : 1; /* a component */
    if ((text.n != 4 && text.n != 7) || text.p[0] != '#')
        return false;
    for (size_t i = 0; i < 3; i++) {
        int high = hex_digit(text.p[1 + digits * i]), low = hex_digit(text.p[digits * (i + 1)]);
        if (high < 0 || low < 0)
            return false;
        rgb[i] = (unsigned char)(16 * high + low);
    }
    return true;
}

/* The colour of that many channels in 8 bits, without alpha. */
static inline void replace_hidden_any(unsigned char *p, int w, const unsigned char *colour,
                                      const size_t channels, const bool deep)
{
    const size_t n = channels * sample_bytes(deep);
    for (int x = 0; x < w; x++, p += n)
        for (size_t c = 0; sample_get(p, channels - 1, deep) == 0 && c < channels - 1; c++)
            sample_set(p, c, deep ? sample_widen(colour[c]) : colour[c], deep);
}

void image_replace_hidden(struct image *im, const unsigned char rgb[3])
{
    const unsigned char grey = (unsigned char)sample_grey(rgb[0], rgb[1], rgb[2]);
    const unsigned char *colour = im->channels == 4 ? rgb : &grey;
    for (int y = 0; image_has_alpha(im) && y < im->h; y++) {
        if (im->deep)
            replace_hidden_any(image_row(im, y), im->w, colour, (size_t)im->channels, true);
        else
            replace_hidden_any(image_row(im, y), im->w, colour, (size_t)im->channels, false);
    }
}

void image_premultiply(struct image *im)
{
    for (int y = 0; image_has_alpha(im) && y < im->h; y++)
        alpha_kern_premultiply(image_row(im, y), im->w, im->channels, im->deep);
}

void image_unpremultiply(struct image *im)
{
    for (int y = 0; image_has_alpha(im) && y < im->h; y++)
        alpha_kern_unpremultiply(image_row(im, y), im->w, im->channels, im->deep);
}

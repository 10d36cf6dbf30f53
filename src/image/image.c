/* image.c - allocation, modes, cutting and turning of pictures; see image.h. */
#include "image/image.h"

#include <inttypes.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"
#include "image/alpha_kern.h"

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
        return err_set(e, ERR_FORMAT, "the picture is %" PRIu64 " x %" PRIu64 " pixels: empty", w,
                       h);
    if (!ck_mul_u64(w, h, &pixels) || pixels > l.max_pixels)
        return err_set(e, ERR_LIMIT,
                       "the picture is %" PRIu64 " x %" PRIu64 " pixels, the limit is %.4g "
                       "megapixels",
                       w, h, (double)l.max_pixels * 1e-6);
    if (w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        return err_set(e, ERR_LIMIT,
                       "the picture is %" PRIu64 " x %" PRIu64 " pixels, the longest side allowed "
                       "is %d",
                       w, h, IMAGE_SIDE_MAX);
    return ERR_OK;
}

enum err_code image_new(struct image *out, int w, int h, int channels, struct err *e)
{
    *out = (struct image){0};
    if (w <= 0 || h <= 0 || w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        return err_set(e, ERR_ARG, "a picture cannot be %d x %d pixels", w, h);
    if (channels < 1 || channels > 4)
        return err_set(e, ERR_ARG, "a picture cannot have %d channels", channels);
    size_t stride = (size_t)w * (size_t)channels, bytes;
    if (!ck_mul_size(stride, (size_t)h, &bytes))
        return err_set(e, ERR_NOMEM, "a picture of %d x %d pixels does not fit in memory", w, h);
    unsigned char *p = mem_try_alloc(bytes);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for a picture of %d x %d pixels (%zu bytes)", w, h,
                       bytes);
    *out = (struct image){.w = w, .h = h, .channels = channels, .stride = stride, .p = p};
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

static void convert_row(unsigned char *d, int to, const unsigned char *s, int from, int w)
{
    for (int x = 0; x < w; x++, d += to, s += from) {
        unsigned alpha = from == 2 ? s[1] : from == 4 ? s[3] : 255;
        if (to >= 3) {
            d[0] = s[0];
            d[1] = s[from >= 3 ? 1 : 0];
            d[2] = s[from >= 3 ? 2 : 0];
        } else if (from >= 3) {
            d[0] = (unsigned char)((19595u * s[0] + 38470u * s[1] + 7471u * s[2] + 32768u) >> 16);
        } else {
            d[0] = s[0];
        }
        if (to == 2 || to == 4)
            d[to - 1] = (unsigned char)alpha;
    }
}

enum err_code image_convert(const struct image *src, int channels, struct image *out, struct err *e)
{
    enum err_code rc = image_new(out, src->w, src->h, channels, e);
    if (rc != ERR_OK)
        return rc;
    for (int y = 0; y < src->h; y++) {
        if (channels == src->channels)
            memcpy(image_row(out, y), image_row(src, y), out->stride);
        else
            convert_row(image_row(out, y), channels, image_row(src, y), src->channels, src->w);
    }
    return ERR_OK;
}

enum err_code image_crop(const struct image *src, struct image_rect r, struct image *out,
                         struct err *e)
{
    *out = (struct image){0};
    if (r.x < 0 || r.y < 0 || r.w <= 0 || r.h <= 0 || r.w > src->w || r.h > src->h ||
        r.x > src->w - r.w || r.y > src->h - r.h)
        return err_set(e, ERR_ARG, "a cut of %d x %d at %d,%d leaves a picture of %d x %d", r.w,
                       r.h, r.x, r.y, src->w, src->h);
    enum err_code rc = image_new(out, r.w, r.h, src->channels, e);
    if (rc != ERR_OK)
        return rc;
    for (int y = 0; y < r.h; y++)
        memcpy(image_row(out, y), image_row(src, r.y + y) + (size_t)r.x * (size_t)src->channels,
               out->stride);
    return ERR_OK;
}

enum err_code image_crop_centre(const struct image *src, int w, int h, struct image *out,
                                struct err *e)
{
    return image_crop(src, (struct image_rect){(src->w - w) / 2, (src->h - h) / 2, w, h}, out, e);
}

static void fill_pixels(unsigned char *p, int count, const unsigned char *colour, int channels)
{
    for (int i = 0; i < count; i++, p += channels)
        memcpy(p, colour, (size_t)channels);
}

enum err_code image_pad(const struct image *src, struct image_border b, const unsigned char *fill,
                        struct image *out, struct err *e)
{
    *out = (struct image){0};
    if (b.left < 0 || b.top < 0 || b.right < 0 || b.bottom < 0 || b.left > IMAGE_SIDE_MAX ||
        b.top > IMAGE_SIDE_MAX || b.right > IMAGE_SIDE_MAX || b.bottom > IMAGE_SIDE_MAX)
        return err_set(e, ERR_ARG, "a border of %d,%d,%d,%d makes no sense", b.left, b.top, b.right,
                       b.bottom);
    enum err_code rc =
        image_new(out, src->w + b.left + b.right, src->h + b.top + b.bottom, src->channels, e);
    if (rc != ERR_OK)
        return rc;
    int n = src->channels;
    for (int y = 0; y < out->h; y++) {
        int sy = y - b.top;
        unsigned char *d = image_row(out, y);
        if (fill && (sy < 0 || sy >= src->h)) {
            fill_pixels(d, out->w, fill, n);
            continue;
        }
        sy = sy < 0 ? 0 : sy >= src->h ? src->h - 1 : sy;
        const unsigned char *s = image_row(src, sy);
        size_t row_bytes = (size_t)src->w * (size_t)n, left_bytes = (size_t)b.left * (size_t)n;
        fill_pixels(d, b.left, fill ? fill : s, n);
        memcpy(d + left_bytes, s, row_bytes);
        fill_pixels(d + left_bytes + row_bytes, b.right, fill ? fill : s + row_bytes - n, n);
    }
    return ERR_OK;
}

void image_flip_horizontal(struct image *im)
{
    size_t n = (size_t)im->channels;
    for (int y = 0; y < im->h; y++) {
        unsigned char *a = image_row(im, y), *b = a + (size_t)(im->w - 1) * n, t[4];
        for (; a < b; a += n, b -= n) {
            memcpy(t, a, n);
            memcpy(a, b, n);
            memcpy(b, t, n);
        }
    }
}

void image_flip_vertical(struct image *im)
{
    size_t row_bytes = (size_t)im->w * (size_t)im->channels;
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
    for (int y = 0; y < im->h; y++)
        fill_pixels(image_row(im, y), im->w, colour, im->channels);
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
    enum err_code rc = transpose ? image_new(out, src->h, src->w, src->channels, e)
                                 : image_new(out, src->w, src->h, src->channels, e);
    if (rc != ERR_OK)
        return rc;
    size_t n = (size_t)src->channels;
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

void image_replace_hidden(struct image *im, const unsigned char rgb[3])
{
    size_t n = (size_t)im->channels;
    unsigned char grey =
        (unsigned char)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
    for (int y = 0; image_has_alpha(im) && y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int x = 0; x < im->w; x++, p += n) {
            if (p[n - 1] == 0 && n == 4)
                memcpy(p, rgb, 3);
            else if (p[n - 1] == 0)
                p[0] = grey;
        }
    }
}

void image_premultiply(struct image *im)
{
    for (int y = 0; image_has_alpha(im) && y < im->h; y++)
        alpha_kern_premultiply(image_row(im, y), im->w, im->channels);
}

void image_unpremultiply(struct image *im)
{
    for (int y = 0; image_has_alpha(im) && y < im->h; y++)
        alpha_kern_unpremultiply(image_row(im, y), im->w, im->channels);
}

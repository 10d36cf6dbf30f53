/* resize.c - windows and weights of the filters, and the order of the passes; see resize.h.
 *
 * Output i of an axis looks at the input around c = (i + 0.5) in / out. The filter is stretched by
 * max(in / out, 1), so its window goes from int(c - s + 0.5) to int(c + s + 0.5), clipped, with s the
 * stretched support. The weights are taken in double, divided by their sum and rounded half away from
 * zero to integers of 22 fractional bits (torchvision: as many as let the largest weight fit in 16). */
#include "image/resize.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "image/resize_kern.h"

enum { PRECISION_MAX = 22 };

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

static const struct filter {
    double (*f)(double x);
    double support;
} filters[] = {
    [IMAGE_BOX] = {box, 0.5},
    [IMAGE_BILINEAR] = {triangle, 1.0},
    [IMAGE_BICUBIC] = {cubic, 2.0},
    [IMAGE_LANCZOS] = {lanczos, 3.0},
    [IMAGE_TORCH_BICUBIC] = {cubic, 2.0},
};

static void axis_free(struct resize_axis *a)
{
    mem_free(a->first);
    mem_free(a->count);
    mem_free(a->hi);
    mem_free(a->lo);
    *a = (struct resize_axis){0};
}

/* The window of output i and its weights, which sum to 1. */
static void axis_window(const struct filter *f, struct resize_axis *a, int i, double *k)
{
    double scale = (double)a->in / a->out, stretch = scale < 1.0 ? 1.0 : scale;
    double support = f->support * stretch, centre = (i + 0.5) * scale, sum = 0.0;
    double inverse = 1.0 / stretch;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    first = first < 0 ? 0 : first;
    end = end > a->in ? a->in : end;
    for (int j = 0; j < end - first; j++) {
        k[j] = f->f((j + first - centre + 0.5) * inverse);
        sum += k[j];
    }
    for (int j = 0; j < end - first && sum != 0.0; j++)
        k[j] /= sum;
    a->first[i] = first;
    a->count[i] = end - first;
}

/* How many fractional bits torchvision gives to weights of which `largest` is the largest. */
static int torch_precision(double largest)
{
    int p = 0;
    while (p < PRECISION_MAX && (int)(0.5 + largest * (double)(1 << (p + 1))) < (1 << 15))
        p++;
    return p;
}

static void axis_quantise(struct resize_axis *a, int i, const double *k)
{
    size_t at = (size_t)i * (size_t)a->taps;
    double one = (double)(1 << a->precision);
    for (int j = 0; j < a->count[i]; j++) {
        int v = (int)((k[j] < 0 ? -0.5 : 0.5) + k[j] * one);
        a->hi[at + (size_t)j] = (int16_t)(v >> 8);
        a->lo[at + (size_t)j] = (int16_t)(v & 255);
    }
}

static enum err_code axis_new(int in, int out, enum image_filter filter, struct resize_axis *a,
                              struct err *e)
{
    const struct filter *f = &filters[filter];
    double scale = (double)in / out;
    int taps = (int)ceil(f->support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    *a = (struct resize_axis){.in = in, .out = out, .precision = PRECISION_MAX};
    a->taps = (taps + 7) / 8 * 8;
    size_t weights = (size_t)out * (size_t)a->taps; /* both at most 2^23: fits */
    double *k = mem_try_array((size_t)a->taps, sizeof *k);
    a->first = mem_try_array((size_t)out, sizeof *a->first);
    a->count = mem_try_array((size_t)out, sizeof *a->count);
    a->hi = mem_try_array(weights, sizeof *a->hi);
    a->lo = mem_try_array(weights, sizeof *a->lo);
    if (!k || !a->first || !a->count || !a->hi || !a->lo) {
        mem_free(k);
        axis_free(a);
        return err_set(e, ERR_NOMEM, "no memory for the weights from %d to %d pixels", in, out);
    }
    if (filter == IMAGE_TORCH_BICUBIC) {
        double largest = 0.0;
        for (int i = 0; i < out; i++) {
            axis_window(f, a, i, k);
            for (int j = 0; j < a->count[i]; j++)
                largest = k[j] > largest ? k[j] : largest;
        }
        a->precision = torch_precision(largest);
    }
    for (int i = 0; i < out; i++) {
        axis_window(f, a, i, k);
        axis_quantise(a, i, k);
    }
    mem_free(k);
    return ERR_OK;
}

static void nearest(const struct image *src, struct image *out)
{
    size_t n = image_pixel_bytes(src);
    double sx = (double)src->w / out->w, sy = (double)src->h / out->h;
    for (int y = 0; y < out->h; y++) {
        int from = (int)((y + 0.5) * sy);
        const unsigned char *s = image_row(src, from < src->h ? from : src->h - 1);
        unsigned char *d = image_row(out, y);
        for (int x = 0; x < out->w; x++, d += n) {
            int at = (int)((x + 0.5) * sx);
            memcpy(d, s + (size_t)(at < src->w ? at : src->w - 1) * n, n);
        }
    }
}

/* Every row of src, premultiplied when asked, horizontally resampled (axis->out > 0) into out. */
static enum err_code pass_rows(const struct image *src, const struct resize_axis *axis, bool alpha,
                               struct image *out, struct err *e)
{
    size_t row_bytes = (size_t)src->w * image_pixel_bytes(src);
    unsigned char *premultiplied = alpha ? mem_try_alloc(row_bytes) : NULL;
    if (alpha && !premultiplied)
        return err_set(e, ERR_NOMEM, "no memory for a row of %d pixels", src->w);
    for (int y = 0; y < src->h; y++) {
        const unsigned char *s = image_row(src, y);
        if (alpha) {
            memcpy(premultiplied, s, row_bytes);
            alpha_kern_premultiply(premultiplied, src->w, src->channels, src->deep);
            s = premultiplied;
        }
        if (axis->out > 0)
            resize_kern_row(image_row(out, y), s, axis, src->channels, src->deep);
        else
            memcpy(image_row(out, y), s, row_bytes);
    }
    mem_free(premultiplied);
    return ERR_OK;
}

struct resize_work {
    struct resize_axis x, y;
    struct image between; /* after the horizontal pass */
};

static enum err_code resample(const struct image *src, int w, int h, enum image_filter filter,
                              struct resize_work *work, struct image *out, struct err *e)
{
    enum err_code rc;
    bool alpha = image_has_alpha(src) && filter != IMAGE_TORCH_BICUBIC;
    const struct image *rows = src;
    if (w != src->w && (rc = axis_new(src->w, w, filter, &work->x, e)) != ERR_OK)
        return rc;
    if (h != src->h && (rc = axis_new(src->h, h, filter, &work->y, e)) != ERR_OK)
        return rc;
    if (w != src->w || alpha) {
        struct image *to = h == src->h ? out : &work->between;
        if ((rc = image_new_deep(to, w, src->h, src->channels, src->deep, e)) != ERR_OK ||
            (rc = pass_rows(src, &work->x, alpha, to, e)) != ERR_OK)
            return rc;
        rows = to;
    }
    if (h != src->h) {
        if ((rc = image_new_deep(out, w, h, src->channels, src->deep, e)) != ERR_OK)
            return rc;
        size_t samples = (size_t)w * (size_t)src->channels;
        for (int y = 0; y < h; y++)
            resize_kern_column(image_row(out, y), rows->p, rows->stride, samples, &work->y, y,
                               src->deep);
    }
    if (alpha)
        image_unpremultiply(out);
    return ERR_OK;
}

enum err_code image_resize(const struct image *src, int w, int h, enum image_filter filter,
                           struct image *out, struct err *e)
{
    *out = (struct image){0};
    if (w <= 0 || h <= 0 || w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        return err_set(e, ERR_ARG, "an image cannot be resized to %d x %d", w, h);
    if (w == src->w && h == src->h)
        return image_copy(src, out, e);
    if (filter == IMAGE_NEAREST) {
        enum err_code rc = image_new_deep(out, w, h, src->channels, src->deep, e);
        if (rc == ERR_OK)
            nearest(src, out);
        return rc;
    }
    struct resize_work work = {0};
    enum err_code rc = resample(src, w, h, filter, &work, out, e);
    axis_free(&work.x);
    axis_free(&work.y);
    image_free(&work.between);
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}

enum err_code image_thumbnail(const struct image *src, int w, int h, struct image *out,
                              struct err *e)
{
    double sx = (double)w / src->w, sy = (double)h / src->h, s = sx < sy ? sx : sy;
    if (s >= 1.0)
        return image_copy(src, out, e);
    int to_w = (int)lrint(src->w * s), to_h = (int)lrint(src->h * s);
    to_w = to_w < 1 ? 1 : to_w;
    to_h = to_h < 1 ? 1 : to_h;
    return image_resize(src, to_w, to_h, IMAGE_LANCZOS, out, e);
}

void image_area_size(int w, int h, uint64_t area, int *out_w, int *out_h)
{
    double s = sqrt((double)area / ((double)w * h));
    *out_w = (int)(w * s);
    *out_h = (int)(h * s);
}

/* composite.c - clipping, modes and depths around the compositing kernel; see composite.h.
 *
 * The kernel (composite_kern.c) works on rows of RGBA of one depth. Here a layer is cut to the canvas, its rows
 * are brought to that form, in two lent rows where they are not, and an RGB canvas is widened and narrowed row by
 * row. So a layer costs three rows of memory, whatever its size.
 */
#include "image/composite.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/sample_kern.h"

static const char *const mode_names[BLEND_MODES] = {
    [BLEND_NORMAL] = "normal",
    [BLEND_MULTIPLY] = "multiply",
    [BLEND_SCREEN] = "screen",
    [BLEND_OVERLAY] = "overlay",
    [BLEND_DARKEN] = "darken",
    [BLEND_LIGHTEN] = "lighten",
    [BLEND_COLOR_DODGE] = "color-dodge",
    [BLEND_COLOR_BURN] = "color-burn",
    [BLEND_HARD_LIGHT] = "hard-light",
    [BLEND_SOFT_LIGHT] = "soft-light",
    [BLEND_DIFFERENCE] = "difference",
    [BLEND_EXCLUSION] = "exclusion",
    [BLEND_ADD] = "add",
    [BLEND_HUE] = "hue",
    [BLEND_SATURATION] = "saturation",
    [BLEND_COLOR] = "color",
    [BLEND_LUMINOSITY] = "luminosity",
};

const char *blend_mode_name(enum blend_mode mode)
{
    return (unsigned)mode < BLEND_MODES ? mode_names[mode] : "unknown";
}

bool blend_mode_from_name(struct str name, enum blend_mode *out)
{
    for (unsigned i = 0; i < BLEND_MODES; i++) {
        if (str_eq_z(name, mode_names[i])) {
            *out = (enum blend_mode)i;
            return true;
        }
    }
    return false;
}

/* The part of the layer that lies on the canvas, in canvas coordinates; w or h <= 0 when none does. */
static struct image_rect overlap(const struct image *canvas, const struct composite_layer *l)
{
    int64_t left = l->x > 0 ? l->x : 0, top = l->y > 0 ? l->y : 0;
    int64_t right = (int64_t)l->x + l->image->w, bottom = (int64_t)l->y + l->image->h;
    right = right < canvas->w ? right : canvas->w;
    bottom = bottom < canvas->h ? bottom : canvas->h;
    if (right <= left || bottom <= top)
        return (struct image_rect){0};
    return (struct image_rect){(int)left, (int)top, (int)(right - left), (int)(bottom - top)};
}

/* What of the layer lies in row y of the canvas, as RGBA of the canvas' depth: the layer's own pixels, or one of
 * two rows that are lent for it. */
static const unsigned char *layer_row(const struct image *canvas, const struct composite_layer *l,
                                      struct image_rect r, int y, unsigned char *of_depth,
                                      unsigned char *of_mode)
{
    const int n = l->image->channels;
    const size_t samples = (size_t)r.w * (size_t)n;
    const unsigned char *s =
        image_row(l->image, y - l->y) + (size_t)(r.x - l->x) * image_pixel_bytes(l->image);
    if (l->image->deep != canvas->deep) {
        if (canvas->deep)
            sample_kern_widen(of_depth, s, samples);
        else
            sample_kern_narrow(of_depth, s, samples);
        s = of_depth;
    }
    if (n == 4)
        return s;
    sample_kern_convert(of_mode, 4, s, n, r.w, canvas->deep);
    return of_mode;
}

enum err_code image_composite(struct image *canvas, const struct composite_layer *l, struct err *e)
{
    if (canvas->channels < 3)
        return err_set(e, ERR_ARG, "cannot compose onto a canvas of mode %s",
                       image_mode_name(canvas->channels));
    if (!(l->opacity >= 0.0 && l->opacity <= 1.0) || (unsigned)l->blend >= BLEND_MODES)
        return err_set(e, ERR_ARG, "a layer cannot have opacity %g and blend mode %d", l->opacity,
                       (int)l->blend);
    struct image_rect r = overlap(canvas, l);
    if (r.w <= 0)
        return ERR_OK;
    const size_t row = 4 * (size_t)r.w * (canvas->deep ? 2 : 1);
    unsigned char *rows = mem_try_array(3, row);
    if (!rows)
        return err_set(e, ERR_NOMEM, "no memory for a row of %d pixels", r.w);
    for (int y = r.y; y < r.y + r.h; y++) {
        const unsigned char *s = layer_row(canvas, l, r, y, rows + row, rows + 2 * row);
        unsigned char *d = image_row(canvas, y) + (size_t)r.x * image_pixel_bytes(canvas);
        if (canvas->channels == 4) {
            composite_kern_row(d, s, r.w, (float)l->opacity, l->blend, canvas->deep);
        } else {
            sample_kern_convert(rows, 4, d, 3, r.w, canvas->deep);
            composite_kern_row(rows, s, r.w, (float)l->opacity, l->blend, canvas->deep);
            sample_kern_convert(d, 3, rows, 4, r.w, canvas->deep);
        }
    }
    mem_free(rows);
    return ERR_OK;
}

enum err_code image_flatten(const struct composite_layer *layers, size_t n, int w, int h,
                            const unsigned char *background, struct image *out, struct err *e)
{
    bool deep = false;
    for (size_t i = 0; i < n; i++)
        deep = deep || layers[i].image->deep;
    enum err_code rc;
    TRY_GOTO(image_new_deep(out, w, h, 4, deep, e), done);
    if (background)
        image_fill(out, background);
    for (size_t i = 0; i < n; i++)
        TRY_GOTO(image_composite(out, &layers[i], e), done);
done:
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}

enum err_code image_on_ground(const struct image *im, const unsigned char rgb[3], struct image *out,
                              struct err *e)
{
    struct image flat;
    const struct composite_layer l = {.image = im, .opacity = 1.0};
    const unsigned char ground[4] = {rgb[0], rgb[1], rgb[2], 255};
    bool grey = im->channels < 3 && rgb[0] == rgb[1] && rgb[1] == rgb[2];
    *out = (struct image){0};
    if (!image_has_alpha(im))
        return image_copy(im, out, e);
    enum err_code rc = image_flatten(&l, 1, im->w, im->h, ground, &flat, e);
    if (rc != ERR_OK)
        return rc;
    rc = image_convert(&flat, grey ? 1 : 3, out, e);
    image_free(&flat);
    return rc;
}

enum err_code image_compare(const struct image *a, const struct image *b,
                            struct image_difference *out, struct err *e)
{
    *out = (struct image_difference){0};
    if (a->w != b->w || a->h != b->h || a->channels != b->channels)
        return err_set(e, ERR_ARG, "cannot compare %d x %d %s with %d x %d %s", a->w, a->h,
                       image_mode_name(a->channels), b->w, b->h, image_mode_name(b->channels));
    uint64_t sum = 0, squares = 0;
    size_t n = (size_t)a->w * (size_t)a->channels;
    for (int y = 0; y < a->h; y++) {
        const unsigned char *p = image_row(a, y), *q = image_row(b, y);
        for (size_t x = 0; x < n; x++) {
            int d = p[x] > q[x] ? p[x] - q[x] : q[x] - p[x];
            sum += (uint64_t)d;
            squares += (uint64_t)(d * d);
            if (d > out->max) {
                out->max = d;
                out->max_x = (int)(x / (size_t)a->channels);
                out->max_y = y;
            }
        }
    }
    double samples = (double)n * a->h;
    out->mean = (double)sum / samples;
    out->psnr_db =
        squares ? 10.0 * log10(255.0 * 255.0 * samples / (double)squares) : (double)INFINITY;
    return ERR_OK;
}

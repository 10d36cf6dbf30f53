/* composite.c - see composite.h. */
#include "image/composite.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/composite_kern.h"

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

/* n pixels of any mode to RGBA. */
static void to_rgba(unsigned char *d, const unsigned char *s, int n, int channels)
{
    for (int x = 0; x < n; x++, d += 4, s += channels) {
        d[0] = s[0];
        d[1] = s[channels >= 3 ? 1 : 0];
        d[2] = s[channels >= 3 ? 2 : 0];
        d[3] = channels == 2 ? s[1] : channels == 4 ? s[3] : 255;
    }
}

static void drop_alpha(unsigned char *d, const unsigned char *s, int n)
{
    for (int x = 0; x < n; x++, d += 3, s += 4)
        memcpy(d, s, 3);
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
    /* Two rows: the layer's, and the canvas' when that is RGB. */
    unsigned char *rows = mem_try_array((size_t)r.w, 8);
    if (!rows)
        return err_set(e, ERR_NOMEM, "no memory for a row of %d pixels", r.w);
    unsigned char *layer_row = rows, *canvas_row = rows + (size_t)r.w * 4;
    for (int y = r.y; y < r.y + r.h; y++) {
        int n = l->image->channels;
        const unsigned char *s = image_row(l->image, y - l->y) + (size_t)(r.x - l->x) * (size_t)n;
        unsigned char *d = image_row(canvas, y) + (size_t)r.x * (size_t)canvas->channels;
        if (n != 4) {
            to_rgba(layer_row, s, r.w, n);
            s = layer_row;
        }
        if (canvas->channels == 4) {
            composite_kern_row(d, s, r.w, (float)l->opacity, l->blend);
        } else {
            to_rgba(canvas_row, d, r.w, 3);
            composite_kern_row(canvas_row, s, r.w, (float)l->opacity, l->blend);
            drop_alpha(d, canvas_row, r.w);
        }
    }
    mem_free(rows);
    return ERR_OK;
}

enum err_code image_flatten(const struct composite_layer *layers, size_t n, int w, int h,
                            const unsigned char *background, struct image *out, struct err *e)
{
    enum err_code rc = image_new(out, w, h, 4, e);
    if (rc == ERR_OK && background)
        image_fill(out, background);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = image_composite(out, &layers[i], e);
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

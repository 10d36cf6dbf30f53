/* composite_kern.c - the blend functions and the compositing formula; see composite.h.
 *
 * Per pixel, in floats of 0 to 1: the layer's colour is mixed with its blend with the canvas by the canvas' alpha,
 * and the result is laid over it by the layer's own alpha. Where nothing shows through, or nothing lies below, the
 * formula is skipped, which most pixels of most layers need.
 */
#include "image/composite.h"

#include <math.h>
#include <string.h>

#include "image/sample.h"

static float minf(float a, float b)
{
    return a < b ? a : b;
}

static float maxf(float a, float b)
{
    return a > b ? a : b;
}

/* ---- separable: one channel, backdrop b and source s in 0..1 ---------------------------------- */

static float normal(float b, float s)
{
    (void)b;
    return s;
}

static float multiply(float b, float s)
{
    return b * s;
}

static float screen(float b, float s)
{
    return b + s - b * s;
}

static float hard_light(float b, float s)
{
    return s <= 0.5f ? multiply(b, 2.0f * s) : screen(b, 2.0f * s - 1.0f);
}

static float overlay(float b, float s)
{
    return hard_light(s, b);
}

static float color_dodge(float b, float s)
{
    if (b <= 0.0f)
        return 0.0f;
    return s >= 1.0f ? 1.0f : minf(1.0f, b / (1.0f - s));
}

static float color_burn(float b, float s)
{
    if (b >= 1.0f)
        return 1.0f;
    return s <= 0.0f ? 0.0f : 1.0f - minf(1.0f, (1.0f - b) / s);
}

static float soft_light(float b, float s)
{
    if (s <= 0.5f)
        return b - (1.0f - 2.0f * s) * b * (1.0f - b);
    float d = b <= 0.25f ? ((16.0f * b - 12.0f) * b + 4.0f) * b : sqrtf(b);
    return b + (2.0f * s - 1.0f) * (d - b);
}

static float difference(float b, float s)
{
    return fabsf(b - s);
}

static float exclusion(float b, float s)
{
    return b + s - 2.0f * b * s;
}

static float add(float b, float s)
{
    return minf(1.0f, b + s);
}

static float (*const separable[BLEND_MODES])(float b, float s) = {
    [BLEND_NORMAL] = normal,
    [BLEND_MULTIPLY] = multiply,
    [BLEND_SCREEN] = screen,
    [BLEND_OVERLAY] = overlay,
    [BLEND_DARKEN] = minf,
    [BLEND_LIGHTEN] = maxf,
    [BLEND_COLOR_DODGE] = color_dodge,
    [BLEND_COLOR_BURN] = color_burn,
    [BLEND_HARD_LIGHT] = hard_light,
    [BLEND_SOFT_LIGHT] = soft_light,
    [BLEND_DIFFERENCE] = difference,
    [BLEND_EXCLUSION] = exclusion,
    [BLEND_ADD] = add,
};

/* ---- not separable: hue, saturation and luminosity of a colour ------------------------------- */

struct rgb {
    float c[3];
};

static float lum(struct rgb x)
{
    return 0.3f * x.c[0] + 0.59f * x.c[1] + 0.11f * x.c[2];
}

static float lowest(struct rgb x)
{
    return minf(x.c[0], minf(x.c[1], x.c[2]));
}

static float highest(struct rgb x)
{
    return maxf(x.c[0], maxf(x.c[1], x.c[2]));
}

/* Moves the colour to luminosity l, then towards grey until every channel is in 0..1. */
static struct rgb set_lum(struct rgb x, float l)
{
    float d = l - lum(x);
    for (int i = 0; i < 3; i++)
        x.c[i] += d;
    float m = lum(x), low = lowest(x), high = highest(x);
    for (int i = 0; low < 0.0f && i < 3; i++)
        x.c[i] = m + (x.c[i] - m) * m / (m - low);
    for (int i = 0; high > 1.0f && i < 3; i++)
        x.c[i] = m + (x.c[i] - m) * (1.0f - m) / (high - m);
    return x;
}

static float sat(struct rgb x)
{
    return highest(x) - lowest(x);
}

static struct rgb set_sat(struct rgb x, float s)
{
    float low = lowest(x), range = sat(x);
    for (int i = 0; i < 3; i++)
        x.c[i] = range > 0.0f ? (x.c[i] - low) * s / range : 0.0f;
    return x;
}

static struct rgb blend_whole(struct rgb b, struct rgb s, enum blend_mode mode)
{
    switch (mode) {
    case BLEND_HUE:
        return set_lum(set_sat(s, sat(b)), lum(b));
    case BLEND_SATURATION:
        return set_lum(set_sat(b, sat(s)), lum(b));
    case BLEND_COLOR:
        return set_lum(s, lum(b));
    default: /* BLEND_LUMINOSITY */
        return set_lum(b, lum(s));
    }
}

/* ---- the formula ------------------------------------------------------------------------------ */

static inline void put(unsigned char *p, size_t i, float v, const bool deep)
{
    sample_set(p, i, (unsigned)(minf(1.0f, maxf(0.0f, v)) * (float)sample_max(deep) + 0.5f), deep);
}

static inline float get(const unsigned char *p, size_t i, const bool deep)
{
    return (float)sample_get(p, i, deep) / (float)sample_max(deep);
}

static inline struct rgb to_rgb(const unsigned char *p, const bool deep)
{
    return (struct rgb){{get(p, 0, deep), get(p, 1, deep), get(p, 2, deep)}};
}

static inline void pixel(unsigned char *canvas, const unsigned char *layer, float opacity,
                         enum blend_mode mode, const bool deep)
{
    float as = get(layer, 3, deep) * opacity, ab = get(canvas, 3, deep);
    float ao = as + ab * (1.0f - as);
    struct rgb b = to_rgb(canvas, deep), s = to_rgb(layer, deep), mixed;
    if (separable[mode]) {
        for (int i = 0; i < 3; i++)
            mixed.c[i] = separable[mode](b.c[i], s.c[i]);
    } else {
        mixed = blend_whole(b, s, mode);
    }
    for (size_t i = 0; i < 3; i++) {
        float source = s.c[i] * (1.0f - ab) + ab * mixed.c[i];
        put(canvas, i, (source * as + b.c[i] * ab * (1.0f - as)) / ao, deep);
    }
    put(canvas, 3, ao, deep);
}

static inline void row_any(unsigned char *canvas, const unsigned char *layer, int w, float opacity,
                           enum blend_mode mode, const bool deep)
{
    const size_t n = 4 * sample_bytes(deep);
    for (int x = 0; x < w; x++, canvas += n, layer += n) {
        unsigned alpha = sample_get(layer, 3, deep);
        if (alpha == 0 || opacity <= 0.0f)
            continue;
        /* Nothing shows through, or there is nothing to blend with. */
        bool covers = mode == BLEND_NORMAL && alpha == sample_max(deep);
        if (opacity >= 1.0f && (covers || sample_get(canvas, 3, deep) == 0))
            memcpy(canvas, layer, n);
        else
            pixel(canvas, layer, opacity, mode, deep);
    }
}

void composite_kern_row(unsigned char *canvas, const unsigned char *layer, int w, float opacity,
                        enum blend_mode mode, bool deep)
{
    if (deep)
        row_any(canvas, layer, w, opacity, mode, true);
    else
        row_any(canvas, layer, w, opacity, mode, false);
}

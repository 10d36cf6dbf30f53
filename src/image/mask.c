/* mask.c - reads what a mask means, and brings it to the grid of a model.
 *
 * Which of the three readings of mask.h is meant is decided once for the whole mask. The step to tokens is bilinear
 * in float, as torch computes it, because the reference masks tokens so and a token at an edge has to fall on the
 * same side.
 */
#include "image/mask.h"

#include <stdbool.h>

#include "image/sample.h"

/* Where output i of an axis lies: between input `at` and `next`, by the fraction. In float, as torch
 * computes it. */
struct tap {
    int at, next;
    float fraction;
};

static struct tap tap_of(int i, int in, int out)
{
    float scale = (float)in / (float)out;
    float pos = scale * ((float)i + 0.5f) - 0.5f;
    pos = pos < 0.0f ? 0.0f : pos;
    struct tap t = {.at = (int)pos};
    t.at = t.at > in - 1 ? in - 1 : t.at;
    t.next = t.at < in - 1 ? t.at + 1 : t.at;
    t.fraction = pos - (float)t.at;
    t.fraction = t.fraction > 1.0f ? 1.0f : t.fraction;
    return t;
}

void image_mask_to_grid(const struct image_plane *src, struct image_plane *dst)
{
    for (int y = 0; y < dst->h; y++) {
        struct tap v = tap_of(y, src->h, dst->h);
        const float *top = src->p + (size_t)v.at * (size_t)src->w;
        const float *bottom = src->p + (size_t)v.next * (size_t)src->w;
        float *d = dst->p + (size_t)y * (size_t)dst->w;
        for (int x = 0; x < dst->w; x++) {
            struct tap u = tap_of(x, src->w, dst->w);
            float a = (1.0f - u.fraction) * top[u.at] + u.fraction * top[u.next];
            float b = (1.0f - u.fraction) * bottom[u.at] + u.fraction * bottom[u.next];
            d[x] = (1.0f - v.fraction) * a + v.fraction * b;
        }
    }
}

void image_mask_binarise(const struct image *mask, float *p)
{
    for (int y = 0; y < mask->h; y++) {
        const unsigned char *s = image_row(mask, y);
        for (int x = 0; x < mask->w; x++)
            *p++ = s[x] >= MASK_PAINTED ? 1.0f : 0.0f;
    }
}

static bool is_opaque(const struct image *im)
{
    for (int y = 0; image_has_alpha(im) && y < im->h; y++) {
        const unsigned char *p = image_row(im, y) + im->channels - 1;
        for (int x = 0; x < im->w; x++, p += im->channels)
            if (*p != 255)
                return false;
    }
    return true;
}

/* Lightness on black ground, and whether any of it is painted. */
static bool light_on_black(const struct image *mask, struct image *grey)
{
    bool any = false;
    for (int y = 0; y < mask->h; y++) {
        const unsigned char *a = image_row(mask, y) + mask->channels - 1;
        unsigned char *d = image_row(grey, y);
        for (int x = 0; x < mask->w; x++, a += mask->channels) {
            d[x] = (unsigned char)((d[x] * *a + 127) / 255);
            any = any || d[x] >= MASK_PAINTED;
        }
    }
    return any;
}

static void copy_alpha(const struct image *im, struct image *grey)
{
    const size_t n = (size_t)im->channels;
    for (int y = 0; y < im->h; y++)
        for (size_t x = 0; x < (size_t)im->w; x++) {
            unsigned a = sample_get(image_row(im, y), n * x + n - 1, im->deep);
            image_row(grey, y)[x] = (unsigned char)(im->deep ? sample_narrow(a) : a);
        }
}

enum err_code image_mask_read(const struct image *mask, struct image *out, enum mask_reading *how,
                              struct err *e)
{
    *how = MASK_LIGHTNESS;
    if (is_opaque(mask))
        return image_convert(mask, mask->channels < 3 ? 1 : 3, out, e);
    TRY(image_convert(mask, 1, out, e));
    *how = MASK_LIGHTNESS_ON_BLACK;
    if (!light_on_black(mask, out)) {
        copy_alpha(mask, out);
        *how = MASK_ALPHA;
    }
    return ERR_OK;
}

enum err_code image_mask_of_alpha(const struct image *im, struct image *mask, struct err *e)
{
    if (!image_has_alpha(im))
        return err_set(e, ERR_ARG, "the mask should come from the image's alpha, but it has none");
    TRY(image_new(mask, im->w, im->h, 1, e));
    copy_alpha(im, mask);
    image_mask_invert(mask);
    return ERR_OK;
}

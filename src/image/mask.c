/* mask.c - inpainting masks as floats; the prototypes are in resize.h. */
#include "image/resize.h"

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
            *p++ = s[x] >= 128 ? 1.0f : 0.0f;
    }
}

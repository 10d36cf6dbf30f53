/* sample_kern.c - see sample_kern.h. */
#include "image/sample_kern.h"

#include <stdint.h>
#include <string.h>

#include "image/sample.h"

static inline void convert_any(unsigned char *d, int to, const unsigned char *s, int from, int w,
                               const bool deep)
{
    const size_t next_d = (size_t)to * sample_bytes(deep),
                 next_s = (size_t)from * sample_bytes(deep);
    for (int x = 0; x < w; x++, d += next_d, s += next_s) {
        unsigned r = sample_get(s, 0, deep);
        unsigned g = from >= 3 ? sample_get(s, 1, deep) : r;
        unsigned b = from >= 3 ? sample_get(s, 2, deep) : r;
        unsigned alpha =
            from == 2 || from == 4 ? sample_get(s, (size_t)from - 1, deep) : sample_max(deep);
        if (to >= 3) {
            sample_set(d, 0, r, deep);
            sample_set(d, 1, g, deep);
            sample_set(d, 2, b, deep);
        } else {
            sample_set(d, 0, from >= 3 ? sample_grey(r, g, b) : r, deep);
        }
        if (to == 2 || to == 4)
            sample_set(d, (size_t)to - 1, alpha, deep);
    }
}

void sample_kern_convert(unsigned char *dst, int to, const unsigned char *src, int from, int w,
                         bool deep)
{
    if (deep)
        convert_any(dst, to, src, from, w, true);
    else
        convert_any(dst, to, src, from, w, false);
}

void sample_kern_narrow(unsigned char *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)sample_narrow(sample_get(src, i, true));
}

void sample_kern_widen(unsigned char *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sample_set(dst, i, sample_widen(src[i]), true);
}

static inline void planes_any(float *dst, size_t plane, const unsigned char *src, int channels,
                              int w, const bool deep)
{
    const float max = (float)sample_max(deep);
    const size_t n = (size_t)channels;
    for (size_t x = 0; x < (size_t)w; x++)
        for (size_t c = 0; c < n; c++)
            dst[c * plane + x] = (float)sample_get(src, n * x + c, deep) / max * 2.0f - 1.0f;
}

void sample_kern_planes(float *dst, size_t plane, const unsigned char *src, int channels, int w,
                        bool deep)
{
    if (deep)
        planes_any(dst, plane, src, channels, w, true);
    else
        planes_any(dst, plane, src, channels, w, false);
}

/* The nearest whole number of a value from 0 to 255 is what is left in the low bits after adding 1.5 * 2^23. */
static void bytes_of(unsigned char *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = src[i] / 2.0f + 0.5f;
        v = v > 0.0f ? v : 0.0f;
        v = v < 1.0f ? v : 1.0f;
        v = v * 255.0f + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        dst[i] = (unsigned char)bits;
    }
}

void sample_kern_pixels(unsigned char *dst, const float *src, size_t plane, int channels, int w)
{
    enum { PART = 256 };
    unsigned char part[4][PART];
    size_t n = (size_t)channels;
    for (size_t x = 0; x < (size_t)w; x += PART) {
        size_t here = (size_t)w - x < PART ? (size_t)w - x : PART;
        for (size_t c = 0; c < n; c++)
            bytes_of(part[c], src + c * plane + x, here);
        for (size_t i = 0; i < here; i++)
            for (size_t c = 0; c < n; c++)
                dst[n * (x + i) + c] = part[c][i];
    }
}

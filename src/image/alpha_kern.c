/* alpha_kern.c - premultiplied alpha in PIL's arithmetic; see image.h for the formulas. */
#include "image/image.h"

#include "image/sample.h"

static inline unsigned divided(unsigned c, unsigned a, const bool deep)
{
    unsigned t = sample_max(deep) * c / a;
    return t > sample_max(deep) ? sample_max(deep) : t;
}

static inline void premultiply_any(unsigned char *p, int w, const size_t colours, const bool deep)
{
    for (int x = 0; x < w; x++, p += (colours + 1) * sample_bytes(deep)) {
        unsigned a = sample_get(p, colours, deep);
        for (size_t c = 0; c < colours; c++)
            sample_set(p, c, sample_times(sample_get(p, c, deep), a, deep), deep);
    }
}

void alpha_kern_premultiply(unsigned char *p, int w, int channels, bool deep)
{
    if (deep)
        premultiply_any(p, w, (size_t)channels - 1, true);
    else if (channels == 4)
        premultiply_any(p, w, 3, false);
    else
        premultiply_any(p, w, 1, false);
}

static inline void unpremultiply_any(unsigned char *p, int w, const size_t colours, const bool deep)
{
    for (int x = 0; x < w; x++, p += (colours + 1) * sample_bytes(deep)) {
        unsigned a = sample_get(p, colours, deep);
        if (a == 0 || a == sample_max(deep))
            continue;
        for (size_t c = 0; c < colours; c++)
            sample_set(p, c, divided(sample_get(p, c, deep), a, deep), deep);
    }
}

void alpha_kern_unpremultiply(unsigned char *p, int w, int channels, bool deep)
{
    if (deep)
        unpremultiply_any(p, w, (size_t)channels - 1, true);
    else
        unpremultiply_any(p, w, (size_t)channels - 1, false);
}

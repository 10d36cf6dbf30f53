/* alpha_kern.c - premultiplied alpha in PIL's 8-bit arithmetic; see image.h for the formulas. */
#include "image/alpha_kern.h"

static unsigned char times(unsigned c, unsigned a)
{
    unsigned t = c * a + 128;
    return (unsigned char)(((t >> 8) + t) >> 8);
}

static unsigned char divided(unsigned c, unsigned a)
{
    unsigned t = 255 * c / a;
    return (unsigned char)(t > 255 ? 255 : t);
}

void alpha_kern_premultiply(unsigned char *p, int w, int channels)
{
    if (channels == 4) {
        for (int x = 0; x < w; x++, p += 4) {
            unsigned a = p[3];
            p[0] = times(p[0], a);
            p[1] = times(p[1], a);
            p[2] = times(p[2], a);
        }
        return;
    }
    for (int x = 0; x < w; x++, p += 2)
        p[0] = times(p[0], p[1]);
}

void alpha_kern_unpremultiply(unsigned char *p, int w, int channels)
{
    int colours = channels - 1;
    for (int x = 0; x < w; x++, p += channels) {
        unsigned a = p[colours];
        if (a == 0 || a == 255)
            continue;
        for (int c = 0; c < colours; c++)
            p[c] = divided(p[c], a);
    }
}

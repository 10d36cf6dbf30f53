/* grounds_kern.c - the loop of grounds.c. */
#include <math.h>

#include "image/grounds.h"

static unsigned char level(double v)
{
    return (unsigned char)lrint(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* What is as good as 0 or 1 is that; between them nothing jumps. */
static double freed_of_noise(double alpha, double noise)
{
    double v = noise < 0.49 ? (alpha - noise) / (1 - 2 * noise) : alpha;
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

void grounds_kern_row(const unsigned char *light, const unsigned char *dark, int n,
                      const struct image_grounds *g, unsigned char *out)
{
    double apart[3], square = 0;
    for (int c = 0; c < 3; c++) {
        apart[c] = g->light[c] - g->dark[c];
        square += apart[c] * apart[c];
    }
    for (int x = 0; x < n; x++, light += 3, dark += 3, out += 4) {
        double through = 0;
        for (int c = 0; c < 3; c++)
            through += (light[c] - dark[c]) * apart[c] / square;
        double alpha = freed_of_noise(1 - through, g->noise);
        out[3] = level(255 * alpha);
        for (int c = 0; c < 3; c++) {
            double ground = (1 - alpha) * (g->light[c] + g->dark[c]);
            out[c] = out[3] ? level((light[c] + dark[c] - ground) / (2 * alpha)) : 0;
        }
    }
}

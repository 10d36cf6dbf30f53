#include "image/affine.h"

#include <string.h>

static float clamp01(float v)
{
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* How much of an output pixel lies between the edges 0 and size: its distance from them, in output
 * pixels, plus the half that a centre on the edge covers. */
static float covered(double at, int size, float per)
{
    return clamp01((float)at * per + 0.5f) * clamp01((float)(size - at) * per + 0.5f);
}

/* The sample left of (above) a place, the one right of it, and how far it is between them. */
static void neighbours(double at, int size, int *first, int *second, float *part)
{
    double x = at - 0.5;
    x = x < 0.0 ? 0.0 : x > size - 1 ? size - 1 : x;
    *first = (int)x;
    *second = *first + (*first < size - 1);
    *part = (float)(x - *first);
}

static void add(float sum[4], const unsigned char *p, float weight)
{
    float a = weight * (float)p[3];
    sum[0] += a * (float)p[0];
    sum[1] += a * (float)p[1];
    sum[2] += a * (float)p[2];
    sum[3] += a;
}

void affine_kern_row(unsigned char *dst, int n, const struct affine_row *r)
{
    for (int i = 0; i < n; i++, dst += 4) {
        double u = r->u + i * r->du, v = r->v + i * r->dv;
        float cover = covered(u, r->w, r->per_u) * covered(v, r->h, r->per_v);
        memset(dst, 0, 4);
        if (cover <= 0.0f)
            continue;
        int x0, x1, y0, y1;
        float px, py, sum[4] = {0};
        neighbours(u, r->w, &x0, &x1, &px);
        neighbours(v, r->h, &y0, &y1, &py);
        const unsigned char *top = r->src + (size_t)y0 * r->stride;
        const unsigned char *low = r->src + (size_t)y1 * r->stride;
        add(sum, top + 4 * (size_t)x0, (1.0f - px) * (1.0f - py));
        add(sum, top + 4 * (size_t)x1, px * (1.0f - py));
        add(sum, low + 4 * (size_t)x0, (1.0f - px) * py);
        add(sum, low + 4 * (size_t)x1, px * py);
        if (sum[3] <= 0.0f)
            continue;
        for (int c = 0; c < 3; c++)
            dst[c] = (unsigned char)(sum[c] / sum[3] + 0.5f);
        dst[3] = (unsigned char)(sum[3] * cover + 0.5f);
    }
}

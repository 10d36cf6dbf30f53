#include "nn/moments_kern.h"

#include <math.h>

/* Sum and sum of squares around pivot, in double: exact enough for any image in one pass over the data. */
static void moments(const float *x, int64_t n, double *mean, double *variance)
{
    double pivot = n > 0 ? (double)x[0] : 0, s = 0, s2 = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)x[i] - pivot;
        s += d;
        s2 += d * d;
    }
    double m = s / (double)n;
    *mean = pivot + m;
    *variance = fmax(s2 / (double)n - m * m, 0);
}

/* Sums of x and x * x a channel at a time in float32, then E[x^2] - E[x]^2. */
static void moments_float_sums(const float *x, int64_t channels, int64_t pixels, double *mean,
                               double *variance)
{
    float sum = 0, sum2 = 0;
    for (int64_t c = 0; c < channels; c++) {
        float s = 0, s2 = 0;
        for (int64_t i = 0; i < pixels; i++) {
            float v = x[c * pixels + i];
            s += v;
            s2 += v * v;
        }
        sum += s;
        sum2 += s2;
    }
    float scale = 1.0f / (float)(channels * pixels), m = sum * scale;
    *mean = (double)m;
    *variance = (double)fmaxf(sum2 * scale - m * m, 0);
}

void nn_group_norm_kern(struct nn_group_norm_job j)
{
    int64_t per = j.channels / j.groups;
    for (int64_t g = j.first; g < j.last; g++) {
        double mean, variance;
        if (j.float_sums)
            moments_float_sums(j.x + g * per * j.pixels, per, j.pixels, &mean, &variance);
        else
            moments(j.x + g * per * j.pixels, per * j.pixels, &mean, &variance);
        float m = (float)mean, r = 1.0f / sqrtf((float)variance + j.eps);
        for (int64_t c = g * per; c < (g + 1) * per; c++) {
            const float *x = j.x + c * j.pixels;
            float *y = j.y + c * j.pixels;
            float scale = r * j.w[c], shift = j.b[c] - scale * m;
            for (int64_t i = 0; i < j.pixels; i++)
                y[i] = x[i] * scale + shift;
        }
    }
}

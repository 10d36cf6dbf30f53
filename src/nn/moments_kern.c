/* moments_kern.c - sums for mean and variance of channels, and applying them; see moments_kern.h.
 *
 * Sums are taken around the channel's first pixel, so that a large mean does not eat the variance. The order of
 * additions is fixed by the row and not by threads or bands: a band's result is bit for bit that of the whole
 * (docs/decisions/banded-sums.md).
 */
#include "nn/moments_kern.h"

#include <math.h>

enum { LANES = 8 };

struct row_sums {
    double s, s2;
};

/* One row around the pivot. Eight sums side by side, joined in a fixed order. */
static struct row_sums sum_row(const float *x, int64_t n, double pivot)
{
    double s[LANES] = {0}, s2[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            double d = (double)x[i + j] - pivot;
            s[j] += d;
            s2[j] += d * d;
        }
    for (int j = 0; i < n; i++, j++) {
        double d = (double)x[i] - pivot;
        s[j] += d;
        s2[j] += d * d;
    }
    struct row_sums r = {0};
    for (int j = 0; j < LANES; j++) {
        r.s += s[j];
        r.s2 += s2[j];
    }
    return r;
}

/* In float32 one pixel after the other, as the reference adds up channels-last images. */
static void sum_channel_floats(const float *x, int64_t n, double *state)
{
    float s = (float)state[2], s2 = (float)state[3];
    for (int64_t i = 0; i < n; i++) {
        s += x[i];
        s2 += x[i] * x[i];
    }
    state[2] = (double)s;
    state[3] = (double)s2;
}

void moments_sum_kern(struct moments_sum_job j)
{
    int64_t pixels = j.rows * j.width;
    for (int64_t c = j.first; c < j.last; c++) {
        const float *x = j.x + c * pixels;
        double *state = j.state + c * MOMENTS_STATE;
        for (int i = 0; i < MOMENTS_STATE; i++)
            state[i] = j.carry ? j.carry[c * MOMENTS_STATE + i] : 0;
        if (j.float_sums) {
            sum_channel_floats(x, pixels, state);
        } else {
            if (state[0] == 0)
                state[1] = (double)x[0];
            for (int64_t r = 0; r < j.rows; r++) {
                struct row_sums sums = sum_row(x + r * j.width, j.width, state[1]);
                state[2] += sums.s;
                state[3] += sums.s2;
            }
        }
        state[0] += (double)pixels;
    }
}

/* E[x^2] - E[x]^2 in float32. */
static struct moments_pair float_group(const double *state, int64_t channels)
{
    float sum = 0, sum2 = 0;
    for (int64_t c = 0; c < channels; c++) {
        sum += (float)state[c * MOMENTS_STATE + 2];
        sum2 += (float)state[c * MOMENTS_STATE + 3];
    }
    float scale = 1.0f / (float)((int64_t)state[0] * channels), m = sum * scale;
    return (struct moments_pair){(double)m, (double)fmaxf(sum2 * scale - m * m, 0)};
}

struct moments_pair moments_of_group(const double *state, int64_t channels, bool float_sums)
{
    if (float_sums)
        return float_group(state, channels);
    double n = state[0], mean = 0, squares = 0;
    for (int64_t c = 0; c < channels; c++) {
        const double *s = state + c * MOMENTS_STATE;
        mean += s[1] + s[2] / n;
    }
    mean /= (double)channels;
    for (int64_t c = 0; c < channels; c++) {
        const double *s = state + c * MOMENTS_STATE;
        double d = s[1] + s[2] / n - mean;
        squares += s[3] - s[2] * (s[2] / n) + n * d * d;
    }
    return (struct moments_pair){mean, fmax(squares / (n * (double)channels), 0)};
}

void moments_apply_kern(struct moments_apply_job j)
{
    int64_t per = j.channels / j.groups, done = -1;
    float m = 0, r = 0;
    for (int64_t c = j.first; c < j.last; c++) {
        if (c / per != done) {
            done = c / per;
            struct moments_pair p =
                moments_of_group(j.state + done * per * MOMENTS_STATE, per, j.float_sums);
            m = (float)p.mean;
            r = 1.0f / sqrtf((float)p.variance + j.eps);
        }
        const float *x = j.x + c * j.pixels;
        float *y = j.y + c * j.pixels;
        float scale = r * j.w[c], shift = j.b[c] - scale * m;
        for (int64_t i = 0; i < j.pixels; i++)
            y[i] = x[i] * scale + shift;
    }
}

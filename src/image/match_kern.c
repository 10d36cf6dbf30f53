/* match_kern.c - the loops of match_shift.c. */
#include <math.h>

#include "image/match.h"

enum { LOBES = 3 };

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return fabs(x) < 1e-9 ? 1 : sin(pi * x) / (pi * x);
}

struct shift_taps shift_taps_of(double shift)
{
    struct shift_taps t = {.first = (int)floor(shift) - (LOBES - 1)};
    double w[SHIFT_TAPS], sum = 0;
    for (int i = 0; i < SHIFT_TAPS; i++) {
        double x = t.first + i - shift;
        w[i] = fabs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
        sum += w[i];
    }
    for (int i = 0; i < SHIFT_TAPS; i++)
        t.weight[i] = (float)(w[i] / sum);
    return t;
}

static int inside(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

void shift_kern_line(const float *src, size_t step, int n, const struct shift_taps *taps,
                     float *out)
{
    for (int i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < SHIFT_TAPS; k++)
            sum += taps->weight[k] * src[(size_t)inside(i + taps->first + k, n) * step];
        out[i] = sum;
    }
}

void shift_kern_sums(const float *const rows[3], const float *before, const float *painted, int n,
                     const struct shift_fit *fit, struct shift_sums *sums)
{
    for (int x = 1; x < n - 1; x++) {
        if (painted && painted[x] > 0)
            continue;
        double here = (double)rows[1][x];
        double left = (double)before[x] - (fit->gain * here + fit->offset), r = left / fit->cut;
        if (fabs(r) >= 1)
            continue;
        double weight = (1 - r * r) * (1 - r * r);
        const double j[SHIFT_UNKNOWNS] = {
            fit->gain * 0.5 * ((double)rows[1][x + 1] - (double)rows[1][x - 1]),
            fit->gain * 0.5 * ((double)rows[2][x] - (double)rows[0][x]), here, 1};
        for (int a = 0; a < SHIFT_UNKNOWNS; a++) {
            for (int b = 0; b < SHIFT_UNKNOWNS; b++)
                sums->a[a][b] += weight * j[a] * j[b];
            sums->b[a] += weight * j[a] * left;
        }
        sums->used += weight;
    }
}

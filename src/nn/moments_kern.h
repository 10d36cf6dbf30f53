/* moments_kern.h - the loops of moments.h. A channel's state is four doubles: pixels so far, pivot (its first
 * pixel), sum of x - pivot, sum of (x - pivot)^2. With float_sums the pivot is 0 and the sums are float32. */
#ifndef VT_NN_MOMENTS_KERN_H
#define VT_NN_MOMENTS_KERN_H

#include <stdbool.h>
#include <stdint.h>

enum { MOMENTS_STATE = 4 };

struct moments_sum_job {
    const float *x;      /* [channels, rows, width] without gaps */
    const double *carry; /* NULL: start anew */
    double *state;
    int64_t rows, width;
    int64_t first, last; /* channels to do */
    bool float_sums;
};
void moments_sum_kern(struct moments_sum_job j);

/* Mean and variance of a group of `channels` channels. */
struct moments_pair {
    double mean, variance;
};
struct moments_pair moments_of_group(const double *state, int64_t channels, bool float_sums);

struct moments_apply_job {
    const float *x, *w, *b; /* x, y: [channels, pixels] */
    const double *state;
    float *y;
    int64_t channels, pixels, groups;
    int64_t first, last; /* channels to do */
    float eps;
    bool float_sums;
};
/* y = x * scale + shift with scale = w / sqrt(var + eps) and shift = b - mean * scale in float32, the order of
 * operations of the reference. */
void moments_apply_kern(struct moments_apply_job j);

/* ---- group normalisation --------------------------------------------------------------------- */

/* The loops of group normalisation. x and y: [channels, pixels], rows without gaps. */

struct nn_group_norm_job {
    const float *x, *w, *b; /* w, b: [channels] */
    float *y;
    int64_t channels, pixels, groups;
    int64_t first, last; /* groups to do */
    float eps;
    bool float_sums;
};

/* Mean and variance of each group in double (or, with float_sums, as the reference adds up images that it
 * holds channels-last: see nn_moments in ops.h); then y = x * scale + shift with scale = w / sqrt(var + eps) and
 * shift = b - mean * scale in float32, the order of operations of the reference. */
void nn_group_norm_kern(struct nn_group_norm_job j);

#endif

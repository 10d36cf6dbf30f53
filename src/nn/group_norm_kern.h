/* group_norm_kern.h - the loops of group normalisation. x and y: [channels, pixels], rows without gaps. */
#ifndef VT_NN_GROUP_NORM_KERN_H
#define VT_NN_GROUP_NORM_KERN_H

#include <stdbool.h>
#include <stdint.h>

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

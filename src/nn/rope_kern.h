/* rope_kern.h - the loops of rotary embedding. dst is contiguous [tokens, heads, head_dim]. */
#ifndef VT_NN_ROPE_KERN_H
#define VT_NN_ROPE_KERN_H

#include <stdint.h>

struct nn_rope_rows {
    const float *x, *cos, *sin; /* cos, sin: [tokens, head_dim / 2] */
    float *dst;
    int64_t head_dim, heads;
    int64_t first, last;                   /* tokens to do */
    int64_t x_head_stride, x_token_stride; /* in floats */
};

void nn_rope_pairs_kern(struct nn_rope_rows r);
void nn_rope_halves_kern(struct nn_rope_rows r);

#endif

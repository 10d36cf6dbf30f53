/* walk.h - walks a stretch of a half's operations: backwards to find which rows a band needs, forwards to build
 * the graph of that band. A whole image is the band of all its rows. */
#ifndef VT_MODEL_VAE_WALK_H
#define VT_MODEL_VAE_WALK_H

#include "model/vae/half.h"

/* Rows lo .. hi - 1. */
struct vae_rows {
    int64_t lo, hi;
};

/* What one operation does to a band: bands whose steps are equal have the same graph. */
struct vae_step {
    int64_t crop, rows;          /* rows skipped at the top of the input, and rows taken */
    int64_t pad_top, pad_bottom; /* rows of zeros around them: the image ends there */
    int64_t skip, out_rows;      /* rows skipped at the top of the result, and rows passed on */
    int64_t kept_skip;           /* ADD: rows skipped at the top of what was kept */
};

/* Operations [first, last) of h, which give rows `out`: fills steps [last - first]. *input: the rows of their
 * input that they need; *kept: those of what was kept before `first`, empty when nothing is. */
void vae_walk_steps(const struct vae_half *h, const struct vae_shape *shapes, int first, int last,
                    struct vae_rows out, struct vae_step *steps, struct vae_rows *input,
                    struct vae_rows *kept);

struct vae_ends {
    struct ggml_tensor *x;    /* [channels, rows, width] */
    struct ggml_tensor *kept; /* what was kept before; NULL: nothing */
    struct ggml_tensor
        *sums; /* of the whole map, for the first norm over groups; NULL: x is whole */
};

/* The result of operations [first, last): [channels, out_rows, width]. */
struct ggml_tensor *vae_walk_build(const struct vae_half *h, struct nn_graph *g, int first,
                                   int last, const struct vae_step *steps, struct vae_ends in);

/* The norm of a VAE_NORM operation over groups. */
struct nn_group_norm vae_group_norm(const struct vae_half *h, const struct nn_graph *g,
                                    const struct vae_op *op);

#endif

/* project.h - queries, keys and values of an attention: linear layers of one input, norms of their heads, rotation.
 *
 * They come rotated, as nn_attention wants them. On NVIDIA cards of sm_90 all of it is one launch, whose result holds the
 * three side by side; elsewhere they are blocks of ops.h. */
#ifndef VT_NN_PROJECT_H
#define VT_NN_PROJECT_H

#include "nn/ops.h"

struct nn_projection {
    const struct nn_param *w, *b, *norm; /* b and norm may be NULL; w NULL: not wanted */
};

struct nn_projections {
    struct nn_projection q, k, v;
    int64_t head_dim;
    float eps;
    struct ggml_tensor *cos, *sin; /* of the tokens of x */
    enum nn_rope mode;
};

struct
    nn_qkv { /* each [tokens, heads, head_dim], for nn_attention and its like; NULL: not wanted */
    struct ggml_tensor *q, *k, *v;
    struct ggml_tensor *all; /* what the three are views of, if it is one: a row a token */
};

struct nn_qkv nn_project(struct nn_graph *g, struct ggml_tensor *x, const struct nn_projections *p);
/* Tokens of b behind those of a. */
struct nn_qkv nn_qkv_join(struct nn_graph *g, struct nn_qkv a, struct nn_qkv b);

#endif

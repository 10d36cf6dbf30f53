/* blocks.h - what every model family needs: configs that come from JSON or from shapes, parameters by
 * formatted names. */
#ifndef VT_MODEL_BLOCKS_H
#define VT_MODEL_BLOCKS_H

#include "base/json.h"
#include "nn/ops.h"

/* Largest dims accepted from a config or a shape: far above any real model, far below overflow. */
enum { MODEL_MAX_DIM = 1 << 17, MODEL_MAX_BLOCKS = 256 };

/* Declares parameter PREFIX + SUFFIX; see nn_params_add. Sticky: does nothing once *rc is not ERR_OK. */
struct model_loader {
    struct nn_params *ps;
    char prefix[160];
    enum err_code rc;
    struct err *e;
};

void model_loader_prefix(struct model_loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct nn_param *model_matrix(struct model_loader *l, const char *suffix, int64_t out, int64_t in);
struct nn_param *model_vector(struct model_loader *l, const char *suffix, int64_t n);
struct nn_param *model_kernel(struct model_loader *l, const char *suffix, int64_t out, int64_t in,
                              int64_t kh, int64_t kw);

/* The parts that a head's rotary embedding has for each axis: even, and the whole head together. */
ERR_MUST_CHECK enum err_code model_check_axes(const int64_t *axes, int n, int64_t head_dim,
                                              const char *what, struct err *e);

/* What a configuration says and the weights show. */
struct model_same {
    const char *key;
    int64_t config, weights;
};
/* All must agree; ERR_FORMAT names the first that does not. */
ERR_MUST_CHECK enum err_code model_check_same(const struct model_same *rows, size_t n,
                                              const char *what, struct err *e);

/* Sinusoidal time embedding of the reference: [cos, sin] of t * 10000^(-i / half), dim values. */
void model_timestep_embedding(float t, int64_t dim, float *out);
/* The same of scale * (t * 10000^(-i / half)): float32 products round differently in the other order. */
void model_timestep_embedding_scaled(float t, float scale, int64_t dim, float *out);

#endif

/* layers.h - private to this family: the language model's parts, and one run of a chunk of tokens through
 * them, with or without a cache of earlier tokens' keys and values. */
#ifndef VT_MODEL_QWEN2_5_VL_LAYERS_H
#define VT_MODEL_QWEN2_5_VL_LAYERS_H

#include "model/qwen2_5_vl/language.h"

struct qwen_vl_layer {
    struct nn_param *input_norm, *q, *q_bias, *k, *k_bias, *v, *v_bias, *o;
    struct nn_param *post_norm, *gate, *up, *down;
};

struct qwen_vl {
    struct qwen_vl_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct nn_param *embedding; /* read by row from the map */
    struct nn_param *norm;
    struct nn_param *head; /* NULL when only encoding */
    struct qwen_vl_layer layers[MODEL_MAX_BLOCKS];
};

/* ---- cache -------------------------------------------------------------------------------------------- */

/* Keys (already rotated) and values of tokens 0 .. used - 1, on the device: per layer two tensors
 * [capacity, kv_heads, head_dim], float32 where arithmetic is float32 or on the CPU, else half precision. */
struct qwen_vl_cache;

ERR_MUST_CHECK enum err_code qwen_vl_cache_new(struct qwen_vl *m, struct qwen_vl_cache **out,
                                               struct err *e);
void qwen_vl_cache_free(struct qwen_vl_cache *c);
/* Room for n tokens in all; grows in steps of some hundred tokens, layer by layer. */
ERR_MUST_CHECK enum err_code qwen_vl_cache_reserve(struct qwen_vl_cache *c, int64_t n,
                                                   struct err *e);
int64_t qwen_vl_cache_used(const struct qwen_vl_cache *c);
void qwen_vl_cache_set_used(struct qwen_vl_cache *c, int64_t n);
/* Stores k and v [n, kv_heads, head_dim] of layer i behind the used tokens; *k and *v become all that is
 * then there. */
void qwen_vl_cache_append(struct qwen_vl_cache *c, struct nn_graph *g, int64_t layer,
                          struct ggml_tensor **k, struct ggml_tensor **v);

/* ---- a chunk ------------------------------------------------------------------------------------------ */

enum { QWEN_VL_CHUNK = 512, QWEN_VL_MAX_TAPS = 64 }; /* tokens at a time */

struct qwen_vl_chunk {
    const int32_t *ids; /* [n] */
    const int32_t *axis[QWEN_VL_AXES];
    int64_t first, n;            /* its place in the whole sequence */
    int64_t of;                  /* tokens that the caller runs in chunks; 0: only this one */
    struct qwen_vl_cache *cache; /* NULL: first must be 0 */
    const struct qwen_vl_image *image;
    /* What is wanted: hidden states as in qwen_vl_encode, or the next token's scores [vocab], or nothing. */
    const int64_t *taps;
    size_t n_taps;
    float *tapped, *logits;
};

ERR_MUST_CHECK enum err_code qwen_vl_chunk_run(struct qwen_vl *m, const struct qwen_vl_chunk *c,
                                               const atomic_bool *cancel, struct err *e);

#endif

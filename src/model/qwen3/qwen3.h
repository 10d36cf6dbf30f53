/* qwen3.h - the Qwen3 language model as a text encoder (transformers' Qwen3Model).
 *
 *   x = embedding of tokens
 *   per layer:  x += o_proj(attention(rope(q_norm(q)), rope(k_norm(k)), v))   on input_layernorm(x)
 *               x += down(silu(gate) * up)                                    on post_attention_layernorm(x)
 *
 * The hidden state after layer k (k = 0: the embeddings) is the residual stream, not normed. FLUX.2-klein
 * uses those after layers 9, 18 and 27; later layers, the final norm and lm_head are never loaded.
 */
#ifndef VT_MODEL_QWEN3_H
#define VT_MODEL_QWEN3_H

#include <stdatomic.h>

#include "base/json.h"
#include "nn/graph.h"
#include "nn/params.h"

struct qwen3_config {
    int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab;
    double rms_eps, rope_theta;
};

/* From config.json (flat keys, or under text_config / rope_parameters); NULL json: from shapes alone. */
ERR_MUST_CHECK enum err_code qwen3_config_read(yyjson_val *json, const char *what,
                                               const struct component *c, struct qwen3_config *out,
                                               struct err *e);

struct qwen3;

/* Declares layers 0 .. n_layers - 1. The component and device must outlive the model. */
ERR_MUST_CHECK enum err_code qwen3_new(struct component *c, struct nn_device *d,
                                       enum nn_precision precision, const struct qwen3_config *cfg,
                                       int64_t n_layers, struct qwen3 **out, struct err *e);
void qwen3_free(struct qwen3 *m);
struct nn_params *qwen3_params(struct qwen3 *m);
const struct qwen3_config *qwen3_config(const struct qwen3 *m);

/* ids, mask: [n_tokens]; mask 0 hides a token as a key (padding). taps: hidden states to return, ascending.
 * out: [n_tokens, n_taps * hidden], taps side by side. The parameters must be engaged. */
ERR_MUST_CHECK enum err_code qwen3_encode(struct qwen3 *m, const int32_t *ids, const int32_t *mask,
                                          int64_t n_tokens, const int64_t *taps, size_t n_taps,
                                          float *out, const atomic_bool *cancel, struct err *e);

#endif

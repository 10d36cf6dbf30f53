/* language.h - the Qwen2.5-VL language model (transformers' Qwen2_5_VLTextModel with its output matrix).
 *
 *   x = embedding of tokens; the rows of an image's tokens are what the vision tower gave
 *   per layer:  x += o_proj(attention(rope(q), rope(k), v))   on input_layernorm(x); q, k, v have biases
 *               x += down(silu(gate) * up)                    on post_attention_layernorm(x)
 *   norm; lm_head for generating
 *
 * The hidden state k < layers is the residual stream after layer k (0: the embeddings), not normed; number
 * `layers` is after the final norm: that one is the prompt's embedding for Qwen-Image.
 *
 * Long prompts go through in chunks over a key and value cache, so that memory grows linearly with tokens.
 *
 *     qwen_vl_new(component, device, NN_PRECISION_STORED, &cfg, QWEN_VL_ENCODE, &m, e);
 *     nn_params_engage(qwen_vl_params(m), e);
 *     qwen_vl_encode(m, &(struct qwen_vl_prompt){.ids = ids, .n = n}, &cfg.layers, 1, out, NULL, e);
 */
#ifndef VT_MODEL_QWEN2_5_VL_LANGUAGE_H
#define VT_MODEL_QWEN2_5_VL_LANGUAGE_H

#include <stdatomic.h>

#include "model/qwen2_5_vl/config.h"
#include "model/qwen2_5_vl/positions.h"
#include "nn/graph.h"
#include "nn/params.h"

struct qwen_vl;

/* ENCODE leaves the output matrix out, GENERATE declares it, too. */
enum qwen_vl_use { QWEN_VL_ENCODE, QWEN_VL_GENERATE };

/* The component and device must outlive the model. */
ERR_MUST_CHECK enum err_code qwen_vl_new(struct component *c, struct nn_device *d,
                                         enum nn_precision precision,
                                         const struct qwen_vl_config *cfg, enum qwen_vl_use use,
                                         struct qwen_vl **out, struct err *e);
void qwen_vl_free(struct qwen_vl *m);
struct nn_params *qwen_vl_params(struct qwen_vl *m);
const struct qwen_vl_config *qwen_vl_config(const struct qwen_vl *m);

struct qwen_vl_prompt {
    const int32_t *ids; /* those of the image's tokens are not looked at */
    int64_t n;
    const struct qwen_vl_image *image; /* NULL: text alone */
};

/* taps: hidden states to return, ascending. out: [n, n_taps * hidden], taps side by side. The parameters must
 * be engaged. */
ERR_MUST_CHECK enum err_code qwen_vl_encode(struct qwen_vl *m, const struct qwen_vl_prompt *prompt,
                                            const int64_t *taps, size_t n_taps, float *out,
                                            const atomic_bool *cancel, struct err *e);

#endif

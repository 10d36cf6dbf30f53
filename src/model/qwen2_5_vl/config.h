/* config.h - the numbers of a Qwen2.5-VL: language model, vision tower, how it generates.
 *
 * They come from config.json in every form it has been written in (keys at the top, in text_config, in both:
 * text_config counts; rope_theta and mrope_section flat, in rope_scaling or in rope_parameters), from the
 * metadata of a llama.cpp GGUF file, and from the tensors' shapes. Where a single file comes with none of
 * these, what all published Qwen2.5-VL models share is assumed and checked against the shapes.
 */
#ifndef VT_MODEL_QWEN2_5_VL_CONFIG_H
#define VT_MODEL_QWEN2_5_VL_CONFIG_H

#include <stdbool.h>

#include "model/blocks.h"
#include "weights/component.h"

enum { QWEN_VL_AXES = 3 }; /* of a position: time, row, column */

struct qwen_vl_config {
    int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab;
    int64_t mrope[QWEN_VL_AXES]; /* how many of the head_dim / 2 frequencies each axis turns */
    double rms_eps, rope_theta;
    bool tied; /* the token embeddings are the output matrix, too */
};

/* json: config.json, or NULL. what: its name for messages. */
ERR_MUST_CHECK enum err_code qwen_vl_config_read(yyjson_val *json, const char *what,
                                                 const struct component *c,
                                                 struct qwen_vl_config *out, struct err *e);

struct qwen_vl_vision_config {
    int64_t depth, hidden, intermediate, heads, out_hidden;
    int64_t channels, patch, temporal_patch, merge, window; /* window: a side in pixels */
    bool full[MODEL_MAX_BLOCKS];                            /* blocks that attend everywhere */
};

/* Does the component have a vision tower? A language model alone does not. */
bool qwen_vl_has_vision(const struct component *c);

/* c: a whole model or a vision tower alone; json is the whole model's config.json, or NULL. */
ERR_MUST_CHECK enum err_code qwen_vl_vision_config_read(yyjson_val *json, const char *what,
                                                        const struct component *c,
                                                        struct qwen_vl_vision_config *out,
                                                        struct err *e);

enum { QWEN_VL_MAX_EOS = 8 };

struct qwen_vl_generation {
    double repetition_penalty; /* 1: none */
    int32_t eos[QWEN_VL_MAX_EOS];
    size_t n_eos;
};

/* generation_config.json and config.json, each or both may be NULL. No end token in either: n_eos is 0 and
 * the caller asks the tokenizer. */
ERR_MUST_CHECK enum err_code qwen_vl_generation_read(yyjson_val *generation, yyjson_val *json,
                                                     const char *what,
                                                     struct qwen_vl_generation *out, struct err *e);

#endif

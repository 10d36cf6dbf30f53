/* transformer_impl.h - inside this room: what transformer.c and modulation.c share. */
#ifndef VT_MODEL_QWEN_IMAGE_TRANSFORMER_IMPL_H
#define VT_MODEL_QWEN_IMAGE_TRANSFORMER_IMPL_H

#include "model/blocks.h"
#include "model/qwen_image/transformer.h"

struct linear {
    struct nn_param *w, *b;
};

struct qwen_image_time_embedder {
    struct linear first, second;
    struct nn_param *addition; /* [2, dim], on the host */
};

struct qwen_image_stream { /* one stream of a block */
    struct linear q, k, v, out, ff_in, ff_out;
    struct nn_param *norm_q, *norm_k;
};

/* The last block's text stream ends in its keys and values, as nobody would read its result. */
struct qwen_image_block {
    struct qwen_image_stream img, txt;
};

struct qwen_image_modulation {
    struct nn_params *params;
    struct linear img, txt;
};

enum { QWEN_IMAGE_UNREAD = 4 };

struct qwen_image_transformer {
    struct qwen_image_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    /* The time embedder once more, in a set of its own: tables are built before the rest is engaged. */
    struct nn_params *time_params;
    struct qwen_image_time_embedder time, time_alone;
    struct linear img_in, txt_in, out_scale, out_shift, proj_out;
    struct nn_param *txt_norm;
    struct qwen_image_block blocks[MODEL_MAX_BLOCKS];
    struct qwen_image_modulation modulation[MODEL_MAX_BLOCKS];
    char unread_names[QWEN_IMAGE_UNREAD][80];
    const char *unread[QWEN_IMAGE_UNREAD];
};

/* weight and bias of PREFIX + name. */
struct linear qwen_image_declare_linear(struct model_loader *l, const char *name, int64_t out,
                                        int64_t in);

/* The time embedding's inputs in a graph, and their values. */
struct qwen_image_time_input {
    struct ggml_tensor *sinusoid; /* [1, time_channels] */
    struct ggml_tensor *addition; /* [1, dim] */
};
/* -> temb [1, dim], before its SiLU. */
struct ggml_tensor *qwen_image_time_embedding(struct nn_graph *g, const struct qwen_image_config *c,
                                              const struct qwen_image_time_embedder *t,
                                              struct qwen_image_time_input *in);
ERR_MUST_CHECK enum err_code qwen_image_set_time(struct nn_graph *g,
                                                 const struct qwen_image_config *c,
                                                 const struct qwen_image_time_embedder *t,
                                                 const struct qwen_image_time_input *in, float time,
                                                 int64_t condition, struct err *e);

/* The rows [2 * n_blocks, 6 * dim] of a time; NULL when the tables were not built for it. */
const float *qwen_image_tables_find(const struct qwen_image_tables *t, float time);
int64_t qwen_image_tables_condition(const struct qwen_image_tables *t);

#endif

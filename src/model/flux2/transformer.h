/* transformer.h - the FLUX.2 transformer (diffusers' Flux2Transformer2DModel).
 *
 *   image tokens --x_embedder--------+                      time --embedder-- temb
 *   text tokens ---context_embedder--+                                          |
 *                                    v                                          v
 *     double blocks: two streams, joint attention [text, image]      modulation (shift, scale, gate):
 *                                    v                               one set for all double blocks of a
 *     single blocks: one stream [text, image], attention and         stream, one for all single blocks
 *     MLP side by side from one projection, one output projection
 *                                    v
 *     norm_out (scale, shift from temb), proj_out -> velocity for image tokens
 *
 * Reference tokens follow the image tokens and differ only in their ids. No biases anywhere, LayerNorms
 * without affine, RMSNorm on q and k per head, four-axis rotary embedding on (t, h, w, l) in pairs.
 */
#ifndef VT_MODEL_FLUX2_TRANSFORMER_H
#define VT_MODEL_FLUX2_TRANSFORMER_H

#include <stdatomic.h>

#include "base/json.h"
#include "nn/graph.h"
#include "nn/params.h"

enum { FLUX2_AXES = 4 };

struct flux2_config {
    int64_t in_channels, out_channels, joint_dim, heads, head_dim, dim, mlp_dim, time_channels;
    int64_t n_double, n_single;
    int64_t axes_dims[FLUX2_AXES];
    double rope_theta, eps;
};

/* From config.json; NULL json: from shapes, with rotary axes of equal size and theta 2000. */
ERR_MUST_CHECK enum err_code flux2_config_read(yyjson_val *json, const char *what,
                                               const struct component *c, struct flux2_config *out,
                                               struct err *e);

struct flux2_transformer;

/* Declares all parameters. The component and device must outlive the model. */
ERR_MUST_CHECK enum err_code flux2_transformer_new(struct component *c, struct nn_device *d,
                                                   enum nn_precision precision,
                                                   const struct flux2_config *cfg,
                                                   struct flux2_transformer **out, struct err *e);
void flux2_transformer_free(struct flux2_transformer *m);
struct nn_params *flux2_transformer_params(struct flux2_transformer *m);
const struct flux2_config *flux2_transformer_config(const struct flux2_transformer *m);

/* Position of a token: time, row, column, text index. */
struct flux2_id {
    int32_t axis[FLUX2_AXES];
};

/* Keys and values of reference tokens in every block, on the device: what a pass with FLUX2_KV_EXTRACT fills and
 * one with FLUX2_KV_CACHED reads. Only for checkpoints trained for it (klein KV): there reference tokens see
 * nothing but each other, at the fixed time 0, so that they are the same in every step. */
struct flux2_kv;
ERR_MUST_CHECK enum err_code flux2_kv_new(const struct flux2_transformer *m, int64_t n_ref,
                                          struct flux2_kv **out, struct err *e);
void flux2_kv_free(struct flux2_kv *kv);

enum flux2_mode {
    FLUX2_PLAIN,      /* every token sees every token */
    FLUX2_KV_EXTRACT, /* reference tokens see only each other; their keys and values go to kv */
    FLUX2_KV_CACHED,  /* no reference tokens; their keys and values come from kv */
};

/* A forward pass for fixed token counts and positions: built once a run, run once or more a step. */
struct flux2_pass;

struct flux2_pass_spec {
    int64_t n_text, n_img;          /* n_img: image tokens, then reference tokens */
    const struct flux2_id *img_ids; /* [n_img] */
    bool trace;
    enum flux2_mode mode;
    int64_t n_ref;       /* FLUX2_KV_EXTRACT: how many of n_img are references */
    struct flux2_kv *kv; /* NULL with FLUX2_PLAIN; must outlive the pass */
};

ERR_MUST_CHECK enum err_code flux2_pass_new(struct flux2_transformer *m,
                                            const struct flux2_pass_spec *spec,
                                            struct flux2_pass **out, struct err *e);
void flux2_pass_free(struct flux2_pass *p);
size_t flux2_pass_compute_bytes(const struct flux2_pass *p);

/* x: [n_img, in_channels]; text: [n_text, joint_dim], the same whenever its address is; time: sigma as the schedule gives it (0 to 1);
 * out: velocity [n_img, out_channels], all rows (FLUX2_KV_EXTRACT: those of image tokens). The parameters must be engaged. */
ERR_MUST_CHECK enum err_code flux2_pass_run(struct flux2_pass *p, const float *x, const float *text,
                                            float time, float *out, const atomic_bool *cancel,
                                            struct err *e);
/* The graph with its traced blocks (when built with trace). Borrowed. */
const struct nn_graph *flux2_pass_graph(const struct flux2_pass *p);

/* Rotary tables as the graph uses them: [n_text + n_img, head_dim / 2]. Text ids are (0, 0, 0, i). */
void flux2_rope_tables(const struct flux2_config *c, int64_t n_text, const struct flux2_id *img_ids,
                       int64_t n_img, float *cos_out, float *sin_out);

#endif

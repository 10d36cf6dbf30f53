/* transformer.h - the Qwen-Image transformer in its layered form (diffusers' QwenImageTransformer2DModel with
 * use_additional_t_cond and use_layer3d_rope).
 *
 *   noisy frames, condition frame --img_in--+     time --embedder-- + addition_t_embedding[cond] = temb
 *   text states ----txt_norm, txt_in--------+                                   |
 *                                           v                                   v
 *     blocks: two streams, joint attention [text, image]     each block's own modulation of silu(temb):
 *                                           v                img_mod.1 and txt_mod.1, 6 * dim each
 *     norm_out (scale, shift of silu(temb)), proj_out -> velocity for every image token
 *
 * Tokens: text, then frames 0 .. layers (frame 0 is the whole image), then the condition image. Rotary
 * axes are (frame, row, column); the condition's frame is -1; rows and columns are centred; text goes on
 * behind the largest position on all three axes.
 *
 * Modulation tables. A block's modulation depends on nothing but the time step and the constant condition, and
 * its weights are a third of the model. So they are parameter sets of their own, one a block, and are not
 * engaged for a run: qwen_image_tables_build puts one block after another on the device, computes its
 * modulation for all time steps, and takes it off again. A pass then gets rows of the tables as inputs.
 * Same kernels, same shapes: the same bits as evaluating in place.
 *
 *     qwen_image_tables_build(m, times, n, 0, cancel, &tables, e);
 *     nn_params_engage(qwen_image_transformer_params(m), e);
 *     qwen_image_pass_new(m, &layout, &(struct qwen_image_pass_options){.tables = tables}, &p, e);
 *     for each step: qwen_image_pass_run(p, x, text, times[i], out, cancel, e);
 */
#ifndef VT_MODEL_QWEN_IMAGE_TRANSFORMER_H
#define VT_MODEL_QWEN_IMAGE_TRANSFORMER_H

#include <stdatomic.h>

#include "base/json.h"
#include "nn/graph.h"
#include "nn/params.h"

enum { QWEN_IMAGE_AXES = 3 };

struct qwen_image_config {
    int64_t in_channels, out_channels; /* of a token */
    int64_t joint_dim, heads, head_dim, dim, mlp_dim, time_channels, n_blocks;
    int64_t axes_dims[QWEN_IMAGE_AXES];
    double rope_theta, eps;
};

/* From config.json; NULL json: from shapes, with rotary axes in the proportions of the published model. A
 * transformer that is not the layered one is refused. */
ERR_MUST_CHECK enum err_code qwen_image_config_read(yyjson_val *json, const char *what,
                                                    const struct component *c,
                                                    struct qwen_image_config *out, struct err *e);

struct qwen_image_transformer;

/* Declares all parameters. The component and device must outlive the model. */
ERR_MUST_CHECK enum err_code qwen_image_transformer_new(struct component *c, struct nn_device *d,
                                                        enum nn_precision precision,
                                                        const struct qwen_image_config *cfg,
                                                        struct qwen_image_transformer **out,
                                                        struct err *e);
void qwen_image_transformer_free(struct qwen_image_transformer *m);
/* All its sets: those of the blocks' modulation, and the time embedding twice. out holds n_blocks + 2; returns how many. */
size_t qwen_image_transformer_sets(struct qwen_image_transformer *m, struct nn_params **out);
/* Matrices of the file that no result depends on: what the last block's text stream does behind its keys and values. */
const char *const *qwen_image_unread(const struct qwen_image_transformer *m, size_t *n);
/* Everything but the blocks' modulation. */
struct nn_params *qwen_image_transformer_params(struct qwen_image_transformer *m);
/* img_mod.1 and txt_mod.1 of one block. */
struct nn_params *qwen_image_modulation_params(struct qwen_image_transformer *m, int64_t block);
const struct qwen_image_config *
qwen_image_transformer_config(const struct qwen_image_transformer *m);

/* ---- modulation tables --------------------------------------------------------------------------- */

/* For each time, every block's [2, 6 * dim]: image, text. On the host; any number of passes may read it. */
struct qwen_image_tables;

/* times: sigma as the schedule gives it (0 to 1), as it will be given to qwen_image_pass_run. condition: row
 * of addition_t_embedding (0 in the layered pipeline). Nothing needs to be engaged: the time embedder, then
 * each block's modulation, is engaged and released in turn. cancel may be NULL. */
ERR_MUST_CHECK enum err_code qwen_image_tables_build(struct qwen_image_transformer *m,
                                                     const float *times, int64_t n_times,
                                                     int64_t condition, const atomic_bool *cancel,
                                                     struct qwen_image_tables **out, struct err *e);
void qwen_image_tables_free(struct qwen_image_tables *t);
size_t qwen_image_tables_bytes(const struct qwen_image_tables *t);

/* ---- passes -------------------------------------------------------------------------------------- */

/* Sides in tokens (2 x 2 latents, 16 x 16 pixels of the real model). */
struct qwen_image_layout {
    int64_t n_text;
    int64_t frames; /* noisy ones: layers + 1 */
    int64_t rows, cols;
    int64_t cond_rows, cond_cols;
};

/* Image tokens of a layout, condition included. */
static inline int64_t qwen_image_tokens(const struct qwen_image_layout *l)
{
    return l->frames * l->rows * l->cols + l->cond_rows * l->cond_cols;
}

struct qwen_image_pass_options {
    /* NULL: evaluate the modulation in place; all of its parameter sets must be engaged then. */
    const struct qwen_image_tables *tables;
    int64_t condition; /* row of addition_t_embedding; the tables' own when there are any */
    bool trace;
};

/* A forward pass for fixed token counts: built once a run, run once or more a step. */
struct qwen_image_pass;

/* The tables must outlive the pass. */
ERR_MUST_CHECK enum err_code qwen_image_pass_new(struct qwen_image_transformer *m,
                                                 const struct qwen_image_layout *layout,
                                                 const struct qwen_image_pass_options *options,
                                                 struct qwen_image_pass **out, struct err *e);
void qwen_image_pass_free(struct qwen_image_pass *p);
size_t qwen_image_pass_compute_bytes(const struct qwen_image_pass *p);

/* x: [tokens, in_channels]; text: [n_text, joint_dim]; time: one of the tables' times; out: velocity
 * [tokens, out_channels], condition rows included. The parameters must be engaged. */
ERR_MUST_CHECK enum err_code qwen_image_pass_run(struct qwen_image_pass *p, const float *x,
                                                 const float *text, float time, float *out,
                                                 const atomic_bool *cancel, struct err *e);
/* The graph with its traced blocks (when built with trace). Borrowed. */
const struct nn_graph *qwen_image_pass_graph(const struct qwen_image_pass *p);

/* Rotary tables as the graph uses them: [n_text + tokens, head_dim / 2], text first. */
void qwen_image_rope_tables(const struct qwen_image_config *c, const struct qwen_image_layout *l,
                            float *cos_out, float *sin_out);

#endif

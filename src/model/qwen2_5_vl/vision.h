/* vision.h - the Qwen2.5-VL vision tower (transformers' Qwen2_5_VisionTransformer) for one still image.
 *
 *   patches [n, channels * patch * patch], cell by cell --patch_embed--> window order
 *   per block:  x += proj(attention(rope(q), rope(k), v))   on norm1(x), inside windows or everywhere
 *               x += down(silu(gate) * up)                  on norm2(x); all with biases
 *   merger: norm, the patches of a cell side by side, linear, exact GELU, linear -> one row a cell; back from
 *   window order
 *
 * A still image is a video whose frames are all the same: the reference repeats it and has a kernel slice
 * for each frame. Here the slices are added up once and the image comes once.
 */
#ifndef VT_MODEL_QWEN2_5_VL_VISION_H
#define VT_MODEL_QWEN2_5_VL_VISION_H

#include <stdatomic.h>

#include "model/qwen2_5_vl/config.h"
#include "model/qwen2_5_vl/positions.h"
#include "nn/graph.h"
#include "nn/params.h"

struct qwen_vl_vision;

/* c: a whole model or a vision tower alone. The component and device must outlive the tower. */
ERR_MUST_CHECK enum err_code qwen_vl_vision_new(struct component *c, struct nn_device *d,
                                                enum nn_precision precision,
                                                const struct qwen_vl_vision_config *cfg,
                                                struct qwen_vl_vision **out, struct err *e);
void qwen_vl_vision_free(struct qwen_vl_vision *v);
struct nn_params *qwen_vl_vision_params(struct qwen_vl_vision *v);
const struct qwen_vl_vision_config *qwen_vl_vision_config(const struct qwen_vl_vision *v);

/* Floats of one patch, and rows that come out for a grid. */
int64_t qwen_vl_patch_floats(const struct qwen_vl_vision_config *c);
int64_t qwen_vl_cells(const struct qwen_vl_vision_config *c, struct qwen_vl_grid grid);

struct qwen_vl_vision_run {
    const atomic_bool *cancel;
    /* Modules of the tower as they are computed (rows in window order); NULL: no trace. */
    void (*mid)(const char *name, const float *data, size_t n, void *user);
    void *user;
};

/* patches: [grid.h * grid.w, qwen_vl_patch_floats], normalised, cell by cell (qwen_vl_patch_position),
 * features (channel, y, x). out: [cells, out_hidden], cells by rows. The parameters must be engaged. */
ERR_MUST_CHECK enum err_code qwen_vl_vision_encode(struct qwen_vl_vision *v, const float *patches,
                                                   struct qwen_vl_grid grid, float *out,
                                                   const struct qwen_vl_vision_run *run,
                                                   struct err *e);

#endif

/* positions.h - where tokens and patches are: rotary positions, and the vision tower's windows.
 *
 * Language model: a position has three axes (time, row, column). Text counts all three up together; the cells
 * of an image that starts at position p all have time p, row p + y, column p + x; text goes on at
 * p + max(rows, columns).
 *
 * Vision tower: an image of grid_h x grid_w patches is a grid of cells (merge x merge patches, one token
 * each later). Patches come cell by cell. Blocks with windows attend inside squares of cells; edge windows
 * are smaller. So that windows of one size lie side by side, and attention over all of them is one
 * operation, cells are brought into window order, larger windows first, and back at the end.
 */
#ifndef VT_MODEL_QWEN2_5_VL_POSITIONS_H
#define VT_MODEL_QWEN2_5_VL_POSITIONS_H

#include <stdint.h>

#include "model/qwen2_5_vl/config.h"

/* ---- language model ----------------------------------------------------------------------------------- */

/* An image among the tokens of a prompt. */
struct qwen_vl_image {
    const float *rows; /* [cells_h * cells_w, hidden]: what the vision tower gave */
    int64_t at;        /* index of its first token */
    int64_t cells_h, cells_w;
};

/* axis[a] gets n positions, axes one after the other: out[QWEN_VL_AXES][n]. image may be NULL. Returns what
 * must be added to a token's index to get its position, for tokens after the prompt. */
int64_t qwen_vl_positions(const struct qwen_vl_image *image, int64_t n, int32_t *out);

/* cos, sin: [n, head_dim / 2]. axis[a][i] is token i's position. */
void qwen_vl_rope_tables(const struct qwen_vl_config *c, const int32_t *const axis[QWEN_VL_AXES],
                         int64_t n, float *cos_out, float *sin_out);

/* ---- vision tower ------------------------------------------------------------------------------------- */

struct qwen_vl_grid {
    int64_t h, w; /* patches; multiples of the merge size */
};

enum { QWEN_VL_MAX_GROUPS = 4 }; /* inside, right edge, bottom edge, corner */

struct qwen_vl_windows {
    int64_t n_cells, n_windows;
    int32_t *cell; /* [n_cells] which cell comes at this place of the window order */
    int32_t *size; /* [n_windows] cells of each */
    struct {
        int64_t first_cell, cells, windows; /* `windows` windows of `cells` each */
    } group[QWEN_VL_MAX_GROUPS];
    size_t n_groups;
};

/* Rows of windows from the top, as the reference orders them; no groups yet. */
ERR_MUST_CHECK enum err_code qwen_vl_windows_init(const struct qwen_vl_vision_config *c,
                                                  struct qwen_vl_grid grid,
                                                  struct qwen_vl_windows *w, struct err *e);
/* Orders the windows by falling size (those of one size stay in order) and fills the groups. */
ERR_MUST_CHECK enum err_code qwen_vl_windows_group(struct qwen_vl_windows *w, struct err *e);
void qwen_vl_windows_deinit(struct qwen_vl_windows *w);

/* Row and column of patch i in the order that the processor gives: cell by cell, inside a cell by rows. */
struct qwen_vl_patch_at {
    int32_t row, col;
};
struct qwen_vl_patch_at qwen_vl_patch_position(const struct qwen_vl_vision_config *c,
                                               struct qwen_vl_grid grid, int64_t i);

/* cos, sin: [n, head_dim / 2], the first half of the angles for the row, the second for the column. */
void qwen_vl_vision_rope_tables(const struct qwen_vl_vision_config *c,
                                const struct qwen_vl_patch_at *at, int64_t n, float *cos_out,
                                float *sin_out);

#endif

/* positions.c - positions of tokens and patches, rotary tables, windows.
 *
 * Pure functions and tables; no device. Angles are computed in float32 in the order of transformers' code, because
 * the model was trained with their rounding: in double the last digits differ and parity tests fail.
 *
 * Windows are made in two steps, first in reading order (what the reference's tests know), then grouped by size,
 * so that all windows of a size are one attention without a mask.
 */
#include "model/qwen2_5_vl/positions.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- language model ----------------------------------------------------------------------------------- */

int64_t qwen_vl_positions(const struct qwen_vl_image *image, int64_t n, int32_t *out)
{
    int64_t at = image ? image->at : n;
    int64_t cells = image ? image->cells_h * image->cells_w : 0;
    int64_t longer = 0;
    if (image)
        longer = image->cells_h > image->cells_w ? image->cells_h : image->cells_w;
    for (int64_t i = 0; i < n; i++) {
        int64_t p[QWEN_VL_AXES] = {i, i, i};
        if (i >= at && i < at + cells) {
            p[0] = at;
            p[1] = at + (i - at) / image->cells_w;
            p[2] = at + (i - at) % image->cells_w;
        } else if (i >= at) {
            p[0] = p[1] = p[2] = i - cells + longer;
        }
        for (int a = 0; a < QWEN_VL_AXES; a++)
            out[a * n + i] = (int32_t)p[a];
    }
    return longer - cells;
}

/* Angles in float32, as transformers computes them. */
static void turn(float base, int64_t i, int64_t dim, int32_t position, float *c, float *s)
{
    float inv_freq = 1.0f / powf(base, (float)(2 * i) / (float)dim);
    float angle = (float)position * inv_freq;
    *c = cosf(angle);
    *s = sinf(angle);
}

void qwen_vl_rope_tables(const struct qwen_vl_config *c, const int32_t *const axis[QWEN_VL_AXES],
                         int64_t n, float *cos_out, float *sin_out)
{
    int64_t half = c->head_dim / 2, i = 0;
    for (int a = 0; a < QWEN_VL_AXES; a++)
        for (int64_t k = 0; k < c->mrope[a]; k++, i++)
            for (int64_t t = 0; t < n; t++)
                turn((float)c->rope_theta, i, c->head_dim, axis[a][t], &cos_out[t * half + i],
                     &sin_out[t * half + i]);
}

/* ---- windows ------------------------------------------------------------------------------------------ */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum err_code qwen_vl_windows_init(const struct qwen_vl_vision_config *c, struct qwen_vl_grid grid,
                                   struct qwen_vl_windows *w, struct err *e)
{
    int64_t h = grid.h / c->merge, wide = grid.w / c->merge, side = c->window / c->merge / c->patch;
    memset(w, 0, sizeof *w);
    w->n_cells = h * wide;
    w->cell = mem_try_array((size_t)w->n_cells, sizeof *w->cell);
    w->size =
        mem_try_array((size_t)w->n_cells, sizeof *w->size); /* never more windows than cells */
    if (!w->cell || !w->size) {
        qwen_vl_windows_deinit(w);
        return err_set(e, ERR_NOMEM, "no memory for the windows of an image");
    }
    int64_t at = 0;
    for (int64_t y = 0; y < h; y += side) {
        for (int64_t x = 0; x < wide; x += side) {
            int64_t y1 = smaller(y + side, h), x1 = smaller(x + side, wide);
            w->size[w->n_windows++] = (int32_t)((y1 - y) * (x1 - x));
            for (int64_t r = y; r < y1; r++)
                for (int64_t k = x; k < x1; k++)
                    w->cell[at++] = (int32_t)(r * wide + k);
        }
    }
    return ERR_OK;
}

/* Appends every window of `size` cells, as one group. */
static void take_size(const struct qwen_vl_windows *from, int32_t size, struct qwen_vl_windows *to)
{
    int64_t first = to->n_cells, windows = 0, src = 0;
    for (int64_t i = 0; i < from->n_windows; src += from->size[i++]) {
        if (from->size[i] != size)
            continue;
        memcpy(to->cell + to->n_cells, from->cell + src, (size_t)size * sizeof *to->cell);
        to->n_cells += size;
        to->size[to->n_windows++] = size;
        windows++;
    }
    to->group[to->n_groups].first_cell = first;
    to->group[to->n_groups].cells = size;
    to->group[to->n_groups++].windows = windows;
}

/* The largest size below `below`; 0 when there is none. */
static int32_t next_size(const struct qwen_vl_windows *w, int32_t below)
{
    int32_t best = 0;
    for (int64_t i = 0; i < w->n_windows; i++)
        if (w->size[i] < below && w->size[i] > best)
            best = w->size[i];
    return best;
}

enum err_code qwen_vl_windows_group(struct qwen_vl_windows *w, struct err *e)
{
    struct qwen_vl_windows to = {0};
    to.cell = mem_try_array((size_t)w->n_cells, sizeof *to.cell);
    to.size = mem_try_array((size_t)w->n_windows, sizeof *to.size);
    if (!to.cell || !to.size) {
        qwen_vl_windows_deinit(&to);
        return err_set(e, ERR_NOMEM, "no memory for the windows of an image");
    }
    for (int32_t size = next_size(w, INT32_MAX); size > 0; size = next_size(w, size))
        take_size(w, size, &to);
    qwen_vl_windows_deinit(w);
    *w = to;
    return ERR_OK;
}

void qwen_vl_windows_deinit(struct qwen_vl_windows *w)
{
    mem_free(w->cell);
    mem_free(w->size);
    memset(w, 0, sizeof *w);
}

/* ---- patches ------------------------------------------------------------------------------------------ */

struct qwen_vl_patch_at qwen_vl_patch_position(const struct qwen_vl_vision_config *c,
                                               struct qwen_vl_grid grid, int64_t i)
{
    int64_t m = c->merge, cell = i / (m * m), in = i % (m * m), wide = grid.w / m;
    return (struct qwen_vl_patch_at){
        .row = (int32_t)(cell / wide * m + in / m),
        .col = (int32_t)(cell % wide * m + in % m),
    };
}

void qwen_vl_vision_rope_tables(const struct qwen_vl_vision_config *c,
                                const struct qwen_vl_patch_at *at, int64_t n, float *cos_out,
                                float *sin_out)
{
    const float theta = 10000.0f;
    int64_t half = c->hidden / c->heads / 2, quarter = half / 2;
    for (int64_t t = 0; t < n; t++) {
        float *cr = cos_out + t * half, *sr = sin_out + t * half;
        for (int64_t i = 0; i < quarter; i++) {
            turn(theta, i, half, at[t].row, &cr[i], &sr[i]);
            turn(theta, i, half, at[t].col, &cr[quarter + i], &sr[quarter + i]);
        }
    }
}

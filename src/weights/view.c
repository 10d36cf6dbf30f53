/* view.c - turns stored numbers into values.
 *
 * The order of the steps in weights_view_apply is part of the formats and not free: block scales, rounding, row
 * and tensor scale, offsets, rotation, column scales. Each file form uses some of them. Called for bands of rows,
 * from several threads at once: a view is only read.
 */
#include "weights/view.h"

#include <math.h>

enum { TILE_ROWS = 128, TILE_COLUMNS = 4, TILE_GROUP = 32, LEVELS = 16, INT8_MOST = 127 };

bool weights_view_is_plain(const struct weights_view *v)
{
    return v->scale == 1.0f && v->n_scales == 0 && !v->grid.n.data && !v->offset.n.data &&
           !v->columns.data && !v->levels.data && v->rotation == 0 && !v->high_first;
}

struct weights_view weights_view_without_row_scales(const struct weights_view *v)
{
    struct weights_view out = *v;
    out.scale = 1.0f;
    out.rows = (struct weights_numbers){0};
    out.n_scales = 0;
    return out;
}

float weights_number(const struct weights_numbers *n, int64_t i)
{
    float f = 1.0f;
    if (n->dtype == DTYPE_U8 || n->dtype == DTYPE_F8_E8M0) /* exponents, under both names */
        return dtype_e8m0_to_f32(n->data[i]);
    (void)dtype_plain_to_f32(n->dtype, n->data + (size_t)i * dtype_info(n->dtype)->block_bytes, &f,
                             1);
    return f;
}

/* In a tile the rows r, r + 32, r + 64 and r + 96 lie side by side, four columns each. */
static int64_t tiled_index(const struct weights_grid *g, int64_t row, int64_t block)
{
    int64_t tile = row / TILE_ROWS * (g->columns / TILE_COLUMNS) + block / TILE_COLUMNS;
    int64_t in_tile = row % TILE_ROWS;
    return (tile * TILE_GROUP + in_tile % TILE_GROUP) * (TILE_ROWS / TILE_GROUP * TILE_COLUMNS) +
           in_tile / TILE_GROUP * TILE_COLUMNS + block % TILE_COLUMNS;
}

static int64_t grid_index(const struct weights_grid *g, int64_t row, int64_t block)
{
    row = (g->row0 + row) / g->height;
    if (g->across)
        return block * g->across + row;
    return g->tiled ? tiled_index(g, row, block) : row * g->columns + block;
}

float weights_grid_at(const struct weights_grid *g, int64_t row, int64_t block)
{
    return weights_number(&g->n, grid_index(g, row, block));
}

uint8_t weights_grid_byte(const struct weights_grid *g, int64_t row, int64_t block)
{
    return g->n.data[grid_index(g, row, block)];
}

static void scale_blocks(const struct weights_grid *g, int64_t at, int64_t row, float *f)
{
    for (int64_t i = 0, block = 0; i < row; block++) {
        float s = weights_grid_at(g, at, block);
        for (int64_t end = i + g->width < row ? i + g->width : row; i < end; i++)
            f[i] *= s;
    }
}

static void offset_blocks(const struct weights_grid *g, int64_t at, int64_t row, float *f)
{
    for (int64_t i = 0, block = 0; i < row; block++) {
        float s = weights_grid_at(g, at, block);
        for (int64_t end = i + g->width < row ? i + g->width : row; i < end; i++)
            f[i] += s;
    }
}

static void round_to_int8(int64_t row, float *f)
{
    for (int64_t i = 0; i < row; i++)
        f[i] = fminf(fmaxf(rintf(f[i]), -INT8_MOST), INT8_MOST);
}

/* Times the Hadamard matrix that is the Kronecker power of [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1], normalised. It
 * is its own inverse. n is a power of four. */
static void rotate(float *f, int64_t n)
{
    for (int64_t step = 1; step < n; step *= 4) {
        for (int64_t i = 0; i < n; i++) {
            if (i / step % 4 != 0)
                continue;
            float *p = f + i, a = p[0], b = p[step], c = p[2 * step], d = p[3 * step];
            float half = 0.5f * (a + b + c + d);
            p[0] = half - d;
            p[step] = half - c;
            p[2 * step] = half - b;
            p[3 * step] = half - a;
        }
    }
}

void weights_view_apply(const struct weights_view *v, int64_t row0, int64_t rows, int64_t row,
                        float *f)
{
    int64_t all = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        all *= v->dims[i];
    int64_t per_scale = v->n_scales && all > v->n_scales ? all / v->n_scales : 1;
    for (int64_t r = 0; r < rows; r++, f += row) {
        float s = v->scale;
        if (v->grid.n.data)
            scale_blocks(&v->grid, row0 + r, row, f);
        if (v->rounded)
            round_to_int8(row, f);
        if (v->n_scales)
            s *= weights_number(&v->rows, (row0 + r) / per_scale);
        for (int64_t i = 0; s != 1.0f && i < row; i++)
            f[i] *= s;
        if (v->offset.n.data)
            offset_blocks(&v->offset, row0 + r, row, f);
        for (int64_t i = 0; v->rotation && i + v->rotation <= row; i += v->rotation)
            rotate(f + i, v->rotation);
        for (int64_t i = 0; v->columns.data && i < row; i++)
            f[i] *= weights_number(&v->columns, i);
    }
}

static bool numbers_of_codes(const struct weights_view *v, const unsigned char *src, size_t n,
                             float *f)
{
    float levels[LEVELS] = {0};
    for (int i = 0; v->levels.data && i < LEVELS; i++)
        levels[i] = weights_number(&v->levels, i);
    for (size_t i = 0; v->levels.data && i < n; i++)
        f[i] = levels[src[i / 2] >> (i % 2 * 4) & 15];
    return v->levels.data != NULL;
}

bool weights_view_numbers(const struct weights_view *v, const unsigned char *src, size_t n,
                          float *f)
{
    if (v->dtype == DTYPE_U4)
        return numbers_of_codes(v, src, n, f);
    if (!dtype_plain_to_f32(v->dtype, src, f, n))
        return false;
    for (size_t i = 0; v->high_first && i + 1 < n; i += 2) {
        float first = f[i + 1];
        f[i + 1] = f[i];
        f[i] = first;
    }
    return true;
}

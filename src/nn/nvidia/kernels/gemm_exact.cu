/* gemm_exact.cu - products in float32, of any types and sizes; and products of few rows, which only read weights.
 *
 * gemm_exact: a block of 256 threads makes 64 x 64, each thread 4 x 4, k in slices of 16 through shared memory.
 * gemv: a warp a column of y, for up to eight rows at a time; bf16 weights come eight at a time. */
#include "epilogue.cuh"

enum { TILE = 64, SLICE = 16, MAX_ROWS = 8 };

DEVICE float at_or_zero(const void *p, i64 ld, int type, int row, int rows, int k, int n)
{
    return row < rows && k < n ? load(p, row * ld + k, type) : 0.0f;
}

DEVICE void accumulate(const struct nv_gemm *g, const void *w, int row, int column, float (*sums)[4])
{
    static SHARED float xs[SLICE][TILE + 4], ws[SLICE][TILE + 4];
    int tx = thread_x() & 15, ty = thread_x() >> 4;
    for (int k0 = 0; k0 < g->k; k0 += SLICE) {
        for (int i = thread_x(); i < TILE * SLICE; i += 256) {
            int r = i / SLICE, k = i % SLICE;
            xs[k][r] = at_or_zero(g->x, g->ldx, g->x_type, row + r, g->m, k0 + k, g->k);
            ws[k][r] = at_or_zero(w, g->ldw, g->w_type, column + r, g->n, k0 + k, g->k);
        }
        sync_block();
        UNROLL for (int k = 0; k < SLICE; k++)
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++)
                    sums[i][j] = __builtin_fmaf(xs[k][ty * 4 + i], ws[k][tx * 4 + j], sums[i][j]);
        sync_block();
    }
}

KERNEL BOUNDS(256, 1) void gemm_exact(struct nv_gemm g)
{
    int row = block_x() * TILE, column = block_y() * TILE;
    float sums[4][4] = {}, ups[4][4] = {};
    accumulate(&g, g.w, row, column, sums);
    if (g.act == NV_ACT_SWIGLU)
        accumulate(&g, g.w2, row, column, ups);
    int r = row + (thread_x() >> 4) * 4, c = column + (thread_x() & 15) * 4;
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++)
            if (r + i < g.m && c + j < g.n)
                store(g.y, (r + i) * g.ldy + c + j, g.y_type,
                      epilogue(&g, r + i, c + j, sums[i][j], ups[i][j]));
}

/* Products of one row of w with all rows of x, a part of each in every lane. */
DEVICE void dots_any(const struct nv_gemm *g, const void *w, int column, float *sums)
{
    for (int k = thread_x() & 31; k < g->k; k += 32) {
        float v = load(w, column * g->ldw + k, g->w_type);
        UNROLL for (int r = 0; r < MAX_ROWS; r++)
            if (r < g->m)
                sums[r] = __builtin_fmaf(load(g->x, r * g->ldx + k, g->x_type), v, sums[r]);
    }
}

struct eight_floats {
    float v[8];
} __attribute__((aligned(16)));

/* Eight neighbours of a row of x; QUADS: they are float32 at a multiple of 16 bytes. */
template <bool QUADS> DEVICE struct eight_floats eight_of(const struct nv_gemm *g, int row, int k)
{
    i64 at = row * g->ldx + k;
    if (QUADS)
        return *(const struct eight_floats *)((const float *)g->x + at);
    struct eight_floats e;
    UNROLL for (int i = 0; i < 8; i++) e.v[i] = load(g->x, at + i, g->x_type);
    return e;
}

/* The same for bf16 weights at multiples of 16 bytes. */
template <bool QUADS> DEVICE void dots_bf16(const struct nv_gemm *g, const void *w, int column, float *sums)
{
    const struct four_words *p = (const struct four_words *)((const u16 *)w + column * g->ldw);
    for (int k = (thread_x() & 31) * 8; k < g->k; k += 256) {
        struct four_words v = p[k >> 3];
        UNROLL for (int r = 0; r < MAX_ROWS; r++)
        {
            if (r >= g->m)
                break;
            struct eight_floats x = eight_of<QUADS>(g, r, k);
            UNROLL for (int i = 0; i < 8; i++)
                sums[r] = __builtin_fmaf(x.v[i], from_bf16((u16)(v.v[i >> 1] >> (i & 1) * 16)), sums[r]);
        }
    }
}

DEVICE void dots(const struct nv_gemm *g, const void *w, int column, float *sums)
{
    bool whole = g->w_type == NV_BF16 && g->k % 8 == 0 && g->ldw % 8 == 0 && ((u64)w & 15) == 0;
    bool quads = g->x_type == NV_F32 && g->ldx % 4 == 0 && ((u64)g->x & 15) == 0;
    if (whole && quads)
        dots_bf16<true>(g, w, column, sums);
    else if (whole)
        dots_bf16<false>(g, w, column, sums);
    else
        dots_any(g, w, column, sums);
    UNROLL for (int r = 0; r < MAX_ROWS; r++) sums[r] = warp_sum(sums[r]);
}

KERNEL BOUNDS(256, 1) void gemv(struct nv_gemm g)
{
    int column = block_x() * 8 + (thread_x() >> 5);
    if (column >= g.n)
        return;
    float sums[MAX_ROWS] = {}, ups[MAX_ROWS] = {};
    dots(&g, g.w, column, sums);
    if (g.act == NV_ACT_SWIGLU)
        dots(&g, g.w2, column, ups);
    if ((thread_x() & 31) == 0)
        UNROLL for (int r = 0; r < MAX_ROWS; r++)
            if (r < g.m)
                store(g.y, r * g.ldy + column, g.y_type, epilogue(&g, r, column, sums[r], ups[r]));
}

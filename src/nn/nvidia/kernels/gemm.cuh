/* gemm.cuh - products of bf16 or int8 by the matrix units of sm_80 and later.
 *
 * A block of 256 threads makes 128 x 128 of y. Slices of 128 bytes of k come by cp.async into three stages of shared memory;
 * each of the eight warps (two by four) holds 64 x 32 sums. Rows and columns beyond m, n and k are read as zeros.
 * For SwiGLU the lower half of a tile's columns are of w, the upper half the same columns of w2, so that a thread
 * ends up with both factors of what it stores. */
#ifndef VT_NN_NVIDIA_GEMM_CUH
#define VT_NN_NVIDIA_GEMM_CUH

#include "epilogue.cuh"
#include "mma_tile.cuh"

/* What a thread fetches of every slice: piece `thread % 8` (16 bytes) of rows thread / 8 + 32 i of x and of the tile's
 * weights. A bit each says which of these rows exist. */
template <typename OF> struct pieces {
    const typename OF::number *x, *w[2]; /* w: of the lower and the upper half of the tile's rows */
    u32 x_rows, w_rows;
};

template <typename OF, bool SWIGLU> DEVICE struct pieces<OF> pieces_of(const struct nv_gemm *g, int row, int column)
{
    typedef const typename OF::number *numbers;
    int r = thread_x() >> 3, q = (thread_x() & 7) * OF::PIECE;
    i64 from = (i64)(column + r) * g->ldw + q;
    struct pieces<OF> p = {(numbers)g->x + (i64)(row + r) * g->ldx + q, {(numbers)g->w + from, 0}, 0, 0};
    p.w[1] = SWIGLU ? (numbers)g->w2 + from : p.w[0] + 64 * g->ldw;
    UNROLL for (int i = 0; i < 4; i++)
    {
        int c = column + r + (SWIGLU ? i % 2 : i) * 32;
        p.x_rows |= (u32)(row + r + i * 32 < g->m) << i;
        p.w_rows |= (u32)(c < g->n) << i;
    }
    return p;
}

template <typename OF> DEVICE void load_stage(const struct nv_gemm *g, const struct pieces<OF> *p, u32 to, int k0)
{
    int r = thread_x() >> 3, q = thread_x() & 7;
    bool inside = k0 + q * OF::PIECE < g->k;
    UNROLL for (int i = 0; i < 4; i++)
    {
        bool there = inside && p->x_rows >> i & 1;
        copy_async(to + swizzled(r + i * 32, q), there ? p->x + i * 32 * g->ldx + k0 : g->x, there ? 16 : 0);
    }
    to += TILE * ROW_BYTES;
    UNROLL for (int i = 0; i < 4; i++)
    {
        bool there = inside && p->w_rows >> i & 1;
        copy_async(to + swizzled(r + i * 32, q), there ? p->w[i / 2] + i % 2 * 32 * g->ldw + k0 : g->w,
                   there ? 16 : 0);
    }
}

/* Row of the tile of w at which a warp's columns j (of four times eight) begin. */
template <bool SWIGLU> DEVICE int columns_of(int warp, int j)
{
    if (SWIGLU)
        return (j >> 1) * (TILE / 2) + (warp >> 1) * 16 + (j & 1) * 8;
    return (warp >> 1) * 32 + j * 8;
}

template <typename OF, bool SWIGLU> DEVICE void product(const struct nv_gemm *g)
{
    const int width = SWIGLU ? TILE / 2 : TILE;
    u32 base = shared_base();
    struct tile_place t =
        tile_of(block_x(), (g->m + TILE - 1) / TILE, (g->n + width - 1) / width, 8);
    int row = t.m * TILE, column = t.n * width, slices = (g->k + OF::SLICE - 1) / OF::SLICE;
    struct pieces<OF> pieces = pieces_of<OF, SWIGLU>(g, row, column);
    int lane = thread_x() & 31, warp = thread_x() >> 5, quad = lane & 3;
    typename OF::sum whole[4][4][4] = {};

    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < slices)
            load_stage(g, &pieces, base + s * STAGE_BYTES, s * OF::SLICE);
        copy_commit();
    }
    for (int k = 0; k < slices; k++) {
        copy_wait<STAGES - 2>();
        sync_block();
        int next = k + STAGES - 1;
        if (next < slices)
            load_stage(g, &pieces, base + next % STAGES * STAGE_BYTES, next * OF::SLICE);
        copy_commit();
        multiply_stage<OF>(base + k % STAGES * STAGE_BYTES, whole,
                           [&](int j) INLINE { return columns_of<SWIGLU>(warp, j); });
    }

    const int wide = SWIGLU ? 2 : 4;
    row += (warp & 1) * 64 + (lane >> 2);
    UNROLL for (int i = 0; i < 4; i++, row += 16)
    {
        float sums[4][4];
        struct row_factors f = {{1.0f, 1.0f}};
        if (OF::PIECE == 16)
            f = factors_of(g->x_scales, g->ld_scales, g->m, 1.0f, row, row + 8);
        UNROLL for (int s = 0; s < 16; s++) sums[s >> 2][s & 3] = (float)whole[i][s >> 2][s & 3] * f.v[s >> 1 & 1];
        finish_sums<4 * wide>(g, g->bias, sums[0], SWIGLU ? sums[2] : 0, [&](int s) INLINE {
            return column + columns_of<SWIGLU>(warp, s >> 2) + quad * 2 + (s & 1);
        });
        if (SWIGLU) {
            UNROLL for (int j = 0; j < 4; j++)
                store_pair(g, row + j % 2 * 8, column + columns_of<true>(warp, j / 2) + quad * 2,
                           sums[j / 2] + j % 2 * 2);
        } else {
            store_rows<4>(g, row, row + 8, column + columns_of<false>(warp, 0), quad, sums[0]);
        }
    }
}

#endif

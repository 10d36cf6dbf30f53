/* gemm.cu - products of bf16 by the matrix units of sm_80 and later.
 *
 * A block of 256 threads makes 128 x 128 of y. Slices of 64 of k come by cp.async into three stages of shared memory;
 * each of the eight warps (two by four) holds 64 x 32 sums. Rows and columns beyond m, n and k are read as zeros.
 * For SwiGLU the lower half of a tile's columns are of w, the upper half the same columns of w2, so that a thread
 * ends up with both factors of what it stores. */
#include "epilogue.cuh"
#include "mma_tile.cuh"

/* What a thread fetches of every slice: piece `thread % 8` (16 bytes) of rows thread / 8 + 32 i of x and of the tile's
 * weights. A bit each says which of these rows exist. */
struct pieces {
    const u16 *x, *w[2]; /* w: of the lower and the upper half of the tile's rows */
    u32 x_rows, w_rows;
};

template <bool SWIGLU> DEVICE struct pieces pieces_of(const struct nv_gemm *g, int row, int column)
{
    int r = thread_x() >> 3, q = thread_x() & 7;
    struct pieces p = {(const u16 *)g->x + (i64)(row + r) * g->ldx + q * 8,
                       {(const u16 *)g->w + (i64)(column + r) * g->ldw + q * 8, 0},
                       0,
                       0};
    p.w[1] = SWIGLU ? (const u16 *)g->w2 + (i64)(column + r) * g->ldw + q * 8 : p.w[0] + 64 * g->ldw;
    UNROLL for (int i = 0; i < 4; i++)
    {
        int c = column + r + (SWIGLU ? i % 2 : i) * 32;
        p.x_rows |= (u32)(row + r + i * 32 < g->m) << i;
        p.w_rows |= (u32)(c < g->n) << i;
    }
    return p;
}

DEVICE void load_stage(const struct nv_gemm *g, const struct pieces *p, u32 to, int k0)
{
    int r = thread_x() >> 3, q = thread_x() & 7;
    bool inside = k0 + q * 8 < g->k;
    UNROLL for (int i = 0; i < 4; i++)
    {
        bool there = inside && p->x_rows >> i & 1;
        copy_async(to + swizzled(r + i * 32, q), there ? p->x + i * 32 * g->ldx + k0 : g->x, there ? 16 : 0);
    }
    to += TILE * SLICE * 2;
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

template <bool SWIGLU> DEVICE void product(const struct nv_gemm *g)
{
    const int width = SWIGLU ? TILE / 2 : TILE;
    u32 base = shared_base();
    struct tile_place t =
        tile_of(block_x(), (g->m + TILE - 1) / TILE, (g->n + width - 1) / width, 8);
    int row = t.m * TILE, column = t.n * width, slices = (g->k + SLICE - 1) / SLICE;
    struct pieces pieces = pieces_of<SWIGLU>(g, row, column);
    int lane = thread_x() & 31, warp = thread_x() >> 5, quad = lane & 3;
    float sums[4][4][4] = {};

    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < slices)
            load_stage(g, &pieces, base + s * STAGE_BYTES, s * SLICE);
        copy_commit();
    }
    for (int k = 0; k < slices; k++) {
        copy_wait<STAGES - 2>();
        sync_block();
        int next = k + STAGES - 1;
        if (next < slices)
            load_stage(g, &pieces, base + next % STAGES * STAGE_BYTES, next * SLICE);
        copy_commit();
        multiply_stage(base + k % STAGES * STAGE_BYTES, sums,
                       [&](int j) INLINE { return columns_of<SWIGLU>(warp, j); });
    }

    const int wide = SWIGLU ? 2 : 4;
    row += (warp & 1) * 64 + (lane >> 2);
    UNROLL for (int i = 0; i < 4; i++, row += 16)
    {
        finish_sums<4 * wide>(g, g->bias, sums[i][0], SWIGLU ? sums[i][2] : 0, [&](int s) INLINE {
            return column + columns_of<SWIGLU>(warp, s >> 2) + quad * 2 + (s & 1);
        });
        if (SWIGLU) {
            UNROLL for (int j = 0; j < 4; j++)
                store_pair(g, row + j % 2 * 8, column + columns_of<true>(warp, j / 2) + quad * 2,
                           sums[i][j / 2] + j % 2 * 2);
        } else {
            store_rows<4>(g, row, row + 8, column + columns_of<false>(warp, 0), quad, sums[i][0]);
        }
    }
}

KERNEL BOUNDS(256, 2) void gemm_bf16(struct nv_gemm g) { product<false>(&g); }
KERNEL BOUNDS(256, 2) void gemm_bf16_swiglu(struct nv_gemm g) { product<true>(&g); }

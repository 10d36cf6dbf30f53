/* gemm.cu - products of bf16 by the matrix units of sm_80 and later.
 *
 * A block of 256 threads makes 128 x 128 of y. Slices of 64 of k come by cp.async into three stages of shared memory;
 * each of the eight warps (two by four) holds 64 x 32 sums. Rows and columns beyond m, n and k are read as zeros.
 * For SwiGLU the lower half of a tile's columns are of w, the upper half the same columns of w2, so that a thread
 * ends up with both factors of what it stores. */
#include "epilogue.cuh"

enum { TILE = 128, SLICE = 64, STAGES = 3, STAGE_BYTES = 2 * TILE * SLICE * 2 };

/* Rows first .. of x or w, one slice: 1024 pieces of 16 bytes, four a thread. */
DEVICE void load_rows(u32 to, const u16 *p, i64 ld, int first, int rows, int k0, int k, int place,
                      int count)
{
    for (int i = thread_x(); i < count * 8; i += 256) {
        int r = i >> 3, q = i & 7, row = first + r, column = k0 + q * 8;
        bool inside = row < rows && column < k;
        copy_async(to + swizzled(place + r, q), inside ? p + row * ld + column : p, inside ? 16 : 0);
    }
}

template <bool SWIGLU>
DEVICE void load_stage(const struct nv_gemm *g, u32 to, int row, int column, int k0)
{
    load_rows(to, (const u16 *)g->x, g->ldx, row, g->m, k0, g->k, 0, TILE);
    u32 w = to + TILE * SLICE * 2;
    if (SWIGLU) {
        load_rows(w, (const u16 *)g->w, g->ldw, column, g->n, k0, g->k, 0, TILE / 2);
        load_rows(w, (const u16 *)g->w2, g->ldw, column, g->n, k0, g->k, TILE / 2, TILE / 2);
    } else {
        load_rows(w, (const u16 *)g->w, g->ldw, column, g->n, k0, g->k, 0, TILE);
    }
}

/* Row of the tile of w at which a warp's columns j (of four times eight) begin. */
template <bool SWIGLU> DEVICE int columns_of(int warp, int j)
{
    if (SWIGLU)
        return (j >> 1) * (TILE / 2) + (warp >> 1) * 16 + (j & 1) * 8;
    return (warp >> 1) * 32 + j * 8;
}

template <bool SWIGLU> DEVICE void multiply_stage(u32 at, float (*sums)[4][4])
{
    int lane = thread_x() & 31, warp = thread_x() >> 5, rows = (warp & 1) * 64;
    u32 w = at + TILE * SLICE * 2;
    UNROLL for (int s = 0; s < SLICE / 16; s++)
    {
        u32 a[4][4], b[2][4];
        UNROLL for (int i = 0; i < 4; i++)
            load_matrix(a[i], at + swizzled(rows + i * 16 + (lane & 15), s * 2 + (lane >> 4)));
        UNROLL for (int j = 0; j < 2; j++)
        {
            int r = columns_of<SWIGLU>(warp, j * 2) + (lane & 7) + ((lane >> 4) << 3);
            load_matrix(b[j], w + swizzled(r, s * 2 + ((lane >> 3) & 1)));
        }
        UNROLL for (int i = 0; i < 4; i++)
            UNROLL for (int j = 0; j < 4; j++)
                mma_bf16(sums[i][j], a[i], &b[j >> 1][(j & 1) * 2]);
    }
}

template <bool SWIGLU> DEVICE void product(const struct nv_gemm *g)
{
    const int width = SWIGLU ? TILE / 2 : TILE;
    u32 base = shared_base();
    struct tile_place t =
        tile_of(block_x(), (g->m + TILE - 1) / TILE, (g->n + width - 1) / width, 8);
    int row = t.m * TILE, column = t.n * width, slices = (g->k + SLICE - 1) / SLICE;
    float sums[4][4][4] = {};

    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < slices)
            load_stage<SWIGLU>(g, base + s * STAGE_BYTES, row, column, s * SLICE);
        copy_commit();
    }
    for (int k = 0; k < slices; k++) {
        copy_wait<STAGES - 2>();
        sync_block();
        int next = k + STAGES - 1;
        if (next < slices)
            load_stage<SWIGLU>(g, base + next % STAGES * STAGE_BYTES, row, column, next * SLICE);
        copy_commit();
        multiply_stage<SWIGLU>(base + k % STAGES * STAGE_BYTES, sums);
    }

    int lane = thread_x() & 31, warp = thread_x() >> 5;
    const int wide = SWIGLU ? 2 : 4;
    row += (warp & 1) * 64 + (lane >> 2);
    column += (lane & 3) * 2;
    UNROLL for (int i = 0; i < 4; i++)
        finish_sums<4 * wide>(g, sums[i][0], SWIGLU ? sums[i][2] : 0, [&](int s) {
            return column + columns_of<SWIGLU>(warp, s >> 2) + (s & 1);
        });
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < wide; j++)
        {
            int c = column + columns_of<SWIGLU>(warp, j);
            store_pair(g, row + i * 16, c, sums[i][j]);
            store_pair(g, row + i * 16 + 8, c, sums[i][j] + 2);
        }
}

KERNEL BOUNDS(256, 2) void gemm_bf16(struct nv_gemm g) { product<false>(&g); }
KERNEL BOUNDS(256, 2) void gemm_bf16_swiglu(struct nv_gemm g) { product<true>(&g); }

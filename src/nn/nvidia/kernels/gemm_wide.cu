/* gemm_wide.cu - products of bf16 by the matrix units of sm_80 and later, for many rows: tiles of 128 x 256.
 *
 * A warp holds 64 x 64 sums, so that what it reads of shared memory serves twice as many products as in gemm.cu. That takes
 * nearly all registers: one block a multiprocessor, and waiting is hidden within the warp, which reads the next step's
 * pieces while it multiplies this one's. Slices are 32 of k, four stages of 24 KiB. Rows of a slice are 64 bytes, two of
 * them to a line of 128.
 * For SwiGLU the lower half of a tile's columns are of w, the upper half the same columns of w2. */
#include "epilogue.cuh"

enum { TILE_M = 128, TILE_N = 256, SLICE = 32, STAGES = 4, X_BYTES = TILE_M * SLICE * 2, STAGE_BYTES = (TILE_M + TILE_N) * SLICE * 2 };

/* Where 16 bytes number q (of 4) of row r lie: no two of the eight rows of a matrix load on the same banks. */
DEVICE u32 place(int r, int q) { return (u32)(r * 64 + ((q ^ (r >> 1 & 3)) << 4)); }

/* What a thread fetches of every slice: piece thread % 4 of rows thread / 4 + 64 i. */
struct pieces {
    const u16 *x, *w[2]; /* w: of the lower and the upper half of the tile's columns */
    u32 x_rows, w_rows;  /* a bit each: whether the row exists */
};

template <bool SWIGLU> DEVICE struct pieces pieces_of(const struct nv_gemm *g, int row, int column)
{
    int r = thread_x() >> 2, q = thread_x() & 3;
    struct pieces p = {(const u16 *)g->x + (i64)(row + r) * g->ldx + q * 8,
                       {(const u16 *)g->w + (i64)(column + r) * g->ldw + q * 8, 0},
                       0,
                       0};
    p.w[1] = SWIGLU ? (const u16 *)g->w2 + (i64)(column + r) * g->ldw + q * 8 : p.w[0] + 128 * g->ldw;
    UNROLL for (int i = 0; i < 4; i++)
    {
        if (i < 2)
            p.x_rows |= (u32)(row + r + i * 64 < g->m) << i;
        p.w_rows |= (u32)(column + r + (SWIGLU ? i % 2 : i) * 64 < g->n) << i;
    }
    return p;
}

DEVICE void load_stage(const struct nv_gemm *g, const struct pieces *p, u32 to, int k0)
{
    int r = thread_x() >> 2, q = thread_x() & 3;
    bool inside = k0 + q * 8 < g->k;
    UNROLL for (int i = 0; i < 2; i++)
    {
        bool there = inside && p->x_rows >> i & 1;
        copy_async(to + place(r + i * 64, q), there ? p->x + i * 64 * g->ldx + k0 : g->x, there ? 16 : 0);
    }
    to += X_BYTES;
    UNROLL for (int i = 0; i < 4; i++)
    {
        bool there = inside && p->w_rows >> i & 1;
        copy_async(to + place(r + i * 64, q), there ? p->w[i / 2] + i % 2 * 64 * g->ldw + k0 : g->w, there ? 16 : 0);
    }
}

/* Row of the tile of w at which a warp's columns j (of eight times eight) begin. */
template <bool SWIGLU> DEVICE int columns_of(int warp, int j)
{
    int part = warp >> 1;
    return SWIGLU ? (j >> 2) * (TILE_N / 2) + part * 32 + (j & 3) * 8 : part * 64 + j * 8;
}

struct fragments {
    u32 x[4][4], w[4][4];
};

/* Step s (of two) of the slice at `at`. */
template <bool SWIGLU> DEVICE void read_step(struct fragments *f, u32 at, int s)
{
    int lane = thread_x() & 31, warp = thread_x() >> 5, rows = (warp & 1) * 64;
    UNROLL for (int i = 0; i < 4; i++)
        load_matrix(f->x[i], at + place(rows + i * 16 + (lane & 15), s * 2 + (lane >> 4)));
    UNROLL for (int j = 0; j < 4; j++)
    {
        int r = columns_of<SWIGLU>(warp, j * 2) + (lane & 7) + ((lane >> 4) << 3);
        load_matrix(f->w[j], at + X_BYTES + place(r, s * 2 + ((lane >> 3) & 1)));
    }
}

DEVICE void multiply_step(float (*sums)[8][4], const struct fragments *f)
{
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 8; j++) mma_bf16(sums[i][j], f->x[i], &f->w[j >> 1][(j & 1) * 2]);
}

template <bool SWIGLU> DEVICE void product(const struct nv_gemm *g)
{
    const int width = SWIGLU ? TILE_N / 2 : TILE_N, wide = SWIGLU ? 4 : 8;
    u32 base = shared_base();
    struct tile_place t = tile_of(block_x(), (g->m + TILE_M - 1) / TILE_M, (g->n + width - 1) / width, 8);
    int row = t.m * TILE_M, column = t.n * width, slices = (g->k + SLICE - 1) / SLICE;
    struct pieces pieces = pieces_of<SWIGLU>(g, row, column);
    float sums[4][8][4] = {};
    struct fragments even, odd;

    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < slices)
            load_stage(g, &pieces, base + s * STAGE_BYTES, s * SLICE);
        copy_commit();
    }
    copy_wait<STAGES - 2>();
    sync_block();
    read_step<SWIGLU>(&even, base, 0);
    for (int k = 0; k < slices; k++) {
        u32 at = base + k % STAGES * STAGE_BYTES;
        int next = k + STAGES - 1;
        read_step<SWIGLU>(&odd, at, 1);
        if (next < slices)
            load_stage(g, &pieces, base + next % STAGES * STAGE_BYTES, next * SLICE);
        copy_commit();
        multiply_step(sums, &even);
        copy_wait<STAGES - 2>();
        sync_block();
        if (k + 1 < slices)
            read_step<SWIGLU>(&even, base + (k + 1) % STAGES * STAGE_BYTES, 0);
        multiply_step(sums, &odd);
    }

    int lane = thread_x() & 31, warp = thread_x() >> 5, quad = lane & 3;
    row += (warp & 1) * 64 + (lane >> 2);
    column += columns_of<SWIGLU>(warp, 0);
    UNROLL for (int i = 0; i < 4; i++, row += 16)
    {
        finish_sums<4 * wide>(g, g->bias, sums[i][0], SWIGLU ? sums[i][4] : 0,
                              [&](int s) INLINE { return column + quad * 2 + (s >> 2) * 8 + (s & 1); });
        store_rows<wide>(g, row, row + 8, column, quad, sums[i][0]);
    }
}

KERNEL BOUNDS(256, 1) void gemm_bf16_wide(struct nv_gemm g) { product<false>(&g); }
KERNEL BOUNDS(256, 1) void gemm_bf16_wide_swiglu(struct nv_gemm g) { product<true>(&g); }

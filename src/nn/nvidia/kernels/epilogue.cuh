/* epilogue.cuh - what a product does with its sums before they leave the registers. */
#ifndef VT_NN_NVIDIA_EPILOGUE_H
#define VT_NN_NVIDIA_EPILOGUE_H

#include "device.cuh"

/* The steps of a sum of row `row`, column `column` on its way to y. Kernels with many sums a thread do one step for all of
 * them before the next, so that each step is written out once. */
DEVICE float scaled(const struct nv_gemm *g, const float *row_scales, const float *bias, int column,
                    float sum)
{
    sum *= g->scale;
    if (row_scales)
        sum *= row_scales[column];
    return bias ? sum + bias[column] : sum;
}

DEVICE float activated(int act, float sum, float up)
{
    switch (act) {
    case NV_ACT_SILU:
        return silu(sum);
    case NV_ACT_GELU_TANH:
        return gelu_tanh(sum);
    case NV_ACT_SWIGLU:
        return silu(sum) * up;
    default:
        return sum;
    }
}

DEVICE float added(const struct nv_gemm *g, int row, int column, float sum)
{
    if (g->gate)
        sum *= g->gate[column];
    return g->residual ? sum + g->residual[(i64)row * g->ldr + column] : sum;
}

/* All steps; `up` is the sum of w2 (NV_ACT_SWIGLU). */
DEVICE float epilogue(const struct nv_gemm *g, int row, int column, float sum, float up)
{
    sum = scaled(g, g->row_scales, g->bias, column, sum);
    if (g->act == NV_ACT_SWIGLU)
        up = scaled(g, g->row_scales2, g->bias2, column, up);
    return added(g, row, column, activated(g->act, sum, up));
}

/* The first two steps for all of a thread's N sums: sum i is of column column_of(i). up: as many of w2, or NULL. */
template <int N, typename COLUMN>
DEVICE void finish_sums(const struct nv_gemm *g, float *sums, float *ups, COLUMN column_of)
{
    if (g->bias || g->row_scales || g->scale != 1.0f)
        UNROLL for (int i = 0; i < N; i++)
        {
            int c = column_of(i);
            if (c < g->n)
                sums[i] = scaled(g, g->row_scales, g->bias, c, sums[i]);
            if (ups && c < g->n)
                ups[i] = scaled(g, g->row_scales2, g->bias2, c, ups[i]);
        }
    if (ups)
        UNROLL for (int i = 0; i < N; i++) sums[i] = silu_fast(sums[i]) * ups[i];
    else if (g->act == NV_ACT_GELU_TANH)
        UNROLL for (int i = 0; i < N; i++) sums[i] = gelu_tanh_fast(sums[i]);
    else if (g->act == NV_ACT_SILU)
        UNROLL for (int i = 0; i < N; i++) sums[i] = silu_fast(sums[i]);
}

struct two {
    float v[2];
} __attribute__((aligned(8)));

/* The last step for two neighbours of a row; column is even. True where both exist. */
DEVICE bool added_pair(const struct nv_gemm *g, int row, int column, float *sums)
{
    if (row >= g->m || column + 1 >= g->n)
        return false;
    if (g->gate) {
        struct two gate = *(const struct two *)(g->gate + column);
        sums[0] *= gate.v[0];
        sums[1] *= gate.v[1];
    }
    if (g->residual) {
        struct two r = *(const struct two *)(g->residual + (i64)row * g->ldr + column);
        sums[0] += r.v[0];
        sums[1] += r.v[1];
    }
    return true;
}

/* The last step and the store for two neighbours of a row; column is even. */
DEVICE void store_pair(const struct nv_gemm *g, int row, int column, float *sums)
{
    i64 at = (i64)row * g->ldy + column;
    if (added_pair(g, row, column, sums)) {
        if (g->y_type == NV_BF16) {
            *(u32 *)((u16 *)g->y + at) = pack_bf16(sums[0], sums[1]);
        } else {
            struct two t = {{sums[0], sums[1]}};
            *(struct two *)((float *)g->y + at) = t;
        }
    } else if (row < g->m && column < g->n) {
        store(g->y, at, g->y_type, added(g, row, column, sums[0]));
    }
}

struct four_words {
    u32 a, b, c, d;
} __attribute__((aligned(16)));

/* x where `first`, else y: as one instruction, since the compiler would rather go through memory. */
DEVICE u32 select(bool first, u32 x, u32 y)
{
    u32 r;
    asm("{ .reg .pred p; setp.ne.b32 p, %3, 0; selp.b32 %0, %1, %2, p; }"
        : "=r"(r)
        : "r"(x), "r"(y), "r"((int)first));
    return r;
}

/* Threads t and t ^ mask hold x and y each; afterwards the lower one has both x, the upper one both y. */
DEVICE void exchange(u32 *x, u32 *y, int mask, bool upper)
{
    u32 mine = select(upper, *x, *y), got;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(got) : "r"(mine), "r"(mask));
    *x = select(upper, got, *x);
    *y = select(upper, *y, got);
}

/* Four threads hold word i of four tiles each (thread i); afterwards thread i holds the four words of tile i. */
DEVICE struct four_words dealt(struct four_words w, int thread)
{
    bool odd = thread & 1, high = thread & 2;
    exchange(&w.a, &w.b, 1, odd);
    exchange(&w.c, &w.d, 1, odd);
    exchange(&w.a, &w.c, 2, high);
    exchange(&w.b, &w.d, 2, high);
    return w;
}

/* The last step and the store for a row of four tiles of eight columns from `column` on, of which this thread (`quad` of
 * four) holds two columns each: sums[4 * tile], sums[4 * tile + 1]. bf16 leaves in pieces of 16 bytes. */
DEVICE void store_tiles(const struct nv_gemm *g, int row, int column, int quad, float *sums)
{
    bool whole = g->y_type == NV_BF16 && g->ldy % 8 == 0 && column + 32 <= g->n && ((u64)g->y & 15) == 0;
    if (!whole) {
        UNROLL for (int i = 0; i < 4; i++) store_pair(g, row, column + i * 8 + quad * 2, sums + 4 * i);
        return;
    }
    UNROLL for (int i = 0; i < 4; i++) added_pair(g, row, column + i * 8 + quad * 2, sums + 4 * i);
    struct four_words w = {pack_bf16(sums[0], sums[1]), pack_bf16(sums[4], sums[5]),
                           pack_bf16(sums[8], sums[9]), pack_bf16(sums[12], sums[13])};
    w = dealt(w, quad);
    if (row < g->m)
        *(struct four_words *)((u16 *)g->y + (i64)row * g->ldy + column + quad * 8) = w;
}

/* Which tile block b of a grid of tiles_m x tiles_n computes: eight rows of tiles together, so that what blocks at work read
 * at a time stays in the card's cache. */
struct tile_place {
    int m, n;
};

DEVICE struct tile_place tile_of(int b, int tiles_m, int tiles_n, int group)
{
    int per = group * tiles_n, first = b / per * group;
    int rows = tiles_m - first < group ? tiles_m - first : group;
    struct tile_place t = {first + (b % per) % rows, (b % per) / rows};
    return t;
}

#endif

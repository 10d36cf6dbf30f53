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
    if (!g->residual)
        return sum;
    i64 at = (i64)row * g->ldr + column;
    return sum + (g->residual_type == NV_BF16 ? from_bf16(((const u16 *)g->residual)[at])
                                              : ((const float *)g->residual)[at]);
}

/* All steps; `up` is the sum of w2 (NV_ACT_SWIGLU). */
DEVICE float epilogue(const struct nv_gemm *g, int row, int column, float sum, float up)
{
    sum = scaled(g, g->row_scales, g->bias, column, sum);
    if (g->act == NV_ACT_SWIGLU)
        up = scaled(g, g->row_scales2, g->bias2, column, up);
    return added(g, row, column, activated(g->act, sum, up));
}

/* x * sigmoid(a x (1 + b x^2)): SiLU with a = 1, b = 0, the tanh form of GELU with those of gelu_tanh. */
DEVICE float gated_by_sigmoid(float x, float a, float b) { return x * sigmoid_fast(a * x * (1.0f + b * x * x)); }

/* What follows the bias, for all of a thread's N sums; ups: as many sums of w2, or NULL. */
template <int N> DEVICE void activate_sums(const struct nv_gemm *g, float *sums, const float *ups)
{
    if (ups) {
        UNROLL for (int i = 0; i < N; i++) sums[i] = silu_fast(sums[i]) * ups[i];
    } else if (g->act != NV_ACT_NONE) {
        bool gelu = g->act == NV_ACT_GELU_TANH;
        float a = gelu ? 1.5957691216057308f : 1.0f, b = gelu ? 0.044715f : 0.0f;
        UNROLL for (int i = 0; i < N; i++) sums[i] = gated_by_sigmoid(sums[i], a, b);
    }
}

/* The first two steps for all of a thread's N sums: sum i is of column column_of(i). bias: g's, or NULL. */
template <int N, typename COLUMN>
DEVICE void finish_sums(const struct nv_gemm *g, const float *bias, float *sums, float *ups, COLUMN column_of)
{
    if (bias || g->row_scales || g->scale != 1.0f)
        UNROLL for (int i = 0; i < N; i++)
        {
            int c = column_of(i);
            c = c < g->n ? c : g->n - 1; /* what lies beyond is not stored */
            sums[i] = scaled(g, g->row_scales, bias, c, sums[i]);
            if (ups)
                ups[i] = scaled(g, g->row_scales2, g->bias2, c, ups[i]);
        }
    activate_sums<N>(g, sums, ups);
}

struct two {
    float v[2];
} __attribute__((aligned(8)));

/* The factors of the rows of x that a thread's sums are of. */
struct row_factors {
    float v[2];
};

DEVICE struct row_factors factors_of(const float *x_scales, i64 ld_scales, int m, float scale, int row, int row8)
{
    row = row < m ? row : m - 1; /* what lies beyond is not stored */
    row8 = row8 < m ? row8 : m - 1;
    struct row_factors f = {{scale * x_scales[row * ld_scales], scale * x_scales[row8 * ld_scales]}};
    return f;
}

/* The last step and the store of one sum, wherever it is. */
DEVICE void store_sum(const struct nv_gemm *g, int row, int column, float sum)
{
    if (row >= g->m || column >= g->n)
        return;
    i64 at = (i64)row * g->ldy + column;
    sum = added(g, row, column, sum);
    if (g->y_type == NV_BF16)
        ((u16 *)g->y)[at] = to_bf16(sum);
    else
        ((float *)g->y)[at] = sum;
}

/* Two neighbours; column is even. */
DEVICE void store_pair(const struct nv_gemm *g, int row, int column, const float *sums)
{
    bool whole = g->y_type == NV_BF16 && !g->gate && !g->residual && g->ldy % 2 == 0;
    if (!whole) {
        store_sum(g, row, column, sums[0]);
        store_sum(g, row, column + 1, sums[1]);
    } else if (row < g->m && column + 1 < g->n) {
        *(u32 *)((u16 *)g->y + (i64)row * g->ldy + column) = pack_bf16(sums[0], sums[1]);
    } else {
        store_sum(g, row, column, sums[0]);
    }
}

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
    exchange(&w.v[0], &w.v[1], 1, odd);
    exchange(&w.v[2], &w.v[3], 1, odd);
    exchange(&w.v[0], &w.v[2], 2, high);
    exchange(&w.v[1], &w.v[3], 2, high);
    return w;
}

DEVICE u32 add_words(u32 a, u32 b)
{
    return pack_bf16(from_bf16((u16)a) + from_bf16((u16)b), from_bf16((u16)(a >> 16)) + from_bf16((u16)(b >> 16)));
}

/* How the sums of a thread leave it. What is usual is checked once a tile, not once a sum, and goes in few instructions: a
 * tile's code is run once by every warp, so it is fetched rather than found in the instruction cache. */
enum leaving {
    LEAVE_ANY,    /* one by one, everything checked */
    LEAVE_PIECES, /* bf16, in pieces of 16 bytes, on top of a bf16 residual or of none */
    LEAVE_ADDED   /* float32 on top of a float32 residual, in pairs */
};

/* For `columns` columns from `column` on. */
DEVICE enum leaving leaving_of(const struct nv_gemm *g, int column, int columns)
{
    if (column + columns > g->n)
        return LEAVE_ANY;
    bool r = g->residual;
    if (g->y_type == NV_BF16)
        return !g->gate && g->ldy % 8 == 0 && ((u64)g->y & 15) == 0 &&
                       (!r || (g->residual_type == NV_BF16 && g->ldr % 8 == 0 && ((u64)g->residual & 15) == 0))
                   ? LEAVE_PIECES
                   : LEAVE_ANY;
    return r && g->residual_type == NV_F32 && g->ldr % 2 == 0 && g->ldy % 2 == 0 ? LEAVE_ADDED : LEAVE_ANY;
}

/* Below: one row's sums in TILES tiles of eight columns from `column` on. Thread `quad` of four has two of each:
 * sums[4 * tile], sums[4 * tile + 1]. The row exists where `there`; all four threads must take part. */

template <int TILES>
DEVICE void store_pieces(const struct nv_gemm *g, int row, int column, int quad, const float *sums, bool there)
{
    u16 *y = (u16 *)g->y + (i64)row * g->ldy + column + quad * 8;
    const u16 *r = g->residual ? (const u16 *)g->residual + (i64)row * g->ldr + column + quad * 8 : 0;
    UNROLL for (int i = 0; i < TILES; i += 4)
    {
        const float *s = sums + 4 * i;
        struct four_words w = {{pack_bf16(s[0], s[1]), pack_bf16(s[4], s[5]), pack_bf16(s[8], s[9]),
                                pack_bf16(s[12], s[13])}};
        w = dealt(w, quad);
        if (r && there) {
            struct four_words v = *(const struct four_words *)(r + i * 8);
            w.v[0] = add_words(w.v[0], v.v[0]);
            w.v[1] = add_words(w.v[1], v.v[1]);
            w.v[2] = add_words(w.v[2], v.v[2]);
            w.v[3] = add_words(w.v[3], v.v[3]);
        }
        if (there)
            *(struct four_words *)(y + i * 8) = w;
    }
}

/* Two floats past the cache of this multiprocessor: others may have written them. */
DEVICE struct two load_two(const float *p)
{
    struct two t;
    asm volatile("ld.global.cg.v2.f32 {%0, %1}, [%2];" : "=f"(t.v[0]), "=f"(t.v[1]) : "l"(p) : "memory");
    return t;
}

/* Eight reads are under way at a time, so that one wait covers them. */
template <int TILES>
DEVICE void store_added(const struct nv_gemm *g, int row, int column, int quad, const float *sums, bool there)
{
    const int group = TILES < 8 ? TILES : 8;
    column += quad * 2;
    float *y = (float *)g->y + (i64)row * g->ldy + column;
    const float *r = (const float *)g->residual + (i64)row * g->ldr + column, *gate = g->gate ? g->gate + column : 0;
    if (!there)
        return;
    struct two now[group], next[group];
    UNROLL for (int i = 0; i < group; i++) now[i] = load_two(r + i * 8);
    UNROLL for (int first = 0; first < TILES; first += group)
    {
        if (first + group < TILES)
            UNROLL for (int i = 0; i < group; i++) next[i] = load_two(r + (first + group + i) * 8);
        UNROLL for (int i = 0; i < group; i++)
        {
            const float *s = sums + 4 * (first + i);
            struct two f = {{1.0f, 1.0f}};
            if (gate)
                f = *(const struct two *)(gate + (first + i) * 8);
            struct two t = {
                {__builtin_fmaf(s[0], f.v[0], now[i].v[0]), __builtin_fmaf(s[1], f.v[1], now[i].v[1])}};
            *(struct two *)(y + (first + i) * 8) = t;
        }
        UNROLL for (int i = 0; i < group; i++) now[i] = next[i];
    }
}

/* Both rows of a thread, one sum at a time. Registers cannot be counted through, so the sums move down as they leave: slow,
 * but a hundredth of the code. */
template <int TILES>
DEVICE void store_any(const struct nv_gemm *g, int row, int row8, int column, int quad, float *sums)
{
    column += quad * 2;
    _Pragma("unroll 1") for (int tile = 0; tile < TILES; tile++, column += 8)
    {
        UNROLL for (int i = 0; i < 4; i++) store_sum(g, i < 2 ? row : row8, column + i % 2, sums[i]);
        UNROLL for (int i = 0; i + 4 < 4 * TILES; i++) sums[i] = sums[i + 4];
    }
}

/* Both rows of a thread. */
template <int TILES>
DEVICE void store_rows(const struct nv_gemm *g, int row, int row8, int column, int quad, float *sums)
{
    enum leaving how = leaving_of(g, column, TILES * 8);
    if (how == LEAVE_PIECES) {
        store_pieces<TILES>(g, row, column, quad, sums, row < g->m);
        store_pieces<TILES>(g, row8, column, quad, sums + 2, row8 < g->m);
    } else if (how == LEAVE_ADDED) {
        store_added<TILES>(g, row, column, quad, sums, row < g->m);
        store_added<TILES>(g, row8, column, quad, sums + 2, row8 < g->m);
    } else {
        store_any<TILES>(g, row, row8, column, quad, sums);
    }
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

/* gemm_heads_tma.cuh - queries, keys and values in one launch: products whose columns are heads of 128, each normed, rotated and
 * stored as bf16 where attention reads it. A tile is two heads; a thread holds 32 elements of two tokens of each, the four
 * threads of a quad share them. Partners of a rotation are always in the same thread, side by side or 64 columns apart. */
#ifndef VT_NN_NVIDIA_GEMM_HEADS_TMA_CUH
#define VT_NN_NVIDIA_GEMM_HEADS_TMA_CUH

#include "gemm_tma.cuh"

enum { N = 256, DIM = 128, PARTS = 3 };

/* Part of tile column n, and the column in that part. */
struct part_place {
    int part, column;
};

DEVICE struct part_place part_of(const struct nv_gemm_heads_tma *p, int n)
{
    struct part_place r = {0, n * N};
    while (r.part + 1 < PARTS) {
        int tiles = (p->part[r.part].n + N - 1) / N * N;
        if (r.column < tiles)
            break;
        r.column -= tiles;
        r.part++;
    }
    return r;
}

/* Element i of 64 sums of a head: tile i / 4 of eight columns, row (i / 2) % 2. */
DEVICE void add_bias(float *s, const float *bias, int quad)
{
    UNROLL for (int j = 0; j < 16; j++)
    {
        struct two b = *(const struct two *)(bias + j * 8 + quad * 2);
        UNROLL for (int i = 0; i < 4; i++) s[4 * j + i] += b.v[i & 1];
    }
}

DEVICE void norm_head(float *s, const float *weight, int quad, float eps)
{
    float scale[2];
    UNROLL for (int h = 0; h < 2; h++)
    {
        float sum = 0.0f;
        UNROLL for (int j = 0; j < 16; j++)
            UNROLL for (int i = 4 * j + 2 * h; i < 4 * j + 2 * h + 2; i++) sum = __builtin_fmaf(s[i], s[i], sum);
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        scale[h] = rsqrt_exact(sum / DIM + eps);
    }
    UNROLL for (int j = 0; j < 16; j++)
    {
        struct two w = *(const struct two *)(weight + j * 8 + quad * 2);
        UNROLL for (int i = 0; i < 4; i++) s[4 * j + i] *= scale[i >> 1] * w.v[i & 1];
    }
}

DEVICE void rotate(float *x, float *y, float cos, float sin)
{
    float a = *x, b = *y;
    *x = a * cos - b * sin;
    *y = b * cos + a * sin;
}

/* Both heads of one token (its sums begin at s[2 h], 64 apart), by tables that begin at cos and sin. */
DEVICE void rotate_pairs(float *s, const float *cos, const float *sin, int quad)
{
    UNROLL for (int j = 0; j < 16; j++)
    {
        float c = cos[j * 4 + quad], d = sin[j * 4 + quad];
        rotate(s + 4 * j, s + 4 * j + 1, c, d);
        rotate(s + 64 + 4 * j, s + 64 + 4 * j + 1, c, d);
    }
}

DEVICE void rotate_halves(float *s, const float *cos, const float *sin, int quad)
{
    UNROLL for (int j = 0; j < 8; j++)
    {
        struct two c = *(const struct two *)(cos + j * 8 + quad * 2);
        struct two d = *(const struct two *)(sin + j * 8 + quad * 2);
        UNROLL for (int i = 0; i < 2; i++)
        {
            rotate(s + 4 * j + i, s + 32 + 4 * j + i, c.v[i], d.v[i]);
            rotate(s + 64 + 4 * j + i, s + 96 + 4 * j + i, c.v[i], d.v[i]);
        }
    }
}

/* `there`: whether the token exists. All threads take part in the exchange. */
DEVICE void store_head(const struct nv_heads *h, const float *s, i64 token, int head, int quad, bool there)
{
    u16 *y = (u16 *)h->y + token * h->y_token + head * h->y_head + quad * 8;
    UNROLL for (int j = 0; j < 16; j += 4)
    {
        const float *v = s + 4 * j;
        struct four_words w = {{pack_bf16(v[0], v[1]), pack_bf16(v[4], v[5]), pack_bf16(v[8], v[9]),
                                pack_bf16(v[12], v[13])}};
        w = dealt(w, quad);
        if (there)
            *(struct four_words *)(y + j * 8) = w;
    }
}

/* Scales and bias of the two heads of a tile. */
template <typename OF>
DEVICE void finish_heads(const struct nv_gemm_heads_tma *p, struct part_place at, float *sums, int token, int half)
{
    const struct nv_heads *h = &p->part[at.part];
    int quad = thread_x() & 3;
    if (OF::EIGHT || h->row_scales) {
        auto of_column = [&](const float *v, int c, float none) INLINE {
            return v && at.column + c < h->n ? v[at.column + c] : none;
        };
        struct row_factors f = {{1.0f, 1.0f}};
        if (OF::EIGHT)
            f = factors_of(p->x_scales, p->ld_scales, p->m, 1.0f, token, token + 8);
        put_columns<N>(
            half, [&](int c) INLINE { return of_column(h->row_scales, c, 1.0f); },
            [&](int c) INLINE { return of_column(h->bias, c, 0.0f); });
        apply_columns<N, N / 2>(half, f, 0, sums);
    } else if (h->bias) {
        add_bias(sums, h->bias + at.column, quad);
        if (at.column + DIM < h->n)
            add_bias(sums + 64, h->bias + at.column + DIM, quad);
    }
}

template <typename OF>
DEVICE void store_heads(const struct nv_gemm_heads_tma *p, struct part_place at, float *sums, int token, int half)
{
    const struct nv_heads *h = &p->part[at.part];
    int lane = thread_x() & 31, quad = lane & 3;
    token += ((thread_x() >> 5) & 3) * 16 + (lane >> 2);
    bool second = at.column + DIM < h->n;
    finish_heads<OF>(p, at, sums, token, half);
    if (h->norm) {
        norm_head(sums, h->norm, quad, p->eps);
        norm_head(sums + 64, h->norm, quad, p->eps);
    }
    UNROLL for (int r = 0; r < 2; r++)
    {
        int t = token + r * 8;
        bool there = t < p->m;
        if (h->rotate) {
            i64 row = (there ? t : 0) * p->ld_table;
            if (p->pairs)
                rotate_pairs(sums + 2 * r, p->cos + row, p->sin + row, quad);
            else
                rotate_halves(sums + 2 * r, p->cos + row, p->sin + row, quad);
        }
        store_head(h, sums + 2 * r, t, at.column / DIM, quad, there);
        store_head(h, sums + 64 + 2 * r, t, at.column / DIM + 1, quad, there && second);
    }
}

/* Addresses of the maps of x and of the first part's weights. */
template <typename OF> DEVICE void project_heads(const struct nv_gemm_heads_tma *p, u64 x, u64 w)
{
    int tiles = 0;
    for (int i = 0; i < PARTS; i++)
        tiles += (p->part[i].n + N - 1) / N;
    for_each_tile<OF, N>(
        share_of(p->m, tiles, slices_of<OF>(p->k), false),
        [&](struct work t, struct stages<N> *s, int rank) INLINE {
            struct part_place at = part_of(p, t.tile.n);
            feed_stages<N>(
                s, t, rank,
                [&](int k, u32 to, u32 full) INLINE { fetch_tile(to, x, full, k * OF::SLICE, t.tile.m * TILE_M); },
                [&](int k, int i) INLINE {
                    struct box_source b = {w + at.part * sizeof(struct nv_tensor_map), k * OF::SLICE, at.column + i * BOX};
                    return b;
                });
        },
        [&](struct work t, float *sums, int half) INLINE {
            store_heads<OF>(p, part_of(p, t.tile.n), sums, t.tile.m * TILE_M + half * 64, half);
        });
}

#define GEMM_HEADS_TMA(name, of)                                                      \
    KERNEL BOUNDS(384, 1) void name(struct nv_gemm_heads_tma p)                       \
    {                                                                                 \
        project_heads<of>(&p, MAP_OF(name, __builtin_offsetof(nv_gemm_heads_tma, x_map)), \
                          MAP_OF(name, __builtin_offsetof(nv_gemm_heads_tma, w_map))); \
    }

#endif

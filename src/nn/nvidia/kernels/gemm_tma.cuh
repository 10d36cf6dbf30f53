/* gemm_tma.cuh - products on sm_90a, of bf16, int8 or float8: tiles fetched by the card (TMA), multiplied by warp groups (wgmma).
 *
 * One warp group feeds several stages of shared memory, two multiply 64 x N of y each. Blocks stay and take tile after tile.
 * They work in pairs on two tiles below each other: each fetches its own rows of x, but only every other box of 64 rows of
 * w, for both. What all blocks together read of w is halved by that, and it is what limits them otherwise.
 * Rows and columns beyond m, n and k arrive as zeros. */
#ifndef VT_NN_NVIDIA_GEMM_TMA_CUH
#define VT_NN_NVIDIA_GEMM_TMA_CUH

#include "epilogue.cuh"
#include "hopper.cuh"

enum { TILE_M = 128, ROW_BYTES = 128, X_BYTES = TILE_M * ROW_BYTES, BOX = 64, BOX_BYTES = BOX * ROW_BYTES, OUT_BYTES = 64 * 32 * 4 };

/* What is multiplied: a slice is 128 bytes of each row, an instruction takes 32 of them. */
struct of_bf16 {
    typedef float sum;
    enum { SLICE = 64, EIGHT = 0 };
    template <int N> INLINE static void multiply(float *sums, u64 x, u64 w)
    {
        if (N == 256)
            multiply_256(sums, x, w);
        else if (N == 192)
            multiply_192(sums, x, w);
        else
            multiply_128(sums, x, w, 1);
    }
};

struct of_s8 {
    typedef int sum;
    enum { SLICE = 128, EIGHT = 1 };
    template <int N> INLINE static void multiply(int *sums, u64 x, u64 w)
    {
        if (N == 256)
            multiply_s8_256(sums, x, w);
        else
            multiply_s8_128(sums, x, w);
    }
};

struct of_f8 {
    typedef float sum;
    enum { SLICE = 128, EIGHT = 1 };
    template <int N> INLINE static void multiply(float *sums, u64 x, u64 w)
    {
        if (N == 256)
            multiply_f8_256(sums, x, w);
        else
            multiply_f8_128(sums, x, w);
    }
};

/* How tiles of N columns lie in shared memory. */
template <int N> struct shape {
    enum {
        BOXES = N / BOX,
        STAGE_BYTES = X_BYTES + BOXES * BOX_BYTES,
        STAGES = N == 128 ? 6 : 4,
        ROOM = STAGES * STAGE_BYTES,   /* for sums on their way out: two tiles of 64 x 32 a warp group */
        BARRIERS = ROOM + 4 * OUT_BYTES
    };
};

/* Full: what was asked for is there. Empty: both warp groups of both blocks are done with it. */
template <int N> struct stages {
    u32 base, full, empty;
    int at;
    u32 phase;
};

template <int N> DEVICE struct stages<N> stages_begin()
{
    u32 base = shared_base(), full = base + shape<N>::BARRIERS;
    struct stages<N> s = {base, full, full + 8 * shape<N>::STAGES, 0, 0};
    if (thread_x() == 0) {
        for (int i = 0; i < shape<N>::STAGES; i++) {
            barrier_init(s.full + 8 * i, 1);
            barrier_init(s.empty + 8 * i, 4);
        }
        barriers_ready();
    }
    sync_pair();
    return s;
}

template <int N> DEVICE u32 stage_address(const struct stages<N> *s) { return s->base + s->at * shape<N>::STAGE_BYTES; }

template <int N> DEVICE void next_stage(struct stages<N> *s)
{
    if (++s->at == shape<N>::STAGES) {
        s->at = 0;
        s->phase ^= 1;
    }
}

/* Where a box of weights comes from. */
struct box_source {
    u64 map;
    int k, row;
};

/* A tile, or slices first .. last - 1 of its k where several pairs share it. */
struct work {
    struct tile_place tile; /* m: this block's */
    int first, last;
};

/* Fills a stage for every slice: x(k, where to, barrier) fetches this block's rows, w(k, i) says where box i of the weights is. */
template <int N, typename X, typename W> DEVICE void feed_stages(struct stages<N> *s, struct work t, int rank, X x, W w)
{
    for (int k = t.first; k < t.last; k++) {
        u32 full = s->full + 8 * s->at, to = stage_address(s);
        barrier_wait(s->empty + 8 * s->at, s->phase ^ 1);
        barrier_expect(full, shape<N>::STAGE_BYTES);
        x(k, to, full);
        UNROLL for (int i = 0; i < shape<N>::BOXES; i++)
            if ((i & 1) == rank) {
                struct box_source from = w(k, i);
                fetch_tile_for_both(to + X_BYTES + i * BOX_BYTES, from.map, full, from.k, from.row);
            }
        next_stage(s);
    }
}

/* Sums of one tile. A stage is given back when the product after it is under way, so that the units never wait. */
template <typename OF, int N>
DEVICE void multiply_tile(typename OF::sum *sums, struct stages<N> *s, int half, int slices)
{
    int before = 0, thread = thread_x() & 127;
    UNROLL for (int i = 0; i < N / 2; i++) sums[i] = 0;
    for (int k = 0; k < slices; k++) {
        barrier_wait(s->full + 8 * s->at, s->phase);
        u32 x = stage_address(s) + half * 64 * 128, w = stage_address(s) + X_BYTES;
        group_fence();
        UNROLL for (int i = 0; i < ROW_BYTES / 32; i++)
            OF::template multiply<N>(sums, tile_descriptor(x + i * 32), tile_descriptor(w + i * 32));
        group_commit();
        if (k > 0) {
            group_wait<1>();
            if (thread < 2)
                barrier_arrive_at(s->empty + 8 * before, thread);
        }
        before = s->at;
        next_stage(s);
    }
    group_wait<0>();
    if (thread < 2)
        barrier_arrive_at(s->empty + 8 * before, thread);
}

/* Which slices of which tiles a pair does: first whole tiles, one after the other, then, where tiles may be shared, a part of
 * those that are left when every pair has had as many. Pairs that work on whole tiles read the same slices of x and w at about
 * the same time, so that these come out of the card's cache; those that share one do not.
 *
 * A pair waits for parts of a tile that come later in k (store_work): those are of pairs that were started before it, so that
 * nobody waits for a pair that has no place yet. */
struct share {
    int tiles_m, tiles_n, slices;
    int at, last, step;  /* in slices; step: from the end of a tile to the next tile of this pair */
    int rest, rest_last; /* the part of what is left */
};

enum { ROUNDS = 2, PARTS_OF_TILE = 4 };

DEVICE struct share share_of(int m, int tiles_n, int slices, bool shared)
{
    int pair = block_x() >> 1, pairs = blocks_x() >> 1;
    struct share s = {(m + 2 * TILE_M - 1) / (2 * TILE_M), tiles_n, slices, pair * slices, 0, (pairs - 1) * slices, 0, 0};
    int tiles = s.tiles_m * tiles_n, rounds = tiles / pairs, whole = tiles;
    if (shared) {
        /* With few rounds all tiles are shared among all pairs; what little is left after many makes few parts of a tile, as
         * parts are added one after the other. */
        whole = rounds < ROUNDS ? 0 : rounds * pairs;
        int left = tiles - whole, sharing = rounds < ROUNDS || PARTS_OF_TILE * left > pairs ? pairs : PARTS_OF_TILE * left;
        int i = pairs - 1 - pair;
        if (i < sharing) {
            s.rest = whole * slices + (int)((i64)left * slices * i / sharing);
            s.rest_last = whole * slices + (int)((i64)left * slices * (i + 1) / sharing);
        }
    }
    s.last = whole * slices;
    return s;
}

/* False when all is done. */
DEVICE bool next_work(struct share *s, int rank, struct work *w)
{
    if (s->at >= s->last) {
        s->at = s->rest;
        s->last = s->rest_last;
        s->step = s->rest = s->rest_last = 0;
        if (s->at >= s->last)
            return false;
    }
    int tile = s->at / s->slices, end = (tile + 1) * s->slices;
    end = end < s->last ? end : s->last;
    w->tile = tile_of(tile, s->tiles_m, s->tiles_n, 8);
    w->tile.m = w->tile.m * 2 + rank;
    w->first = s->at - tile * s->slices;
    w->last = end - tile * s->slices;
    s->at = end + s->step;
    return true;
}

template <typename OF> DEVICE int slices_of(int k) { return (k + OF::SLICE - 1) / OF::SLICE; }

/* The loop over tiles. feed(work, stages) and store(sums, work, half) know what a tile is. Two loops, not one: the compiler gives
 * registers to each side only where nothing is shared between them. */
template <typename OF, int N, typename FEED, typename STORE> DEVICE void for_each_tile(struct share share, FEED feed, STORE store)
{
    struct stages<N> s = stages_begin<N>();
    int group = thread_x() >> 7, rank = block_of_pair();
    struct work w;
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (thread_x() == 0)
            while (next_work(&share, rank, &w))
                feed(w, &s, rank);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        while (next_work(&share, rank, &w)) {
            typename OF::sum whole[N / 2];
            float sums[N / 2];
            multiply_tile<OF, N>(whole, &s, group - 1, w.last - w.first);
            UNROLL for (int i = 0; i < N / 2; i++) sums[i] = (float)whole[i];
            store(w, sums, group - 1);
        }
        tiles_arrived();
    }
    sync_pair(); /* what the other block of the pair fetches for this one needs its memory */
}

/* The first of the two rows of 64 that a thread has sums of; the other is eight below. */
DEVICE int row_of_thread() { return ((thread_x() >> 5) & 3) * 16 + ((thread_x() & 31) >> 2); }

/* ---- sums of 8 bits ----------------------------------------------------------------------------------------
 *
 * Each is multiplied by the factor of its row and that of its column. The columns' factors and biases go through shared memory:
 * read from the card's memory by every thread, they take so many registers that sums are pushed out of theirs. */

/* The place in shared memory that belongs to warp group `half` while it stores a tile: two tiles of 64 x 32. */
template <int N> DEVICE u32 room_of(int half) { return shared_base() + shape<N>::ROOM + half * 2 * OUT_BYTES; }

/* Puts factor_of(c) and bias_of(c) of the tile's N columns into the group's room. */
template <int N, typename FACTOR, typename BIAS> DEVICE void put_columns(int half, FACTOR factor_of, BIAS bias_of)
{
    int thread = thread_x() & 127;
    u32 room = room_of<N>(half);
    if (thread == 0)
        tiles_read<0>();
    sync_group(half + 1);
    UNROLL for (int c = 0; c < N; c += 128)
    {
        u32 at = room + (c + thread) * 8;
        asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(factor_of(c + thread)), "f"(bias_of(c + thread)) : "memory");
    }
    sync_group(half + 1);
}

/* Finishes the M sums of columns `first` on (of the tile); f: the factors of their two rows. */
template <int N, int M> DEVICE void apply_columns(int half, struct row_factors f, int first, float *sums)
{
    u32 at = room_of<N>(half) + (first + (thread_x() & 3) * 2) * 8;
    UNROLL for (int i = 0; i < M; i += 4, at += 8 * 8)
    {
        float w[2], b[2];
        asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                     : "=f"(w[0]), "=f"(b[0]), "=f"(w[1]), "=f"(b[1])
                     : "r"(at)
                     : "memory");
        UNROLL for (int j = 0; j < 4; j++)
            sums[i + j] = __builtin_fmaf(sums[i + j], f.v[j >> 1] * w[j & 1], b[j & 1]);
    }
}

/* finish_sums for 8 bits. With SWIGLU the upper half of the tile's columns are of w2. */
template <int N, bool SWIGLU>
DEVICE void finish_eight(const struct nv_gemm *g, const float *bias, float *sums, int row, int row8, int column, int half)
{
    const int width = SWIGLU ? N / 2 : N;
    auto of_column = [&](int c, const float *first, const float *second) INLINE {
        const float *p = SWIGLU && c >= width ? second : first;
        c = column + (SWIGLU && c >= width ? c - width : c);
        return p && c < g->n ? p[c] : 0.0f;
    };
    put_columns<N>(
        half, [&](int c) INLINE { return of_column(c, g->row_scales, g->row_scales2); },
        [&](int c) INLINE { return of_column(c, bias, g->bias2); });
    apply_columns<N, N / 2>(half, factors_of(g->x_scales, g->ld_scales, g->m, g->scale, row, row8), 0, sums);
    activate_sums<width / 2>(g, sums, SWIGLU ? sums + width / 2 : 0);
}

/* ---- any sums ---------------------------------------------------------------------------------------------- */

/* Scales, bias and activation of a thread's sums of rows `row` and row8, from `column` on. */
template <typename OF, int N, bool SWIGLU>
DEVICE void finish(const struct nv_gemm *g, const float *bias, float *sums, int row, int row8, int column, int half)
{
    const int n = SWIGLU ? N / 4 : N / 2;
    int quad = thread_x() & 3;
    if (OF::EIGHT)
        finish_eight<N, SWIGLU>(g, bias, sums, row, row8, column, half);
    else
        finish_sums<n>(g, bias, sums, SWIGLU ? sums + n : 0,
                       [&](int i) INLINE { return column + quad * 2 + (i >> 2) * 8 + (i & 1); });
}

/* The sums of rows `row` and row8 from `column` on. */
template <typename OF, int N, bool SWIGLU>
DEVICE void store_sums(const struct nv_gemm *g, float *sums, int row, int row8, int column, int half)
{
    finish<OF, N, SWIGLU>(g, g->bias, sums, row, row8, column, half);
    store_rows<SWIGLU ? N / 16 : N / 8>(g, row, row8, column, thread_x() & 3, sums);
}

/* Whether y already holds the residual. */
DEVICE bool in_place(const struct nv_gemm *g) { return g->residual == g->y && g->y_type == NV_F32 && g->act == NV_ACT_NONE; }

/* y += gate * sums for 64 rows from `row` on: 32 columns at a time through shared memory, from where the card adds them by
 * itself. Nobody waits for what y held, and what leaves does so in whole lines. */
template <typename OF, int N>
DEVICE void add_sums(const struct nv_gemm *g, const float *bias, u64 y_map, float *sums, int row, int column, int half)
{
    int quad = thread_x() & 3, r = row_of_thread();
    bool first_thread = (thread_x() & 127) == 0;
    u32 room = room_of<N>(half);
    finish<OF, N, false>(g, bias, sums, row + r, row + r + 8, column, half);
    UNROLL for (int out = 0; out < N / 32; out++)
    {
        u32 to = room + (out & 1) * OUT_BYTES;
        if (first_thread)
            tiles_read<1>();
        sync_group(half + 1);
        UNROLL for (int i = 0; i < 4; i++)
        {
            int c = column + out * 32 + i * 8 + quad * 2;
            struct two f = {{1.0f, 1.0f}};
            if (g->gate && c + 1 < g->n)
                f = *(const struct two *)(g->gate + c);
            UNROLL for (int h = 0; h < 2; h++)
            {
                const float *s = sums + (out * 4 + i) * 4 + 2 * h;
                u32 at = to + swizzled(r + 8 * h, i * 2 + (quad >> 1)) + (quad & 1) * 8;
                asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(s[0] * f.v[0]), "f"(s[1] * f.v[1])
                             : "memory");
            }
        }
        shared_ready();
        sync_group(half + 1);
        if (first_thread)
            add_tile(y_map, to, column + out * 32, row);
    }
}

/* Stores a tile, or adds a tile or a part of one to y: the end of k first, so that the order is always the same, and the bias
 * with the beginning. */
template <typename OF, int N, bool SWIGLU>
DEVICE void store_work(const struct nv_gemm *g, u64 y_map, struct work w, float *sums, int half)
{
    const int width = SWIGLU ? N / 2 : N;
    int row = w.tile.m * TILE_M + half * 64, column = w.tile.n * width;
    if (SWIGLU || !in_place(g)) {
        row += row_of_thread();
        store_sums<OF, N, SWIGLU>(g, sums, row, row + 8, column, half);
        return;
    }
    int slices = slices_of<OF>(g->k), tiles_n = (g->n + width - 1) / width;
    bool whole = w.first == 0 && w.last == slices;
    int *ticket = g->tickets + (w.tile.m * tiles_n + w.tile.n) * 2 + half;
    if (!whole)
        await_turn(ticket, slices - w.last, half + 1);
    add_sums<OF, N>(g, w.first == 0 ? g->bias : 0, y_map, sums, row, column, half);
    if (!whole) {
        if ((thread_x() & 127) == 0)
            tiles_arrived();
        give_turn(ticket, w.first == 0 ? 0 : slices - w.first, half + 1);
    }
}

/* For SwiGLU the lower half of a tile's columns are of w, the upper half the same columns of w2: a thread then holds both
 * factors of what it stores. */
template <typename OF, int N, bool SWIGLU> DEVICE void product(const struct nv_gemm *g, u64 x, u64 w, u64 w2, u64 y)
{
    const int width = SWIGLU ? N / 2 : N;
    for_each_tile<OF, N>(
        share_of(g->m, (g->n + width - 1) / width, slices_of<OF>(g->k), !SWIGLU && g->tickets),
        [&](struct work t, struct stages<N> *s, int rank) INLINE {
            feed_stages<N>(
                s, t, rank,
                [&](int k, u32 to, u32 full) INLINE { fetch_tile(to, x, full, k * OF::SLICE, t.tile.m * TILE_M); },
                [&](int k, int i) INLINE {
                    bool second = SWIGLU && i >= shape<N>::BOXES / 2;
                    struct box_source b = {second ? w2 : w, k * OF::SLICE,
                                           t.tile.n * width + (second ? i - shape<N>::BOXES / 2 : i) * BOX};
                    return b;
                });
        },
        [&](struct work t, float *sums, int half) INLINE { store_work<OF, N, SWIGLU>(g, y, t, sums, half); });
}

#define GEMM_TMA(name, of, n, swiglu)                                        \
    KERNEL BOUNDS(384, 1) void name(struct nv_gemm_tma p)                    \
    {                                                                        \
        product<of, n, swiglu>(&p.g, MAP_OF(name, __builtin_offsetof(nv_gemm_tma, x_map)), \
                           MAP_OF(name, __builtin_offsetof(nv_gemm_tma, w_map)), \
                           MAP_OF(name, __builtin_offsetof(nv_gemm_tma, w2_map)), \
                           MAP_OF(name, __builtin_offsetof(nv_gemm_tma, y_map))); \
    }

#endif

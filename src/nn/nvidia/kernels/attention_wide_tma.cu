/* attention_wide_tma.cu - attention in bf16 on sm_90a with one wide head: the autoencoders', of 512 and 384.
 *
 * As attention_tma.cu, but sums of a whole head do not fit the registers: a block takes 128 queries and one half of the
 * values' columns, so that scores are computed twice (3 products of the same size in place of 2, and no scores in
 * memory). Queries take most of the shared memory, so there is room for one tile of 64 keys and one of values; keys are
 * given back a quarter at a time while the rest is multiplied, and the next tile's come there meanwhile. */
#include "attention_tma.cuh"

enum { QUERIES = 128, KEYS = 64, BOX = 64, Q_BOX = QUERIES * BOX * 2, BOX_BYTES = KEYS * BOX * 2, SCORES = KEYS / 2 };

/* Of heads of DIM. Keys arrive and leave in parts of two boxes, 128 columns. */
template <int DIM> struct head {
    enum { BOXES = DIM / BOX, PARTS = BOXES / 2, OUT = DIM / 2, OUT_BOXES = OUT / BOX, SUMS = OUT / 2 };
};

struct places {
    u32 q, k, v;
    u32 q_full, v_full, v_empty, k_full, k_empty; /* barriers; of keys one a part */
};

template <int DIM> DEVICE struct places places_of(u32 base)
{
    typedef head<DIM> H;
    struct places p;
    p.q = base;
    p.k = p.q + H::BOXES * Q_BOX;
    p.v = p.k + H::BOXES * BOX_BYTES;
    p.q_full = p.v + H::OUT_BOXES * BOX_BYTES;
    p.v_full = p.q_full + 8;
    p.v_empty = p.v_full + 8;
    p.k_full = p.v_empty + 8;
    p.k_empty = p.k_full + 8 * H::PARTS;
    return p;
}

template <int DIM> DEVICE void prepare(const struct places *p)
{
    if (thread_x() == 0) {
        barrier_init(p->q_full, 1);
        barrier_init(p->v_full, 1);
        barrier_init(p->v_empty, 2);
        for (int i = 0; i < head<DIM>::PARTS; i++) {
            barrier_init(p->k_full + 8 * i, 1);
            barrier_init(p->k_empty + 8 * i, 2);
        }
        barriers_ready();
    }
    sync_block();
}

template <int DIM> DEVICE void fetch_keys(const struct places *p, u64 map, int tile)
{
    UNROLL for (int i = 0; i < head<DIM>::PARTS; i++)
    {
        u32 to = p->k + 2 * i * BOX_BYTES, full = p->k_full + 8 * i;
        barrier_wait(p->k_empty + 8 * i, (tile & 1) ^ 1);
        barrier_expect(full, 2 * BOX_BYTES);
        fetch_tile(to, map, full, 2 * i * BOX, tile * KEYS);
        fetch_tile(to + BOX_BYTES, map, full, (2 * i + 1) * BOX, tile * KEYS);
    }
}

template <int DIM> DEVICE void fetch_values(const struct places *p, u64 map, int tile)
{
    typedef head<DIM> H;
    barrier_wait(p->v_empty, (tile & 1) ^ 1);
    barrier_expect(p->v_full, H::OUT_BOXES * BOX_BYTES);
    UNROLL for (int i = 0; i < H::OUT_BOXES; i++)
        fetch_tile(p->v + i * BOX_BYTES, map, p->v_full, block_y() * H::OUT + i * BOX, tile * KEYS);
}

/* The next tile's keys are wanted before this one's values. */
template <int DIM> DEVICE void feed(int tiles, const struct places *p, u64 q, u64 k, u64 v)
{
    typedef head<DIM> H;
    barrier_expect(p->q_full, H::BOXES * Q_BOX);
    UNROLL for (int i = 0; i < H::BOXES; i++)
        fetch_tile(p->q + i * Q_BOX, q, p->q_full, i * BOX, block_x() * QUERIES);
    fetch_keys<DIM>(p, k, 0);
    for (int i = 0; i < tiles; i++) {
        if (i + 1 < tiles)
            fetch_keys<DIM>(p, k, i + 1);
        fetch_values<DIM>(p, v, i);
    }
}

/* x, made anew each time: the compiler would keep all descriptors of a loop in registers, and has none left for them. */
DEVICE u64 not_kept(u64 x)
{
    asm volatile("" : "+l"(x));
    return x;
}

/* Starts the scores of a tile of keys; the last part of them is still being multiplied afterwards. q: this group's rows. */
template <int DIM> DEVICE void start_scores(float *s, const struct places *p, u32 q, int tile, bool first_thread)
{
    UNROLL for (int part = 0; part < head<DIM>::PARTS; part++)
    {
        barrier_wait(p->k_full + 8 * part, tile & 1);
        group_fence();
        u64 a = not_kept(tile_descriptor(q + 2 * part * Q_BOX)), b = not_kept(tile_descriptor(p->k + 2 * part * BOX_BYTES));
        UNROLL for (int i = 0; i < 8; i++)
            multiply_64(s, a + ((i >> 2) * Q_BOX + (i & 3) * 32) / 16, b + ((i >> 2) * BOX_BYTES + (i & 3) * 32) / 16,
                        part + i != 0);
        group_commit();
        if (part > 0) {
            group_wait<1>();
            if (first_thread)
                barrier_arrive(p->k_empty + 8 * (part - 1));
        }
    }
}

/* Starts o += weights times values. */
template <int DIM> DEVICE void start_values(float *o, const u32 *weights, const struct places *p, int tile)
{
    barrier_wait(p->v_full, tile & 1);
    group_fence();
    UNROLL for (int i = 0; i < KEYS / 16; i++)
    {
        u64 v = tile_descriptor_across(p->v + i * 16 * 128, BOX_BYTES);
        if (DIM == 512)
            multiply_256_across(o, weights + 4 * i, v);
        else
            multiply_192_across(o, weights + 4 * i, v);
    }
    group_commit();
}

/* Hides keys that do not exist. */
DEVICE void hide(float *s, int key, int n_kv)
{
    if (key + KEYS <= n_kv)
        return;
    int first = key + (thread_x() & 3) * 2;
    UNROLL for (int i = 0; i < SCORES; i++)
        if (first + (i >> 2) * 8 + (i & 1) >= n_kv)
            s[i] = -__builtin_inff();
}

template <int DIM> DEVICE void attend(const struct nv_attention *a, int tiles, const struct places *p, int half)
{
    typedef head<DIM> H;
    int lane = thread_x() & 31, warp = (thread_x() >> 5) & 3;
    int row = block_x() * QUERIES + half * 64 + warp * 16 + (lane >> 2);
    bool first_thread = (thread_x() & 127) == 0;
    u32 q = p->q + half * 64 * 128, weights[SCORES / 2], last_keys = p->k_empty + 8 * (H::PARTS - 1);
    float o[H::SUMS], s[SCORES];
    struct softmax st = {{LOWEST, LOWEST}, {0.0f, 0.0f}, {1.0f, 1.0f}, a->scale * LOG2E};
    UNROLL for (int i = 0; i < H::SUMS; i++) o[i] = 0.0f;

    barrier_wait(p->q_full, 0);
    start_scores<DIM>(s, p, q, 0, first_thread);
    group_wait<0>();
    if (first_thread)
        barrier_arrive(last_keys);
    hide(s, 0, a->n_kv);
    soften<SCORES>(&st, s);
    pack_weights<SCORES>(weights, s);
    for (int i = 1; i < tiles; i++) {
        start_scores<DIM>(s, p, q, i, first_thread);
        start_values<DIM>(o, weights, p, i - 1);
        group_wait<1>();
        if (first_thread)
            barrier_arrive(last_keys);
        hide(s, i * KEYS, a->n_kv);
        soften<SCORES>(&st, s);
        group_wait<0>();
        if (first_thread)
            barrier_arrive(p->v_empty);
        shrink_sums<H::SUMS>(&st, o);
        pack_weights<SCORES>(weights, s);
    }
    start_values<DIM>(o, weights, p, tiles - 1);
    group_wait<0>();
    store_rows<H::SUMS>(a, &st, o, row, block_y() * H::OUT);
}

template <int DIM> DEVICE void attention(const struct nv_attention *a, u64 q, u64 k, u64 v)
{
    struct places at = places_of<DIM>(shared_base());
    prepare<DIM>(&at);
    int group = thread_x() >> 7, tiles = (a->n_kv + KEYS - 1) / KEYS;
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (thread_x() == 0)
            feed<DIM>(tiles, &at, q, k, v);
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    attend<DIM>(a, tiles, &at, group - 1);
}

KERNEL BOUNDS(384, 1) void attention_tma_512(struct nv_attention_tma p)
{
    attention<512>(&p.a, MAP_OF(attention_tma_512, __builtin_offsetof(nv_attention_tma, q_map)),
                   MAP_OF(attention_tma_512, __builtin_offsetof(nv_attention_tma, k_map)),
                   MAP_OF(attention_tma_512, __builtin_offsetof(nv_attention_tma, v_map)));
}

KERNEL BOUNDS(384, 1) void attention_tma_384(struct nv_attention_tma p)
{
    attention<384>(&p.a, MAP_OF(attention_tma_384, __builtin_offsetof(nv_attention_tma, q_map)),
                   MAP_OF(attention_tma_384, __builtin_offsetof(nv_attention_tma, k_map)),
                   MAP_OF(attention_tma_384, __builtin_offsetof(nv_attention_tma, v_map)));
}

/* attention_tma.cu - attention in bf16 on sm_90a, heads of 128.
 *
 * After FlashAttention-3 (Shah and others, 2024): one warp group feeds two stages of 128 keys and values, two take 64 queries
 * each. While the next tile's scores are computed, the softmax of this one and its product with values go on. Values are
 * read across their rows by wgmma itself, so nobody transposes them. */
#include "attention_tma.cuh"

enum { QUERIES = 128, KEYS = 128, DIM = 128, HALF = KEYS * 64 * 2, TILE = 2 * HALF, STAGES = 2 };

struct places {
    u32 q, k, v;                                              /* tiles: two halves of 64 of the head each */
    u32 q_full, k_full, v_full, k_empty, v_empty;             /* barriers */
};

DEVICE struct places places_of(u32 base)
{
    struct places p;
    p.q = base;
    p.k = base + TILE;
    p.v = p.k + STAGES * TILE;
    p.q_full = p.v + STAGES * TILE;
    p.k_full = p.q_full + 8;
    p.v_full = p.k_full + 8 * STAGES;
    p.k_empty = p.v_full + 8 * STAGES;
    p.v_empty = p.k_empty + 8 * STAGES;
    return p;
}

DEVICE void prepare(const struct places *p)
{
    if (thread_x() == 0) {
        barrier_init(p->q_full, 1);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(p->k_full + 8 * i, 1);
            barrier_init(p->v_full + 8 * i, 1);
            barrier_init(p->k_empty + 8 * i, 2);
            barrier_init(p->v_empty + 8 * i, 2);
        }
        barriers_ready();
    }
    sync_block();
}

DEVICE void fetch_halves(u32 to, u64 map, u32 barrier, int token, int head)
{
    barrier_expect(barrier, TILE);
    fetch_tile3(to, map, barrier, 0, token, head);
    fetch_tile3(to + HALF, map, barrier, 64, token, head);
}

/* Tiles of keys that this block's queries may see; at least one. */
DEVICE int visible_tiles(const struct nv_attention *a, int n_kv)
{
    int n = n_kv, last = (block_x() + 1) * QUERIES + a->offset;
    if (a->causal && last < n)
        n = last > 1 ? last : 1;
    return (n + KEYS - 1) / KEYS;
}

DEVICE void feed(const struct nv_attention *a, int tiles, const struct places *p, u64 q, u64 k, u64 v)
{
    int head = block_y(), kv_head = head / (a->heads / a->kv_heads);
    fetch_halves(p->q, q, p->q_full, block_x() * QUERIES, head);
    for (int i = 0; i < tiles; i++) {
        int stage = i % STAGES;
        u32 phase = (u32)(i / STAGES) & 1;
        barrier_wait(p->k_empty + 8 * stage, phase ^ 1);
        fetch_halves(p->k + stage * TILE, k, p->k_full + 8 * stage, i * KEYS, kv_head);
        barrier_wait(p->v_empty + 8 * stage, phase ^ 1);
        fetch_halves(p->v + stage * TILE, v, p->v_full + 8 * stage, i * KEYS, kv_head);
    }
}

/* Starts the scores of a tile of keys. */
DEVICE void start_scores(float *s, u32 q, u32 k)
{
    group_fence();
    UNROLL for (int i = 0; i < DIM / 16; i++)
        multiply_128(s, tile_descriptor(q + (i >> 2) * HALF + (i & 3) * 32),
                     tile_descriptor(k + (i >> 2) * HALF + (i & 3) * 32), i != 0);
    group_commit();
}

/* Starts o += weights times values. */
DEVICE void start_values(float *o, const u32 *weights, u32 v)
{
    group_fence();
    UNROLL for (int i = 0; i < KEYS / 16; i++)
        multiply_128_across(o, weights + 4 * i, tile_descriptor_across(v + i * 16 * 128, HALF));
    group_commit();
}

/* Hides those of the keys from `key` on that do not exist, or that a thread's queries, `row` and row + 8, may not see. */
DEVICE void hide(const struct nv_attention *a, int n_kv, float *s, int row, int key)
{
    bool all = key + KEYS <= n_kv && (!a->causal || key + KEYS <= block_x() * QUERIES + a->offset + 1);
    if (all)
        return;
    int first = key + (thread_x() & 3) * 2;
    UNROLL for (int i = 0; i < 64; i++)
    {
        int n = first + (i >> 2) * 8 + (i & 1), t = row + (i >> 1 & 1) * 8;
        if (n >= n_kv || (a->causal && n > t + a->offset))
            s[i] = -__builtin_inff();
    }
}

DEVICE void attend(const struct nv_attention *a, int n_kv, const struct places *p, int half)
{
    int tiles = visible_tiles(a, n_kv), lane = thread_x() & 31, warp = (thread_x() >> 5) & 3;
    int row = block_x() * QUERIES + half * 64 + warp * 16 + (lane >> 2);
    bool first_thread = (thread_x() & 127) == 0;
    u32 q = p->q + half * 64 * 128, weights[32];
    float o[64], s[64];
    struct softmax st = {{LOWEST, LOWEST}, {0.0f, 0.0f}, {1.0f, 1.0f}, a->scale * LOG2E};
    UNROLL for (int i = 0; i < 64; i++) o[i] = 0.0f;

    barrier_wait(p->q_full, 0);
    barrier_wait(p->k_full, 0);
    start_scores(s, q, p->k);
    group_wait<0>();
    if (first_thread)
        barrier_arrive(p->k_empty);
    hide(a, n_kv, s, row, 0);
    soften<64>(&st, s);
    pack_weights<64>(weights, s);
    for (int i = 1; i < tiles; i++) {
        int now = i % STAGES, before = (i - 1) % STAGES;
        barrier_wait(p->k_full + 8 * now, (u32)(i / STAGES) & 1);
        start_scores(s, q, p->k + now * TILE);
        barrier_wait(p->v_full + 8 * before, (u32)((i - 1) / STAGES) & 1);
        start_values(o, weights, p->v + before * TILE);
        group_wait<1>();
        if (first_thread)
            barrier_arrive(p->k_empty + 8 * now);
        hide(a, n_kv, s, row, i * KEYS);
        soften<64>(&st, s);
        group_wait<0>();
        if (first_thread)
            barrier_arrive(p->v_empty + 8 * before);
        shrink_sums<64>(&st, o);
        pack_weights<64>(weights, s);
    }
    int last = (tiles - 1) % STAGES;
    barrier_wait(p->v_full + 8 * last, (u32)((tiles - 1) / STAGES) & 1);
    start_values(o, weights, p->v + last * TILE);
    group_wait<0>();
    store_rows<64>(a, &st, o, row, block_y() * a->y_head);
}

KERNEL BOUNDS(384, 1) void attention_tma_128(struct nv_attention_tma p)
{
    struct places at = places_of(shared_base());
    prepare(&at);
    int group = thread_x() >> 7, n_kv = p.keys ? *p.keys : p.a.n_kv;
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (thread_x() == 0)
            feed(&p.a, visible_tiles(&p.a, n_kv), &at, MAP_OF(attention_tma_128, __builtin_offsetof(nv_attention_tma, q_map)),
                 MAP_OF(attention_tma_128, __builtin_offsetof(nv_attention_tma, k_map)),
                 MAP_OF(attention_tma_128, __builtin_offsetof(nv_attention_tma, v_map)));
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    attend(&p.a, n_kv, &at, group - 1);
}

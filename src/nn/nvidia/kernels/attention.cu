/* attention.cu - attention in bf16 by the matrix units of sm_80 and later, memory linear in tokens; and in float32.
 *
 * After FlashAttention-2 (Dao, 2023): a block takes 128 queries of one head, each of its four warps 32 of them, and walks over the
 * keys in tiles. What a warp reads of keys and values serves two sets of 16 queries. Scores stay in registers; the softmax is
 * carried along as a running maximum and sum. Keys and values come by cp.async into two stages. Rows of a tile are 16 bytes
 * longer than the head, so that the eight rows that a matrix load reads at a time fall on different banks.
 *
 * attention_exact is one warp a query, a key a lane. */
#include "device.cuh"

enum { THREADS = 128, QUERIES = 128, SETS = 2 };

/* Beyond it nothing is visible; finite, so that a row whose keys are all hidden gives no NaN. */
#define LOWEST (-1e30f)
#define HIDDEN (-__builtin_inff())
#define LOG2E 1.4426950408889634f

/* Keys a tile: what shared memory of 99 KiB holds twice beside the queries. */
template <int D> struct tile {
    enum { KEYS = D > 96 ? 32 : 64, ROW = 2 * D + 16, BYTES = KEYS * ROW };
};

template <int D> DEVICE void load_tile(u32 to, const u16 *p, i64 stride, int first, int n, int rows)
{
    for (int i = thread_x(); i < rows * (D / 8); i += THREADS) {
        int r = i / (D / 8), q = i % (D / 8);
        bool inside = first + r < n;
        copy_async(to + r * tile<D>::ROW + q * 16, inside ? p + (first + r) * stride + q * 8 : p, inside ? 16 : 0);
    }
}

/* What a thread holds of each set of 16 queries: rows r and r + 8. */
template <int D> struct rows_state {
    float o[SETS][D / 8][4];
    float max[SETS][2], sum[SETS][2];
};

template <int D> DEVICE void multiply_keys(float (*s)[tile<D>::KEYS / 8][4], u32 queries, u32 keys)
{
    int lane = thread_x() & 31;
    UNROLL for (int k = 0; k < D / 16; k++)
    {
        u32 q[SETS][4];
        UNROLL for (int m = 0; m < SETS; m++)
            load_matrix(q[m], queries + (m * 16 + (lane & 15)) * tile<D>::ROW + (k * 2 + (lane >> 4)) * 16);
        UNROLL for (int j = 0; j < tile<D>::KEYS / 16; j++)
        {
            u32 b[4];
            int r = j * 16 + (lane & 7) + ((lane >> 4) << 3);
            load_matrix(b, keys + r * tile<D>::ROW + (k * 2 + ((lane >> 3) & 1)) * 16);
            UNROLL for (int m = 0; m < SETS; m++)
            {
                mma_bf16(s[m][2 * j], q[m], b);
                mma_bf16(s[m][2 * j + 1], q[m], b + 2);
            }
        }
    }
}

/* Into the logarithm to base 2, with the mask; keys that do not exist or may not be seen are hidden. */
template <int KEYS>
DEVICE void mask_scores(float (*s)[4], const struct nv_attention *a, int query, int key, bool edge)
{
    float scale = a->scale * LOG2E;
    UNROLL for (int j = 0; j < KEYS / 8; j++)
        UNROLL for (int i = 0; i < 4; i++) s[j][i] *= scale;
    if (!edge)
        return;
    UNROLL for (int j = 0; j < KEYS / 8; j++)
        UNROLL for (int i = 0; i < 4; i++)
        {
            int t = query + (i >> 1) * 8, n = key + j * 8 + (i & 1);
            if (n >= a->n_kv || (a->causal && n > t + a->offset))
                s[j][i] = HIDDEN;
            else if (a->mask && t < a->n_q)
                s[j][i] += a->mask[t * a->mask_row + n] * LOG2E;
        }
}

/* One step of the running softmax: scores become weights; what was summed before is scaled down where a maximum grew. */
template <int D, int KEYS> DEVICE void soften(float (*o)[4], float *max, float *sum, float (*s)[4])
{
    UNROLL for (int h = 0; h < 2; h++)
    {
        float m = max[h], before = max[h], added = 0.0f;
        UNROLL for (int j = 0; j < KEYS / 8; j++) m = max_of(m, max_of(s[j][2 * h], s[j][2 * h + 1]));
        m = max_of(m, shuffle_xor(m, 1));
        m = max_of(m, shuffle_xor(m, 2));
        max[h] = m;
        UNROLL for (int j = 0; j < KEYS / 8; j++)
            UNROLL for (int i = 2 * h; i < 2 * h + 2; i++)
            {
                s[j][i] = exp2_fast(s[j][i] - m);
                added += s[j][i];
            }
        if (any_of_warp(m != before)) {
            float shrink = exp2_fast(before - m);
            sum[h] *= shrink;
            UNROLL for (int j = 0; j < D / 8; j++)
                UNROLL for (int i = 2 * h; i < 2 * h + 2; i++) o[j][i] *= shrink;
        }
        sum[h] += added;
    }
}

template <int D>
DEVICE void multiply_values(struct rows_state<D> *st, const float (*s)[tile<D>::KEYS / 8][4], u32 values)
{
    int lane = thread_x() & 31;
    UNROLL for (int k = 0; k < tile<D>::KEYS / 16; k++)
    {
        u32 p[SETS][4];
        UNROLL for (int m = 0; m < SETS; m++)
            UNROLL for (int i = 0; i < 4; i++)
                p[m][i] = pack_bf16(s[m][2 * k + i / 2][i % 2 * 2], s[m][2 * k + i / 2][i % 2 * 2 + 1]);
        UNROLL for (int j = 0; j < D / 16; j++)
        {
            u32 b[4];
            load_matrix_transposed(b, values + (k * 16 + (lane & 15)) * tile<D>::ROW + (j * 2 + (lane >> 4)) * 16);
            UNROLL for (int m = 0; m < SETS; m++)
            {
                mma_bf16(st->o[m][2 * j], p[m], b);
                mma_bf16(st->o[m][2 * j + 1], p[m], b + 2);
            }
        }
    }
}

/* One row of a set: h = 0 or 1. */
template <int D>
DEVICE void store_row(const float (*o)[4], float sum, const struct nv_attention *a, int t, int head, int h)
{
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
    i64 at = t * a->y_token + head * a->y_head + (thread_x() & 3) * 2;
    if (t >= a->n_q)
        return;
    UNROLL for (int j = 0; j < D / 8; j++)
    {
        float x = o[j][2 * h] * inverse, y = o[j][2 * h + 1] * inverse;
        if (a->y_type == NV_BF16) {
            *(u32 *)((u16 *)a->y + at + j * 8) = pack_bf16(x, y);
        } else {
            ((float *)a->y)[at + j * 8] = x;
            ((float *)a->y)[at + j * 8 + 1] = y;
        }
    }
}

/* How many keys the queries before `last` may see. */
DEVICE int visible_keys(const struct nv_attention *a, int last)
{
    if (!a->causal)
        return a->n_kv;
    int n = last + a->offset;
    return n < 0 ? 0 : n < a->n_kv ? n : a->n_kv;
}

template <int D> DEVICE void attend(const struct nv_attention *a)
{
    enum { KEYS = tile<D>::KEYS, BYTES = tile<D>::BYTES };
    u32 queries = shared_base(), base = queries + QUERIES * tile<D>::ROW;
    int head = block_y(), kv_head = head / (a->heads / a->kv_heads), first = block_x() * QUERIES;
    const u16 *k = (const u16 *)a->k + kv_head * a->k_head;
    const u16 *v = (const u16 *)a->v + kv_head * a->v_head;
    int lane = thread_x() & 31, warp = thread_x() >> 5;
    int n = visible_keys(a, first + QUERIES), tiles = (n + KEYS - 1) / KEYS;
    int query = first + warp * 32 + (lane >> 2), edge_from = a->causal ? visible_keys(a, first) : a->n_kv;

    load_tile<D>(queries, (const u16 *)a->q + head * a->q_head, a->q_token, first, a->n_q, QUERIES);
    if (tiles > 0) {
        load_tile<D>(base, k, a->k_token, 0, a->n_kv, KEYS);
        load_tile<D>(base + BYTES, v, a->v_token, 0, a->n_kv, KEYS);
    }
    copy_commit();
    struct rows_state<D> st = {};
    UNROLL for (int m = 0; m < SETS; m++) st.max[m][0] = st.max[m][1] = LOWEST;
    for (int i = 0; i < tiles; i++) {
        u32 at = base + (i & 1) * 2 * BYTES, next = base + (~i & 1) * 2 * BYTES;
        copy_wait<0>();
        sync_block();
        if (i + 1 < tiles) {
            load_tile<D>(next, k, a->k_token, (i + 1) * KEYS, a->n_kv, KEYS);
            load_tile<D>(next + BYTES, v, a->v_token, (i + 1) * KEYS, a->n_kv, KEYS);
        }
        copy_commit();
        float s[SETS][KEYS / 8][4] = {};
        multiply_keys<D>(s, queries + warp * 32 * tile<D>::ROW, at);
        bool edge = a->mask || (i + 1) * KEYS > edge_from;
        UNROLL for (int m = 0; m < SETS; m++)
        {
            mask_scores<KEYS>(s[m], a, query + m * 16, i * KEYS + (lane & 3) * 2, edge);
            soften<D, KEYS>(st.o[m], st.max[m], st.sum[m], s[m]);
        }
        multiply_values<D>(&st, s, at + BYTES);
    }
    UNROLL for (int m = 0; m < SETS; m++)
        UNROLL for (int h = 0; h < 2; h++)
            store_row<D>(st.o[m], st.sum[m][h], a, query + m * 16 + h * 8, head, h);
}

#define ATTENTION(D)                                                     \
    KERNEL BOUNDS(128, 2) void attention_bf16_##D(struct nv_attention a) \
    {                                                                    \
        attend<D>(&a);                                                   \
    }
ATTENTION(64)
ATTENTION(80)
ATTENTION(96)
ATTENTION(112)
ATTENTION(128)

/* ---- float32 ------------------------------------------------------------------------------------------- */

enum { MAX_DIM = 512, WARPS = 4 };

/* Score of the lane's key, -inf where it may not be seen. */
DEVICE float exact_score(const struct nv_attention *a, const float *q, i64 k, int t, int n)
{
    if (n >= a->n_kv || (a->causal && n > t + a->offset))
        return HIDDEN;
    float s = 0.0f;
    for (int d = 0; d < a->head_dim; d++)
        s = __builtin_fmaf(q[d], load(a->k, k + n * a->k_token + d, a->type), s);
    s *= a->scale;
    return a->mask ? s + a->mask[t * a->mask_row + n] : s;
}

KERNEL BOUNDS(128, 1) void attention_exact(struct nv_attention a)
{
    static SHARED float queries[WARPS][MAX_DIM];
    int warp = thread_x() >> 5, lane = thread_x() & 31, head = block_y();
    int t = block_x() * WARPS + warp, kv_head = head / (a.heads / a.kv_heads);
    if (t >= a.n_q)
        return;
    float *q = queries[warp], o[MAX_DIM / 32] = {}, max = LOWEST, sum = 0.0f;
    for (int d = lane; d < a.head_dim; d += 32)
        q[d] = load(a.q, t * a.q_token + head * a.q_head + d, a.type);
    asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
    i64 k = kv_head * a.k_head, v = kv_head * a.v_head;
    for (int n = 0; n < a.n_kv; n += 32) {
        float s = exact_score(&a, q, k, t, n + lane), m = max_of(max, warp_max(s));
        float p = exp_exact(s - m), shrink = exp_exact(max - m);
        p = s == HIDDEN ? 0.0f : p;
        max = m;
        sum = sum * shrink + warp_sum(p);
        UNROLL for (int i = 0; i < MAX_DIM / 32; i++) o[i] *= shrink;
        for (int j = 0; j < 32 && n + j < a.n_kv; j++) {
            float w;
            asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(w) : "f"(p), "r"(j));
            UNROLL for (int i = 0; i < MAX_DIM / 32; i++)
            {
                int d = i * 32 + lane;
                if (d < a.head_dim)
                    o[i] = __builtin_fmaf(w, load(a.v, v + (n + j) * a.v_token + d, a.type), o[i]);
            }
        }
    }
    float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
    UNROLL for (int i = 0; i < MAX_DIM / 32; i++)
    {
        int d = i * 32 + lane;
        if (d < a.head_dim)
            store(a.y, t * a.y_token + head * a.y_head + d, a.y_type, o[i] * inverse);
    }
}

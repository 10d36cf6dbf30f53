/* fake_attention.c - the kernels in C: attention. */
#include "fake_kernels_impl.h"

static bool sees(const struct nv_attention *a, int t, int s)
{
    return !a->causal || s <= t + a->offset;
}

static void attend_one(const struct nv_attention *a, const float *k, const float *v, int t, int h,
                       float *scores)
{
    float q[512], sum = 0, max = -INFINITY;
    double out[512] = {0};
    for (int d = 0; d < a->head_dim; d++)
        q[d] = load(a->q, t * a->q_token + h * a->q_head + d, a->type);
    for (int s = 0; s < a->n_kv; s++) {
        scores[s] = dot(q, k + (long long)s * a->head_dim, a->head_dim) * a->scale;
        if (a->mask)
            scores[s] += a->mask[t * a->mask_row + s];
        if (!sees(a, t, s))
            scores[s] = -INFINITY;
        max = scores[s] > max ? scores[s] : max;
    }
    for (int s = 0; s < a->n_kv; s++) {
        float w = max == -INFINITY ? 0 : expf(scores[s] - max);
        sum += w;
        for (int d = 0; w > 0 && d < a->head_dim; d++)
            out[d] += (double)(w * v[(long long)s * a->head_dim + d]);
    }
    for (int d = 0; d < a->head_dim; d++)
        store(a->y, t * a->y_token + h * a->y_head + d, a->y_type,
              sum > 0 ? (float)out[d] / sum : 0);
}

static float *head_of(const void *p, long long token, long long head, int type, int n, int dim)
{
    float *f = room((long long)n * dim, sizeof *f);
    for (int s = 0; s < n; s++)
        for (int d = 0; d < dim; d++)
            f[(long long)s * dim + d] = load(p, s * token + head + d, type);
    return f;
}

static void attend(const struct nv_attention *a)
{
    float *scores = room(a->n_kv, sizeof *scores);
    for (int h = 0; h < a->heads; h++) {
        long long kv = h / (a->heads / a->kv_heads);
        float *k = head_of(a->k, a->k_token, kv * a->k_head, a->type, a->n_kv, a->head_dim);
        float *v = head_of(a->v, a->v_token, kv * a->v_head, a->type, a->n_kv, a->head_dim);
        for (int t = 0; t < a->n_q; t++)
            attend_one(a, k, v, t, h, scores);
        free(k);
        free(v);
    }
    free(scores);
}

static const char *check_attention(const struct nv_attention *a)
{
    const long long strides[] = {a->q_token, a->q_head,  a->k_token,
                                 a->k_head,  a->v_token, a->v_head};
    if (a->type != NV_BF16)
        return "not bf16";
    for (int i = 0; i < 6; i++)
        if (strides[i] % 8)
            return "a stride is no multiple of 8";
    return at_16_bytes(a->q) && at_16_bytes(a->k) && at_16_bytes(a->v)
               ? NULL
               : "not at a multiple of 16 bytes";
}

static const char *attention_tiles(const struct nv_attention *a, struct fake_grid grid, int dim)
{
    const char *bad = check_attention(a);
    if (bad)
        return bad;
    if (a->head_dim != dim)
        return "another head";
    if (grid.x != divide_up(a->n_q, 128) || grid.y != a->heads)
        return "the grid";
    attend(a);
    return NULL;
}

#define RUN_ATTENTION(D)                                                                           \
    const char *run_attention_bf16_##D(const void *p, struct fake_grid grid)                       \
    {                                                                                              \
        return attention_tiles(p, grid, D);                                                        \
    }
RUN_ATTENTION(64)
RUN_ATTENTION(80)
RUN_ATTENTION(96)
RUN_ATTENTION(112)
RUN_ATTENTION(128)

const char *run_attention_exact(const void *p, struct fake_grid grid)
{
    const struct nv_attention *a = p;
    if (a->head_dim > 512)
        return "a head of more than 512";
    if (grid.x != divide_up(a->n_q, 4) || grid.y != a->heads)
        return "the grid";
    attend(a);
    return NULL;
}

static bool describes_heads(const struct nv_tensor_map *map, const void *p, int tokens, int heads,
                            long long token, long long head)
{
    struct fake_map m = map_of(map);
    return m.p == (uintptr_t)p && m.rank == 3 && m.dims[0] == 128 &&
           m.dims[1] == (uint64_t)tokens && m.dims[2] == (uint64_t)heads &&
           m.strides[0] == (uint64_t)token * 2 && m.strides[1] == (uint64_t)head * 2 &&
           m.box[0] == 64 && m.box[1] == 128 && m.box[2] == 1;
}

const char *run_attention_tma_128(const void *p, struct fake_grid grid)
{
    const struct nv_attention_tma *t = p;
    const struct nv_attention *a = &t->a;
    if (a->mask)
        return "a mask";
    if (t->keys && (*t->keys < 1 || *t->keys > a->n_kv))
        return "the number of keys";
    if (!describes_heads(&t->q_map, a->q, a->n_q, a->heads, a->q_token, a->q_head) ||
        !describes_heads(&t->k_map, a->k, a->n_kv, a->kv_heads, a->k_token, a->k_head) ||
        !describes_heads(&t->v_map, a->v, a->n_kv, a->kv_heads, a->v_token, a->v_head))
        return "a map";
    struct nv_attention there = *a;
    there.n_kv = t->keys ? *t->keys : a->n_kv;
    return attention_tiles(&there, grid, 128);
}

static const char *attention_wide(const struct nv_attention_tma *t, struct fake_grid grid, int dim)
{
    const struct nv_attention *a = &t->a;
    const char *bad = check_attention(a);
    if (bad)
        return bad;
    if (a->head_dim != dim || a->heads != 1 || a->kv_heads != 1)
        return "other heads";
    if (a->mask || a->causal || t->keys)
        return "keys that are hidden";
    if (grid.x != divide_up(a->n_q, 128) || grid.y != 2)
        return "the grid";
    if (!describes(&t->q_map, a->q, NV_BF16, a->n_q, dim, a->q_token, 128) ||
        !describes(&t->k_map, a->k, NV_BF16, a->n_kv, dim, a->k_token, 64) ||
        !describes(&t->v_map, a->v, NV_BF16, a->n_kv, dim, a->v_token, 64))
        return "a map";
    attend(a);
    return NULL;
}

const char *run_attention_tma_512(const void *p, struct fake_grid grid)
{
    return attention_wide(p, grid, 512);
}

const char *run_attention_tma_384(const void *p, struct fake_grid grid)
{
    return attention_wide(p, grid, 384);
}

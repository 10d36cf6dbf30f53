#include "fake_kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static float load(const void *p, long long i, int type)
{
    if (type == NV_F32)
        return ((const float *)p)[i];
    if (type == NV_I32)
        return (float)((const int *)p)[i];
    uint32_t h = ((const uint16_t *)p)[i];
    if (type == NV_BF16) {
        uint32_t u = h << 16;
        float f;
        memcpy(&f, &u, sizeof f);
        return f;
    }
    int exponent = (int)(h >> 10 & 31);
    float m = (float)(h & 1023), s = h >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return m > 0 ? NAN : s * INFINITY;
    return s * (exponent ? ldexpf(1024.0f + m, exponent - 25) : ldexpf(m, -24));
}

static void store(void *p, long long i, int type, float f)
{
    uint32_t u;
    if (type == NV_F32) {
        ((float *)p)[i] = f;
        return;
    }
    if (type == NV_I32) {
        ((int *)p)[i] = (int)f;
        return;
    }
    memcpy(&u, &f, sizeof u);
    if (type == NV_BF16) {
        uint32_t round = u + 0x7fff + (u >> 16 & 1);
        ((uint16_t *)p)[i] = (uint16_t)(isnan(f) ? (u >> 16 | 64) : round >> 16);
        return;
    }
    abort(); /* nothing of ours writes halves */
}

static long long divide_up(long long a, long long b)
{
    return (a + b - 1) / b;
}

static float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static float gelu_tanh(float x)
{
    return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

static void *room(long long n, size_t size)
{
    void *p = calloc((size_t)(n > 0 ? n : 1), size);
    if (!p)
        abort();
    return p;
}

/* ---- products ------------------------------------------------------------------------------------------- */

static float *rows_of(const void *p, long long ld, int type, int rows, int k)
{
    float *f = room((long long)rows * k, sizeof *f);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < k; i++)
            f[(long long)r * k + i] = load(p, r * ld + i, type);
    return f;
}

static float dot(const float *a, const float *b, int n)
{
    float sum[8] = {0}, s = 0;
    int i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        s += a[i] * b[i];
    for (int j = 0; j < 8; j++)
        s += sum[j];
    return s;
}

static float scaled(const struct nv_gemm *g, const float *scales, const float *bias, int n, float s)
{
    s *= g->scale;
    if (scales)
        s *= scales[n];
    return bias ? s + bias[n] : s;
}

static float finished(const struct nv_gemm *g, int m, int n, float s, float up)
{
    s = scaled(g, g->row_scales, g->bias, n, s);
    if (g->act == NV_ACT_SILU)
        s = silu(s);
    if (g->act == NV_ACT_GELU_TANH)
        s = gelu_tanh(s);
    if (g->act == NV_ACT_SWIGLU)
        s = silu(s) * scaled(g, g->row_scales2, g->bias2, n, up);
    if (g->gate)
        s *= g->gate[n];
    return g->residual ? s + load(g->residual, m * g->ldr + n, g->residual_type) : s;
}

static void multiply(const struct nv_gemm *g)
{
    float *x = rows_of(g->x, g->ldx, g->x_type, g->m, g->k);
    float *w = rows_of(g->w, g->ldw, g->w_type, g->n, g->k);
    float *w2 = g->act == NV_ACT_SWIGLU ? rows_of(g->w2, g->ldw, g->w_type, g->n, g->k) : NULL;
    for (int m = 0; m < g->m; m++)
        for (int n = 0; n < g->n; n++) {
            const float *row = x + (long long)m * g->k;
            float up = w2 ? dot(row, w2 + (long long)n * g->k, g->k) : 0;
            float s = finished(g, m, n, dot(row, w + (long long)n * g->k, g->k), up);
            store(g->y, m * g->ldy + n, g->y_type, s);
        }
    free(x);
    free(w);
    free(w2);
}

static bool at_16_bytes(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

static const char *check_bf16(const struct nv_gemm *g)
{
    if (g->x_type != NV_BF16 || g->w_type != NV_BF16)
        return "x or w is not bf16";
    if (g->k % 8 || g->ldx % 8 || g->ldw % 8)
        return "k or a leading dimension is no multiple of 8";
    if (g->tickets || (g->residual && g->residual_type != NV_F32 &&
                       (g->residual_type != NV_BF16 || g->y_type != NV_BF16)))
        return "tickets, or the residual's type";
    if (!at_16_bytes(g->x) || !at_16_bytes(g->w) || !at_16_bytes(g->w2))
        return "x or w is not at a multiple of 16 bytes";
    return NULL;
}

static const char *gemm_tiles(const struct nv_gemm *g, struct fake_grid grid, int tile)
{
    const char *bad = check_bf16(g);
    if (bad)
        return bad;
    if (grid.x != divide_up(g->m, 128) * divide_up(g->n, tile) || grid.y != 1 || grid.z != 1)
        return "the grid";
    multiply(g);
    return NULL;
}

static const char *run_gemm_bf16(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act == NV_ACT_SWIGLU ? "SWIGLU" : gemm_tiles(g, grid, 128);
}

static const char *run_gemm_bf16_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act != NV_ACT_SWIGLU ? "no SWIGLU" : gemm_tiles(g, grid, 64);
}

static const char *run_gemm_bf16_wide(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act == NV_ACT_SWIGLU ? "SWIGLU" : gemm_tiles(g, grid, 256);
}

static const char *run_gemm_bf16_wide_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act != NV_ACT_SWIGLU ? "no SWIGLU" : gemm_tiles(g, grid, 128);
}

static const char *run_gemm_exact(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    if (grid.x != divide_up(g->m, 64) || grid.y != divide_up(g->n, 64))
        return "the grid";
    multiply(g);
    return NULL;
}

static const char *run_gemv(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    if (g->m > 8)
        return "more than eight rows";
    if (grid.x != divide_up(g->n, 8))
        return "the grid";
    multiply(g);
    return NULL;
}

static struct fake_map map_of(const struct nv_tensor_map *m)
{
    struct fake_map f;
    memcpy(&f, m, sizeof f);
    return f;
}

static bool describes(const struct nv_tensor_map *map, const void *p, int rows, int k, long long ld,
                      unsigned box)
{
    struct fake_map m = map_of(map);
    return m.p == (uintptr_t)p && m.rank == 2 && m.dims[0] == (uint64_t)k &&
           m.dims[1] == (uint64_t)rows && m.strides[0] == (uint64_t)ld * 2 && m.box[0] == 64 &&
           m.box[1] == box;
}

static long long in_pairs(long long tiles, struct fake_grid grid)
{
    long long pairs = grid.multiprocessors / 2;
    return 2 * (tiles < pairs ? tiles : pairs);
}

static bool describes_result(const struct nv_gemm_tma *t)
{
    const struct nv_gemm *g = &t->g;
    struct fake_map m = map_of(&t->y_map);
    return m.f32 && m.p == (uintptr_t)g->y && m.dims[0] == (uint64_t)g->n &&
           m.dims[1] == (uint64_t)g->m && m.strides[0] == (uint64_t)g->ldy * 4 && m.box[0] == 32 &&
           m.box[1] == 64 && g->y_type == NV_F32 && g->act == NV_ACT_NONE && g->ldr == g->ldy &&
           g->n % 2 == 0;
}

static const char *tma_tiles(const struct nv_gemm_tma *t, struct fake_grid grid, int tile)
{
    const struct nv_gemm *g = &t->g;
    const char *bad = check_bf16(g);
    if (bad)
        return bad;
    if (!describes(&t->x_map, g->x, g->m, g->k, g->ldx, 128) ||
        !describes(&t->w_map, g->w, g->n, g->k, g->ldw, 64) ||
        (g->act == NV_ACT_SWIGLU && !describes(&t->w2_map, g->w2, g->n, g->k, g->ldw, 64)))
        return "a map";
    if (g->residual == g->y && !describes_result(t))
        return "y's map, or a result that cannot be in place";
    if (grid.x != in_pairs(divide_up(divide_up(g->m, 128), 2) * divide_up(g->n, tile), grid))
        return "the grid";
    multiply(g);
    return NULL;
}

static const char *run_gemm_tma_256(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, grid, 256);
}

static const char *run_gemm_tma_192(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, grid, 192);
}

static const char *run_gemm_tma_128(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, grid, 128);
}

static const char *run_gemm_tma_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm_tma *t = p;
    return t->g.act != NV_ACT_SWIGLU ? "no SWIGLU" : tma_tiles(p, grid, 128);
}

/* Norm and rotation of the heads of a product's row. */
static void finish_heads(const struct nv_gemm_heads_tma *h, const struct nv_heads *part, int token,
                         float *row)
{
    for (int head = 0; head < part->n / 128; head++) {
        float *v = row + head * 128;
        double squares = 0;
        for (int i = 0; i < 128; i++) {
            v[i] += part->bias ? part->bias[head * 128 + i] : 0;
            squares += (double)(v[i] * v[i]);
        }
        float factor = 1.0f / sqrtf((float)(squares / 128) + h->eps);
        for (int i = 0; part->norm && i < 128; i++)
            v[i] *= factor * part->norm[i];
        for (int i = 0; i < 64; i++) {
            int a = h->pairs ? 2 * i : i, b = h->pairs ? 2 * i + 1 : i + 64;
            float c = part->rotate ? h->cos[token * h->ld_table + i] : 1;
            float s = part->rotate ? h->sin[token * h->ld_table + i] : 0;
            long long to = token * part->y_token + head * part->y_head;
            store(part->y, to + a, NV_BF16, v[a] * c - v[b] * s);
            store(part->y, to + b, NV_BF16, v[b] * c + v[a] * s);
        }
    }
}

static const char *run_gemm_tma_heads(const void *p, struct fake_grid grid)
{
    const struct nv_gemm_heads_tma *h = p;
    struct fake_map x = map_of(&h->x_map);
    long long tiles = 0;
    if (x.dims[0] != (uint64_t)h->k || x.dims[1] != (uint64_t)h->m || x.box[1] != 128)
        return "x's map";
    for (int i = 0; i < 3; i++) {
        const struct nv_heads *part = &h->part[i];
        if (part->n == 0)
            continue;
        struct fake_map w = map_of(&h->w_map[i]);
        if (w.dims[0] != (uint64_t)h->k || w.dims[1] != (uint64_t)part->n || w.box[1] != 64)
            return "a weight's map";
        if (part->n % 128 || part->y_token % 8 || part->y_head % 8 || !at_16_bytes(part->y))
            return "a part";
        tiles += divide_up(part->n, 256);
    }
    if (grid.x != in_pairs(divide_up(divide_up(h->m, 128), 2) * tiles, grid))
        return "the grid";
    float *rows =
        rows_of((const void *)(uintptr_t)x.p, (long long)x.strides[0] / 2, NV_BF16, h->m, h->k);
    for (int i = 0; i < 3; i++) {
        int n = h->part[i].n;
        struct fake_map m = map_of(&h->w_map[i]);
        float *w =
            n ? rows_of((const void *)(uintptr_t)m.p, (long long)m.strides[0] / 2, NV_BF16, n, h->k)
              : NULL;
        float *y = room(n, sizeof *y);
        for (int t = 0; n && t < h->m; t++) {
            for (int c = 0; c < n; c++)
                y[c] = dot(rows + (long long)t * h->k, w + (long long)c * h->k, h->k);
            finish_heads(h, &h->part[i], t, y);
        }
        free(w);
        free(y);
    }
    free(rows);
    return NULL;
}

/* ---- attention ------------------------------------------------------------------------------------------- */

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
    static const char *run_attention_bf16_##D(const void *p, struct fake_grid grid)                \
    {                                                                                              \
        return attention_tiles(p, grid, D);                                                        \
    }
RUN_ATTENTION(64)
RUN_ATTENTION(80)
RUN_ATTENTION(96)
RUN_ATTENTION(112)
RUN_ATTENTION(128)

static const char *run_attention_exact(const void *p, struct fake_grid grid)
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

static const char *run_attention_tma_128(const void *p, struct fake_grid grid)
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
    if (!describes(&t->q_map, a->q, a->n_q, dim, a->q_token, 128) ||
        !describes(&t->k_map, a->k, a->n_kv, dim, a->k_token, 64) ||
        !describes(&t->v_map, a->v, a->n_kv, dim, a->v_token, 64))
        return "a map";
    attend(a);
    return NULL;
}

static const char *run_attention_tma_512(const void *p, struct fake_grid grid)
{
    return attention_wide(p, grid, 512);
}

static const char *run_attention_tma_384(const void *p, struct fake_grid grid)
{
    return attention_wide(p, grid, 384);
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

static float norm_factor(const struct nv_norm *n, double squares)
{
    if (n->kind == NV_NORM_L2)
        return 1.0f / fmaxf((float)sqrt(squares), n->eps);
    return 1.0f / sqrtf((float)(squares / n->dim) + n->eps);
}

static void norm_row(const struct nv_norm *n, int r)
{
    double mean = 0, squares = 0;
    for (int i = 0; n->kind == NV_NORM_LAYER && i < n->dim; i++)
        mean += (double)load(n->x, r * n->ldx + i, n->x_type);
    mean /= n->dim;
    for (int i = 0; i < n->dim; i++) {
        double d = (double)load(n->x, r * n->ldx + i, n->x_type) - mean;
        squares += d * d;
    }
    float factor = norm_factor(n, squares);
    for (int i = 0; i < n->dim; i++) {
        float v = (load(n->x, r * n->ldx + i, n->x_type) - (float)mean) * factor;
        if (n->weight)
            v *= n->weight[i];
        if (n->bias)
            v += n->bias[i];
        if (n->scale)
            v *= 1.0f + n->scale[i];
        if (n->shift)
            v += n->shift[i];
        store(n->y, r * n->ldy + i, n->y_type, n->silu ? silu(v) : v);
    }
}

static const char *run_norm(const void *p, struct fake_grid grid)
{
    const struct nv_norm *n = p;
    if (grid.x != n->rows)
        return "the grid";
    for (int r = 0; r < n->rows; r++)
        norm_row(n, r);
    return NULL;
}

static void rope_head(const struct nv_norm_rope *n, int t, int h)
{
    float v[256];
    double squares = 0;
    int half = n->head_dim / 2;
    for (int i = 0; i < n->head_dim; i++) {
        v[i] = load(n->x, t * n->x_token + h * n->x_head + i, n->x_type);
        squares += (double)(v[i] * v[i]);
    }
    float factor = 1.0f / sqrtf((float)(squares / n->head_dim) + n->eps);
    for (int i = 0; n->weight && i < n->head_dim; i++)
        v[i] *= factor * n->weight[i];
    for (int i = 0; i < half; i++) {
        int a = n->pairs ? 2 * i : i, b = n->pairs ? 2 * i + 1 : i + half;
        float c = n->cos ? n->cos[t * n->ld_table + i] : 1,
              s = n->cos ? n->sin[t * n->ld_table + i] : 0;
        long long to = t * n->y_token + h * n->y_head;
        store(n->y, to + a, n->y_type, v[a] * c - v[b] * s);
        store(n->y, to + b, n->y_type, v[b] * c + v[a] * s);
    }
}

static const char *run_norm_rope(const void *p, struct fake_grid grid)
{
    const struct nv_norm_rope *n = p;
    if (n->head_dim > 256 || n->head_dim % 2)
        return "the head";
    if (grid.x != divide_up((long long)n->tokens * n->heads, 8))
        return "the grid";
    for (int t = 0; t < n->tokens; t++)
        for (int h = 0; h < n->heads; h++)
            rope_head(n, t, h);
    return NULL;
}

static float score(const struct nv_softmax *s, int r, int i)
{
    float x = load(s->x, r * s->ldx + i, s->x_type) * s->scale;
    return s->mask ? x + s->mask[r % s->mask_rows * s->ld_mask + i] : x;
}

static const char *run_softmax(const void *p, struct fake_grid grid)
{
    const struct nv_softmax *s = p;
    if (grid.x != s->rows)
        return "the grid";
    for (int r = 0; r < s->rows; r++) {
        float max = -1e30f, sum = 0;
        for (int i = 0; i < s->dim; i++)
            max = fmaxf(max, score(s, r, i));
        for (int i = 0; i < s->dim; i++)
            sum += expf(score(s, r, i) - max);
        for (int i = 0; i < s->dim; i++)
            store(s->y, r * s->ldy + i, s->y_type, expf(score(s, r, i) - max) / sum);
    }
    return NULL;
}

static const char *run_reduce_rows(const void *p, struct fake_grid grid)
{
    const struct nv_reduce *s = p;
    if (grid.x != s->rows)
        return "the grid";
    for (int r = 0; r < s->rows; r++) {
        double sum = 0;
        for (int i = 0; i < s->dim; i++)
            sum += (double)load(s->x, r * s->ldx + i, s->x_type);
        s->y[r] = (float)sum * s->factor;
    }
    return NULL;
}

/* ---- images ------------------------------------------------------------------------------------------------- */

/* Values of x under the kernel at pixel (row, column), [taps, in]. */
static void gather(const struct nv_conv *c, int row, int column, float *f)
{
    for (int tap = 0; tap < c->kh * c->kw; tap++) {
        int y = row * c->stride + tap / c->kw - c->pad_top;
        int x = column * c->stride + tap % c->kw - c->pad_left;
        bool inside = y >= 0 && y < c->height && x >= 0 && x < c->width;
        if (c->up) {
            y >>= 1;
            x >>= 1;
        }
        for (int i = 0; i < c->in; i++) {
            float v = 0;
            if (inside) {
                v = load(c->x, y * c->x_row + x * c->x_column + i * c->x_channel, c->x_type);
                v = c->a ? silu(v * c->a[i] + c->b[i]) : v;
            }
            f[tap * c->in + i] = v;
        }
    }
}

static float *kernel_of(const struct nv_conv *c)
{
    int taps = c->kh * c->kw;
    float *w = room((long long)c->out * taps * c->in, sizeof *w), *to = w;
    for (int o = 0; o < c->out; o++)
        for (int t = 0; t < taps; t++)
            for (int i = 0; i < c->in; i++)
                *to++ = load(c->w, o * c->w_out + t * c->w_tap + i * c->w_in, c->w_type);
    return w;
}

static void convolve(const struct nv_conv *c)
{
    int depth = c->kh * c->kw * c->in;
    float *w = kernel_of(c), *f = room(depth, sizeof *f);
    for (int r = 0; r < c->out_height; r++)
        for (int col = 0; col < c->out_width; col++) {
            gather(c, r, col, f);
            for (int o = 0; o < c->out; o++) {
                long long to = r * c->y_row + col * c->y_column + o * c->y_channel;
                float s = dot(f, w + (long long)o * depth, depth);
                if (c->bias)
                    s += c->bias[o];
                if (c->residual)
                    s += load(c->residual, to, c->residual_type);
                store(c->y, to, c->y_type, s);
            }
        }
    free(w);
    free(f);
}

static const char *run_conv_bf16(const void *p, struct fake_grid grid)
{
    const struct nv_conv *c = p;
    if (c->x_type != NV_BF16 || c->w_type != NV_BF16 || c->in % 8 || c->x_channel != 1 ||
        c->w_in != 1 || c->w_tap != c->in || c->x_row % 8 || c->x_column % 8 || c->a)
        return "operands that it does not take";
    if (!at_16_bytes(c->x) || !at_16_bytes(c->w))
        return "not at a multiple of 16 bytes";
    if (grid.x != divide_up((long long)c->out_height * c->out_width, 128) * divide_up(c->out, 128))
        return "the grid";
    convolve(c);
    return NULL;
}

static const char *run_conv_exact(const void *p, struct fake_grid grid)
{
    const struct nv_conv *c = p;
    if (grid.x != divide_up((long long)c->out_height * c->out_width, 64) ||
        grid.y != divide_up(c->out, 64))
        return "the grid";
    convolve(c);
    return NULL;
}

/* Pixels of an image, eight by sixteen at a time. */
static const char *conv_tma(const struct nv_conv_tma *t, struct fake_grid grid, int tile)
{
    struct fake_map x = map_of(&t->x_map), w = map_of(&t->w_map);
    const struct nv_gemm *g = &t->g;
    long long tiles = divide_up(divide_up(t->out_height, 8) * divide_up(t->out_width, 16), 2);
    if (x.dims[0] != (uint64_t)t->in || x.box[0] != 64 || x.box[1] != 16u * (unsigned)t->stride ||
        x.box[2] != 8u * (unsigned)t->stride || x.steps[1] != (unsigned)t->stride ||
        x.steps[2] != (unsigned)t->stride)
        return "x's map";
    if (w.dims[0] != (uint64_t)t->kh * (uint64_t)t->kw * (uint64_t)t->in ||
        w.dims[1] != (uint64_t)g->n || w.box[0] != 64 || w.box[1] != 64)
        return "w's map";
    if (g->m != t->out_height * t->out_width || t->in % 8)
        return "the sizes";
    if (grid.x != in_pairs(tiles * divide_up(g->n, tile), grid))
        return "the grid";
    struct nv_conv c = {
        .x = (const void *)(uintptr_t)x.p,
        .w = (const void *)(uintptr_t)w.p,
        .bias = g->bias,
        .residual = g->residual,
        .y = g->y,
        .x_row = (long long)x.strides[1] / 2,
        .x_column = (long long)x.strides[0] / 2,
        .x_channel = 1,
        .w_out = (long long)w.strides[0] / 2,
        .w_tap = t->in,
        .w_in = 1,
        .y_row = t->out_width * g->ldy,
        .y_column = g->ldy,
        .y_channel = 1,
        .height = (int)x.dims[2],
        .width = (int)x.dims[1],
        .in = t->in,
        .out_height = t->out_height,
        .out_width = t->out_width,
        .out = g->n,
        .kh = t->kh,
        .kw = t->kw,
        .stride = t->stride,
        .pad_left = t->pad_left,
        .pad_top = t->pad_top,
        .x_type = NV_BF16,
        .w_type = NV_BF16,
        .y_type = g->y_type,
        .residual_type = g->residual_type,
    };
    if (g->residual && g->ldr != g->ldy)
        return "the residual's rows";
    convolve(&c);
    return NULL;
}

static const char *run_conv_tma_256(const void *p, struct fake_grid grid)
{
    return conv_tma(p, grid, 256);
}

static const char *run_conv_tma_128(const void *p, struct fake_grid grid)
{
    return conv_tma(p, grid, 128);
}

static const char *run_channel_sums(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    long long per = divide_up(g->pixels, g->parts);
    if (grid.x != g->parts || grid.y != divide_up(g->channels, 32))
        return "the grid";
    for (int part = 0; part < g->parts; part++)
        for (int c = 0; c < g->channels; c++) {
            double n = 0, mean = 0, squares = 0;
            for (long long i = part * per; i < (part + 1) * per && i < g->pixels; i++) {
                double x = (double)load(g->x, i * g->x_pixel + c * g->x_channel, g->x_type);
                double d = x - mean;
                n += 1;
                mean += d / n;
                squares += d * (x - mean);
            }
            float *s = g->state + ((long long)part * g->channels + c) * 3;
            s[0] = (float)n;
            s[1] = (float)mean;
            s[2] = (float)squares;
        }
    return NULL;
}

struct sums {
    double n, mean, squares;
};

static void join(struct sums *a, double n, double mean, double squares)
{
    double all = a->n + n, d = mean - a->mean;
    if (all == 0)
        return;
    a->squares += squares + d * d * a->n * n / all;
    a->mean += d * n / all;
    a->n = all;
}

static const char *run_channel_moments(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    if (grid.x != divide_up(g->channels, 32))
        return "the grid";
    for (int c = 0; c < g->channels; c++) {
        struct sums s = {0};
        for (int part = 0; part < g->parts; part++) {
            const float *f = g->state + ((long long)part * g->channels + c) * 3;
            join(&s, (double)f[0], (double)f[1], (double)f[2]);
        }
        g->moments[c] = (float)s.mean;
        g->moments[g->channels + c] = (float)s.squares;
    }
    return NULL;
}

static const char *run_group_scales(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    int per = g->channels / g->groups;
    if (grid.x != g->groups)
        return "the grid";
    for (int i = 0; i < g->groups; i++) {
        struct sums s = {0};
        for (int c = i * per; c < (i + 1) * per; c++)
            join(&s, (double)g->pixels, (double)g->moments[c], (double)g->moments[g->channels + c]);
        float rstd = 1.0f / sqrtf((float)(s.squares / s.n) + g->eps);
        for (int c = i * per; c < (i + 1) * per; c++) {
            float a = g->weight ? g->weight[c] * rstd : rstd;
            g->scales[c] = a;
            g->scales[g->channels + c] = (g->bias ? g->bias[c] : 0) - (float)s.mean * a;
        }
    }
    return NULL;
}

static const char *run_group_apply(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    (void)grid;
    for (long long i = 0; i < g->pixels; i++)
        for (int c = 0; c < g->channels; c++) {
            float x = load(g->x, i * g->x_pixel + c * g->x_channel, g->x_type);
            x = x * g->scales[c] + g->scales[g->channels + c];
            store(g->y, i * g->y_pixel + c * g->y_channel, g->y_type, g->silu ? silu(x) : x);
        }
    return NULL;
}

/* ---- one element at a time ------------------------------------------------------------------------------------ */

static float applied(int op, const float *p, float a, float b)
{
    switch (op) {
    case NV_MAP_ADD:
        return a + b;
    case NV_MAP_SUB:
        return a - b;
    case NV_MAP_MUL:
        return a * b;
    case NV_MAP_DIV:
        return a / b;
    case NV_MAP_SCALE:
        return a * p[0] + p[1];
    case NV_MAP_SILU:
        return silu(a);
    case NV_MAP_SIGMOID:
        return 1.0f / (1.0f + expf(-a));
    case NV_MAP_TANH:
        return tanhf(a);
    case NV_MAP_GELU_TANH:
        return gelu_tanh(a);
    case NV_MAP_GELU_ERF:
        return 0.5f * a * (1.0f + erff(a * 0.70710678f));
    case NV_MAP_RELU:
        return fmaxf(a, 0);
    case NV_MAP_EXP:
        return expf(a);
    case NV_MAP_NEG:
        return -a;
    case NV_MAP_ABS:
        return fabsf(a);
    case NV_MAP_SQR:
        return a * a;
    case NV_MAP_SQRT:
        return sqrtf(a);
    case NV_MAP_CLAMP:
        return fminf(fmaxf(a, p[0]), p[1]);
    case NV_MAP_SILU_MUL:
        return silu(a) * b;
    default:
        return a;
    }
}

static float at(const struct nv_map_source *s, const long long *i)
{
    long long offset = 0;
    for (int d = 0; d < 4; d++)
        offset += (s->ne[d] ? i[d] % s->ne[d] : 0) * s->nb[d];
    return load((const char *)s->p + offset, 0, s->type);
}

static float moved(const struct nv_map *m, const long long *i)
{
    long long from[4];
    for (int d = 0; d < 4; d++) {
        if (m->op == NV_MAP_UPSCALE) {
            from[d] = i[d] / m->q[d];
            continue;
        }
        from[d] = i[d] - m->q[d];
        if (m->op == NV_MAP_ROLL)
            from[d] = (from[d] % m->ne[d] + m->ne[d]) % m->ne[d];
        if (from[d] < 0 || from[d] >= m->a.ne[d])
            return 0;
    }
    return at(&m->a, from);
}

static float value(const struct nv_map *m, const long long *i)
{
    switch (m->op) {
    case NV_MAP_ARANGE:
        return m->p[0] + (float)i[0] * m->p[1];
    case NV_MAP_FILL:
        return m->p[0];
    case NV_MAP_PAD:
    case NV_MAP_ROLL:
    case NV_MAP_UPSCALE:
        return moved(m, i);
    default:
        return applied(m->op, m->p, at(&m->a, i), m->b.p ? at(&m->b, i) : 0);
    }
}

static const char *run_map(const void *p, struct fake_grid grid)
{
    const struct nv_map *m = p;
    (void)grid;
    if (m->op == NV_MAP_GATHER)
        return "gathering, which nobody does";
    long long i[4];
    for (i[3] = 0; i[3] < m->ne[3]; i[3]++)
        for (i[2] = 0; i[2] < m->ne[2]; i[2]++)
            for (i[1] = 0; i[1] < m->ne[1]; i[1]++)
                for (i[0] = 0; i[0] < m->ne[0]; i[0]++) {
                    long long to =
                        i[0] * m->nb[0] + i[1] * m->nb[1] + i[2] * m->nb[2] + i[3] * m->nb[3];
                    store((char *)m->y + to, 0, m->y_type, value(m, i));
                }
    return NULL;
}

static int number_of(const unsigned char *block, int kind, int i)
{
    const unsigned char *q = block + (kind == NV_BLOCKS_Q5_0 ? 6 : 2);
    if (kind == NV_BLOCKS_Q8_0)
        return (signed char)q[i];
    int low = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    if (kind == NV_BLOCKS_Q4_0)
        return low - 8;
    return (low | (block[2 + i / 8] >> i % 8 & 1) << 4) - 16;
}

static const char *run_unpack(const void *p, struct fake_grid grid)
{
    const struct nv_unpack *u = p;
    int bytes = u->kind == NV_BLOCKS_Q8_0 ? 34 : u->kind == NV_BLOCKS_Q5_0 ? 22 : 18;
    (void)grid;
    if (u->kind < NV_BLOCKS_Q4_0 || u->kind > NV_BLOCKS_Q8_0)
        return "another kind of blocks";
    if ((uintptr_t)u->x % 2 || (uintptr_t)u->y % 8)
        return "not at a multiple of 2 bytes, and of 8";
    for (long long b = 0; b < u->blocks; b++) {
        const unsigned char *block = (const unsigned char *)u->x + b * bytes;
        float d = load(block, 0, NV_F16);
        for (int i = 0; i < 32; i++)
            store(u->y, b * 32 + i, NV_BF16, d * (float)number_of(block, u->kind, i));
    }
    return NULL;
}

static const char *run_transpose(const void *p, struct fake_grid grid)
{
    const struct nv_transpose *t = p;
    if (grid.x != divide_up(t->cols, 32) || grid.y != divide_up(t->rows, 32))
        return "the grid";
    for (long long b = 0; b < grid.z; b++)
        for (long long r = 0; r < t->rows; r++)
            for (long long c = 0; c < t->cols; c++)
                store(t->y, b * t->y_batch + c * t->ldy + r, t->y_type,
                      load(t->x, b * t->x_batch + r * t->ldx + c, t->x_type));
    return NULL;
}

const struct fake_kernel fake_kernels[] = {
#define NV_KERNEL(module, name, architecture, parameters, threads, shared)                         \
    {#module, #name, architecture, threads, shared, sizeof(struct parameters), run_##name},
    NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL
};
const int fake_kernel_count = (int)(sizeof fake_kernels / sizeof fake_kernels[0]);

/* fake_gemm.c - the kernels in C: products. */
#include "fake_kernels_impl.h"

static float *rows_of(const void *p, long long ld, int type, int rows, int k)
{
    float *f = room((long long)rows * k, sizeof *f);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < k; i++)
            f[(long long)r * k + i] = load(p, r * ld + i, type);
    return f;
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
            float factor = g->x_scales ? g->x_scales[m * g->ld_scales] : 1;
            float up = w2 ? dot(row, w2 + (long long)n * g->k, g->k) : 0;
            float s =
                finished(g, m, n, factor * dot(row, w + (long long)n * g->k, g->k), factor * up);
            store(g->y, m * g->ldy + n, g->y_type, s);
        }
    free(x);
    free(w);
    free(w2);
}

static const char *check_operands(const struct nv_gemm *g, int type)
{
    int piece = type == NV_BF16 ? 8 : 16;
    if (g->x_type != type || g->w_type != type)
        return "the type of x or w";
    if (g->k % piece || g->ldx % piece || g->ldw % piece)
        return "k or a leading dimension is no multiple of 16 bytes";
    if ((type != NV_BF16) != (g->x_scales != NULL) || (g->x_scales && !g->row_scales) ||
        (g->x_scales && g->act == NV_ACT_SWIGLU && !g->row_scales2))
        return "scales";
    if ((g->tickets && g->residual != g->y) ||
        (g->residual && g->residual_type != NV_F32 &&
         (g->residual_type != NV_BF16 || g->y_type != NV_BF16)))
        return "tickets that are not in place, or the residual's type";
    if (!at_16_bytes(g->x) || !at_16_bytes(g->w) || !at_16_bytes(g->w2))
        return "x or w is not at a multiple of 16 bytes";
    return NULL;
}

static const char *gemm_tiles(const struct nv_gemm *g, int type, struct fake_grid grid, int tile)
{
    const char *bad = check_operands(g, type);
    if (bad)
        return bad;
    if (g->tickets)
        return "tickets";
    if (grid.x != divide_up(g->m, 128) * divide_up(g->n, tile) || grid.y != 1 || grid.z != 1)
        return "the grid";
    multiply(g);
    return NULL;
}

const char *run_gemm_bf16(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act == NV_ACT_SWIGLU ? "SWIGLU" : gemm_tiles(g, NV_BF16, grid, 128);
}

const char *run_gemm_bf16_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act != NV_ACT_SWIGLU ? "no SWIGLU" : gemm_tiles(g, NV_BF16, grid, 64);
}

const char *run_gemm_bf16_wide(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act == NV_ACT_SWIGLU ? "SWIGLU" : gemm_tiles(g, NV_BF16, grid, 256);
}

const char *run_gemm_bf16_wide_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act != NV_ACT_SWIGLU ? "no SWIGLU" : gemm_tiles(g, NV_BF16, grid, 128);
}

const char *run_gemm_exact(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    if (grid.x != divide_up(g->m, 64) || grid.y != divide_up(g->n, 64))
        return "the grid";
    multiply(g);
    return NULL;
}

const char *run_gemv(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    if (g->m > 8)
        return "more than eight rows";
    if (grid.x != divide_up(g->n, 8))
        return "the grid";
    multiply(g);
    return NULL;
}

const char *run_gemv_eight(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    if (g->w_type != NV_I8 && g->w_type != NV_F8)
        return "w's type";
    if ((g->x_type != NV_F32 && g->x_type != NV_BF16) || g->ldx % 4 || !at_16_bytes(g->x))
        return "x";
    if (g->k % 16 || g->ldw % 16 || !at_16_bytes(g->w) || !at_16_bytes(g->w2))
        return "w is not in whole 16 bytes";
    return run_gemv(p, grid);
}

static bool describes_result(const struct nv_gemm_tma *t)
{
    const struct nv_gemm *g = &t->g;
    struct fake_map m = map_of(&t->y_map);
    return m.type == FAKE_MAP_F32 && m.p == (uintptr_t)g->y && m.dims[0] == (uint64_t)g->n &&
           m.dims[1] == (uint64_t)g->m && m.strides[0] == (uint64_t)g->ldy * 4 && m.box[0] == 32 &&
           m.box[1] == 64 && g->y_type == NV_F32 && g->act == NV_ACT_NONE && g->ldr == g->ldy &&
           g->n % 2 == 0;
}

static bool all_zeros(const int *p, long long n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

static const char *tma_tiles(const struct nv_gemm_tma *t, int type, struct fake_grid grid, int tile)
{
    const struct nv_gemm *g = &t->g;
    const char *bad = check_operands(g, type);
    if (bad)
        return bad;
    if (!describes(&t->x_map, g->x, type, g->m, g->k, g->ldx, 128) ||
        !describes(&t->w_map, g->w, type, g->n, g->k, g->ldw, 64) ||
        (g->act == NV_ACT_SWIGLU && !describes(&t->w2_map, g->w2, type, g->n, g->k, g->ldw, 64)))
        return "a map";
    if (g->residual == g->y && !describes_result(t))
        return "y's map, or a result that cannot be in place";
    long long tiles = divide_up(g->m, 256) * divide_up(g->n, tile);
    if (g->tickets && !all_zeros(g->tickets, 4 * tiles))
        return "tickets are not zeros";
    if (grid.x != in_pairs(g->tickets ? grid.multiprocessors : tiles, grid))
        return "the grid";
    multiply(g);
    return NULL;
}

const char *run_gemm_tma_256(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, NV_BF16, grid, 256);
}

const char *run_gemm_tma_192(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, NV_BF16, grid, 192);
}

const char *run_gemm_tma_128(const void *p, struct fake_grid grid)
{
    return tma_tiles(p, NV_BF16, grid, 128);
}

const char *run_gemm_tma_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm_tma *t = p;
    return t->g.act != NV_ACT_SWIGLU ? "no SWIGLU" : tma_tiles(p, NV_BF16, grid, 128);
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

static const char *heads_of(const struct nv_gemm_heads_tma *h, int type, struct fake_grid grid)
{
    int bytes = type == NV_BF16 ? 2 : 1;
    if ((type != NV_BF16) != (h->x_scales != NULL))
        return "scales";
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
        if (h->x_scales && !part->row_scales)
            return "a part without scales";
        if (part->n % 128 || part->y_token % 8 || part->y_head % 8 || !at_16_bytes(part->y))
            return "a part";
        tiles += divide_up(part->n, 256);
    }
    if (grid.x != in_pairs(divide_up(divide_up(h->m, 128), 2) * tiles, grid))
        return "the grid";
    float *rows =
        rows_of((const void *)(uintptr_t)x.p, (long long)x.strides[0] / bytes, type, h->m, h->k);
    for (int i = 0; i < 3; i++) {
        int n = h->part[i].n;
        struct fake_map m = map_of(&h->w_map[i]);
        float *w = n ? rows_of((const void *)(uintptr_t)m.p, (long long)m.strides[0] / bytes, type,
                               n, h->k)
                     : NULL;
        float *y = room(n, sizeof *y);
        for (int t = 0; n && t < h->m; t++) {
            float factor = h->x_scales ? h->x_scales[t * h->ld_scales] : 1;
            for (int c = 0; c < n; c++) {
                float column = h->part[i].row_scales ? h->part[i].row_scales[c] : 1;
                y[c] = factor * column *
                       dot(rows + (long long)t * h->k, w + (long long)c * h->k, h->k);
            }
            finish_heads(h, &h->part[i], t, y);
        }
        free(w);
        free(y);
    }
    free(rows);
    return NULL;
}

const char *run_gemm_tma_heads(const void *p, struct fake_grid grid)
{
    return heads_of(p, NV_BF16, grid);
}

#define EIGHT_BITS(word, type)                                                                     \
    const char *run_gemm_tma_##word##_256(const void *p, struct fake_grid grid)                    \
    {                                                                                              \
        return tma_tiles(p, type, grid, 256);                                                      \
    }                                                                                              \
    const char *run_gemm_tma_##word##_128(const void *p, struct fake_grid grid)                    \
    {                                                                                              \
        return tma_tiles(p, type, grid, 128);                                                      \
    }                                                                                              \
    const char *run_gemm_tma_##word##_swiglu(const void *p, struct fake_grid grid)                 \
    {                                                                                              \
        const struct nv_gemm_tma *t = p;                                                           \
        return t->g.act != NV_ACT_SWIGLU ? "no SWIGLU" : tma_tiles(p, type, grid, 128);            \
    }                                                                                              \
    const char *run_gemm_tma_heads_##word(const void *p, struct fake_grid grid)                    \
    {                                                                                              \
        return heads_of(p, type, grid);                                                            \
    }
EIGHT_BITS(s8, NV_I8)
EIGHT_BITS(f8, NV_F8)

const char *run_gemm_s8(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act == NV_ACT_SWIGLU ? "SWIGLU" : gemm_tiles(g, NV_I8, grid, 128);
}

const char *run_gemm_s8_swiglu(const void *p, struct fake_grid grid)
{
    const struct nv_gemm *g = p;
    return g->act != NV_ACT_SWIGLU ? "no SWIGLU" : gemm_tiles(g, NV_I8, grid, 64);
}

/* attention.c - softmax(scale q k^T + mask) v.
 *
 * Heads of up to 128 go through a fused kernel, and so does the one wide head of autoencoders on sm_90. Elsewhere that goes
 * through plain products, a band of queries at a time, whose scores are scratch. In exact graphs everything is float32. */
#include "nn/nvidia/nodes.h"

enum { Q, K, V, MASK, KEYS, SOURCES };
enum { TILE = 128, BAND_BYTES = 96 << 20 };

struct params {
    float scale;
    int causal;
    int bands; /* scores lie in scratch */
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static struct nv_attention attention_of(const struct ggml_tensor *t)
{
    const struct ggml_tensor *q = t->src[Q], *k = t->src[K], *v = t->src[V], *mask = t->src[MASK];
    struct params p;
    nv_params_of(t, &p, sizeof p);
    return (struct nv_attention){
        .q = q->data,
        .k = k->data,
        .v = v->data,
        .mask = mask ? mask->data : NULL,
        .y = t->data,
        .q_token = nv_stride(q, 2),
        .q_head = nv_stride(q, 1),
        .k_token = nv_stride(k, 2),
        .k_head = nv_stride(k, 1),
        .v_token = nv_stride(v, 2),
        .v_head = nv_stride(v, 1),
        .y_token = nv_stride(t, 1),
        .y_head = q->ne[0],
        .mask_row = mask ? nv_stride(mask, 1) : 0,
        .n_q = (int)q->ne[2],
        .n_kv = (int)k->ne[2],
        .heads = (int)q->ne[1],
        .kv_heads = (int)k->ne[1],
        .head_dim = (int)q->ne[0],
        .causal = p.causal,
        .offset = (int)(k->ne[2] - q->ne[2]),
        .type = nv_type_of(q),
        .y_type = nv_type_of(t),
        .scale = p.scale,
    };
}

/* ---- heads of 64 to 128 ------------------------------------------------------------------------------------ */

static int fused_kernel(int head_dim)
{
    switch (head_dim) {
    case 64:
        return NV_KERNEL_attention_bf16_64;
    case 80:
        return NV_KERNEL_attention_bf16_80;
    case 96:
        return NV_KERNEL_attention_bf16_96;
    case 112:
        return NV_KERNEL_attention_bf16_112;
    case 128:
        return NV_KERNEL_attention_bf16_128;
    default:
        return -1;
    }
}

/* What the matrix units can read: pieces of 16 bytes. */
static bool aligned(const struct nv_attention *a)
{
    const int64_t strides[] = {a->q_token, a->q_head, a->k_token, a->k_head, a->v_token, a->v_head};
    for (int i = 0; i < 6; i++)
        if (strides[i] % 8 != 0)
            return false;
    return ((uintptr_t)a->q | (uintptr_t)a->k | (uintptr_t)a->v) % 16 == 0 && a->y_token % 2 == 0 &&
           a->y_head % 2 == 0;
}

static enum err_code heads_map(const struct nv_job *j, const void *p, int tokens, int heads,
                               int64_t token, int64_t head, struct nv_tensor_map *out)
{
    const struct nv_map_spec s = {
        .p = (nv_ptr)(uintptr_t)p,
        .columns = TILE,
        .rows = (uint64_t)tokens,
        .outer = (uint64_t)heads,
        .row_stride = (uint64_t)token,
        .outer_stride = (uint64_t)head,
        .box_columns = 64,
        .box_rows = TILE,
    };
    return nv_tensor_map_make(j->card, &s, out, j->e);
}

static enum err_code launch_tma(const struct nv_job *j, const struct nv_attention *a)
{
    const struct ggml_tensor *keys = j->t->src[KEYS];
    struct nv_attention_tma p = {.a = *a, .keys = keys ? keys->data : NULL};
    TRY(heads_map(j, a->q, a->n_q, a->heads, a->q_token, a->q_head, &p.q_map));
    TRY(heads_map(j, a->k, a->n_kv, a->kv_heads, a->k_token, a->k_head, &p.k_map));
    TRY(heads_map(j, a->v, a->n_kv, a->kv_heads, a->v_token, a->v_head, &p.v_map));
    return nv_launch(j->card, NV_KERNEL_attention_tma_128,
                     (struct nv_grid){.x = divide_up(a->n_q, TILE), .y = a->heads}, &p, j->e);
}

static enum err_code launch_fused(const struct nv_job *j, struct nv_attention *a)
{
    int k = a->type == NV_BF16 && aligned(a) ? fused_kernel(a->head_dim) : -1;
    if (k < 0)
        return nv_launch(j->card, NV_KERNEL_attention_exact,
                         (struct nv_grid){.x = divide_up(a->n_q, 4), .y = a->heads}, a, j->e);
    if (nv_card_architecture(j->card) >= 90 && a->head_dim == TILE && !a->mask)
        return launch_tma(j, a);
    return nv_launch(j->card, (enum nv_kernel)k,
                     (struct nv_grid){.x = divide_up(a->n_q, TILE), .y = a->heads}, a, j->e);
}

/* ---- one wide head ------------------------------------------------------------------------------------------- */

/* Only large ones: exact graphs are small, and few queries need no matrix units. */
static bool is_wide(struct ggml_tensor *const *src)
{
    const struct ggml_tensor *q = src[Q], *k = src[K];
    return q->type == GGML_TYPE_BF16 && q->ne[0] > TILE && q->ne[0] % 8 == 0 && q->ne[1] == 1 &&
           k->ne[1] == 1 && !src[MASK];
}

/* Decided when the node is made, since it says what scratch there is. */
static bool goes_in_bands(const struct ggml_tensor *t)
{
    struct params p;
    nv_params_of(t, &p, sizeof p);
    return p.bands;
}

/* Of which there is a fused kernel on sm_90, where tokens lie at multiples of 16 bytes. */
static bool is_wide_and_fused(struct ggml_tensor *const *src)
{
    bool aligned = true;
    for (int i = Q; i <= V; i++)
        aligned = aligned && src[i]->nb[2] % 16 == 0 && src[i]->view_offs % 16 == 0;
    return aligned && is_wide(src) && (src[Q]->ne[0] == 512 || src[Q]->ne[0] == 384);
}

static enum err_code launch_wide(const struct nv_job *j, const struct nv_attention *a)
{
    struct nv_attention_tma p = {.a = *a};
    TRY(nv_rows_map(j, a->q, NV_BF16, a->head_dim, a->n_q, a->q_token, 128, &p.q_map));
    TRY(nv_rows_map(j, a->k, NV_BF16, a->head_dim, a->n_kv, a->k_token, 64, &p.k_map));
    TRY(nv_rows_map(j, a->v, NV_BF16, a->head_dim, a->n_kv, a->v_token, 64, &p.v_map));
    return nv_launch(j->card,
                     a->head_dim == 512 ? NV_KERNEL_attention_tma_512 : NV_KERNEL_attention_tma_384,
                     (struct nv_grid){.x = divide_up(a->n_q, TILE), .y = 2}, &p, j->e);
}

/* Scratch of a band: scores in float32, their softmax in bf16; and the values, transposed, of all keys. */
struct bands {
    int64_t keys, queries; /* padded keys; queries of a band */
    size_t scores, weights, values;
};

static size_t pad(size_t n)
{
    return (n + 255) / 256 * 256;
}

static struct bands bands_of(const struct ggml_tensor *t)
{
    const struct ggml_tensor *q = t->src[Q], *k = t->src[K];
    struct bands b = {.keys = divide_up(k->ne[2], 8) * 8};
    int64_t fit = BAND_BYTES / (6 * b.keys) / TILE * TILE;
    b.queries = fit < TILE ? TILE : fit;
    b.queries = b.queries < q->ne[2] ? b.queries : q->ne[2];
    b.scores = pad((size_t)(b.queries * b.keys) * 4);
    b.weights = pad((size_t)(b.queries * b.keys) * 2);
    b.values = pad((size_t)(b.keys * q->ne[0]) * 2);
    return b;
}

static size_t scratch(const struct ggml_tensor *t)
{
    if (!goes_in_bands(t))
        return 0;
    struct bands b = bands_of(t);
    return b.scores + b.weights + b.values;
}

static enum err_code transpose_values(const struct nv_job *j, const struct nv_attention *a,
                                      const struct bands *b, void *values)
{
    struct nv_transpose p = {
        .x = a->v,
        .y = values,
        .ldx = a->v_token,
        .ldy = b->keys,
        .rows = a->n_kv,
        .cols = a->head_dim,
        .x_type = NV_BF16,
        .y_type = NV_BF16,
    };
    return nv_launch(j->card, NV_KERNEL_transpose,
                     (struct nv_grid){.x = divide_up(p.cols, 32), .y = divide_up(p.rows, 32)}, &p,
                     j->e);
}

static enum err_code launch_band(const struct nv_job *j, const struct nv_attention *a,
                                 const struct bands *b, int64_t first, char *at)
{
    int n = (int)(a->n_q - first < b->queries ? a->n_q - first : b->queries);
    char *weights = at + b->scores, *values = weights + b->weights;
    size_t y_bytes = a->y_type == NV_BF16 ? 2 : 4;
    struct nv_gemm scores = {
        .x = (const char *)a->q + (size_t)(first * a->q_token) * 2,
        .w = a->k,
        .y = at,
        .ldx = a->q_token,
        .ldw = a->k_token,
        .ldy = b->keys,
        .m = n,
        .n = a->n_kv,
        .k = a->head_dim,
        .scale = 1.0f,
        .x_type = NV_BF16,
        .w_type = NV_BF16,
        .y_type = NV_F32,
    };
    struct nv_softmax soft = {
        .x = at,
        .y = weights,
        .ldx = b->keys,
        .ldy = b->keys,
        .rows = n,
        .dim = a->n_kv,
        .mask_rows = 1,
        .x_type = NV_F32,
        .y_type = NV_BF16,
        .scale = a->scale,
    };
    struct nv_gemm sums = {
        .x = weights,
        .w = values,
        .y = (char *)a->y + (size_t)(first * a->y_token) * y_bytes,
        .ldx = b->keys,
        .ldw = b->keys,
        .ldy = a->y_token,
        .m = n,
        .n = a->head_dim,
        .k = a->n_kv,
        .scale = 1.0f,
        .x_type = NV_BF16,
        .w_type = NV_BF16,
        .y_type = a->y_type,
    };
    TRY(nv_gemm_launch(j, &scores));
    TRY(nv_launch(j->card, NV_KERNEL_softmax, (struct nv_grid){.x = n}, &soft, j->e));
    return nv_gemm_launch(j, &sums);
}

static enum err_code launch_bands(const struct nv_job *j, const struct nv_attention *a)
{
    struct bands b = bands_of(j->t);
    char *at = (char *)(uintptr_t)j->scratch;
    TRY(transpose_values(j, a, &b, at + b.scores + b.weights));
    for (int64_t first = 0; first < a->n_q; first += b.queries)
        TRY(launch_band(j, a, &b, first, at));
    return ERR_OK;
}

/* ---- the node -------------------------------------------------------------------------------------------------- */

static enum err_code launch(const struct nv_job *j)
{
    struct nv_attention a = attention_of(j->t);
    if (goes_in_bands(j->t))
        return launch_bands(j, &a);
    return is_wide(j->t->src) ? launch_wide(j, &a) : launch_fused(j, &a);
}

static double flops(const struct ggml_tensor *t)
{
    return 4.0 * (double)ggml_nelements(t) * (double)t->src[K]->ne[2];
}

static const struct nv_op op_attention = {
    .name = "attention", .launch = launch, .scratch = scratch, .flops = flops, .strided = true};

/* Of the type of products, values of a head side by side. */
static struct ggml_tensor *prepare(struct nn_graph *g, struct ggml_tensor *x)
{
    enum ggml_type type = nv_product_type(g);
    return x->type == type && x->nb[0] == ggml_element_size(x) ? x : nv_as(g, x, type);
}

/* Whether the kernel that counts keys takes it. */
static bool counts_keys(const struct nn_graph *g, const struct ggml_tensor *q)
{
    return nv_card_architecture(nn_device_card(g->device)) >= 90 && !g->exact && q->ne[0] == TILE;
}

struct ggml_tensor *nv_attend(struct nn_graph *g, const struct nv_attend *a)
{
    if (!nv_is_on(g))
        return NULL;
    bool counted = a->keys && counts_keys(g, a->q);
    struct ggml_tensor *mask = counted ? NULL : a->mask;
    if (mask && mask->type != GGML_TYPE_F32)
        mask = nv_as(g, mask, GGML_TYPE_F32);
    struct ggml_tensor *src[SOURCES] = {prepare(g, a->q), prepare(g, a->k), prepare(g, a->v), mask,
                                        counted ? a->keys : NULL};
    bool fused = nv_card_architecture(nn_device_card(g->device)) >= 90 && is_wide_and_fused(src);
    const struct params p = {
        .scale = a->scale, .causal = a->causal, .bands = is_wide(src) && !fused};
    return nv_node_new(g, &(struct nv_node){.op = &op_attention,
                                            .type = nv_product_type(g),
                                            .ne = {a->q->ne[0] * a->q->ne[1], a->q->ne[2], 1, 1},
                                            .src = src,
                                            .n_src = SOURCES,
                                            .params = &p,
                                            .params_bytes = sizeof p});
}

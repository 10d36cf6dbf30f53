/* attention.c - softmax(scale q k^T + mask) v in tiles, with an online softmax.
 *
 * A unit of work is a head times a tile of queries. It walks the keys in tiles: the scores of a tile are one
 * product, their exponentials (bf16 where the processor has it) times the values a second one, which adds to
 * the tile's sums; when a row's greatest score grows, its earlier sums are scaled down. Tiles that the mask
 * hides completely are skipped: half of all work where the mask is causal. Memory: one tile a
 * thread, whatever the number of tokens. */
#include <math.h>
#include <string.h>

#include "nn/cpu/choice.h"
#include "nn/cpu/gemm.h"
#include "nn/cpu/nodes.h"
#include "nn/cpu/product.h"

enum { QUERIES = 128, KEYS = 512 }; /* a tile's scores, 256 KiB, stay in the second-level cache */
/* With products of our own, which pack keys and values once for a tile of queries: as much of both stays there. */
enum { OWN_QUERIES = 192, OWN_KEYS = 256, MOST_QUERIES = OWN_QUERIES };
enum { SCORES, VALUES, PRODUCTS };

struct job {
    const struct ggml_tensor *q, *k, *v, *mask, *scratch;
    struct ggml_tensor *dst;
    float scale;
    int64_t dim, heads, group; /* group: heads that share keys and values */
    int64_t n_q, n_kv, q_tile, q_tiles, kv_tile, kv_tiles;
    bool bf16;
    bool own; /* products by gemm.h */
};

struct worker {
    const struct job *j;
    const struct onednn *d;
    const struct vec *v;
    const struct gemm *gemm;
    struct product products[PRODUCTS][2][2];
    bool made[PRODUCTS][2][2];
    float *scores, *sums; /* [queries, keys], [queries, dim] */
    void *p;              /* [queries, keys]; the scores' own place in float32 */
    float max[MOST_QUERIES], l[MOST_QUERIES]; /* greatest score, sum of exponentials of each row */
    float *packed;                            /* own: the keys or values of a tile */
    unsigned char *product_scratch;
};

/* ---- shape and scratch ------------------------------------------------------------------------------- */

static void plan(struct job *j)
{
    int64_t queries = j->own ? OWN_QUERIES : QUERIES, keys = j->own ? OWN_KEYS : KEYS;
    j->q_tile = j->n_q < queries ? j->n_q : queries;
    j->q_tiles = (j->n_q + j->q_tile - 1) / j->q_tile;
    j->kv_tile = j->n_kv < keys ? j->n_kv : keys;
    while (!j->own && j->kv_tile > 2 && j->n_kv % j->kv_tile == 1) /* see product.h */
        j->kv_tile--;
    j->kv_tiles = (j->n_kv + j->kv_tile - 1) / j->kv_tile;
}

static void read_job(struct job *j, struct ggml_tensor *dst, const void *user)
{
    bool masked = nn_cpu_low(user) != 0;
    memset(j, 0, sizeof *j);
    j->dst = dst;
    j->q = dst->src[0];
    j->k = dst->src[1];
    j->v = dst->src[2];
    j->mask = masked ? dst->src[3] : NULL;
    j->scratch = dst->src[masked ? 4 : 3];
    j->scale = nn_cpu_high(user);
    j->dim = j->q->ne[0];
    j->heads = j->q->ne[1];
    j->group = j->heads / j->k->ne[1];
    j->n_q = j->q->ne[2];
    j->n_kv = j->k->ne[2];
    j->bf16 = j->q->type == GGML_TYPE_BF16;
    j->own = !j->bf16 && j->dim <= GEMM_DEPTH && nn_cpu_own(NN_CPU_WORK_F32);
    plan(j);
}

static size_t scores_bytes(const struct job *j)
{
    return nn_cpu_pad((size_t)(j->q_tile * j->kv_tile) * sizeof(float));
}

static size_t p_bytes(const struct job *j)
{
    return j->bf16 ? scores_bytes(j) / 2 : 0;
}

static size_t sums_bytes(const struct job *j)
{
    return nn_cpu_pad((size_t)(j->q_tile * j->dim) * sizeof(float));
}

static size_t packed_bytes(const struct job *j)
{
    size_t keys = gemm_packed(j->kv_tile, j->dim), values = gemm_packed(j->dim, j->kv_tile);
    return j->own ? nn_cpu_pad((keys > values ? keys : values) * sizeof(float)) : 0;
}

/* From one token to the next, in elements. */
static int64_t token_stride(const struct ggml_tensor *t)
{
    return (int64_t)(t->nb[2] / ggml_element_size(t));
}

static struct product_shape shape(const struct job *j, int which, bool last_q, bool last_kv)
{
    int64_t m = last_q ? j->n_q - (j->q_tiles - 1) * j->q_tile : j->q_tile;
    int64_t n = last_kv ? j->n_kv - (j->kv_tiles - 1) * j->kv_tile : j->kv_tile;
    if (which == SCORES)
        return (struct product_shape){.m = m,
                                      .n = n,
                                      .k = j->dim,
                                      .lda = token_stride(j->q),
                                      .ldb = token_stride(j->k),
                                      .ldc = j->kv_tile,
                                      .bf16 = j->bf16,
                                      .b_by_rows = true};
    return (struct product_shape){.m = m,
                                  .n = j->dim,
                                  .k = n,
                                  .lda = j->kv_tile,
                                  .ldb = token_stride(j->v),
                                  .ldc = j->dim,
                                  .bf16 = j->bf16,
                                  .add = true};
}

/* 0 when oneDNN cannot do one of the products. */
static size_t product_scratch(const struct onednn *d, const struct job *j)
{
    size_t most = 0;
    if (j->own)
        return GEMM_SCRATCH * sizeof(float);
    for (int i = 0; i < 4 * PRODUCTS; i++) {
        struct product_shape s = shape(j, i >> 2, i & 1, i >> 1 & 1);
        struct product p;
        if (!product_make(&p, d, &s, NULL))
            return 0;
        most = p.scratch_bytes > most ? p.scratch_bytes : most;
        product_free(&p);
    }
    return most + 1;
}

/* ---- work -------------------------------------------------------------------------------------------- */

static void multiply_own(const struct worker *w, const struct product_shape *s, const void *a,
                         const void *b, void *c)
{
    const struct gemm_pack p = {.from = b, .ld = s->ldb, .cols = s->n, .k = s->k, .to = w->packed};
    if (s->b_by_rows)
        w->gemm->pack(&p);
    else
        w->gemm->pack_plain(&p);
    w->gemm->multiply(&(struct gemm_job){
        .a = a,
        .b = w->packed,
        .c = c,
        .lda = s->lda,
        .ldc = s->ldc,
        .rows = s->m,
        .cols = s->n,
        .k = s->k,
        .add = s->add,
        .scratch = (float *)(void *)w->product_scratch,
    });
}

static bool multiply(struct worker *w, int which, bool last_q, bool last_kv, const void *a,
                     const void *b, void *c)
{
    if (w->j->own) {
        struct product_shape s = shape(w->j, which, last_q, last_kv);
        multiply_own(w, &s, a, b, c);
        return true;
    }
    struct product *p = &w->products[which][last_q][last_kv];
    if (!w->made[which][last_q][last_kv]) {
        struct product_shape s = shape(w->j, which, last_q, last_kv);
        if (!product_make(p, w->d, &s, w->product_scratch))
            return false;
        w->made[which][last_q][last_kv] = true;
    }
    return product_run(p, a, b, c);
}

/* Head h of token t. */
static const void *place(const struct ggml_tensor *x, int64_t h, int64_t t)
{
    return (const unsigned char *)x->data + (size_t)h * x->nb[1] + (size_t)t * x->nb[2];
}

static const float *mask_row(const struct job *j, int64_t q, int64_t kv)
{
    return (const float *)(const void *)((const unsigned char *)j->mask->data +
                                         (size_t)q * j->mask->nb[1]) +
           kv;
}

static bool all_hidden(const struct job *j, int64_t q, int64_t n_q, int64_t kv, int64_t n_kv)
{
    for (int64_t r = n_q - 1; r >= 0; r--) { /* under a causal mask the last row sees most */
        const float *m = mask_row(j, q + r, kv);
        for (int64_t i = 0; i < n_kv; i++)
            if (m[i] > -INFINITY)
                return false;
    }
    return true;
}

static void exponentials(struct worker *w, int64_t q, int64_t n_q, int64_t kv, int64_t n_kv)
{
    const struct job *j = w->j;
    size_t p_row = (size_t)j->kv_tile * (j->bf16 ? 2 : 4);
    for (int64_t r = 0; r < n_q; r++) {
        const struct vec_softmax row = {
            .s = w->scores + r * j->kv_tile,
            .mask = j->mask ? mask_row(j, q + r, kv) : NULL,
            .p = (unsigned char *)w->p + (size_t)r * p_row,
            .n = n_kv,
            .scale = j->scale,
            .max = &w->max[r],
            .sum = &w->l[r],
            .bf16 = j->bf16,
        };
        float again = w->v->softmax(&row);
        if (again != 1.0f)
            w->v->scale(w->sums + r * j->dim, again, j->dim);
    }
}

static void finish(const struct worker *w, int64_t head, int64_t q, int64_t n_q)
{
    const struct job *j = w->j;
    bool bf16 = j->dst->type == GGML_TYPE_BF16;
    for (int64_t r = 0; r < n_q; r++) {
        size_t at = (size_t)((q + r) * j->heads + head) * (size_t)j->dim;
        const struct vec_tile t = {
            .c = w->sums + r * j->dim,
            .rows = 1,
            .cols = j->dim,
            .scale = w->l[r] > 0 ? 1.0f / w->l[r] : 0.0f,
            .dst = (unsigned char *)j->dst->data + at * (bf16 ? 2 : 4),
            .bf16 = bf16,
        };
        w->v->tile(&t);
    }
}

static bool do_unit(struct worker *w, int64_t head, int64_t tile)
{
    const struct job *j = w->j;
    bool last_q = tile == j->q_tiles - 1, ok = true;
    int64_t q = tile * j->q_tile, n_q = last_q ? j->n_q - q : j->q_tile, kv_head = head / j->group;
    memset(w->sums, 0, (size_t)(n_q * j->dim) * sizeof(float));
    for (int64_t r = 0; r < n_q; r++) {
        w->max[r] = -INFINITY;
        w->l[r] = 0;
    }
    for (int64_t i = 0; ok && i < j->kv_tiles; i++) {
        bool last = i == j->kv_tiles - 1;
        int64_t kv = i * j->kv_tile, n_kv = last ? j->n_kv - kv : j->kv_tile;
        if (j->mask && all_hidden(j, q, n_q, kv, n_kv))
            continue;
        ok = multiply(w, SCORES, last_q, last, place(j->q, head, q), place(j->k, kv_head, kv),
                      w->scores);
        if (!ok)
            break;
        exponentials(w, q, n_q, kv, n_kv);
        ok = multiply(w, VALUES, last_q, last, w->p, place(j->v, kv_head, kv), w->sums);
    }
    if (ok)
        finish(w, head, q, n_q);
    return ok;
}

void nn_cpu_attention_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)nth;
    struct job j;
    read_job(&j, dst, user);
    struct worker w = {.j = &j, .d = onednn_get(), .v = vec_get(), .gemm = gemm_get()};
    unsigned char *p = nn_cpu_scratch_part(j.scratch, ith);
    w.scores = (float *)(void *)p;
    w.p = j.bf16 ? p + scores_bytes(&j) : p;
    w.sums = (float *)(void *)(p + scores_bytes(&j) + p_bytes(&j));
    w.packed = (float *)(void *)((unsigned char *)w.sums + sums_bytes(&j));
    w.product_scratch = (unsigned char *)w.packed + packed_bytes(&j);
    int64_t u;
    int before = onednn_alone(w.d);
    bool ok = true;
    while (ok && (u = nn_cpu_next(j.scratch)) < j.heads * j.q_tiles)
        ok = do_unit(&w, u / j.q_tiles, u % j.q_tiles);
    for (int i = 0; i < 4 * PRODUCTS; i++)
        if (w.made[i >> 2][i & 1][i >> 1 & 1])
            product_free(&w.products[i >> 2][i & 1][i >> 1 & 1]);
    onednn_restore(w.d, before);
    if (!ok) /* out of memory (the shapes were checked when the node was made): the result becomes NaN */
        memset(dst->data, 0xff, ggml_nbytes(dst));
}

double nn_cpu_attention_flops(const struct ggml_tensor *t)
{
    return 4.0 * (double)ggml_nelements(t) * (double)t->src[1]->ne[2];
}

/* ---- making ------------------------------------------------------------------------------------------ */

static struct ggml_tensor *prepare(struct nn_graph *g, struct ggml_tensor *x, bool bf16)
{
    enum ggml_type type = bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
    if (x->type == type && x->nb[0] == ggml_element_size(x))
        return x;
    return bf16 && x->type == GGML_TYPE_F32 ? nn_cpu_to_bf16(g, x) : ggml_cast(nn_ctx(g), x, type);
}

struct ggml_tensor *nn_cpu_attention(struct nn_graph *g, struct ggml_tensor *q,
                                     struct ggml_tensor *k, struct ggml_tensor *v,
                                     struct ggml_tensor *mask, float scale)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || q->ne[0] < 2 || v->ne[0] != q->ne[0] || q->ne[1] % k->ne[1] != 0 ||
        (mask && (mask->type != GGML_TYPE_F32 || mask->nb[0] != sizeof(float))))
        return NULL;
    bool bf16 = mode == NN_CPU_BF16;
    struct ggml_tensor *src[GGML_MAX_SRC] = {prepare(g, q, bf16), prepare(g, k, bf16),
                                             prepare(g, v, bf16), mask};
    int n = mask ? 4 : 3;
    void *user = nn_cpu_pack(mask != NULL, scale);
    struct ggml_tensor *y =
        ggml_custom_4d(nn_ctx(g), bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32, q->ne[0] * q->ne[1],
                       q->ne[2], 1, 1, src, n, nn_cpu_attention_op, GGML_N_TASKS_MAX, user);
    struct job j;
    read_job(&j, y, user);
    size_t for_product = product_scratch(onednn_get(), &j);
    if (for_product == 0)
        return NULL;
    y->src[n] = nn_cpu_scratch(g, scores_bytes(&j) + p_bytes(&j) + sums_bytes(&j) +
                                      packed_bytes(&j) + nn_cpu_pad(for_product));
    return y;
}

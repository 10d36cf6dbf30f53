/* linear.c - linear layers: bf16 products in place in the mapped file, everything else unpacked a panel at a
 * time.
 *
 * A unit of work is a panel of output columns (rows of the weights) times a block of tokens. Its size depends
 * on the layer's shape alone, never on the number of threads: neither does the result. Workers take
 * consecutive units, panels outermost, so that an unpacked panel serves all blocks of tokens. The product of a
 * unit goes straight to its place; or, when more is to be done with it (bias, activation, gate, residual), to
 * a tile in scratch that is still in cache when it is worked off. */
#include <string.h>

#include "nn/cpu/nodes.h"
#include "nn/cpu/product.h"

enum {
    BLOCK_ROWS = 512,    /* tokens: at most */
    PANEL_COLUMNS = 128, /* in place */
    NARROW_COLUMNS = 64, /* unpacked, or two panels at once */
    FEW_TOKENS = 8,      /* below it unpacking costs more than ggml's products of quantised rows */
};

enum {
    HAS_W2 = 1,
    HALVES = 2, /* w is [2 out, in]: its second half is w2 */
    HAS_SCALES = 4,
    HAS_BIAS = 8,
    HAS_GATE = 16,
    HAS_RESIDUAL = 32,
    ACT_SHIFT = 8,
};

struct job {
    const struct ggml_tensor *x, *w, *w2, *scales, *bias, *gate, *residual, *scratch;
    struct ggml_tensor *dst;
    enum vec_act act;
    float scale;
    int64_t w2_row; /* of w2, where it begins */
    /* the shape */
    int64_t m, n, k, block, n_blocks, panel, n_panels;
    bool bf16;     /* products of bf16 */
    bool unpack;   /* the weights are of another type than the product */
    bool straight; /* nothing to do after the product */
};

/* Two products of a unit (a whole one and the last, smaller one) in each direction. */
struct worker {
    const struct job *j;
    const struct onednn *d;
    const struct vec *v;
    struct product products[2][2];
    bool made[2][2], failed;
    unsigned char *panel, *tile, *tile2, *product_scratch;
    float *row;
    int64_t unpacked; /* the panel of w that is in scratch; -1: none */
};

/* ---- shape and scratch ------------------------------------------------------------------------------- */

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void plan(struct job *j)
{
    enum ggml_type type = j->bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
    j->unpack = j->w->type != type;
    j->straight = !j->w2 && !j->scales && !j->bias && !j->gate && !j->residual &&
                  j->act == VEC_NONE && j->scale == 1.0f &&
                  (j->bf16 || j->dst->type != GGML_TYPE_BF16);
    j->n_blocks = divide_up(j->m, BLOCK_ROWS);
    j->block = divide_up(divide_up(j->m, j->n_blocks), 16) * 16;
    j->n_blocks = divide_up(j->m, j->block);
    j->block = j->block < j->m ? j->block : j->m;
    j->panel = j->unpack || j->w2 ? NARROW_COLUMNS : PANEL_COLUMNS;
    j->panel = j->panel < j->n ? j->panel : j->n;
    while (j->panel > 2 && j->n % j->panel == 1) /* see product.h */
        j->panel--;
    j->n_panels = divide_up(j->n, j->panel);
}

static size_t panel_bytes(const struct job *j)
{
    return j->unpack ? nn_cpu_pad((size_t)(j->panel * j->k) * (j->bf16 ? 2 : 4)) : 0;
}

static size_t tile_bytes(const struct job *j)
{
    return j->straight ? 0 : nn_cpu_pad((size_t)(j->block * j->panel) * sizeof(float));
}

static size_t row_bytes(const struct job *j)
{
    return j->unpack ? nn_cpu_pad((size_t)j->k * sizeof(float)) : 0;
}

/* The product of a whole unit or of the last of a direction. */
static struct product_shape shape(const struct job *j, bool last_block, bool last_panel)
{
    int64_t rows = j->m - (j->n_blocks - 1) * j->block, cols = j->n - (j->n_panels - 1) * j->panel;
    return (struct product_shape){
        .m = last_block ? rows : j->block,
        .n = last_panel ? cols : j->panel,
        .k = j->k,
        .lda = (int64_t)(j->x->nb[1] / ggml_element_size(j->x)),
        .ldb = j->k,
        .ldc = j->straight ? j->n : j->panel,
        .bf16 = j->bf16,
        .bf16_out = j->straight && j->dst->type == GGML_TYPE_BF16,
        .b_by_rows = true,
    };
}

/* 0 when oneDNN cannot do one of the products. */
static size_t product_scratch(const struct onednn *d, const struct job *j)
{
    size_t most = 0;
    for (int i = 0; i < 4; i++) {
        struct product_shape s = shape(j, i & 1, i >> 1);
        struct product p;
        if (!product_make(&p, d, &s, NULL))
            return 0;
        most = p.scratch_bytes > most ? p.scratch_bytes : most;
        product_free(&p);
    }
    return most + 1;
}

static void read_job(struct job *j, struct ggml_tensor *dst, const void *user)
{
    uint32_t flags = nn_cpu_low(user);
    int at = 0;
    memset(j, 0, sizeof *j);
    j->dst = dst;
    j->scale = nn_cpu_high(user);
    j->act = (enum vec_act)(flags >> ACT_SHIFT);
    j->m = dst->ne[1];
    j->n = dst->ne[0];
    j->x = dst->src[at++];
    j->w = dst->src[at++];
    j->w2 = flags & HAS_W2 ? dst->src[at++] : flags & HALVES ? j->w : NULL;
    j->w2_row = flags & HALVES ? j->n : 0;
    j->scales = flags & HAS_SCALES ? dst->src[at++] : NULL;
    j->bias = flags & HAS_BIAS ? dst->src[at++] : NULL;
    j->gate = flags & HAS_GATE ? dst->src[at++] : NULL;
    j->residual = flags & HAS_RESIDUAL ? dst->src[at++] : NULL;
    j->scratch = dst->src[at];
    j->k = j->x->ne[0];
    j->bf16 = j->x->type == GGML_TYPE_BF16;
    plan(j);
}

/* ---- work -------------------------------------------------------------------------------------------- */

static void unpack_rows(struct worker *w, const struct ggml_tensor *t, int64_t first, int64_t n)
{
    const struct job *j = w->j;
    const unsigned char *src = (const unsigned char *)t->data + (size_t)first * t->nb[1];
    size_t to_row = (size_t)j->k * (j->bf16 ? 2 : 4);
    for (int64_t r = 0; r < n; r++, src += t->nb[1]) {
        unsigned char *to = w->panel + (size_t)r * to_row;
        if (w->v->unpack((int)t->type, src, to, j->k, j->bf16))
            continue;
        ggml_to_float_t to_float = ggml_get_type_traits(t->type)->to_float;
        if (!j->bf16) {
            to_float(src, (float *)(void *)to, j->k);
        } else {
            to_float(src, w->row, j->k);
            w->v->to_bf16(w->row, (uint16_t *)(void *)to, j->k);
        }
    }
}

static const struct product *product_for(struct worker *w, int64_t block, int64_t panel)
{
    const struct job *j = w->j;
    bool b = block == j->n_blocks - 1, p = panel == j->n_panels - 1;
    if (!w->made[b][p]) {
        struct product_shape s = shape(j, b, p);
        if (!product_make(&w->products[b][p], w->d, &s, w->product_scratch))
            return NULL;
        w->made[b][p] = true;
    }
    return &w->products[b][p];
}

static const void *weights_at(const struct worker *w, const struct ggml_tensor *t, int64_t row)
{
    return w->j->unpack ? w->panel : (const unsigned char *)t->data + (size_t)row * t->nb[1];
}

static const float *at_column(const struct ggml_tensor *t, int64_t column)
{
    return t ? (const float *)t->data + column : NULL;
}

static void finish_tile(const struct worker *w, int64_t row, int64_t rows, int64_t column,
                        int64_t cols)
{
    const struct job *j = w->j;
    const struct ggml_tensor *res = j->residual;
    struct vec_tile t = {
        .c = (const float *)(const void *)w->tile,
        .c2 = j->w2 ? (const float *)(const void *)w->tile2 : NULL,
        .ldc = j->panel,
        .rows = rows,
        .cols = cols,
        .scale = j->scale,
        .scales = at_column(j->scales, column),
        .bias = at_column(j->bias, column),
        .gate = at_column(j->gate, column),
        .act = j->act,
        .bf16 = j->dst->type == GGML_TYPE_BF16,
        .ldd = j->n,
    };
    if (res) {
        t.ldr = (int64_t)(res->nb[1] / sizeof(float));
        t.residual = (const float *)res->data + row * t.ldr + column;
    }
    t.dst = (unsigned char *)j->dst->data + (size_t)(row * j->n + column) * (t.bf16 ? 2 : 4);
    w->v->tile(&t);
}

static bool do_unit(struct worker *w, int64_t panel, int64_t block)
{
    const struct job *j = w->j;
    const struct product *p = product_for(w, block, panel);
    int64_t column = panel * j->panel, row = block * j->block;
    int64_t cols = j->n - column < j->panel ? j->n - column : j->panel;
    int64_t rows = j->m - row < j->block ? j->m - row : j->block;
    const void *a = (const unsigned char *)j->x->data + (size_t)row * j->x->nb[1];
    if (!p)
        return false;
    if (j->unpack && (w->unpacked != panel || j->w2))
        unpack_rows(w, j->w, column, cols);
    w->unpacked = panel;
    void *c = w->tile;
    if (j->straight)
        c = (unsigned char *)j->dst->data +
            (size_t)(row * j->n + column) * ggml_element_size(j->dst);
    if (!product_run(p, a, weights_at(w, j->w, column), c))
        return false;
    if (j->w2) {
        if (j->unpack)
            unpack_rows(w, j->w2, j->w2_row + column, cols);
        if (!product_run(p, a, weights_at(w, j->w2, j->w2_row + column), w->tile2))
            return false;
    }
    if (!j->straight)
        finish_tile(w, row, rows, column, cols);
    return true;
}

/* Cannot happen but for want of memory: the shapes were tried when the node was made. NaN shows it. */
static void spoil(struct ggml_tensor *dst)
{
    memset(dst->data, 0xff, ggml_nbytes(dst));
}

void nn_cpu_linear_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    struct job j;
    read_job(&j, dst, user);
    struct worker w = {.j = &j, .d = onednn_get(), .v = vec_get(), .unpacked = -1};
    unsigned char *p = nn_cpu_scratch_part(j.scratch, ith);
    w.panel = p;
    w.tile = w.panel + panel_bytes(&j);
    w.tile2 = w.tile + tile_bytes(&j);
    w.row = (float *)(void *)(w.tile2 + (j.w2 ? tile_bytes(&j) : 0));
    w.product_scratch = (unsigned char *)w.row + row_bytes(&j);
    int64_t first, last;
    nn_cpu_share(j.n_panels * j.n_blocks, ith, nth, &first, &last);
    int before = onednn_alone(w.d);
    bool ok = true;
    for (int64_t u = first; ok && u < last; u++)
        ok = do_unit(&w, u / j.n_blocks, u % j.n_blocks);
    for (int i = 0; i < 4; i++)
        if (w.made[i & 1][i >> 1])
            product_free(&w.products[i & 1][i >> 1]);
    onednn_restore(w.d, before);
    if (!ok)
        spoil(dst);
}

double nn_cpu_linear_flops(const struct ggml_tensor *t)
{
    bool pair = (nn_cpu_low(nn_cpu_user(t)) & (HAS_W2 | HALVES)) != 0;
    return (pair ? 4.0 : 2.0) * (double)ggml_nelements(t) * (double)t->src[0]->ne[0];
}

/* ---- making ------------------------------------------------------------------------------------------ */

static bool type_is_known(const struct ggml_tensor *w)
{
    if (w->type == GGML_TYPE_F32 || w->type == GGML_TYPE_BF16)
        return true;
    const struct ggml_type_traits *t = ggml_get_type_traits(w->type);
    return t && t->to_float && w->ne[0] % ggml_blck_size(w->type) == 0;
}

/* Scales are for one matrix only: a pair must have none. */
static bool suits(const struct nn_cpu_linear *l, enum nn_cpu_mode mode)
{
    const struct nn_param *w = l->w, *w2 = l->w2;
    int64_t tokens = ggml_nrows(l->x);
    bool in_place =
        w->t->type == GGML_TYPE_F32 || (w->t->type == GGML_TYPE_BF16 && mode == NN_CPU_BF16);
    if (!type_is_known(w->t) || !ggml_is_contiguous(w->t) || ggml_n_dims(w->t) > 2)
        return false;
    if (!in_place && tokens < FEW_TOKENS)
        return false;
    if (l->halves && (w->row_scales || w->scale != 1.0f || w->t->ne[1] % 2 != 0))
        return false;
    return !w2 || (w2->t->type == w->t->type && ggml_are_same_shape(w2->t, w->t) &&
                   ggml_is_contiguous(w2->t) && !w->row_scales && !w2->row_scales &&
                   w->scale == 1.0f && w2->scale == 1.0f);
}

/* Two-dimensional, values of a row side by side, in the type of the product. */
static struct ggml_tensor *prepare_x(struct nn_graph *g, struct ggml_tensor *x, bool bf16)
{
    if (bf16 && x->type == GGML_TYPE_F32)
        x = nn_cpu_to_bf16(g, x);
    else if (!bf16 && x->type == GGML_TYPE_BF16)
        x = ggml_cast(g->ctx, x, GGML_TYPE_F32);
    bool rows = x->nb[0] == ggml_element_size(x) && x->ne[2] == 1 && x->ne[3] == 1;
    if (rows)
        return x;
    if (!ggml_is_contiguous(x))
        x = ggml_cont(g->ctx, x);
    return ggml_reshape_2d(g->ctx, x, x->ne[0], ggml_nrows(x));
}

static int sources(const struct nn_cpu_linear *l, struct ggml_tensor *x,
                   struct ggml_tensor *src[GGML_MAX_SRC], uint32_t *flags)
{
    const struct {
        struct ggml_tensor *t;
        uint32_t flag;
    } optional[] = {
        {l->w2 ? l->w2->t : NULL, HAS_W2}, {l->w->row_scales, HAS_SCALES},
        {l->b ? l->b->t : NULL, HAS_BIAS}, {l->gate, HAS_GATE},
        {l->residual, HAS_RESIDUAL},
    };
    int n = 0;
    src[n++] = x;
    src[n++] = l->w->t;
    *flags = (uint32_t)(l->w2 || l->halves ? VEC_SILU_MUL : l->act) << ACT_SHIFT;
    *flags |= l->halves ? HALVES : 0;
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        if (!optional[i].t)
            continue;
        src[n++] = optional[i].t;
        *flags |= optional[i].flag;
    }
    return n;
}

struct ggml_tensor *nn_cpu_linear(struct nn_graph *g, const struct nn_cpu_linear *l)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || !suits(l, mode))
        return NULL;
    struct ggml_tensor *src[GGML_MAX_SRC] = {0};
    struct ggml_tensor *x =
        prepare_x(g, l->x, mode == NN_CPU_BF16 && l->w->t->type != GGML_TYPE_F32);
    uint32_t flags;
    int n = sources(l, x, src, &flags);
    int64_t out = l->halves ? l->w->t->ne[1] / 2 : l->w->t->ne[1];
    enum ggml_type type = l->for_product && mode == NN_CPU_BF16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
    void *user = nn_cpu_pack(flags, l->w->scale);
    /* A node without scratch first: it tells how much there must be. */
    struct ggml_tensor *trial = ggml_custom_4d(g->ctx, type, out, x->ne[1], 1, 1, src, n,
                                               nn_cpu_linear_op, GGML_N_TASKS_MAX, user);
    struct job j;
    read_job(&j, trial, user);
    size_t for_product = product_scratch(onednn_get(), &j);
    if (for_product == 0)
        return NULL;
    trial->src[n] = nn_cpu_scratch(g, panel_bytes(&j) + 2 * tile_bytes(&j) + row_bytes(&j) +
                                          nn_cpu_pad(for_product));
    return trial;
}

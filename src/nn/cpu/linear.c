/* linear.c - linear layers: bf16 products in place in the mapped file, everything else unpacked a panel at a
 * time; or int8 matmul, with weights unpacked and quantised a panel at a time.
 *
 * A unit of work is a panel of output columns (rows of the weights) times a block of tokens. Its size depends
 * on the layer's shape alone, never on the number of threads: neither does the result. Workers take one after the
 * other; where a panel is unpacked as a whole, all of its blocks at once. Products are oneDNN's, or
 * our own (gemm.h), into whose form weights are unpacked. The product of a
 * unit is written straight to its place, or, when a bias, activation, gate or residual follows, to a tile in scratch
 * that is still in cache when these are applied. */
#include <string.h>

#include "nn/cpu/choice.h"
#include "nn/cpu/gemm.h"
#include "nn/cpu/nodes.h"
#include "nn/cpu/product.h"

enum {
    BLOCK_ROWS = 512,    /* tokens: at most */
    PANEL_COLUMNS = 128, /* in place */
    NARROW_COLUMNS = 64, /* unpacked, or two panels at once */
    FEW_TOKENS = 8,      /* below it unpacking costs more than ggml's products of quantised rows */
    FEW_FOR_INT8 = 16,
    MOST_FOR_INT8 = 65536, /* how many products of 255 x 127 fit into a 32-bit sum */
};

enum {
    HAS_W2 = 1,
    HALVES = 2, /* w is [2 out, in]: its second half is w2 */
    HAS_SCALES = 4,
    HAS_BIAS = 8,
    HAS_GATE = 16,
    HAS_RESIDUAL = 32,
    FLOAT8_E5M2 = 64, /* of weights of one byte; else they are E4M3 */
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
    bool bf16;     /* bf16 matmul */
    bool int8;     /* int8 matmul: x quantised by int8.c, weights quantised here */
    bool own;      /* products by gemm.h */
    bool unpack;   /* the weights are of another type than the product */
    bool straight; /* nothing to do after the product */
    bool e5m2;     /* weights of one byte are float8 of that kind */
};

/* Weights in scratch, in the type of the product. */
struct panel {
    unsigned char *rows;
    float *scales, *sums; /* int8: a value a row */
    int64_t held;         /* -1: none */
};

/* Two products of a unit (a whole one and the last, smaller one) in each direction. */
struct worker {
    const struct job *j;
    const struct onednn *d;
    const struct vec *v;
    const struct gemm *gemm;
    struct product products[2][2];
    bool made[2][2];
    struct panel
        panels[2]; /* of w and of w2; one for both where bf16 would not fit into the cache */
    unsigned char *tile, *tile2, *product_scratch;
    float *row;
    float float8[256]; /* the number behind each code, where the weights are float8 */
};

/* ---- shape and scratch ------------------------------------------------------------------------------- */

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void plan(struct job *j)
{
    enum ggml_type type = j->bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
    j->own = !j->bf16 && nn_cpu_own(j->int8 ? NN_CPU_WORK_INT8 : NN_CPU_WORK_F32);
    j->unpack = j->own || j->int8 || j->w->type != type;
    j->straight = !j->int8 && !j->own && !j->w2 && !j->scales && !j->bias && !j->gate &&
                  !j->residual && j->act == VEC_NONE && j->scale == 1.0f &&
                  (j->bf16 || j->dst->type != GGML_TYPE_BF16);
    j->n_blocks = divide_up(j->m, BLOCK_ROWS);
    j->block = divide_up(divide_up(j->m, j->n_blocks), 16) * 16;
    j->n_blocks = divide_up(j->m, j->block);
    j->block = j->block < j->m ? j->block : j->m;
    j->panel = j->own ? GEMM_COLUMNS : j->unpack || j->w2 ? NARROW_COLUMNS : PANEL_COLUMNS;
    j->panel = j->panel < j->n ? j->panel : j->n;
    while (!j->own && j->panel > 2 && j->n % j->panel == 1) /* see product.h */
        j->panel--;
    j->n_panels = divide_up(j->n, j->panel);
}

static size_t element_bytes(const struct job *j)
{
    return j->int8 ? 1 : j->bf16 ? 2 : 4;
}

static int64_t depth(const struct job *j)
{
    return j->k < GEMM_DEPTH ? j->k : GEMM_DEPTH;
}

/* Bytes of a quantised row, with zeros behind them. */
static int64_t byte_depth(const struct job *j)
{
    return divide_up(j->k, GEMM_BYTES) * GEMM_BYTES;
}

static size_t panel_rows_bytes(const struct job *j)
{
    if (j->own && j->int8)
        return nn_cpu_pad(gemm_packed(j->panel, byte_depth(j)));
    if (j->own)
        return nn_cpu_pad(gemm_packed(j->panel, depth(j)) * sizeof(float));
    return nn_cpu_pad((size_t)(j->panel * j->k) * element_bytes(j));
}

static size_t panel_bytes(const struct job *j)
{
    size_t per_row = j->int8 ? nn_cpu_pad((size_t)j->panel * sizeof(float)) : 0;
    return j->unpack ? panel_rows_bytes(j) + 2 * per_row : 0;
}

static int panel_count(const struct job *j)
{
    return j->int8 && j->w2 ? 2 : 1;
}

static size_t tile_bytes(const struct job *j)
{
    return j->straight ? 0 : nn_cpu_pad((size_t)(j->block * j->panel) * sizeof(float));
}

static size_t row_bytes(const struct job *j)
{
    if (j->own && j->int8)
        return nn_cpu_pad((size_t)j->k * sizeof(float)) + GEMM_SLIVER * nn_cpu_u8_row_at(j->k);
    if (j->own)
        return (size_t)GEMM_SLIVER * GEMM_DEPTH * sizeof(float);
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
        .int8 = j->int8,
        .bf16_out = j->straight && j->dst->type == GGML_TYPE_BF16,
        .b_by_rows = true,
    };
}

/* 0 when oneDNN cannot do one of the products. */
static size_t product_scratch(const struct onednn *d, const struct job *j)
{
    if (j->own)
        return GEMM_SCRATCH * sizeof(float);
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
    j->k = j->w->ne[0];
    j->bf16 = j->x->type == GGML_TYPE_BF16;
    j->int8 = j->x->type == GGML_TYPE_I8;
    j->e5m2 = (flags & FLOAT8_E5M2) != 0;
    plan(j);
}

/* ---- work -------------------------------------------------------------------------------------------- */

static void unpack_float8(const struct worker *w, const unsigned char *src, void *dst, int64_t k,
                          bool bf16)
{
    float *f = bf16 ? w->row : dst;
    for (int64_t i = 0; i < k; i++)
        f[i] = w->float8[src[i]];
    if (bf16)
        w->v->to_bf16(w->row, dst, k);
}

/* Unpacks k values of a stored row into dst. */
static void unpack_row(const struct worker *w, enum ggml_type type, const void *src, void *dst,
                       int64_t k, bool bf16)
{
    if (type == GGML_TYPE_I8) {
        unpack_float8(w, src, dst, k, bf16);
        return;
    }
    if (w->v->unpack((int)type, src, dst, k, bf16))
        return;
    ggml_to_float_t to_float = ggml_get_type_traits(type)->to_float;
    to_float(src, bf16 ? w->row : dst, k);
    if (bf16)
        w->v->to_bf16(w->row, dst, k);
}

static struct vec_row_s8 row_to_s8(const struct worker *w, enum ggml_type type, const void *src,
                                   int8_t *dst)
{
    bool bf16 = type == GGML_TYPE_BF16;
    if (bf16 && w->j->own) { /* read once, in order: without instructions for bf16 that is faster */
        w->v->from_bf16(src, w->row, w->j->k);
        src = w->row;
        bf16 = false;
    } else if (!bf16 && type != GGML_TYPE_F32) {
        unpack_row(w, type, src, w->row, w->j->k, false);
        src = w->row;
    }
    return w->v->to_s8(src, bf16, dst, w->j->k, w->j->own ? GEMM_BITS : 8);
}

static void quantise_row(const struct worker *w, struct panel *p, int64_t r, enum ggml_type type,
                         const void *src, void *dst)
{
    struct vec_row_s8 q = row_to_s8(w, type, src, dst);
    p->scales[r] = q.scale;
    memcpy(&p->sums[r], &q.sum, sizeof q.sum);
}

/* For our own products: quantises sixteen rows at a time and packs them. */
static void quantise_and_pack(const struct worker *w, struct panel *p, const struct ggml_tensor *t,
                              int64_t first, int64_t n)
{
    const struct job *j = w->j;
    const unsigned char *src = (const unsigned char *)t->data + (size_t)first * t->nb[1];
    unsigned char *rows = (unsigned char *)w->row + nn_cpu_pad((size_t)j->k * sizeof(float));
    size_t row = nn_cpu_u8_row_at(j->k);
    struct gemm_pack to = {
        .from = rows, .ld = (int64_t)(row / 4), .k = byte_depth(j) / 4, .to = (void *)p->rows};
    for (int64_t c = 0; c < n; c += to.cols, to.to += GEMM_SLIVER * to.k) {
        to.cols = n - c < GEMM_SLIVER ? n - c : GEMM_SLIVER;
        for (int64_t r = 0; r < to.cols; r++, src += t->nb[1]) {
            unsigned char *q = rows + (size_t)r * row;
            quantise_row(w, p, c + r, t->type, src, q);
            memset(q + j->k, 0, row - (size_t)j->k);
        }
        w->gemm->pack(&to);
    }
}

static void unpack_rows(const struct worker *w, struct panel *p, const struct ggml_tensor *t,
                        int64_t first, int64_t n)
{
    const struct job *j = w->j;
    const unsigned char *src = (const unsigned char *)t->data + (size_t)first * t->nb[1];
    unsigned char *to = p->rows;
    size_t to_row = (size_t)j->k * element_bytes(j);
    if (j->own) {
        quantise_and_pack(w, p, t, first, n);
        return;
    }
    for (int64_t r = 0; r < n; r++, src += t->nb[1], to += to_row)
        if (j->int8)
            quantise_row(w, p, r, t->type, src, to);
        else
            unpack_row(w, t->type, src, to, j->k, j->bf16);
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

/* Dequantises the int32 sums of a tile to float32. */
static void finish_int8(const struct worker *w, const struct panel *p, int64_t row, int64_t rows,
                        int64_t cols, void *c)
{
    const struct job *j = w->j;
    w->v->from_int8(&(struct vec_from_int8){
        .c = c,
        .ldc = j->panel,
        .rows = rows,
        .cols = cols,
        .x = (const unsigned char *)j->x->data + (size_t)row * j->x->nb[1] + nn_cpu_u8_row_at(j->k),
        .x_step = j->x->nb[1],
        .scales = p->scales,
        .sums = p->sums,
    });
}

/* A block of tokens, and the columns of a panel. */
struct unit {
    int64_t row, rows, column, cols;
};

/* Values at .. at + k of `cols` rows of t from `first` on, packed. */
static void pack_piece(const struct worker *w, const struct ggml_tensor *t, int64_t first,
                       int64_t cols, int64_t at, int64_t k)
{
    bool plain = t->type == GGML_TYPE_BF16 || t->type == GGML_TYPE_F32;
    size_t skip = plain ? (size_t)at * ggml_element_size(t) : ggml_row_size(t->type, at);
    const unsigned char *from = (const unsigned char *)t->data + (size_t)first * t->nb[1] + skip;
    struct gemm_pack p = {
        .from = from, .cols = cols, .k = k, .to = (float *)(void *)w->panels[0].rows};
    if (plain) {
        p.ld = (int64_t)(t->nb[1] / ggml_element_size(t));
        p.bf16 = t->type == GGML_TYPE_BF16;
        w->gemm->pack(&p);
        return;
    }
    p.from = w->row;
    p.ld = k;
    for (int64_t c = 0; c < cols; c += p.cols, p.to += GEMM_SLIVER * k) {
        p.cols = cols - c < GEMM_SLIVER ? cols - c : GEMM_SLIVER;
        for (int64_t r = 0; r < p.cols; r++, from += t->nb[1])
            unpack_row(w, t->type, from, w->row + r * k, k, false);
        w->gemm->pack(&p);
    }
}

static void multiply_own(const struct worker *w, const struct unit *u, const struct ggml_tensor *t,
                         int64_t first, void *c)
{
    const struct job *j = w->j;
    const float *a = (const float *)(const void *)((const unsigned char *)j->x->data +
                                                   (size_t)u->row * j->x->nb[1]);
    for (int64_t at = 0; at < j->k; at += GEMM_DEPTH) {
        int64_t k = j->k - at < GEMM_DEPTH ? j->k - at : GEMM_DEPTH;
        pack_piece(w, t, first, u->cols, at, k);
        w->gemm->multiply(&(struct gemm_job){
            .a = a + at,
            .lda = (int64_t)(j->x->nb[1] / sizeof(float)),
            .b = (const float *)(const void *)w->panels[0].rows,
            .c = c,
            .ldc = j->straight ? j->n : j->panel,
            .rows = u->rows,
            .cols = u->cols,
            .k = k,
            .add = at > 0,
            .scratch = (float *)(void *)w->product_scratch,
        });
    }
}

static void multiply_bytes(const struct worker *w, const struct unit *u, const void *a,
                           const void *b, void *c)
{
    w->gemm->multiply_bytes(&(struct gemm_bytes_job){
        .a = a,
        .b = b,
        .c = c,
        .lda = (int64_t)w->j->x->nb[1],
        .ldc = w->j->panel,
        .rows = u->rows,
        .cols = u->cols,
        .k = byte_depth(w->j),
    });
}

/* c = x times rows of t from `first` on. */
static bool multiply(struct worker *w, const struct product *p, const struct unit *u, int which,
                     const struct ggml_tensor *t, int64_t first, void *c)
{
    const struct job *j = w->j;
    if (j->own && !j->int8) {
        multiply_own(w, u, t, first, c);
        return true;
    }
    struct panel *panel = &w->panels[which < panel_count(j) ? which : 0];
    const void *a = (const unsigned char *)j->x->data + (size_t)u->row * j->x->nb[1];
    const void *b = (const unsigned char *)t->data + (size_t)first * t->nb[1];
    if (j->unpack) {
        b = panel->rows;
        if (panel->held != u->column || (j->w2 && panel_count(j) == 1))
            unpack_rows(w, panel, t, first, u->cols);
        panel->held = u->column;
    }
    if (j->own)
        multiply_bytes(w, u, a, b, c);
    else if (!product_run(p, a, b, c))
        return false;
    if (j->int8)
        finish_int8(w, panel, u->row, u->rows, u->cols, c);
    return true;
}

static bool do_unit(struct worker *w, int64_t panel, int64_t block)
{
    const struct job *j = w->j;
    const struct product *p = j->own ? NULL : product_for(w, block, panel);
    struct unit u = {.row = block * j->block, .column = panel * j->panel};
    u.cols = j->n - u.column < j->panel ? j->n - u.column : j->panel;
    u.rows = j->m - u.row < j->block ? j->m - u.row : j->block;
    if (!p && !j->own)
        return false;
    void *c = w->tile;
    if (j->straight)
        c = (unsigned char *)j->dst->data +
            (size_t)(u.row * j->n + u.column) * ggml_element_size(j->dst);
    if (!multiply(w, p, &u, 0, j->w, u.column, c) ||
        (j->w2 && !multiply(w, p, &u, 1, j->w2, j->w2_row + u.column, w->tile2)))
        return false;
    if (!j->straight)
        finish_tile(w, u.row, u.rows, u.column, u.cols);
    return true;
}

/* Only when memory is out, as the shapes were checked when the node was made. The result becomes NaN. */
static void spoil(struct ggml_tensor *dst)
{
    memset(dst->data, 0xff, ggml_nbytes(dst));
}

/* Shares scratch from p on out to the panels; returns where it goes on. */
static unsigned char *take_panels(struct worker *w, unsigned char *p)
{
    const struct job *j = w->j;
    for (int i = 0; i < panel_count(j); i++, p += panel_bytes(j)) {
        struct panel *panel = &w->panels[i];
        panel->rows = p;
        panel->held = -1;
        panel->scales = (float *)(void *)(p + panel_rows_bytes(j));
        panel->sums = panel->scales + nn_cpu_pad((size_t)j->panel * sizeof(float)) / sizeof(float);
    }
    return p;
}

void nn_cpu_linear_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)nth;
    struct job j;
    read_job(&j, dst, user);
    struct worker w = {.j = &j, .d = onednn_get(), .v = vec_get(), .gemm = gemm_get()};
    if (j.w->type == GGML_TYPE_I8)
        nn_cpu_float8_table(j.e5m2, w.float8);
    w.tile = take_panels(&w, nn_cpu_scratch_part(j.scratch, ith));
    w.tile2 = w.tile + tile_bytes(&j);
    w.row = (float *)(void *)(w.tile2 + (j.w2 ? tile_bytes(&j) : 0));
    w.product_scratch = (unsigned char *)w.row + row_bytes(&j);
    int before = onednn_alone(w.d);
    bool ok = true, panels = j.unpack && !(j.own && !j.int8);
    int64_t units = j.n_panels * j.n_blocks, step = panels ? j.n_blocks : 1, first;
    while (ok && (first = step * nn_cpu_next(j.scratch)) < units)
        for (int64_t u = first; ok && u < first + step; u++)
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
    return (pair ? 4.0 : 2.0) * (double)ggml_nelements(t) * (double)t->src[1]->ne[0];
}

/* ---- making ------------------------------------------------------------------------------------------ */

static bool type_is_known(const struct ggml_tensor *w)
{
    if (w->type == GGML_TYPE_F32 || w->type == GGML_TYPE_BF16 || w->type == GGML_TYPE_I8)
        return true;
    const struct ggml_type_traits *t = ggml_get_type_traits(w->type);
    return t && t->to_float && w->ne[0] % ggml_blck_size(w->type) == 0;
}

/* Not for few tokens, for which quantising the weights costs too much, nor for rows whose sums overflow 32 bits. */
static bool suits_int8(const struct nn_cpu_linear *l)
{
    return ggml_nrows(l->x) >= FEW_FOR_INT8 && l->w->t->ne[0] <= MOST_FOR_INT8;
}

/* Scales can be applied to one matrix only, so a pair must have none. */
static bool suits(const struct nn_cpu_linear *l, enum nn_cpu_mode mode)
{
    const struct nn_param *w = l->w, *w2 = l->w2;
    int64_t tokens = ggml_nrows(l->x);
    bool in_place =
        w->t->type == GGML_TYPE_F32 || (w->t->type == GGML_TYPE_BF16 && mode == NN_CPU_BF16);
    if (!type_is_known(w->t) || !ggml_is_contiguous(w->t) || ggml_n_dims(w->t) > 2)
        return false;
    if (!in_place && tokens < FEW_TOKENS && w->t->type != GGML_TYPE_I8)
        return false;
    if (l->halves && (w->row_scales || w->scale != 1.0f || w->t->ne[1] % 2 != 0))
        return false;
    return !w2 || (w2->t->type == w->t->type && w2->view.dtype == w->view.dtype &&
                   ggml_are_same_shape(w2->t, w->t) && ggml_is_contiguous(w2->t) &&
                   !w->row_scales && !w2->row_scales && w->scale == 1.0f && w2->scale == 1.0f);
}

/* Two-dimensional, values of a row side by side, in the type of the product. */
static struct ggml_tensor *prepare_x(struct nn_graph *g, struct ggml_tensor *x, bool bf16)
{
    if (bf16 && x->type == GGML_TYPE_F32)
        x = nn_cpu_to_bf16(g, x);
    else if (!bf16 && x->type == GGML_TYPE_BF16)
        x = ggml_cast(nn_ctx(g), x, GGML_TYPE_F32);
    bool rows = x->nb[0] == ggml_element_size(x) && x->ne[2] == 1 && x->ne[3] == 1;
    if (rows)
        return x;
    if (!ggml_is_contiguous(x))
        x = ggml_cont(nn_ctx(g), x);
    return ggml_reshape_2d(nn_ctx(g), x, x->ne[0], ggml_nrows(x));
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
    *flags |= l->w->view.dtype == DTYPE_F8_E5M2 ? FLOAT8_E5M2 : 0;
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        if (!optional[i].t)
            continue;
        src[n++] = optional[i].t;
        *flags |= optional[i].flag;
    }
    return n;
}

/* The node for x in the type of the product; NULL when neither set of products can do it. */
static struct ggml_tensor *make(struct nn_graph *g, const struct nn_cpu_linear *l,
                                struct ggml_tensor *x)
{
    struct ggml_tensor *src[GGML_MAX_SRC] = {0};
    uint32_t flags;
    int n = sources(l, x, src, &flags);
    int64_t out = l->halves ? l->w->t->ne[1] / 2 : l->w->t->ne[1];
    bool bf16 = l->for_product && nn_cpu_mode(g) == NN_CPU_BF16;
    void *user = nn_cpu_pack(flags, l->w->scale);
    /* First without scratch, to find how much is needed. */
    struct ggml_tensor *trial =
        ggml_custom_4d(nn_ctx(g), bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32, out, x->ne[1], 1, 1, src,
                       n, nn_cpu_linear_op, GGML_N_TASKS_MAX, user);
    struct job j;
    read_job(&j, trial, user);
    size_t for_product = product_scratch(onednn_get(), &j);
    if (for_product == 0)
        return NULL;
    trial->src[n] =
        nn_cpu_scratch(g, (size_t)panel_count(&j) * panel_bytes(&j) + 2 * tile_bytes(&j) +
                              row_bytes(&j) + nn_cpu_pad(for_product));
    return trial;
}

struct ggml_tensor *nn_cpu_linear(struct nn_graph *g, const struct nn_cpu_linear *l)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (nn_cpu_int8(g) && suits(l, mode) && suits_int8(l)) {
        struct ggml_tensor *y = make(g, l, nn_cpu_to_u8(g, l->x));
        if (y)
            return y;
    }
    if (mode == NN_CPU_GGML || !suits(l, mode))
        return NULL;
    return make(g, l, prepare_x(g, l->x, mode == NN_CPU_BF16 && l->w->t->type != GGML_TYPE_F32));
}

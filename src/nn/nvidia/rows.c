/* rows.c - norms, rotary embedding and small operations on rows.
 *
 * Norms take any number of rows at one stride, so heads are seen as rows of a flattened view; a layout that cannot
 * be seen like this is copied first. Weights, scales and shifts are read as float32. A result for products is bf16
 * except in exact graphs. Builders answer NULL off the card.
 */
#include "nn/nvidia/nodes.h"

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static struct ggml_tensor *tensor_of(const struct nn_param *p)
{
    return p ? p->t : NULL;
}

static const float *floats(const struct ggml_tensor *t)
{
    return t ? t->data : NULL;
}

/* t in float32 with values of a row side by side. */
static struct ggml_tensor *plain(struct nn_graph *g, struct ggml_tensor *t)
{
    return t && (t->type != GGML_TYPE_F32 || t->nb[0] != sizeof(float)) ? nv_as(g, t, GGML_TYPE_F32)
                                                                        : t;
}

/* ---- norms ------------------------------------------------------------------------------------------------ */

struct norm_params {
    int kind, silu;
    int eight; /* enum nv_type of the result, where it is of 8 bits (eight.c), else 0 */
    float eps;
};

enum { NORM_X, NORM_WEIGHT, NORM_SCALE, NORM_SHIFT, NORM_SOURCES };

static enum err_code launch_norm(const struct nv_job *j)
{
    struct norm_params p;
    const struct ggml_tensor *x = j->t->src[NORM_X];
    nv_params_of(j->t, &p, sizeof p);
    struct nv_norm n = {
        .x = x->data,
        .y = j->t->data,
        .weight = floats(j->t->src[NORM_WEIGHT]),
        .scale = floats(j->t->src[NORM_SCALE]),
        .shift = floats(j->t->src[NORM_SHIFT]),
        .ldx = nv_stride(x, 1),
        .ldy = nv_stride(j->t, 1),
        .rows = (int)x->ne[1],
        .dim = (int)x->ne[0],
        .kind = p.kind,
        .silu = p.silu,
        .x_type = nv_type_of(x),
        .y_type = p.eight ? p.eight : nv_type_of(j->t),
        .eps = p.eps,
    };
    return nv_launch(j->card, NV_KERNEL_norm, (struct nv_grid){.x = n.rows}, &n, j->e);
}

static const struct nv_op op_norm = {.name = "norm", .launch = launch_norm, .strided = true};

struct ggml_tensor *nv_row_norm(struct nn_graph *g, const struct nv_row_norm *n)
{
    if (!nv_is_on(g))
        return NULL;
    struct ggml_tensor *x = n->x;
    bool rows = x->nb[0] == ggml_element_size(x) && x->ne[3] == 1 &&
                (x->ne[2] == 1 || x->nb[2] == (size_t)x->ne[1] * x->nb[1]);
    if (!rows)
        x = ggml_cont(nn_ctx(g), x);
    struct ggml_tensor *flat = x;
    if (x->ne[2] != 1 || x->ne[3] != 1)
        flat = ggml_view_2d(nn_ctx(g), x, x->ne[0], ggml_nrows(x), x->nb[1], 0);
    const struct norm_params p = {.kind = n->kind, .silu = n->silu, .eps = n->eps};
    struct ggml_tensor *src[NORM_SOURCES] = {flat, tensor_of(n->weight), plain(g, n->scale),
                                             plain(g, n->shift)};
    struct ggml_tensor *y = nv_node_new(
        g, &(struct nv_node){.op = &op_norm,
                             .type = n->for_product ? nv_product_type(g) : GGML_TYPE_F32,
                             .ne = {flat->ne[0], flat->ne[1], 1, 1},
                             .src = src,
                             .n_src = NORM_SOURCES,
                             .params = &p,
                             .params_bytes = sizeof p});
    return flat == x ? y : ggml_reshape_4d(nn_ctx(g), y, x->ne[0], x->ne[1], x->ne[2], x->ne[3]);
}

/* The row is at hand in the norm's kernel, so it is quantised there. */
struct ggml_tensor *nv_norm_to_eight(struct nn_graph *g, const struct ggml_tensor *x, int type)
{
    struct norm_params p;
    if (nv_op_of(x) != &op_norm)
        return NULL;
    nv_params_of(x, &p, sizeof p);
    p.eight = type;
    struct ggml_tensor *src[NORM_SOURCES];
    for (int i = 0; i < NORM_SOURCES; i++)
        src[i] = x->src[i];
    return nv_node_new(g, &(struct nv_node){.op = &op_norm,
                                            .type = GGML_TYPE_I8,
                                            .ne = {nv_eight_row(x->ne[0]), x->ne[1], 1, 1},
                                            .src = src,
                                            .n_src = NORM_SOURCES,
                                            .params = &p,
                                            .params_bytes = sizeof p});
}

/* ---- norm and rotation of heads ------------------------------------------------------------------------------ */

struct rope_params {
    int pairs;
    float eps;
};

enum { ROPE_X, ROPE_WEIGHT, ROPE_COS, ROPE_SIN, ROPE_SOURCES };

static enum err_code launch_rope(const struct nv_job *j)
{
    struct rope_params p;
    const struct ggml_tensor *x = j->t->src[ROPE_X], *cos = j->t->src[ROPE_COS];
    nv_params_of(j->t, &p, sizeof p);
    struct nv_norm_rope n = {
        .x = x->data,
        .y = j->t->data,
        .weight = floats(j->t->src[ROPE_WEIGHT]),
        .cos = cos->data,
        .sin = j->t->src[ROPE_SIN]->data,
        .x_token = nv_stride(x, 2),
        .x_head = nv_stride(x, 1),
        .y_token = nv_stride(j->t, 2),
        .y_head = nv_stride(j->t, 1),
        .ld_table = nv_stride(cos, 1),
        .tokens = (int)x->ne[2],
        .heads = (int)x->ne[1],
        .head_dim = (int)x->ne[0],
        .pairs = p.pairs,
        .x_type = nv_type_of(x),
        .y_type = nv_type_of(j->t),
        .eps = p.eps,
    };
    return nv_launch(j->card, NV_KERNEL_norm_rope,
                     (struct nv_grid){.x = divide_up((int64_t)n.tokens * n.heads, 8)}, &n, j->e);
}

static const struct nv_op op_rope = {.name = "norm and rope", .launch = launch_rope};

struct ggml_tensor *nv_head_norm_rope(struct nn_graph *g, struct ggml_tensor *x,
                                      const struct nn_param *w, float eps, struct ggml_tensor *cos,
                                      struct ggml_tensor *sin, bool pairs, bool for_product)
{
    if (!nv_is_on(g))
        return NULL;
    if (x->nb[0] != ggml_element_size(x) || x->ne[3] != 1)
        x = ggml_cont(nn_ctx(g), x);
    const struct rope_params p = {.pairs = pairs, .eps = eps};
    struct ggml_tensor *src[ROPE_SOURCES] = {x, tensor_of(w), cos, sin};
    return nv_node_new(g,
                       &(struct nv_node){.op = &op_rope,
                                         .type = for_product ? nv_product_type(g) : GGML_TYPE_F32,
                                         .ne = {x->ne[0], x->ne[1], x->ne[2], 1},
                                         .src = src,
                                         .n_src = ROPE_SOURCES,
                                         .params = &p,
                                         .params_bytes = sizeof p});
}

/* ---- element by element --------------------------------------------------------------------------------------- */

static enum err_code launch_map(const struct nv_job *j)
{
    int op;
    nv_params_of(j->t, &op, sizeof op);
    const struct nv_map_job m = {
        .a = j->t->src[0], .b = j->t->src[1], .y = j->t, .op = (enum nv_map_op)op};
    return nv_map_launch(j, &m);
}

static struct ggml_tensor *over_first(const struct ggml_tensor *t)
{
    return nv_if_congruent(t, t->src[0]);
}

static const struct nv_op op_map = {
    .name = "map", .launch = launch_map, .in_place = over_first, .strided = true};

static struct ggml_tensor *map_node(struct nn_graph *g, enum nv_map_op op, enum ggml_type type,
                                    struct ggml_tensor *a, struct ggml_tensor *b)
{
    const int params = (int)op;
    struct ggml_tensor *src[] = {a, b};
    return nv_node_new(g, &(struct nv_node){.op = &op_map,
                                            .type = type,
                                            .ne = {a->ne[0], a->ne[1], a->ne[2], a->ne[3]},
                                            .src = src,
                                            .n_src = 2,
                                            .params = &params,
                                            .params_bytes = sizeof params});
}

struct ggml_tensor *nv_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up)
{
    return nv_is_on(g) ? map_node(g, NV_MAP_SILU_MUL, gate->type, gate, up) : NULL;
}

/* Whether x has its channels last and without gaps; see image.c. */
static bool channels_last(const struct ggml_tensor *x)
{
    size_t one = ggml_element_size(x), pixel = one * (size_t)x->ne[2];
    return x->nb[2] == one && x->nb[0] == pixel && x->nb[1] == pixel * (size_t)x->ne[0] &&
           x->ne[3] == 1 && !ggml_is_contiguous(x);
}

struct ggml_tensor *nv_activation(struct nn_graph *g, struct ggml_tensor *x, enum nv_map_op op)
{
    if (!nv_is_on(g))
        return NULL;
    if (!channels_last(x))
        return map_node(g, op, x->type, x, NULL);
    struct ggml_tensor *y = map_node(g, op, x->type, ggml_permute(nn_ctx(g), x, 1, 2, 0, 3), NULL);
    return ggml_permute(nn_ctx(g), y, 2, 0, 1, 3);
}

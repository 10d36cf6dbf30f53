/* project.c - queries, keys and values in one launch: products of the same rows, norms of heads and rotation on the way out.
 *
 * A row of the result is a token: its heads of queries, keys and values, side by side. */
#include "nn/nvidia/nodes.h"

enum { X, W_Q, W_K, W_V, B_Q, B_K, B_V, COS, SIN, SOURCES };
enum { HEAD = 128, PARTS = 3, FEW_ROWS = 8 };

/* Norms are weights and have their addresses already, so they need not be sources of the node. */
struct params {
    const struct ggml_tensor *norm_q, *norm_k;
    int pairs;
    float eps;
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static const float *floats(const struct ggml_tensor *t)
{
    return t ? t->data : NULL;
}

static enum err_code map_rows(const struct nv_job *j, const struct ggml_tensor *t, uint32_t box,
                              struct nv_tensor_map *out)
{
    const struct nv_map_spec s = {
        .p = (nv_ptr)(uintptr_t)t->data,
        .columns = (uint64_t)t->ne[0],
        .rows = (uint64_t)t->ne[1],
        .row_stride = (uint64_t)nv_stride(t, 1),
        .box_columns = 64,
        .box_rows = box,
    };
    return nv_tensor_map_make(j->card, &s, out, j->e);
}

static enum err_code launch(const struct nv_job *j)
{
    struct params p;
    const struct ggml_tensor *t = j->t, *x = t->src[X], *cos = t->src[COS];
    nv_params_of(t, &p, sizeof p);
    struct nv_gemm_heads_tma h = {
        .cos = cos->data,
        .sin = t->src[SIN]->data,
        .ld_table = nv_stride(cos, 1),
        .m = (int)x->ne[1],
        .k = (int)x->ne[0],
        .pairs = p.pairs,
        .eps = p.eps,
    };
    const struct ggml_tensor *norms[PARTS] = {p.norm_q, p.norm_k, NULL};
    int64_t at = 0, tiles = 0, pairs = nv_card_multiprocessors(j->card) / 2;
    enum err_code rc = map_rows(j, x, 128, &h.x_map);
    for (int i = 0; i < PARTS && rc == ERR_OK; i++) {
        const struct ggml_tensor *w = t->src[W_Q + i];
        if (!w)
            continue;
        h.part[i] = (struct nv_heads){.bias = floats(t->src[B_Q + i]),
                                      .norm = floats(norms[i]),
                                      .y = (char *)t->data + (size_t)at * ggml_element_size(t),
                                      .y_token = nv_stride(t, 1),
                                      .y_head = HEAD,
                                      .n = (int)w->ne[1],
                                      .rotate = i < 2};
        at += w->ne[1];
        tiles += divide_up(w->ne[1], 256);
        rc = map_rows(j, w, 64, &h.w_map[i]);
    }
    tiles *= divide_up(divide_up(h.m, 128), 2);
    if (rc != ERR_OK)
        return rc;
    return nv_launch(j->card, NV_KERNEL_gemm_tma_heads,
                     (struct nv_grid){.x = 2 * (tiles < pairs ? tiles : pairs)}, &h, j->e);
}

static double flops(const struct ggml_tensor *t)
{
    return 2.0 * (double)ggml_nelements(t) * (double)t->src[X]->ne[0];
}

static const struct nv_op op_project = {
    .name = "heads", .launch = launch, .flops = flops, .strided = true};

/* ---- making ----------------------------------------------------------------------------------------------- */

static bool suits_part(const struct nn_projection *l)
{
    if (!l->w)
        return true;
    const struct ggml_tensor *w = l->w->t;
    return w->type == GGML_TYPE_BF16 && w->ne[1] % HEAD == 0 && w->ne[0] % 8 == 0 &&
           !l->w->row_scales && l->w->scale == 1.0f;
}

static bool suits(const struct nn_graph *g, const struct ggml_tensor *x,
                  const struct nn_projections *p)
{
    const struct nv_card *card = nn_device_card(g->device);
    return card && nv_card_architecture(card) >= 90 && !g->exact && p->head_dim == HEAD &&
           x->ne[1] > FEW_ROWS && p->k.w && p->v.w && suits_part(&p->q) && suits_part(&p->k) &&
           suits_part(&p->v);
}

static struct ggml_tensor *tensor_of(const struct nn_param *w)
{
    return w ? w->t : NULL;
}

static int64_t width_of(const struct nn_param *w)
{
    return w ? w->t->ne[1] : 0;
}

struct ggml_tensor *nv_project(struct nn_graph *g, struct ggml_tensor *x,
                               const struct nn_projections *p)
{
    if (!suits(g, x, p))
        return NULL;
    struct ggml_tensor *src[SOURCES] = {
        [X] = nv_rows_for_product(g, x),
        [W_Q] = tensor_of(p->q.w),
        [W_K] = p->k.w->t,
        [W_V] = p->v.w->t,
        [B_Q] = tensor_of(p->q.b),
        [B_K] = tensor_of(p->k.b),
        [B_V] = tensor_of(p->v.b),
        [COS] = p->cos,
        [SIN] = p->sin,
    };
    const struct params params = {.norm_q = tensor_of(p->q.norm),
                                  .norm_k = tensor_of(p->k.norm),
                                  .pairs = p->mode == NN_ROPE_PAIRS,
                                  .eps = p->eps};
    return nv_node_new(
        g, &(struct nv_node){
               .op = &op_project,
               .type = GGML_TYPE_BF16,
               .ne = {width_of(p->q.w) + width_of(p->k.w) + width_of(p->v.w), src[X]->ne[1], 1, 1},
               .src = src,
               .n_src = SOURCES,
               .params = &params,
               .params_bytes = sizeof params});
}

/* Heads of `all` from column `at` on. */
static struct ggml_tensor *part(struct nn_graph *g, struct ggml_tensor *all,
                                const struct nn_param *w, int64_t *at)
{
    if (!w)
        return NULL;
    size_t one = ggml_element_size(all), first = (size_t)*at * one;
    *at += w->t->ne[1];
    return ggml_view_3d(nn_ctx(g), all, HEAD, w->t->ne[1] / HEAD, all->ne[1], HEAD * one,
                        all->nb[1], first);
}

struct nn_qkv nv_heads_of(struct nn_graph *g, struct ggml_tensor *all,
                          const struct nn_projections *p)
{
    int64_t at = 0;
    struct nn_qkv out = {.all = all};
    out.q = part(g, all, p->q.w, &at);
    out.k = part(g, all, p->k.w, &at);
    out.v = part(g, all, p->v.w, &at);
    return out;
}

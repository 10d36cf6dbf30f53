/* project.c - queries, keys and values in one launch: products of the same rows, norms of heads and rotation on the way out.
 *
 * A row of the result is a token: its heads of queries, keys and values, side by side. Stored weights are unpacked first; where
 * the three together are more than scratch may hold, each is multiplied by itself. */
#include "nn/nvidia/layout.h"
#include "nn/nvidia/nodes.h"
#include "nn/nvidia/stored.h"

enum { X, W_Q, W_K, W_V, B_Q, B_K, B_V, COS, SIN, SOURCES };
enum { HEAD = 128, PARTS = 3, FEW_ROWS = 8 };

/* Norms are weights and have their addresses already, so they need not be sources of the node. */
struct params {
    const struct ggml_tensor *norm_q, *norm_k;
    int pairs;
    int eight; /* enum nv_type of weights of 8 bits, else 0 */
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

/* Scratch of one part, and of the node: that of all parts, or of the largest. */
static size_t scratch_of_part(const struct ggml_tensor *t, int i)
{
    const struct ggml_tensor *w = t->src[W_Q + i];
    if (!w || nv_stored_of(w).kind == NV_BLOCKS_NONE)
        return 0;
    return GGML_PAD((size_t)ggml_nelements(w) * sizeof(uint16_t), (size_t)NV_ALIGN);
}

static size_t scratch_of_all(const struct ggml_tensor *t)
{
    return scratch_of_part(t, 0) + scratch_of_part(t, 1) + scratch_of_part(t, 2);
}

static size_t scratch(const struct ggml_tensor *t)
{
    size_t all = scratch_of_all(t), most = 0;
    for (int i = 0; i < PARTS; i++)
        if (scratch_of_part(t, i) > most)
            most = scratch_of_part(t, i);
    return all > NV_UNPACKED_BYTES ? most : all;
}

/* The parts from `first` on to `end`, whose weights are unpacked side by side. */
static enum err_code launch_parts(const struct nv_job *j, const struct nv_gemm_heads_tma *all,
                                  int type, int first, int end)
{
    enum nv_kernel kernel = type == NV_I8   ? NV_KERNEL_gemm_tma_heads_s8
                            : type == NV_F8 ? NV_KERNEL_gemm_tma_heads_f8
                                            : NV_KERNEL_gemm_tma_heads;
    struct nv_gemm_heads_tma h = *all;
    int64_t tiles = 0, pairs = nv_card_multiprocessors(j->card) / 2;
    nv_ptr to = j->scratch;
    for (int i = 0; i < PARTS; i++) {
        const struct ggml_tensor *w = j->t->src[W_Q + i];
        const void *rows;
        if (i < first || i >= end || !w) {
            h.part[i].n = 0;
            continue;
        }
        TRY(nv_stored_rows(j, w, 0, w->ne[1], to, &rows, j->e));
        TRY(nv_rows_map(j, rows, type, w->ne[0], w->ne[1], w->ne[0], 64, &h.w_map[i]));
        to += scratch_of_part(j->t, i);
        tiles += divide_up(w->ne[1], 256);
    }
    tiles *= divide_up(divide_up(h.m, 128), 2);
    if (tiles == 0)
        return ERR_OK;
    return nv_launch(j->card, kernel, (struct nv_grid){.x = 2 * (tiles < pairs ? tiles : pairs)},
                     &h, j->e);
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
        .k = (int)t->src[W_K]->ne[0],
        .pairs = p.pairs,
        .eps = p.eps,
    };
    if (p.eight) {
        struct nv_eight rows = nv_eight_of(x);
        h.x_scales = rows.scales;
        h.ld_scales = rows.ld_scales;
    }
    const struct ggml_tensor *norms[PARTS] = {p.norm_q, p.norm_k, NULL};
    int64_t at = 0;
    for (int i = 0; i < PARTS; i++) {
        const struct ggml_tensor *w = t->src[W_Q + i];
        if (!w)
            continue;
        h.part[i] = (struct nv_heads){.row_scales = floats(nv_stored_of(w).row_scales),
                                      .bias = floats(t->src[B_Q + i]),
                                      .norm = floats(norms[i]),
                                      .y = (char *)t->data + (size_t)at * ggml_element_size(t),
                                      .y_token = nv_stride(t, 1),
                                      .y_head = HEAD,
                                      .n = (int)w->ne[1],
                                      .rotate = i < 2};
        at += w->ne[1];
    }
    int type = p.eight ? p.eight : NV_BF16;
    TRY(nv_rows_map(j, x->data, type, h.k, x->ne[1], nv_stride(x, 1), 128, &h.x_map));
    if (scratch_of_all(t) <= NV_UNPACKED_BYTES)
        return launch_parts(j, &h, type, 0, PARTS);
    for (int i = 0; i < PARTS; i++)
        TRY(launch_parts(j, &h, type, i, i + 1));
    return ERR_OK;
}

static double flops(const struct ggml_tensor *t)
{
    return 2.0 * (double)ggml_nelements(t) * (double)t->src[W_K]->ne[0];
}

static const struct nv_op op_project = {
    .name = "heads", .launch = launch, .scratch = scratch, .flops = flops, .strided = true};

/* ---- making ----------------------------------------------------------------------------------------------- */

static bool suits_part(const struct nn_projection *l)
{
    if (!l->w)
        return true;
    const struct ggml_tensor *w = l->w->t;
    bool known = l->w->eight || w->type == GGML_TYPE_BF16 || nv_stored_of(w).kind != NV_BLOCKS_NONE;
    return known && w->ne[1] % HEAD == 0 && w->ne[0] % 8 == 0 && l->w->scale == 1.0f;
}

static bool suits(const struct nn_graph *g, const struct ggml_tensor *x,
                  const struct nn_projections *p)
{
    const struct nv_card *card = nn_device_card(g->device);
    return card && nv_card_architecture(card) >= 90 && !g->exact && p->head_dim == HEAD &&
           x->ne[1] > FEW_ROWS && p->k.w && p->v.w && suits_part(&p->q) && suits_part(&p->k) &&
           suits_part(&p->v) && p->k.w->eight == p->v.w->eight &&
           (!p->q.w || p->q.w->eight == p->k.w->eight);
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
    enum nn_compute eight = p->k.w->eight;
    struct ggml_tensor *src[SOURCES] = {
        [X] = eight ? nv_eight_rows(g, x, eight) : nv_rows_for_product(g, x),
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
                                  .eight = nv_eight_type(eight),
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

/* rope.c - rotary embedding from tables: our own kernel on the CPU, plain operations elsewhere.
 *
 * The tables come from the model (float64 angles rounded to float32, as the reference has them); ggml's own
 * rope computes angles in float32 on the device, which is off by 1e-4 at large positions. */
#include "nn/cpu/nodes.h"
#include "nn/heads.h"
#include "nn/ops.h"
#include "nn/rope_kern.h"

static struct nn_rope_rows rope_rows(const struct ggml_tensor *dst, const struct ggml_tensor *x,
                                     const struct ggml_tensor *cos, const struct ggml_tensor *sin,
                                     int ith, int nth)
{
    int64_t tokens = x->ne[2], per = (tokens + nth - 1) / nth, first = per * ith;
    int64_t last = first + per < tokens ? first + per : tokens;
    return (struct nn_rope_rows){
        .x = x->data,
        .cos = cos->data,
        .sin = sin->data,
        .dst = dst->data,
        .head_dim = x->ne[0],
        .heads = x->ne[1],
        .first = first,
        .last = last,
        .x_head_stride = (int64_t)(x->nb[1] / sizeof(float)),
        .x_token_stride = (int64_t)(x->nb[2] / sizeof(float)),
    };
}

static void rope_pairs_op(struct ggml_tensor *dst, const struct ggml_tensor *x,
                          const struct ggml_tensor *cos, const struct ggml_tensor *sin, int ith,
                          int nth, void *user)
{
    (void)user;
    nn_rope_pairs_kern(rope_rows(dst, x, cos, sin, ith, nth));
}

static void rope_halves_op(struct ggml_tensor *dst, const struct ggml_tensor *x,
                           const struct ggml_tensor *cos, const struct ggml_tensor *sin, int ith,
                           int nth, void *user)
{
    (void)user;
    nn_rope_halves_kern(rope_rows(dst, x, cos, sin, ith, nth));
}

/* ---- plain operations --------------------------------------------------------------------------------
 *
 * x times cosines, plus x with the members of each pair exchanged times sines that have the sign: both tables
 * as wide as a head. Exchanging is one operation, a roll. */

/* [tokens, head_dim / 2] -> [tokens, 1, head_dim], the first member of each pair times `sign`. */
static struct ggml_tensor *widen(struct nn_graph *g, struct ggml_tensor *t, float sign,
                                 enum nn_rope mode)
{
    int64_t half = t->ne[0], tokens = t->ne[1];
    struct ggml_tensor *first = sign < 0 ? ggml_scale(nn_ctx(g), t, sign) : ggml_cont(nn_ctx(g), t);
    struct ggml_tensor *both;
    if (mode == NN_ROPE_HALVES)
        both = ggml_concat(nn_ctx(g), first, t, 0);
    else
        both = ggml_concat(nn_ctx(g), ggml_reshape_3d(nn_ctx(g), first, 1, half, tokens),
                           ggml_reshape_3d(nn_ctx(g), t, 1, half, tokens), 0);
    both = ggml_reshape_3d(nn_ctx(g), both, 2 * half, 1, tokens);
    nn_graph_add(g, both);
    return both;
}

static struct nn_rope_table wide_tables(struct nn_graph *g, struct ggml_tensor *cos,
                                        struct ggml_tensor *sin, enum nn_rope mode)
{
    const struct ggml_tensor *base = cos->view_src ? cos->view_src : cos;
    for (int i = 0; i < g->n_rope; i++)
        if (g->rope[i].base == base && g->rope[i].at == cos->view_offs &&
            g->rope[i].cos->ne[2] == cos->ne[1])
            return g->rope[i];
    struct nn_rope_table t = {.base = base,
                              .at = cos->view_offs,
                              .cos = widen(g, cos, 1.0f, mode),
                              .sin = widen(g, sin, -1.0f, mode)};
    if (g->n_rope < NN_ROPE_TABLES)
        g->rope[g->n_rope++] = t;
    return t;
}

/* The other member of its pair in each place; x contiguous. */
static struct ggml_tensor *exchanged(struct nn_graph *g, struct ggml_tensor *x, enum nn_rope mode)
{
    if (mode == NN_ROPE_HALVES)
        return ggml_roll(nn_ctx(g), x, (int)(x->ne[0] / 2), 0, 0, 0);
    struct ggml_tensor *pairs = ggml_reshape_2d(nn_ctx(g), x, 2, ggml_nelements(x) / 2);
    return ggml_reshape_4d(nn_ctx(g), ggml_roll(nn_ctx(g), pairs, 1, 0, 0, 0), x->ne[0], x->ne[1],
                           x->ne[2], x->ne[3]);
}

static struct ggml_tensor *rope_by_ops(struct nn_graph *g, struct ggml_tensor *x,
                                       struct ggml_tensor *cos, struct ggml_tensor *sin,
                                       enum nn_rope mode)
{
    struct nn_rope_table t = wide_tables(g, cos, sin, mode);
    if (!ggml_is_contiguous(x))
        x = ggml_cont(nn_ctx(g), x);
    struct ggml_tensor *y = ggml_mul(nn_ctx(g), exchanged(g, x, mode), t.sin);
    return ggml_add(nn_ctx(g), ggml_mul(nn_ctx(g), x, t.cos), y);
}

/* For CUDA, which makes one kernel of norm, product and sum: the norm's weight goes into the tables, which are
 * one head wide, and exchanging commutes with the norm. The order of the nodes is that in which it looks for
 * them. Norms read rows wherever they lie, so that is where they are put head by head. (On Vulkan norms of rows as short as a head are what takes long.) */
static struct ggml_tensor *norm_rope_by_ops(struct nn_graph *g, struct ggml_tensor *x,
                                            struct ggml_tensor *w, float eps,
                                            struct ggml_tensor *cos, struct ggml_tensor *sin,
                                            enum nn_rope mode)
{
    struct nn_rope_table t = wide_tables(g, cos, sin, mode);
    int64_t dim = x->ne[0], tokens = x->ne[2];
    struct ggml_tensor *c = ggml_mul(nn_ctx(g), ggml_reshape_2d(nn_ctx(g), t.cos, dim, tokens), w);
    struct ggml_tensor *s =
        ggml_mul(nn_ctx(g), ggml_reshape_2d(nn_ctx(g), t.sin, dim, tokens), exchanged(g, w, mode));
    struct ggml_tensor *other = exchanged(g, x, mode);
    nn_graph_add(g, c);
    nn_graph_add(g, s);
    nn_graph_add(g, other);
    x = ggml_rms_norm(nn_ctx(g), nn_swap_heads(g, x), eps);
    other = ggml_rms_norm(nn_ctx(g), nn_swap_heads(g, other), eps);
    struct ggml_tensor *a = ggml_mul(nn_ctx(g), x, c);
    struct ggml_tensor *b = ggml_mul(nn_ctx(g), other, s);
    return nn_swap_heads(g, ggml_add(nn_ctx(g), a, b));
}

struct ggml_tensor *nn_rope_apply(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *cos, struct ggml_tensor *sin,
                                  enum nn_rope mode)
{
    if (!nn_device_is_cpu(g->device))
        return rope_by_ops(g, x, cos, sin, mode);
    return ggml_map_custom3(nn_ctx(g), x, cos, sin,
                            mode == NN_ROPE_PAIRS ? rope_pairs_op : rope_halves_op,
                            GGML_N_TASKS_MAX, NULL);
}

struct ggml_tensor *nn_norm_rope_in(struct nn_graph *g, struct ggml_tensor *x,
                                    const struct nn_param *w, float eps, struct ggml_tensor *cos,
                                    struct ggml_tensor *sin, enum nn_rope mode)
{
    struct ggml_tensor *y =
        nn_cpu_norm_rope(g, x, w ? w->t : NULL, eps, cos, sin, mode == NN_ROPE_PAIRS);
    if (y)
        return y;
    if (w && nn_device_is_cuda(g->device) && ggml_is_contiguous(x))
        return norm_rope_by_ops(g, x, w->t, eps, cos, sin, mode);
    return nn_rope_apply(g, w ? nn_rms_norm(g, x, w, eps) : x, cos, sin, mode);
}

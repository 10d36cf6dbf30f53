/* rope.c - rotary embedding from tables: our own kernel on the CPU, plain operations elsewhere.
 *
 * The tables come from the model (float64 angles rounded to float32, as the reference has them); ggml's own
 * rope computes angles in float32 on the device, which is off by 1e-4 at large positions. */
#include "nn/cpu/nodes.h"
#include "nn/nvidia/nodes.h"
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

struct ggml_tensor *nn_rope_apply(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *cos, struct ggml_tensor *sin,
                                  enum nn_rope mode)
{
    struct ggml_tensor *y =
        nv_head_norm_rope(g, x, NULL, 0, cos, sin, mode == NN_ROPE_PAIRS, false);
    if (y)
        return y;
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
    struct ggml_tensor *y = nv_head_norm_rope(g, x, w, eps, cos, sin, mode == NN_ROPE_PAIRS, true);
    if (!y)
        y = nn_cpu_norm_rope(g, x, w ? w->t : NULL, eps, cos, sin, mode == NN_ROPE_PAIRS);
    if (y)
        return y;
    return nn_rope_apply(g, w ? nn_rms_norm(g, x, w, eps) : x, cos, sin, mode);
}

struct ggml_tensor *nn_linear_rope_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x,
                                      const struct nn_rotary *r)
{
    struct ggml_tensor *y = nv_is_on(g) ? nn_linear_in(g, w, b, x) : nn_linear(g, w, b, x);
    y = ggml_reshape_3d(nn_ctx(g), y, r->head_dim, y->ne[0] / r->head_dim, y->ne[1]);
    return nn_norm_rope_in(g, y, r->norm, r->eps, r->cos, r->sin, r->mode);
}

/* rope.c - rotary embedding from tables: our own kernel on the CPU, plain operations elsewhere.
 *
 * The tables come from the model (float64 angles rounded to float32, as the reference has them); ggml's own
 * rope computes angles in float32 on the device, which is off by 1e-4 at large positions. */
#include "nn/cpu/nodes.h"
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

/* The two members of each pair as tensors [tokens, heads, head_dim / 2]. */
static void split_members(struct nn_graph *g, struct ggml_tensor *x, enum nn_rope mode,
                          struct ggml_tensor *out[2])
{
    int64_t half = x->ne[0] / 2, heads = x->ne[1], tokens = x->ne[2];
    if (mode == NN_ROPE_HALVES) {
        for (int i = 0; i < 2; i++)
            out[i] =
                ggml_cont(g->ctx, ggml_view_3d(g->ctx, x, half, heads, tokens, x->nb[1], x->nb[2],
                                               (size_t)i * (size_t)half * sizeof(float)));
        return;
    }
    struct ggml_tensor *pairs =
        ggml_reshape_4d(g->ctx, ggml_cont(g->ctx, x), 2, half, heads, tokens);
    pairs = ggml_cont(g->ctx,
                      ggml_permute(g->ctx, pairs, 3, 0, 1, 2)); /* ne = half, heads, tokens, 2 */
    for (int i = 0; i < 2; i++)
        out[i] = ggml_view_3d(g->ctx, pairs, half, heads, tokens, pairs->nb[1], pairs->nb[2],
                              (size_t)i * pairs->nb[3]);
}

static struct ggml_tensor *rope_by_ops(struct nn_graph *g, struct ggml_tensor *x,
                                       struct ggml_tensor *cos, struct ggml_tensor *sin,
                                       enum nn_rope mode)
{
    struct ggml_tensor *m[2];
    split_members(g, x, mode, m);
    struct ggml_tensor *c = ggml_reshape_3d(g->ctx, cos, cos->ne[0], 1, cos->ne[1]);
    struct ggml_tensor *s = ggml_reshape_3d(g->ctx, sin, sin->ne[0], 1, sin->ne[1]);
    struct ggml_tensor *a = ggml_sub(g->ctx, ggml_mul(g->ctx, m[0], c), ggml_mul(g->ctx, m[1], s));
    struct ggml_tensor *b = ggml_add(g->ctx, ggml_mul(g->ctx, m[0], s), ggml_mul(g->ctx, m[1], c));
    return ggml_concat(g->ctx, a, b, 0);
}

struct ggml_tensor *nn_rope_apply(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *cos, struct ggml_tensor *sin,
                                  enum nn_rope mode)
{
    if (!nn_device_is_cpu(g->device))
        return rope_by_ops(g, x, cos, sin, mode);
    return ggml_map_custom3(g->ctx, x, cos, sin,
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
    return nn_rope_apply(g, w ? nn_rms_norm(g, x, w, eps) : x, cos, sin, mode);
}

/* terms.c - the terms of a layer as layers of their own.
 *
 * A low-rank term is two narrow products, the second of which adds its result to what there is so far, as any layer with a
 * residual does: so there is nothing here that a device would have to know. Kronecker's product is never made either:
 * w1 (x) w2 applied to x is w2 applied to each of x's parts, and w1 to what stands at one place of all parts. */
#include "nn/terms.h"

#include "nn/ops.h"

/* Beside matrices in half precision x becomes halves, too: a power of two makes room for its largest values. */
static struct ggml_tensor *narrow(struct nn_graph *g, const struct nn_param *w,
                                  struct ggml_tensor *x)
{
    const float room = 32.0f;
    if (!w->halved)
        return nn_linear(g, w, NULL, x);
    struct ggml_tensor *y = nn_linear(g, w, NULL, ggml_scale(nn_ctx(g), x, 1.0f / room));
    return ggml_scale(nn_ctx(g), y, room);
}

/* x with a row for each of the parts of n values, one token's behind the other. */
static struct ggml_tensor *parts(struct nn_graph *g, struct ggml_tensor *x, int64_t n)
{
    if (!ggml_is_contiguous(x))
        x = ggml_cont(nn_ctx(g), x);
    return ggml_reshape_2d(nn_ctx(g), x, n, ggml_nelements(x) / n);
}

/* [n_tok, a, b] in rows of b -> [n_tok, b, a] in rows of a. */
static struct ggml_tensor *turned(struct nn_graph *g, struct ggml_tensor *x, int64_t a)
{
    int64_t b = x->ne[0];
    x = ggml_reshape_3d(nn_ctx(g), x, b, a, x->ne[1] / a);
    x = ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), x, 1, 0, 2, 3));
    return ggml_reshape_2d(nn_ctx(g), x, a, b * x->ne[2]);
}

static struct ggml_tensor *kronecker(struct nn_graph *g, const struct nn_term *t,
                                     struct ggml_tensor *x, int64_t out)
{
    int64_t tokens = x->ne[1], n = t->mix->t->ne[0], m = t->mix->t->ne[1], p = t->up->t->ne[1];
    x = parts(g, x, x->ne[0] / n);
    if (t->down)
        x = narrow(g, t->down, x);
    x = turned(g, narrow(g, t->up, x), n);
    x = turned(g, narrow(g, t->mix, x), p);
    x = ggml_reshape_2d(nn_ctx(g), x, m * p, tokens);
    if (m * p == out)
        return x;
    return ggml_cont(nn_ctx(g), ggml_view_2d(nn_ctx(g), x, out, tokens, x->nb[1],
                                             (size_t)t->skip * ggml_element_size(x)));
}

static struct ggml_tensor *add(struct nn_graph *g, const struct nn_term *t, struct ggml_tensor *x,
                               struct ggml_tensor *gate, struct ggml_tensor *y)
{
    if (!t->mix)
        return nn_linear_gate_add(g, t->up, NULL, t->down ? narrow(g, t->down, x) : x, gate, y);
    struct ggml_tensor *k = kronecker(g, t, x, y->ne[0]);
    return gate ? nn_gate_add(g, y, gate, k) : ggml_add(nn_ctx(g), y, k);
}

struct ggml_tensor *nn_terms_add(struct nn_graph *g, const struct nn_param *w,
                                 struct ggml_tensor *x, struct ggml_tensor *gate,
                                 struct ggml_tensor *y)
{
    bool int8 = g->int8;
    g->int8 = false; /* small products gain nothing by it, and are the whole of what was trained */
    for (const struct nn_term *t = w->terms; t; t = t->next)
        y = add(g, t, x, gate, y);
    g->int8 = int8;
    return y;
}

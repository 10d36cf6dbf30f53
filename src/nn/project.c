#include "nn/project.h"

#include "nn/nvidia/nodes.h"

static struct ggml_tensor *rotated(struct nn_graph *g, struct ggml_tensor *x,
                                   const struct nn_projections *p, const struct nn_projection *l)
{
    if (!l->w)
        return NULL;
    return nn_linear_rope_in(g, l->w, l->b, x,
                             &(struct nn_rotary){.norm = l->norm,
                                                 .head_dim = p->head_dim,
                                                 .eps = p->eps,
                                                 .cos = p->cos,
                                                 .sin = p->sin,
                                                 .mode = p->mode});
}

static struct ggml_tensor *plain(struct nn_graph *g, struct ggml_tensor *x,
                                 const struct nn_projections *p, const struct nn_projection *l)
{
    if (!l->w)
        return NULL;
    struct ggml_tensor *y = nn_linear_in(g, l->w, l->b, x);
    return ggml_reshape_3d(nn_ctx(g), y, p->head_dim, y->ne[0] / p->head_dim, y->ne[1]);
}

struct nn_qkv nn_project(struct nn_graph *g, struct ggml_tensor *x, const struct nn_projections *p)
{
    bool terms =
        (p->q.w && p->q.w->terms) || (p->k.w && p->k.w->terms) || (p->v.w && p->v.w->terms);
    struct nn_qkv out = {.all = terms ? NULL : nv_project(g, x, p)};
    if (out.all)
        return nv_heads_of(g, out.all, p);
    out.q = rotated(g, x, p, &p->q);
    out.k = rotated(g, x, p, &p->k);
    out.v = plain(g, x, p, &p->v);
    return out;
}

/* t's view, of as many tokens as `all` has. */
static struct ggml_tensor *lengthened(struct nn_graph *g, struct ggml_tensor *all,
                                      const struct ggml_tensor *t)
{
    return ggml_view_3d(nn_ctx(g), all, t->ne[0], t->ne[1], all->ne[1], t->nb[1], t->nb[2],
                        t->view_offs);
}

static bool same_heads(const struct ggml_tensor *a, const struct ggml_tensor *b)
{
    return a && b && a->ne[1] == b->ne[1] && a->view_offs == b->view_offs;
}

static struct ggml_tensor *joined(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b)
{
    return a && b ? nn_join(g, a, b, 2) : a ? a : b;
}

struct nn_qkv nn_qkv_join(struct nn_graph *g, struct nn_qkv a, struct nn_qkv b)
{
    bool alike =
        a.all && b.all && same_heads(a.q, b.q) && same_heads(a.k, b.k) && same_heads(a.v, b.v);
    if (!alike)
        return (struct nn_qkv){
            .q = joined(g, a.q, b.q), .k = joined(g, a.k, b.k), .v = joined(g, a.v, b.v)};
    struct ggml_tensor *all = nn_join(g, a.all, b.all, 1);
    return (struct nn_qkv){.q = lengthened(g, all, a.q),
                           .k = lengthened(g, all, a.k),
                           .v = lengthened(g, all, a.v),
                           .all = all};
}

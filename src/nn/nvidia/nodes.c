#include "nn/nvidia/nodes.h"

#include <string.h>

/* What ggml_custom_4d stores in a node; parameters of ours go behind it. */
struct custom {
    ggml_custom_op_t fn;
    int n_tasks;
    void *user;
};

_Static_assert(sizeof(struct custom) + NV_PARAM_BYTES <= GGML_MAX_OP_PARAMS,
               "a node has no room for parameters");

/* Marks nodes; never called. */
static void on_card(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)dst;
    (void)ith;
    (void)nth;
    (void)user;
}

bool nv_is_on(const struct nn_graph *g)
{
    return nn_device_card(g->device) != NULL;
}

enum ggml_type nv_product_type(const struct nn_graph *g)
{
    return g->exact ? GGML_TYPE_F32 : GGML_TYPE_BF16;
}

struct ggml_tensor *nv_node_new(struct nn_graph *g, const struct nv_node *n)
{
    struct ggml_tensor *t =
        ggml_custom_4d(nn_ctx(g), n->type, n->ne[0], n->ne[1], n->ne[2], n->ne[3], n->src, n->n_src,
                       on_card, 1, (void *)(uintptr_t)n->op);
    if (n->params_bytes)
        memcpy((char *)t->op_params + sizeof(struct custom), n->params, n->params_bytes);
    return t;
}

const struct nv_op *nv_op_of(const struct ggml_tensor *t)
{
    struct custom c = {0};
    if (t->op == GGML_OP_CUSTOM)
        memcpy(&c, t->op_params, sizeof c);
    return c.fn == on_card ? c.user : NULL;
}

void nv_params_of(const struct ggml_tensor *t, void *out, size_t bytes)
{
    memcpy(out, (const char *)t->op_params + sizeof(struct custom), bytes);
}

int nv_type_of(const struct ggml_tensor *t)
{
    switch ((int)t->type) {
    case GGML_TYPE_F32:
        return NV_F32;
    case GGML_TYPE_BF16:
        return NV_BF16;
    case GGML_TYPE_F16:
        return NV_F16;
    case GGML_TYPE_I32:
        return NV_I32;
    default:
        return -1;
    }
}

size_t nv_type_bytes(int type)
{
    switch (type) {
    case NV_F64:
        return 8;
    case NV_F32:
    case NV_I32:
        return 4;
    case NV_I8:
    case NV_F8:
        return 1;
    default:
        return 2;
    }
}

enum err_code nv_rows_map(const struct nv_job *j, const void *p, int type, int64_t k, int64_t rows,
                          int64_t ld, uint32_t box_rows, struct nv_tensor_map *out)
{
    enum { BOX_BYTES = 128 };
    const struct nv_map_spec s = {
        .p = (nv_ptr)(uintptr_t)p,
        .of = type == NV_BF16 ? NV_MAP_OF_BF16 : NV_MAP_OF_BYTES,
        .columns = (uint64_t)k,
        .rows = (uint64_t)rows,
        .row_stride = (uint64_t)ld,
        .box_columns = BOX_BYTES / (uint32_t)nv_type_bytes(type),
        .box_rows = box_rows,
    };
    return nv_tensor_map_make(j->card, &s, out, j->e);
}

int64_t nv_stride(const struct ggml_tensor *t, int d)
{
    return (int64_t)(t->nb[d] / ggml_element_size(t));
}

struct ggml_tensor *nv_if_congruent(const struct ggml_tensor *t, struct ggml_tensor *src)
{
    bool same = src && src->type == t->type && ggml_are_same_shape(t, src);
    for (int d = 0; same && d < GGML_MAX_DIMS; d++)
        same = t->nb[d] == src->nb[d] || t->ne[d] == 1;
    return same ? src : NULL;
}

struct ggml_tensor *nv_as(struct nn_graph *g, struct ggml_tensor *x, enum ggml_type type)
{
    if (x->type != type)
        return ggml_cast(nn_ctx(g), x, type);
    return ggml_is_contiguous(x) ? x : ggml_cont(nn_ctx(g), x);
}

struct ggml_tensor *nv_rows_for_product(struct nn_graph *g, struct ggml_tensor *x)
{
    enum { FEW_ROWS = 8 }; /* which products take in any type */
    enum ggml_type type = nv_product_type(g);
    bool rows = x->nb[0] == ggml_element_size(x) && x->ne[2] == 1 && x->ne[3] == 1;
    if (rows && (x->type == type || x->ne[1] <= FEW_ROWS))
        return x;
    if (x->type != type || !ggml_is_contiguous(x)) {
        if (g->wide != x) {
            g->wide = x;
            g->narrow = nv_as(g, x, type);
        }
        x = g->narrow;
    }
    return ggml_reshape_2d(nn_ctx(g), x, x->ne[0], ggml_nrows(x));
}

#include "nn/graph_watch.h"

#include "nn/profile.h"

/* The cost of reading and writing a value, in operations, so that it can be added to the arithmetic of matrices. */
enum { VALUE_WORK = 20 };

/* Views and the like are no operations. */
static bool computes(const struct ggml_tensor *t)
{
    return t->op != GGML_OP_NONE && t->op != GGML_OP_VIEW && t->op != GGML_OP_RESHAPE &&
           t->op != GGML_OP_PERMUTE && t->op != GGML_OP_TRANSPOSE;
}

static double work_of(const struct ggml_tensor *t)
{
    return computes(t) ? nn_node_flops(t) + VALUE_WORK * (double)ggml_nelements(t) : 0;
}

void nn_running_begin(struct nn_running *r, const struct nn_graph *g, const atomic_bool *cancel)
{
    *r = (struct nn_running){.g = g, .cancel = cancel};
    if (!nn_device_watched(g->device))
        return;
    for (int i = 0; i < ggml_graph_n_nodes(g->gf); i++)
        r->all += work_of(ggml_graph_node(g->gf, i));
}

static void tell(const struct nn_running *r)
{
    if (r->all > 0)
        nn_device_tell_watch(r->g->device, r->done < r->all ? r->done / r->all : 1);
}

bool nn_running_next(void *running)
{
    struct nn_running *r = running;
    int n = ggml_graph_n_nodes(r->g->gf);
    while (r->all > 0 && r->node < n) {
        const struct ggml_tensor *t = ggml_graph_node(r->g->gf, r->node++);
        r->done += work_of(t);
        if (computes(t))
            break;
    }
    tell(r);
    return r->cancel && atomic_load_explicit(r->cancel, memory_order_relaxed);
}

void nn_running_reached(struct nn_running *r, int node)
{
    int n = ggml_graph_n_nodes(r->g->gf);
    for (; r->all > 0 && r->node < n && (node < 0 || r->node < node); r->node++)
        r->done += work_of(ggml_graph_node(r->g->gf, r->node));
    tell(r);
}

#include "nn/profile.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "nn/cpu/cpu.h"
#include "nn/nvidia/run.h"

double nn_node_flops(const struct ggml_tensor *t)
{
    double out = (double)ggml_nelements(t);
    if (t->op == GGML_OP_MUL_MAT)
        return 2 * out * (double)t->src[0]->ne[0];
    if (t->op == GGML_OP_CONV_2D)
        return 2 * out * (double)(t->src[0]->ne[0] * t->src[0]->ne[1] * t->src[0]->ne[2]);
    if (t->op == GGML_OP_FLASH_ATTN_EXT)
        return 4 * out * (double)t->src[1]->ne[1];
    return nn_cpu_flops(t) + nv_flops(t);
}

static double cpu_s(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* When the table is full, all further kinds are added to the last one. */
static struct nn_profile_kind *kind_of(struct nn_profile *p, const struct ggml_tensor *t)
{
    const char *name = nn_cpu_kind(t);
    if (!name)
        name = nv_kind(t);
    if (!name)
        name = ggml_op_desc(t);
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->kinds[i].name, name) == 0)
            return &p->kinds[i];
    if (p->n == NN_PROFILE_KINDS)
        return &p->kinds[NN_PROFILE_KINDS - 1];
    struct nn_profile_kind *k = &p->kinds[p->n++];
    (void)snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

static bool computes(const struct ggml_tensor *t)
{
    return t->op != GGML_OP_NONE && t->op != GGML_OP_VIEW && t->op != GGML_OP_RESHAPE &&
           t->op != GGML_OP_PERMUTE && t->op != GGML_OP_TRANSPOSE;
}

enum err_code nn_profile_run(struct nn_profile *p, const struct nn_graph *g,
                             const atomic_bool *cancel, struct err *e)
{
    struct ggml_init_params init = {.mem_size = 2 * ggml_graph_overhead_custom(1, false),
                                    .no_alloc = true};
    struct ggml_context *ctx = ggml_init(init);
    struct ggml_cgraph *one = ctx ? ggml_new_graph_custom(ctx, 1, false) : NULL;
    enum err_code rc = one ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a graph");
    for (int i = 0; rc == ERR_OK && i < ggml_graph_n_nodes(g->gf); i++) {
        struct ggml_tensor *t = ggml_graph_node(g->gf, i);
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            rc = err_set(e, ERR_CANCELLED, "stopped on request");
        if (rc != ERR_OK || !computes(t))
            continue;
        struct nn_profile_kind *k = kind_of(p, t);
        ggml_graph_clear(one);
        ggml_graph_add_node(one, t);
        double start = clock_s(), cpu = cpu_s();
        rc = nn_graph_compute(g, (struct nn_piece){one, i, i + 1}, cancel, e);
        k->seconds += clock_s() - start;
        k->cpu_seconds += cpu_s() - cpu;
        k->flops += nn_node_flops(t);
        k->nodes++;
    }
    ggml_free(ctx);
    return rc;
}

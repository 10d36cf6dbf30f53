/* small.c - operations that read and write each value once. */
#include "nn/cpu/nodes.h"

/* Row r of a tensor of up to three outer dimensions, wherever it lies. */
static const void *row_at(const struct ggml_tensor *t, int64_t r)
{
    int64_t i1 = r % t->ne[1], i2 = r / t->ne[1] % t->ne[2], i3 = r / t->ne[1] / t->ne[2];
    return (const unsigned char *)t->data + (size_t)i1 * t->nb[1] + (size_t)i2 * t->nb[2] +
           (size_t)i3 * t->nb[3];
}

/* ---- float32 to bf16 ---------------------------------------------------------------------------------- */

void nn_cpu_to_bf16_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)user;
    const struct ggml_tensor *x = dst->src[0];
    const struct vec *v = vec_get();
    int64_t first, last, n = x->ne[0];
    nn_cpu_share(ggml_nrows(x), ith, nth, &first, &last);
    for (int64_t r = first; r < last; r++)
        v->to_bf16(row_at(x, r), (uint16_t *)dst->data + r * n, n);
}

struct ggml_tensor *nn_cpu_to_bf16(struct nn_graph *g, struct ggml_tensor *x)
{
    if (x->nb[0] != sizeof(float))
        x = ggml_cont(g->ctx, x);
    return ggml_custom_4d(g->ctx, GGML_TYPE_BF16, x->ne[0], x->ne[1], x->ne[2], x->ne[3], &x, 1,
                          nn_cpu_to_bf16_op, GGML_N_TASKS_MAX, NULL);
}

#include <string.h>

#include "nn/group_norm_kern.h"
#include "nn/ops.h"

enum { FLOAT_SUMS_BIT = 1u << 30 };

/* eps, groups and the kind of sums travel in the user pointer: a node has no other place that outlives it. */
static void *pack(int groups, float eps, enum nn_moments moments)
{
    uint32_t bits, low = (uint32_t)groups | (moments == NN_MOMENTS_FLOAT_SUMS ? FLOAT_SUMS_BIT : 0);
    memcpy(&bits, &eps, sizeof bits);
    return (void *)(uintptr_t)((uint64_t)bits << 32 | low);
}

static void group_norm_op(struct ggml_tensor *dst, const struct ggml_tensor *x,
                          const struct ggml_tensor *w, const struct ggml_tensor *b, int ith,
                          int nth, void *user)
{
    uint64_t u = (uintptr_t)user;
    uint32_t bits = (uint32_t)(u >> 32);
    struct nn_group_norm_job j = {
        .x = x->data,
        .w = w->data,
        .b = b->data,
        .y = dst->data,
        .channels = x->ne[2],
        .pixels = x->ne[0] * x->ne[1],
        .groups = (int64_t)((uint32_t)u & ~(uint32_t)FLOAT_SUMS_BIT),
        .float_sums = (u & FLOAT_SUMS_BIT) != 0,
    };
    memcpy(&j.eps, &bits, sizeof bits);
    j.first = j.groups * ith / nth;
    j.last = j.groups * (ith + 1) / nth;
    nn_group_norm_kern(j);
}

struct ggml_tensor *nn_group_norm(struct nn_graph *g, struct ggml_tensor *x,
                                  const struct nn_param *w, const struct nn_param *b, int groups,
                                  float eps, enum nn_moments moments)
{
    if (nn_device_is_cpu(g->device) && ggml_is_contiguous(x))
        return ggml_map_custom3(nn_ctx(g), x, w->t, b->t, group_norm_op, GGML_N_TASKS_MAX,
                                pack(groups, eps, moments));
    struct ggml_tensor *y = ggml_group_norm(nn_ctx(g), x, groups, eps);
    y = ggml_mul(nn_ctx(g), y, ggml_reshape_3d(nn_ctx(g), w->t, 1, 1, w->t->ne[0]));
    return ggml_add(nn_ctx(g), y, ggml_reshape_3d(nn_ctx(g), b->t, 1, 1, b->t->ne[0]));
}

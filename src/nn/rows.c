#include "nn/rows.h"

#include <string.h>

/* A worker's share: rows of all channels, one after the other. */
static void load_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct nn_rows *from = user;
    int64_t w = dst->ne[0], rows = dst->ne[1], n = rows * dst->ne[2];
    float *y = dst->data;
    for (int64_t i = n * ith / nth; i < n * (ith + 1) / nth; i++)
        memcpy(y + i * w, from->at + i % rows * from->row_stride + i / rows * from->channel_stride,
               (size_t)w * sizeof *y);
}

static void save_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct nn_rows *to = user;
    const struct ggml_tensor *src = dst->src[0];
    int64_t w = src->ne[0], rows = src->ne[1], n = rows * src->ne[2];
    const float *x = src->data;
    for (int64_t i = n * ith / nth; i < n * (ith + 1) / nth; i++)
        memcpy(to->at + i % rows * to->row_stride + i / rows * to->channel_stride, x + i * w,
               (size_t)w * sizeof *x);
}

struct ggml_tensor *nn_rows_load(struct nn_graph *g, const struct nn_rows *from, int64_t width,
                                 int64_t rows, int64_t channels)
{
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_F32, width, rows, channels, 1, NULL, 0, load_op,
                          GGML_N_TASKS_MAX, (void *)(uintptr_t)from);
}

void nn_rows_save(struct nn_graph *g, struct ggml_tensor *x, const struct nn_rows *to)
{
    struct ggml_tensor *args[] = {x};
    nn_graph_output(g, ggml_custom_4d(nn_ctx(g), GGML_TYPE_F32, 1, 1, 1, 1, args, 1, save_op,
                                      GGML_N_TASKS_MAX, (void *)(uintptr_t)to));
}

/* float8.c - float8 weights. ggml has no type for them, so their bytes are kept as I8. The CPU's own products unpack
 * them a panel at a time (linear.c); where ggml has to multiply, the whole matrix is converted to float32. */
#include "nn/cpu/nodes.h"

void nn_cpu_float8_table(bool e5m2, float table[256])
{
    for (int i = 0; i < 256; i++)
        table[i] = e5m2 ? dtype_e5m2_to_f32((uint8_t)i) : dtype_e4m3_to_f32((uint8_t)i);
}

void nn_cpu_float8_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    float table[256];
    int64_t first, last;
    const unsigned char *src = dst->src[0]->data;
    float *to = dst->data;
    nn_cpu_float8_table(nn_cpu_low(user) != 0, table);
    nn_cpu_share(ggml_nelements(dst), ith, nth, &first, &last);
    for (int64_t i = first; i < last; i++)
        to[i] = table[src[i]];
}

struct ggml_tensor *nn_cpu_plain_weights(struct nn_graph *g, const struct nn_param *w)
{
    struct ggml_tensor *t = w->t;
    if (t->type != GGML_TYPE_I8)
        return t;
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_F32, t->ne[0], t->ne[1], t->ne[2], t->ne[3], &t, 1,
                          nn_cpu_float8_op, GGML_N_TASKS_MAX,
                          nn_cpu_pack(w->view.dtype == DTYPE_F8_E5M2, 0));
}

/* int8.c - quantises rows of activations to 8 bits, for int8 matmul.
 *
 * A row of the node holds the bytes, padding to a multiple of 64, and a struct vec_row_u8 with the row's scale and zero
 * point, in 64 bytes of its own. */
#include <string.h>

#include "nn/cpu/nodes.h"

bool nn_cpu_int8(const struct nn_graph *g)
{
    return g->int8 && nn_cpu_has_int8() && nn_device_is_cpu(g->device);
}

size_t nn_cpu_u8_row_at(int64_t n)
{
    return nn_cpu_pad((size_t)n);
}

static const void *row_at(const struct ggml_tensor *t, int64_t r)
{
    int64_t i1 = r % t->ne[1], i2 = r / t->ne[1] % t->ne[2], i3 = r / t->ne[1] / t->ne[2];
    return (const unsigned char *)t->data + (size_t)i1 * t->nb[1] + (size_t)i2 * t->nb[2] +
           (size_t)i3 * t->nb[3];
}

void nn_cpu_to_u8_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)user;
    const struct ggml_tensor *x = dst->src[0];
    const struct vec *v = vec_get();
    int64_t first, last, n = x->ne[0];
    size_t at = nn_cpu_u8_row_at(n);
    int bits = nn_cpu_int8_bits();
    nn_cpu_share(ggml_nrows(x), ith, nth, &first, &last);
    for (int64_t r = first; r < last; r++) {
        unsigned char *y = (unsigned char *)dst->data + (size_t)r * dst->nb[1];
        struct vec_row_u8 row = v->to_u8(row_at(x, r), x->type == GGML_TYPE_BF16, y, n, bits);
        memset(y + n, 0, at - (size_t)n);
        memcpy(y + at, &row, sizeof row);
    }
}

/* Layers that read the same x (queries, keys, values, the first half of a feed-forward) share one node. */
struct ggml_tensor *nn_cpu_to_u8(struct nn_graph *g, struct ggml_tensor *x)
{
    if (g->int8_of == x)
        return g->int8_x;
    g->int8_of = x;
    if (x->nb[0] != ggml_element_size(x))
        x = ggml_cont(nn_ctx(g), x);
    int64_t row = (int64_t)nn_cpu_u8_row_at(x->ne[0]) + 64;
    g->int8_x = ggml_custom_4d(nn_ctx(g), GGML_TYPE_I8, row, ggml_nrows(x), 1, 1, &x, 1,
                               nn_cpu_to_u8_op, GGML_N_TASKS_MAX, NULL);
    return g->int8_x;
}

/* ---- float8 ---------------------------------------------------------------------------------- */

/* Float8 weights. ggml has no type for them, so their bytes are kept as I8. The CPU's own products unpack
 * them a panel at a time (linear.c); where ggml has to multiply, the whole matrix is converted to float32. */

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

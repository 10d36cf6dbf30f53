/* eight.c - products of 8 bits: int8, and float8 (e4m3) where the card has it.
 *
 * Weights come onto the card in that form (params_eight.c), so it is the weight that says how its product is made, not the
 * device. Tokens become 8 bits right before the product, each with a scale of its own: a tensor of such rows has its
 * numbers and then, in 16 bytes, the float32 scale. Products of the same tokens share one; where the tokens come
 * from a norm, that norm is launched so that it writes them, and its result in bf16 is only made if something else
 * reads it. Few rows are multiplied as they are.
 */
#include "nn/nvidia/nodes.h"

enum { SCALE_BYTES = 16, QUANTISE_X = 0, QUANTISE_SOURCES };

int nv_eight_type(enum nn_compute c)
{
    return c == NN_COMPUTE_INT8 ? NV_I8 : c == NN_COMPUTE_FP8 ? NV_F8 : 0;
}

int64_t nv_eight_row(int64_t dim)
{
    return dim + SCALE_BYTES;
}

struct nv_eight nv_eight_of(const struct ggml_tensor *x)
{
    return (struct nv_eight){
        .dim = x->ne[0] - SCALE_BYTES,
        .scales = x->data ? (const float *)((const char *)x->data + x->ne[0] - SCALE_BYTES) : NULL,
        .ld_scales = (int64_t)(x->nb[1] / sizeof(float))};
}

static enum err_code launch(const struct nv_job *j)
{
    int type;
    const struct ggml_tensor *x = j->t->src[QUANTISE_X];
    struct nv_eight y = nv_eight_of(j->t);
    nv_params_of(j->t, &type, sizeof type);
    struct nv_quantise q = {.x = x->data,
                            .y = j->t->data,
                            .scales = (float *)(uintptr_t)y.scales,
                            .ldx = nv_stride(x, 1),
                            .ldy = nv_stride(j->t, 1),
                            .ld_scales = y.ld_scales,
                            .rows = (int)x->ne[1],
                            .dim = (int)x->ne[0],
                            .x_type = nv_type_of(x),
                            .y_type = type};
    return nv_launch(j->card, NV_KERNEL_quantise_rows, (struct nv_grid){.x = q.rows}, &q, j->e);
}

static const struct nv_op op_quantise = {.name = "quantise", .launch = launch};

static struct ggml_tensor *quantised(struct nn_graph *g, struct ggml_tensor *x, int type)
{
    bool rows = x->nb[0] == ggml_element_size(x) && x->ne[2] == 1 && x->ne[3] == 1;
    if (!rows) {
        x = ggml_is_contiguous(x) ? x : ggml_cont(nn_ctx(g), x);
        x = ggml_reshape_2d(nn_ctx(g), x, x->ne[0], ggml_nrows(x));
    }
    return nv_node_new(g, &(struct nv_node){.op = &op_quantise,
                                            .type = GGML_TYPE_I8,
                                            .ne = {nv_eight_row(x->ne[0]), x->ne[1], 1, 1},
                                            .src = &x,
                                            .n_src = QUANTISE_SOURCES,
                                            .params = &type,
                                            .params_bytes = sizeof type});
}

struct ggml_tensor *nv_eight_rows(struct nn_graph *g, struct ggml_tensor *x, enum nn_compute c)
{
    if (g->int8_of == x)
        return g->int8_x;
    struct ggml_tensor *y = nv_norm_to_eight(g, x, nv_eight_type(c));
    g->int8_of = x;
    g->int8_x = y ? y : quantised(g, x, nv_eight_type(c));
    return g->int8_x;
}

#include "nn/ops.h"

#include <string.h>

#include "nn/cpu/nodes.h"

/* What ggml's kernels take: the CPU's own may hand on bf16. */
static struct ggml_tensor *as_f32(struct nn_graph *g, struct ggml_tensor *x)
{
    return x->type == GGML_TYPE_F32 ? x : ggml_cast(g->ctx, x, GGML_TYPE_F32);
}

/* ---- linear layers --------------------------------------------------------------------------------- */

static struct ggml_tensor *linear_by_ggml(struct nn_graph *g, const struct nn_param *w,
                                          const struct nn_param *b, struct ggml_tensor *x)
{
    struct ggml_tensor *y = ggml_mul_mat(g->ctx, w->t, as_f32(g, x));
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (w->row_scales)
        y = ggml_mul(g->ctx, y, w->row_scales);
    if (w->scale != 1.0f)
        y = ggml_scale(g->ctx, y, w->scale);
    return b ? ggml_add(g->ctx, y, b->t) : y;
}

struct ggml_tensor *nn_linear(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x)
{
    struct ggml_tensor *y = nn_cpu_linear(g, &(struct nn_cpu_linear){.x = x, .w = w, .b = b});
    return y ? y : linear_by_ggml(g, w, b, x);
}

struct ggml_tensor *nn_linear_in(struct nn_graph *g, const struct nn_param *w,
                                 const struct nn_param *b, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .b = b, .for_product = true};
    struct ggml_tensor *y = nn_cpu_linear(g, &l);
    return y ? y : linear_by_ggml(g, w, b, x);
}

struct ggml_tensor *nn_linear_gate_add(struct nn_graph *g, const struct nn_param *w,
                                       const struct nn_param *b, struct ggml_tensor *x,
                                       struct ggml_tensor *gate, struct ggml_tensor *residual)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .b = b, .gate = gate, .residual = residual};
    struct ggml_tensor *y = nn_cpu_linear(g, &l);
    if (y)
        return y;
    /* What leaves a block grew on its way (the products of SwiGLU most of all) and may pass the largest half,
     * into which the device turns it beside such weights. A power of two takes nothing from it. */
    const float room = w->halved ? 32.0f : 1.0f;
    if (room != 1.0f)
        x = ggml_scale(g->ctx, x, 1.0f / room);
    y = linear_by_ggml(g, w, NULL, x);
    if (room != 1.0f)
        y = ggml_scale(g->ctx, y, room);
    if (b)
        y = ggml_add(g->ctx, y, b->t);
    return gate ? nn_gate_add(g, residual, gate, y) : ggml_add(g->ctx, residual, y);
}

struct ggml_tensor *nn_linear_swiglu_in(struct nn_graph *g, const struct nn_param *w,
                                        struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .halves = true, .for_product = true};
    struct ggml_tensor *y = nn_cpu_linear(g, &l);
    return y ? y : nn_swiglu(g, nn_linear(g, w, NULL, x));
}

struct ggml_tensor *nn_linear_silu_mul_in(struct nn_graph *g, const struct nn_param *gate,
                                          const struct nn_param *up, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = gate, .w2 = up, .for_product = true};
    struct ggml_tensor *y = nn_cpu_linear(g, &l);
    return y ? y : nn_silu_mul(g, nn_linear(g, gate, NULL, x), nn_linear(g, up, NULL, x));
}

struct ggml_tensor *nn_linear_gelu_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {
        .x = x, .w = w, .b = b, .act = VEC_GELU_TANH, .for_product = true};
    struct ggml_tensor *y = nn_cpu_linear(g, &l);
    return y ? y : nn_gelu_tanh(g, linear_by_ggml(g, w, b, x));
}

/* ---- norms and small operations ---------------------------------------------------------------------- */

struct ggml_tensor *nn_layer_norm(struct nn_graph *g, struct ggml_tensor *x, float eps)
{
    return ggml_norm(g->ctx, x, eps);
}

struct ggml_tensor *nn_rms_norm(struct nn_graph *g, struct ggml_tensor *x, const struct nn_param *w,
                                float eps)
{
    return ggml_mul(g->ctx, ggml_rms_norm(g->ctx, x, eps), w->t);
}

struct ggml_tensor *nn_rms_norm_in(struct nn_graph *g, struct ggml_tensor *x,
                                   const struct nn_param *w, float eps)
{
    struct ggml_tensor *y = nn_cpu_rms_norm(g, x, w->t, eps);
    return y ? y : nn_rms_norm(g, x, w, eps);
}

struct ggml_tensor *nn_norm_modulate_in(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *shift, struct ggml_tensor *scale,
                                        float eps)
{
    struct ggml_tensor *y = nn_cpu_norm_modulate(g, x, shift, scale, eps);
    return y ? y : nn_modulate(g, nn_layer_norm(g, x, eps), shift, scale);
}

struct ggml_tensor *nn_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis)
{
    struct ggml_tensor *y = nn_cpu_join(g, a, b, axis);
    return y ? y : ggml_concat(g->ctx, as_f32(g, a), as_f32(g, b), axis);
}

struct ggml_tensor *nn_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                struct ggml_tensor *shift, struct ggml_tensor *scale)
{
    struct ggml_tensor *s = ggml_scale_bias(g->ctx, ggml_cont(g->ctx, scale), 1.0f, 1.0f);
    return ggml_add(g->ctx, ggml_mul(g->ctx, x, s), shift);
}

struct ggml_tensor *nn_gate_add(struct nn_graph *g, struct ggml_tensor *x, struct ggml_tensor *gate,
                                struct ggml_tensor *y)
{
    return ggml_add(g->ctx, x, ggml_mul(g->ctx, y, gate));
}

struct ggml_tensor *nn_chunk(struct nn_graph *g, struct ggml_tensor *x, int i, int n)
{
    int64_t dim = x->ne[0] / n;
    return ggml_view_2d(g->ctx, x, dim, x->ne[1], x->nb[1],
                        (size_t)i * (size_t)dim * ggml_element_size(x));
}

struct ggml_tensor *nn_swiglu(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_swiglu(g->ctx, x);
}

struct ggml_tensor *nn_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up)
{
    return ggml_swiglu_split(g->ctx, gate, up);
}

struct ggml_tensor *nn_silu(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_silu(g->ctx, x);
}

/* 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). ggml's own GELU looks its values
 * up in a half-precision table on the CPU, which is off by up to 5e-4. */
struct ggml_tensor *nn_gelu_tanh(struct nn_graph *g, struct ggml_tensor *x)
{
    const float two_u = 1.5957691216057308f;
    struct ggml_tensor *x2 = ggml_sqr(g->ctx, x);
    struct ggml_tensor *inner = ggml_scale_bias(g->ctx, x2, 0.044715f * two_u, two_u);
    return ggml_mul(g->ctx, x, ggml_sigmoid(g->ctx, ggml_mul(g->ctx, x, inner)));
}

struct ggml_tensor *nn_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad)
{
    struct ggml_tensor *ours = nn_cpu_conv(g, w->t, b ? b->t : NULL, x, stride, pad);
    if (ours)
        return ours;
    int px = 0, py = 0;
    if (pad.left == pad.right && pad.top == pad.bottom) {
        px = pad.left;
        py = pad.top;
    } else {
        x = ggml_pad_ext(g->ctx, x, pad.left, pad.right, pad.top, pad.bottom, 0, 0, 0, 0);
    }
    struct ggml_tensor *y;
    if (w->t->ne[0] == 1 && w->t->ne[1] == 1 && stride == 1) { /* 1 x 1: a product over channels */
        struct ggml_tensor *m = ggml_reshape_2d(g->ctx, w->t, w->t->ne[2], w->t->ne[3]);
        struct ggml_tensor *t = ggml_mul_mat(g->ctx, m, nn_pixels_to_tokens(g, x));
        ggml_prec_set_acc(t, GGML_PREC_F32);
        y = nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]);
    } else {
        y = ggml_conv_2d_direct(g->ctx, w->t, x, stride, stride, px, py, 1, 1);
    }
    if (!b)
        return y;
    return ggml_add(g->ctx, y, ggml_reshape_3d(g->ctx, b->t, 1, 1, b->t->ne[0]));
}

struct ggml_tensor *nn_upsample2x(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_upscale(g->ctx, x, 2, GGML_SCALE_MODE_NEAREST);
}

struct ggml_tensor *nn_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *t = ggml_reshape_2d(g->ctx, x, x->ne[0] * x->ne[1], x->ne[2]);
    return ggml_cont(g->ctx, ggml_transpose(g->ctx, t));
}

struct ggml_tensor *nn_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width)
{
    struct ggml_tensor *t = ggml_cont(g->ctx, ggml_transpose(g->ctx, x));
    return ggml_reshape_3d(g->ctx, t, width, height, x->ne[0]);
}

/* ops.c - each building block as nodes of a graph, for whatever device the graph is on.
 *
 * Every block tries three makers in the same order: a node of an NVIDIA card (nv_*), a node of the CPU (nn_cpu_*),
 * and last the same arithmetic in ggml's operations, which every backend has. The first two answer NULL when the
 * graph is on another device, when it is exact, or when a shape or type is not theirs; no block asks which device
 * it is on. A layer whose matrix has terms (terms.h) is made step by step, as the terms come in between.
 *
 * All of this only adds nodes to a graph; nothing is computed and nothing can fail here. Shapes were checked when
 * the parameters were declared (params.h): ggml would abort on a wrong one.
 */
#include "nn/ops.h"

#include <string.h>

#include "nn/cpu/nodes.h"
#include "nn/heads.h"
#include "nn/moments_kern.h"
#include "nn/nvidia/nodes.h"
#include "nn/terms.h"

/* ggml's kernels take float32 only; our own on the CPU may pass on bf16. */
static struct ggml_tensor *as_f32(struct nn_graph *g, struct ggml_tensor *x)
{
    return x->type == GGML_TYPE_F32 ? x : ggml_cast(nn_ctx(g), x, GGML_TYPE_F32);
}

/* ---- linear layers --------------------------------------------------------------------------------- */

static struct ggml_tensor *linear_by_ggml(struct nn_graph *g, const struct nn_param *w,
                                          const struct nn_param *b, struct ggml_tensor *x)
{
    struct ggml_tensor *y = ggml_mul_mat(nn_ctx(g), nn_cpu_plain_weights(g, w), as_f32(g, x));
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (w->row_scales)
        y = ggml_mul(nn_ctx(g), y, w->row_scales);
    if (w->scale != 1.0f)
        y = ggml_scale(nn_ctx(g), y, w->scale);
    return b ? ggml_add(nn_ctx(g), y, b->t) : y;
}

/* The layer as one node of our own, on a card or the CPU; NULL: neither can. */
static struct ggml_tensor *linear_of_ours(struct nn_graph *g, const struct nn_cpu_linear *l,
                                          enum nv_act act)
{
    struct ggml_tensor *y = nv_linear(g, &(struct nv_linear){.x = l->x,
                                                             .w = l->w,
                                                             .w2 = l->w2,
                                                             .b = l->b,
                                                             .halves = l->halves,
                                                             .gate = l->gate,
                                                             .residual = l->residual,
                                                             .act = act,
                                                             .for_product = l->for_product});
    return y ? y : nn_cpu_linear(g, l);
}

struct ggml_tensor *nn_linear(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x)
{
    struct ggml_tensor *y =
        linear_of_ours(g, &(struct nn_cpu_linear){.x = x, .w = w, .b = b}, NV_ACT_NONE);
    return nn_terms_add(g, w, x, NULL, y ? y : linear_by_ggml(g, w, b, x));
}

struct ggml_tensor *nn_linear_in(struct nn_graph *g, const struct nn_param *w,
                                 const struct nn_param *b, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .b = b, .for_product = true};
    if (w->terms)
        return nn_linear(g, w, b, x);
    struct ggml_tensor *y = linear_of_ours(g, &l, NV_ACT_NONE);
    return y ? y : linear_by_ggml(g, w, b, x);
}

static struct ggml_tensor *gate_add(struct nn_graph *g, const struct nn_param *w,
                                    const struct nn_param *b, struct ggml_tensor *x,
                                    struct ggml_tensor *gate, struct ggml_tensor *residual)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .b = b, .gate = gate, .residual = residual};
    struct ggml_tensor *y = linear_of_ours(g, &l, NV_ACT_NONE);
    if (y)
        return y;
    /* Beside weights in half precision the device converts x to halves as well. At the end of a block (after SwiGLU
     * most of all) values may be too large for that, so they are scaled down; by a power of two, which is exact. */
    const float room = w->halved ? 32.0f : 1.0f;
    if (room != 1.0f)
        x = ggml_scale(nn_ctx(g), x, 1.0f / room);
    y = linear_by_ggml(g, w, NULL, x);
    if (room != 1.0f)
        y = ggml_scale(nn_ctx(g), y, room);
    if (b)
        y = ggml_add(nn_ctx(g), y, b->t);
    return gate ? nn_gate_add(g, residual, gate, y) : ggml_add(nn_ctx(g), residual, y);
}

struct ggml_tensor *nn_linear_gate_add(struct nn_graph *g, const struct nn_param *w,
                                       const struct nn_param *b, struct ggml_tensor *x,
                                       struct ggml_tensor *gate, struct ggml_tensor *residual)
{
    return nn_terms_add(g, w, x, gate, gate_add(g, w, b, x, gate, residual));
}

struct ggml_tensor *nn_linear_swiglu_in(struct nn_graph *g, const struct nn_param *w,
                                        struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = w, .halves = true, .for_product = true};
    struct ggml_tensor *y = w->terms ? NULL : linear_of_ours(g, &l, NV_ACT_NONE);
    return y ? y : nn_swiglu(g, nn_linear(g, w, NULL, x));
}

struct ggml_tensor *nn_linear_silu_mul_in(struct nn_graph *g, const struct nn_param *gate,
                                          const struct nn_param *up, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {.x = x, .w = gate, .w2 = up, .for_product = true};
    bool apart = gate->terms || up->terms;
    struct ggml_tensor *y = apart ? NULL : linear_of_ours(g, &l, NV_ACT_NONE);
    return y ? y : nn_silu_mul(g, nn_linear(g, gate, NULL, x), nn_linear(g, up, NULL, x));
}

struct ggml_tensor *nn_linear_gelu_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x)
{
    const struct nn_cpu_linear l = {
        .x = x, .w = w, .b = b, .act = VEC_GELU_TANH, .for_product = true};
    if (w->terms)
        return nn_gelu_tanh(g, nn_linear(g, w, b, x));
    struct ggml_tensor *y = linear_of_ours(g, &l, NV_ACT_GELU_TANH);
    return y ? y : nn_gelu_tanh(g, linear_by_ggml(g, w, b, x));
}

/* ---- norms and small operations ---------------------------------------------------------------------- */

struct ggml_tensor *nn_layer_norm(struct nn_graph *g, struct ggml_tensor *x, float eps)
{
    struct ggml_tensor *y =
        nv_row_norm(g, &(struct nv_row_norm){.x = x, .kind = NV_NORM_LAYER, .eps = eps});
    if (y)
        return y;
    return ggml_norm(nn_ctx(g), x, eps);
}

/* Vulkan's norm uses 512 threads a row, four times what a head needs. Here the sums of squares are a matrix product
 * with a vector of ones, which Vulkan does well. NULL where the plain norm is better. */
static struct ggml_tensor *rms_norm_of_heads(struct nn_graph *g, struct ggml_tensor *x, float eps)
{
    enum { SHORT_ROW = 256, MANY_ROWS = 4096 };
    int64_t dim = x->ne[0], n = ggml_nelements(x) / dim;
    if (g->exact || nn_device_is_cpu(g->device) || dim > SHORT_ROW || n < MANY_ROWS ||
        !ggml_is_contiguous(x))
        return NULL;
    struct ggml_tensor *mean = ggml_scale_bias(
        nn_ctx(g), ggml_arange(nn_ctx(g), 0.0f, (float)dim, 1.0f), 0.0f, 1.0f / (float)dim);
    struct ggml_tensor *m =
        ggml_mul_mat(nn_ctx(g), ggml_reshape_2d(nn_ctx(g), ggml_sqr(nn_ctx(g), x), dim, n), mean);
    ggml_prec_set_acc(m, GGML_PREC_F32);
    m = ggml_sqrt(nn_ctx(g), ggml_scale_bias(nn_ctx(g), m, 1.0f, eps));
    return ggml_div(nn_ctx(g), x, ggml_reshape_4d(nn_ctx(g), m, 1, x->ne[1], x->ne[2], x->ne[3]));
}

struct ggml_tensor *nn_rms_norm(struct nn_graph *g, struct ggml_tensor *x, const struct nn_param *w,
                                float eps)
{
    struct ggml_tensor *y =
        nv_row_norm(g, &(struct nv_row_norm){.x = x, .kind = NV_NORM_RMS, .weight = w, .eps = eps});
    if (y)
        return y;
    y = rms_norm_of_heads(g, x, eps);
    if (y)
        return ggml_mul(nn_ctx(g), y, w->t);
    return ggml_mul(nn_ctx(g), ggml_rms_norm(nn_ctx(g), x, eps), w->t);
}

struct ggml_tensor *nn_rms_norm_in(struct nn_graph *g, struct ggml_tensor *x,
                                   const struct nn_param *w, float eps)
{
    struct ggml_tensor *y = nv_row_norm(
        g, &(struct nv_row_norm){
               .x = x, .kind = NV_NORM_RMS, .weight = w, .eps = eps, .for_product = true});
    if (!y)
        y = nn_cpu_rms_norm(g, x, w->t, eps);
    return y ? y : nn_rms_norm(g, x, w, eps);
}

struct ggml_tensor *nn_norm_modulate_in(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *shift, struct ggml_tensor *scale,
                                        float eps)
{
    struct ggml_tensor *y = nv_row_norm(g, &(struct nv_row_norm){.x = x,
                                                                 .kind = NV_NORM_LAYER,
                                                                 .scale = scale,
                                                                 .shift = shift,
                                                                 .eps = eps,
                                                                 .for_product = true});
    if (!y)
        y = nn_cpu_norm_modulate(g, x, shift, scale, eps);
    return y ? y : nn_modulate(g, nn_layer_norm(g, x, eps), shift, scale);
}

struct ggml_tensor *nn_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis)
{
    struct ggml_tensor *y = nv_join(g, a, b, axis);
    if (!y)
        y = nn_cpu_join(g, a, b, axis);
    if (y)
        return y;
    if (axis == 2 && nn_lies_by_head(a) && nn_lies_by_head(b))
        return nn_swap_heads(g,
                             ggml_concat(nn_ctx(g), nn_swap_heads(g, a), nn_swap_heads(g, b), 1));
    return ggml_concat(nn_ctx(g), a, b, axis);
}

struct ggml_tensor *nn_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                struct ggml_tensor *shift, struct ggml_tensor *scale)
{
    struct ggml_tensor *s = ggml_scale_bias(nn_ctx(g), ggml_cont(nn_ctx(g), scale), 1.0f, 1.0f);
    return ggml_add(nn_ctx(g), ggml_mul(nn_ctx(g), x, s), shift);
}

struct ggml_tensor *nn_gate_add(struct nn_graph *g, struct ggml_tensor *x, struct ggml_tensor *gate,
                                struct ggml_tensor *y)
{
    return ggml_add(nn_ctx(g), x, ggml_mul(nn_ctx(g), y, gate));
}

struct ggml_tensor *nn_chunk(struct nn_graph *g, struct ggml_tensor *x, int i, int n)
{
    int64_t dim = x->ne[0] / n;
    return ggml_view_2d(nn_ctx(g), x, dim, x->ne[1], x->nb[1],
                        (size_t)i * (size_t)dim * ggml_element_size(x));
}

struct ggml_tensor *nn_swiglu(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *y = nv_silu_mul(g, nn_chunk(g, x, 0, 2), nn_chunk(g, x, 1, 2));
    return y ? y : ggml_swiglu(nn_ctx(g), x);
}

struct ggml_tensor *nn_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up)
{
    struct ggml_tensor *y = nv_silu_mul(g, gate, up);
    return y ? y : ggml_swiglu_split(nn_ctx(g), gate, up);
}

struct ggml_tensor *nn_silu(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *y = nv_activation(g, x, NV_MAP_SILU);
    return y ? y : ggml_silu(nn_ctx(g), x);
}

/* 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). ggml's own GELU looks its values
 * up in a half-precision table on the CPU, which is off by up to 5e-4. */
struct ggml_tensor *nn_gelu_tanh(struct nn_graph *g, struct ggml_tensor *x)
{
    const float two_u = 1.5957691216057308f;
    struct ggml_tensor *y = nv_activation(g, x, NV_MAP_GELU_TANH);
    if (y)
        return y;
    struct ggml_tensor *x2 = ggml_sqr(nn_ctx(g), x);
    struct ggml_tensor *inner = ggml_scale_bias(nn_ctx(g), x2, 0.044715f * two_u, two_u);
    return ggml_mul(nn_ctx(g), x, ggml_sigmoid(nn_ctx(g), ggml_mul(nn_ctx(g), x, inner)));
}

struct ggml_tensor *nn_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad)
{
    struct ggml_tensor *y = nv_conv2d(g, w, b, x, stride, pad, NULL);
    if (!y)
        y = nn_cpu_conv(g, w->t, b ? b->t : NULL, x, stride, pad);
    if (y)
        return y;
    bool point = w->t->ne[0] == 1 && w->t->ne[1] == 1;
    int px = 0, py = 0;
    if (pad.left == pad.right && pad.top == pad.bottom) {
        px = pad.left;
        py = pad.top;
    } else {
        x = ggml_pad_ext(nn_ctx(g), x, pad.left, pad.right, pad.top, pad.bottom, 0, 0, 0, 0);
    }
    if (point && stride == 1) { /* 1 x 1: a product over channels */
        struct ggml_tensor *m = ggml_reshape_2d(nn_ctx(g), w->t, w->t->ne[2], w->t->ne[3]);
        struct ggml_tensor *t = ggml_mul_mat(nn_ctx(g), m, nn_pixels_to_tokens(g, x));
        ggml_prec_set_acc(t, GGML_PREC_F32);
        y = nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]);
    } else {
        y = ggml_conv_2d_direct(nn_ctx(g), w->t, x, stride, stride, px, py, 1, 1);
    }
    if (!b)
        return y;
    return ggml_add(nn_ctx(g), y, ggml_reshape_3d(nn_ctx(g), b->t, 1, 1, b->t->ne[0]));
}

struct ggml_tensor *nn_conv2d_add(struct nn_graph *g, const struct nn_param *w,
                                  const struct nn_param *b, struct ggml_tensor *x, int stride,
                                  struct nn_padding pad, struct ggml_tensor *residual)
{
    struct ggml_tensor *y = nv_conv2d(g, w, b, x, stride, pad, residual);
    return y ? y : nn_image_add(g, nn_conv2d(g, w, b, x, stride, pad), residual);
}

struct ggml_tensor *nn_upsample2x(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *y = nv_upsample2x(g, x);
    return y ? y : ggml_upscale(nn_ctx(g), x, 2, GGML_SCALE_MODE_NEAREST);
}

struct ggml_tensor *nn_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *y = nv_pixels_to_tokens(g, x);
    if (y)
        return y;
    struct ggml_tensor *t = ggml_reshape_2d(nn_ctx(g), x, x->ne[0] * x->ne[1], x->ne[2]);
    return ggml_cont(nn_ctx(g), ggml_transpose(nn_ctx(g), t));
}

struct ggml_tensor *nn_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width)
{
    struct ggml_tensor *y = nv_tokens_to_pixels(g, x, height, width);
    if (y)
        return y;
    struct ggml_tensor *t = ggml_cont(nn_ctx(g), ggml_transpose(nn_ctx(g), x));
    return ggml_reshape_3d(nn_ctx(g), t, width, height, x->ne[0]);
}

struct ggml_tensor *nn_image_out(struct nn_graph *g, struct ggml_tensor *x)
{
    if (x->type != GGML_TYPE_F32)
        return ggml_cast(nn_ctx(g), x, GGML_TYPE_F32);
    return ggml_is_contiguous(x) ? x : ggml_cont(nn_ctx(g), x);
}

/* Our kernels for cards read rows wherever they lie. */
struct ggml_tensor *nn_image_rows(struct nn_graph *g, struct ggml_tensor *x)
{
    return nv_is_on(g) || ggml_is_contiguous(x) ? x : ggml_cont(nn_ctx(g), x);
}

struct ggml_tensor *nn_image_add(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b)
{
    struct ggml_tensor *y = nv_add_images(g, a, b);
    return y ? y : ggml_add(nn_ctx(g), a, b);
}

struct ggml_tensor *nn_image_clamp(struct nn_graph *g, struct ggml_tensor *x, float lo, float hi)
{
    return ggml_clamp(nn_ctx(g), nn_image_out(g, x), lo, hi);
}

/* ---- group normalisation --------------------------------------------------------------------- */

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

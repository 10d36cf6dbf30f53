/* ops.h - building blocks of every network here, as nodes of a graph.
 *
 * Models call these and nothing lower, so that a device's better kernel is one change in one place. On the CPU and on
 * NVIDIA cards blocks are our own kernels (custom nodes); elsewhere the same block is made of ggml's operations. All
 * are tested against each other.
 *
 * Shapes are in reading order, outermost first, as numpy and PyTorch print them: [n_tok, dim]. ggml's `ne` is the
 * reverse (ne[0] = dim). Tensors are float32 unless said otherwise, and belong to the graph that they are made in. A
 * pointer must not be NULL unless its comment says that it may be. [1, dim] is the same row for every token.
 *
 * Blocks named *_in give a result for nn_linear, nn_attention, nn_join and their *_in forms alone: bf16 where products
 * are computed in bf16, else float32. nn_attention's result is of that kind, too. Images between their operations may
 * also be bf16, and may lie with their channels last (their strides say so): call nn_image_out before anything else
 * reads one.
 */
#ifndef VT_NN_OPS_H
#define VT_NN_OPS_H

#include "nn/graph.h"
#include "nn/params.h"

/* ---- linear layers: w [out, in], b [out] or NULL ------------------------------------------------------ */

/* x [n_tok, in] -> [n_tok, out]: x W^T + b. */
struct ggml_tensor *nn_linear(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x);

/* The same, as a *_in result: [n_tok, in] -> [n_tok, out]. */
struct ggml_tensor *nn_linear_in(struct nn_graph *g, const struct nn_param *w,
                                 const struct nn_param *b, struct ggml_tensor *x);
/* residual [n_tok, out] + gate * nn_linear(x [n_tok, in]) -> [n_tok, out]. gate [1, out]; NULL: 1. */
struct ggml_tensor *nn_linear_gate_add(struct nn_graph *g, const struct nn_param *w,
                                       const struct nn_param *b, struct ggml_tensor *x,
                                       struct ggml_tensor *gate, struct ggml_tensor *residual);
/* SwiGLU from one matrix: w [2 * out, in], x [n_tok, in] -> [n_tok, out]: silu of the product with its first out rows,
 * times the product with the others. */
struct ggml_tensor *nn_linear_swiglu_in(struct nn_graph *g, const struct nn_param *w,
                                        struct ggml_tensor *x);
/* The same from two: gate and up [out, in], x [n_tok, in] -> [n_tok, out]: silu(x gate^T) * (x up^T). */
struct ggml_tensor *nn_linear_silu_mul_in(struct nn_graph *g, const struct nn_param *gate,
                                          const struct nn_param *up, struct ggml_tensor *x);
/* x [n_tok, in] -> [n_tok, out]: nn_gelu_tanh of x W^T + b. */
struct ggml_tensor *nn_linear_gelu_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x);

/* ---- norms and elementwise: the last axis is dim -------------------------------------------------------- */

/* x [n_tok, dim] -> the same shape: LayerNorm without weight and bias. */
struct ggml_tensor *nn_layer_norm(struct nn_graph *g, struct ggml_tensor *x, float eps);
/* x [..., dim] -> the same shape: RMSNorm, times w [dim]. Of heads: x [n_tok, heads, head_dim], w [head_dim]. */
struct ggml_tensor *nn_rms_norm(struct nn_graph *g, struct ggml_tensor *x, const struct nn_param *w,
                                float eps);
/* x [n_tok, dim] -> the same shape, as a *_in result. */
struct ggml_tensor *nn_rms_norm_in(struct nn_graph *g, struct ggml_tensor *x,
                                   const struct nn_param *w, float eps);
/* nn_modulate of nn_layer_norm: x [n_tok, dim], shift and scale [1, dim] -> [n_tok, dim]. */
struct ggml_tensor *nn_norm_modulate_in(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *shift, struct ggml_tensor *scale,
                                        float eps);

/* x [n_tok, dim] * (1 + scale [1, dim]) + shift [1, dim] -> [n_tok, dim]. Mind the order of the arguments. */
struct ggml_tensor *nn_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                struct ggml_tensor *shift, struct ggml_tensor *scale);
/* x [n_tok, dim] + gate [1, dim] * y [n_tok, dim] -> [n_tok, dim]. */
struct ggml_tensor *nn_gate_add(struct nn_graph *g, struct ggml_tensor *x, struct ggml_tensor *gate,
                                struct ggml_tensor *y);
/* x [rows, n * dim] -> [rows, dim]: part i of n, a view. */
struct ggml_tensor *nn_chunk(struct nn_graph *g, struct ggml_tensor *x, int i, int n);

/* x [n_tok, 2 * dim] -> [n_tok, dim]: silu(first half) * second half. */
struct ggml_tensor *nn_swiglu(struct nn_graph *g, struct ggml_tensor *x);
/* gate and up [n_tok, dim] -> [n_tok, dim]: silu(gate) * up. */
struct ggml_tensor *nn_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up);
/* Any shape -> the same. */
struct ggml_tensor *nn_silu(struct nn_graph *g, struct ggml_tensor *x);
/* Any shape -> the same: the tanh form of GELU, in float32 on every device. */
struct ggml_tensor *nn_gelu_tanh(struct nn_graph *g, struct ggml_tensor *x);

/* ---- rotary embedding and attention ---------------------------------------------------------------------- */

/* x [n_tok, heads, head_dim], cos and sin [n_tok, head_dim / 2] -> the shape of x.
 * PAIRS rotates (x0, x1), (x2, x3), ...: FLUX.2, Qwen-Image. HALVES rotates (x[i], x[i + head_dim/2]): Qwen.
 * With PAIRS the dimensions of a head may come out in another order, the same for every tensor of that
 * shape: use the result only in products of two rotated tensors. */
enum nn_rope { NN_ROPE_PAIRS, NN_ROPE_HALVES };
struct ggml_tensor *nn_rope_apply(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *cos, struct ggml_tensor *sin,
                                  enum nn_rope mode);

/* nn_rope_apply of nn_rms_norm(x, w); shapes as there. w [head_dim]; NULL: no norm. */
struct ggml_tensor *nn_norm_rope_in(struct nn_graph *g, struct ggml_tensor *x,
                                    const struct nn_param *w, float eps, struct ggml_tensor *cos,
                                    struct ggml_tensor *sin, enum nn_rope mode);

struct nn_rotary {
    const struct nn_param *norm; /* [head_dim]; NULL: no norm */
    int64_t head_dim;
    float eps;
    struct ggml_tensor *cos, *sin; /* [n_tok, head_dim / 2] */
    enum nn_rope mode;
};
/* w [heads * head_dim, in], b [heads * head_dim] or NULL, x [n_tok, in] -> [n_tok, heads, head_dim]: nn_norm_rope_in of
 * the linear layer's result, seen as heads. */
struct ggml_tensor *nn_linear_rope_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x,
                                      const struct nn_rotary *r);

/* b appended to a along `axis`, which counts as ggml's ne does: 0 is the last axis of our shapes, [n, da] and [n, db] ->
 * [n, da + db]; 1 the one before it, [na, dim] and [nb, dim] -> [na + nb, dim]; 2 the tokens of heads, [na, heads,
 * head_dim] and [nb, heads, head_dim]. Both may be *_in results. */
struct ggml_tensor *nn_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis);

/* q [n_tok, heads, head_dim], k and v [n_kv, kv_heads, head_dim] (heads a multiple of kv_heads), mask [n_tok, n_kv]
 * float32 or NULL -> [n_tok, heads * head_dim]: softmax(scale q k^T + mask) v for each head. q, k and v may be *_in
 * results. Memory grows linearly with n_tok. */
struct ggml_tensor *nn_attention(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                 struct ggml_tensor *v, struct ggml_tensor *mask, float scale);

/* What a causal attention sees. The mask hides at least every key that comes after its query. Where keys is given, the
 * only other keys it hides are those from number keys[0] on (padding): a kernel can go by that and never read the mask. */
struct nn_causal {
    struct ggml_tensor *mask; /* [n_tok, n_kv] */
    struct ggml_tensor *keys; /* [1] int32; NULL: only the mask says what is hidden */
};
/* Shapes as nn_attention's. */
struct ggml_tensor *nn_attention_causal(struct nn_graph *g, struct ggml_tensor *q,
                                        struct ggml_tensor *k, struct ggml_tensor *v,
                                        struct nn_causal seen, float scale);

/* ---- images: x [channels, height, width] ------------------------------------------------------------- */

struct nn_padding {
    int left, right, top, bottom;
};
/* w [out, in, kh, kw], b [out] or NULL, x [in, h, w] -> [out, (h + top + bottom - kh) / stride + 1, likewise for width].
 * The padding is zeros. */
struct ggml_tensor *nn_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad);
/* The same plus residual, which has the shape of the result. */
struct ggml_tensor *nn_conv2d_add(struct nn_graph *g, const struct nn_param *w,
                                  const struct nn_param *b, struct ggml_tensor *x, int stride,
                                  struct nn_padding pad, struct ggml_tensor *residual);
/* How the mean and variance of a group are added up. The reference holds images that come from files with channels
 * last, and then sums x and x^2 of each channel in float32, which is off by 1e-4 over a million pixels. FLOAT_SUMS does
 * the same (on the CPU), so that results agree with it. */
enum nn_moments { NN_MOMENTS_EXACT, NN_MOMENTS_FLOAT_SUMS };
/* x [channels, h, w], w and b [channels] -> the shape of x. groups divides channels. */
struct ggml_tensor *nn_group_norm(struct nn_graph *g, struct ggml_tensor *x,
                                  const struct nn_param *w, const struct nn_param *b, int groups,
                                  float eps, enum nn_moments moments);
/* x in the form in which it can be read back or used outside of image operations: float32, contiguous, same shape. */
struct ggml_tensor *nn_image_out(struct nn_graph *g, struct ggml_tensor *x);
/* x, a view of some rows of an image [channels, rows, width], in a form that image operations take. Same shape. */
struct ggml_tensor *nn_image_rows(struct nn_graph *g, struct ggml_tensor *x);
/* a and b of one shape -> that shape. */
struct ggml_tensor *nn_image_add(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b);
/* Any x -> the same shape, through nn_image_out, with every value brought into lo .. hi. */
struct ggml_tensor *nn_image_clamp(struct nn_graph *g, struct ggml_tensor *x, float lo, float hi);
/* [channels, h, w] -> [channels, 2 h, 2 w]: each pixel becomes 2 x 2. */
struct ggml_tensor *nn_upsample2x(struct nn_graph *g, struct ggml_tensor *x);
/* [channels, height, width] -> [height * width, channels], row by row. */
struct ggml_tensor *nn_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x);
/* [height * width, channels] -> [channels, height, width]. */
struct ggml_tensor *nn_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width);

#endif

/* ops.h - building blocks of every network here, as nodes of a graph.
 *
 * Models call these and nothing lower, so that a device's better kernel is one change in one place. Shapes
 * in reading order; x is float32. On the CPU and on NVIDIA cards blocks are our own kernels (custom nodes); elsewhere
 * the same block is made of ggml's operations. All are tested against each other.
 *
 * Blocks named *_in give what only nn_linear, nn_attention, nn_join and their like may read: bf16 where products are of
 * bf16, else float32. So does nn_attention. Images between their operations may be bf16, too, and lie with their
 * channels last (their strides say so): what is no operation on images reads them after nn_image_out.
 */
#ifndef VT_NN_OPS_H
#define VT_NN_OPS_H

#include "nn/graph.h"
#include "nn/params.h"

/* x [tokens, in] -> [tokens, out]: x W^T + b. b may be NULL. */
struct ggml_tensor *nn_linear(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x);

/* The same for a reader of *_in. */
struct ggml_tensor *nn_linear_in(struct nn_graph *g, const struct nn_param *w,
                                 const struct nn_param *b, struct ggml_tensor *x);
/* residual + gate * nn_linear(...); gate [1, out] or NULL. */
struct ggml_tensor *nn_linear_gate_add(struct nn_graph *g, const struct nn_param *w,
                                       const struct nn_param *b, struct ggml_tensor *x,
                                       struct ggml_tensor *gate, struct ggml_tensor *residual);
/* silu(first half of w's rows) * second half. */
struct ggml_tensor *nn_linear_swiglu_in(struct nn_graph *g, const struct nn_param *w,
                                        struct ggml_tensor *x);
/* silu(gate's product) * up's product. */
struct ggml_tensor *nn_linear_silu_mul_in(struct nn_graph *g, const struct nn_param *gate,
                                          const struct nn_param *up, struct ggml_tensor *x);
struct ggml_tensor *nn_linear_gelu_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x);

/* LayerNorm over the last axis without affine; RMSNorm times w. */
struct ggml_tensor *nn_layer_norm(struct nn_graph *g, struct ggml_tensor *x, float eps);
struct ggml_tensor *nn_rms_norm(struct nn_graph *g, struct ggml_tensor *x, const struct nn_param *w,
                                float eps);

struct ggml_tensor *nn_rms_norm_in(struct nn_graph *g, struct ggml_tensor *x,
                                   const struct nn_param *w, float eps);
/* nn_modulate of nn_layer_norm. */
struct ggml_tensor *nn_norm_modulate_in(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *shift, struct ggml_tensor *scale,
                                        float eps);

/* x * (1 + scale) + shift; scale and shift are [1, dim]. */
struct ggml_tensor *nn_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                struct ggml_tensor *shift, struct ggml_tensor *scale);
/* x + gate * y; gate is [1, dim]. */
struct ggml_tensor *nn_gate_add(struct nn_graph *g, struct ggml_tensor *x, struct ggml_tensor *gate,
                                struct ggml_tensor *y);
/* Chunk i of n along the last axis of [rows, n * dim]: a view. */
struct ggml_tensor *nn_chunk(struct nn_graph *g, struct ggml_tensor *x, int i, int n);

/* silu(first half) * second half of the last axis. */
struct ggml_tensor *nn_swiglu(struct nn_graph *g, struct ggml_tensor *x);
/* silu(gate) * up. */
struct ggml_tensor *nn_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up);
struct ggml_tensor *nn_silu(struct nn_graph *g, struct ggml_tensor *x);
/* The tanh form of GELU, in float32 on every device. */
struct ggml_tensor *nn_gelu_tanh(struct nn_graph *g, struct ggml_tensor *x);

/* Rotary embedding of x [tokens, heads, head_dim] by tables cos, sin [tokens, head_dim / 2].
 * PAIRS rotates (x0, x1), (x2, x3), ...: FLUX.2, Qwen-Image. HALVES rotates (x[i], x[i + head_dim/2]): Qwen.
 * With PAIRS the dimensions of a head may come out in another order, the same for every tensor of that
 * shape: only products of two rotated tensors have a meaning. */
enum nn_rope { NN_ROPE_PAIRS, NN_ROPE_HALVES };
struct ggml_tensor *nn_rope_apply(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *cos, struct ggml_tensor *sin,
                                  enum nn_rope mode);

/* nn_rope_apply of nn_rms_norm (w NULL: of x). */
struct ggml_tensor *nn_norm_rope_in(struct nn_graph *g, struct ggml_tensor *x,
                                    const struct nn_param *w, float eps, struct ggml_tensor *cos,
                                    struct ggml_tensor *sin, enum nn_rope mode);

/* nn_norm_rope_in of a linear layer's result, seen as heads of head_dim. */
struct nn_rotary {
    const struct nn_param *norm; /* NULL: none */
    int64_t head_dim;
    float eps;
    struct ggml_tensor *cos, *sin;
    enum nn_rope mode;
};
struct ggml_tensor *nn_linear_rope_in(struct nn_graph *g, const struct nn_param *w,
                                      const struct nn_param *b, struct ggml_tensor *x,
                                      const struct nn_rotary *r);

/* b behind a along axis 0, 1 or 2 of ggml's ne; both may come from *_in. */
struct ggml_tensor *nn_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis);

/* softmax(scale q k^T + mask) v. q [tokens, heads, head_dim], k and v [kv_tokens, kv_heads, head_dim]
 * (heads a multiple of kv_heads), mask [tokens, kv_tokens] float32 or NULL. -> [tokens, heads * head_dim].
 * All three may come from *_in. Memory grows linearly with tokens. */
struct ggml_tensor *nn_attention(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                 struct ggml_tensor *v, struct ggml_tensor *mask, float scale);

/* What a causal attention sees. mask hides at least every key behind its query. keys, an int32 or NULL, says that
 * beside those it hides only keys from keys[0] on: who can go by that needs no mask. */
struct nn_causal {
    struct ggml_tensor *mask, *keys;
};
struct ggml_tensor *nn_attention_causal(struct nn_graph *g, struct ggml_tensor *q,
                                        struct ggml_tensor *k, struct ggml_tensor *v,
                                        struct nn_causal seen, float scale);

/* ---- pictures: x [channels, height, width] ---------------------------------------------------------- */

struct nn_padding {
    int left, right, top, bottom;
};
/* w [out, in, kh, kw]; zero padding. */
struct ggml_tensor *nn_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad);
/* residual + nn_conv2d(...). */
struct ggml_tensor *nn_conv2d_add(struct nn_graph *g, const struct nn_param *w,
                                  const struct nn_param *b, struct ggml_tensor *x, int stride,
                                  struct nn_padding pad, struct ggml_tensor *residual);
/* How the mean and variance of a group are added up. The reference holds pictures that come from files with
 * channels last and then sums x and x^2 of each channel in float32, which over a million pixels is off by
 * 1e-4; FLOAT_SUMS does the same (on the CPU), for agreement with it. */
enum nn_moments { NN_MOMENTS_EXACT, NN_MOMENTS_FLOAT_SUMS };
struct ggml_tensor *nn_group_norm(struct nn_graph *g, struct ggml_tensor *x,
                                  const struct nn_param *w, const struct nn_param *b, int groups,
                                  float eps, enum nn_moments moments);
/* What is to be read after the last operation: float32, contiguous. */
struct ggml_tensor *nn_image_out(struct nn_graph *g, struct ggml_tensor *x);
/* A view of some rows of an image, in a form that operations take. */
struct ggml_tensor *nn_image_rows(struct nn_graph *g, struct ggml_tensor *x);
struct ggml_tensor *nn_image_add(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b);
struct ggml_tensor *nn_image_clamp(struct nn_graph *g, struct ggml_tensor *x, float lo, float hi);
/* Each pixel becomes 2 x 2. */
struct ggml_tensor *nn_upsample2x(struct nn_graph *g, struct ggml_tensor *x);
/* [channels, height, width] -> [height * width, channels] and back. */
struct ggml_tensor *nn_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x);
struct ggml_tensor *nn_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width);

#endif

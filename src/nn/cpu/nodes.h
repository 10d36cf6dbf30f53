/* nodes.h - the custom nodes of the CPU: how they are made (from ops.c and its like), and their functions. */
#ifndef VT_NN_CPU_NODES_H
#define VT_NN_CPU_NODES_H

#include "nn/cpu/cpu.h"
#include "nn/cpu/vec.h"
#include "nn/ops.h"

/* ---- linear layers: linear.c ------------------------------------------------------------------------ */

/* residual + gate * act(x W^T + b), or silu(x W^T) * (x W2^T). NULL leaves a part out. */
struct nn_cpu_linear {
    struct ggml_tensor *x; /* [tokens, in], float32 or bf16 */
    const struct nn_param *w, *w2, *b;
    bool halves; /* instead of w2: W is the first half of w's rows, W2 the second */
    struct ggml_tensor *gate, *residual; /* [1, out], [tokens, out] */
    enum vec_act act;
    bool for_product; /* the result is read by products alone: bf16 where they use bf16 */
};

/* NULL when this layer is better left to ggml. */
struct ggml_tensor *nn_cpu_linear(struct nn_graph *g, const struct nn_cpu_linear *l);
void nn_cpu_linear_op(struct ggml_tensor *dst, int ith, int nth, void *user);
double nn_cpu_linear_flops(const struct ggml_tensor *t);

/* ---- float8: int8.c ------------------------------------------------------------------------------------ */

/* The value of each code. */
void nn_cpu_float8_table(bool e5m2, float table[256]);
/* The matrix as ggml can multiply it: itself, or float8 as float32. */
struct ggml_tensor *nn_cpu_plain_weights(struct nn_graph *g, const struct nn_param *w);
void nn_cpu_float8_op(struct ggml_tensor *dst, int ith, int nth, void *user);

/* ---- int8 matmul: int8.c ------------------------------------------------------------------------------ */

/* Whether linear layers that are made now use int8 matmul. */
bool nn_cpu_int8(const struct nn_graph *g);
/* x (float32 or bf16), each row quantised to unsigned 8 bits. */
struct ggml_tensor *nn_cpu_to_u8(struct nn_graph *g, struct ggml_tensor *x);
void nn_cpu_to_u8_op(struct ggml_tensor *dst, int ith, int nth, void *user);
/* Offset of the struct vec_row_u8 in a row of n bytes. */
size_t nn_cpu_u8_row_at(int64_t n);

/* ---- attention: attention.c --------------------------------------------------------------------------- */

/* See nn_attention; bf16 where products are. NULL when ggml has to do it. */
struct ggml_tensor *nn_cpu_attention(struct nn_graph *g, struct ggml_tensor *q,
                                     struct ggml_tensor *k, struct ggml_tensor *v,
                                     struct ggml_tensor *mask, float scale);
void nn_cpu_attention_op(struct ggml_tensor *dst, int ith, int nth, void *user);
double nn_cpu_attention_flops(const struct ggml_tensor *t);

/* ---- convolutions: conv.c, conv_tile.c ----------------------------------------------------------------- */

/* See nn_conv2d; w and b in float32. NULL when ggml has to do it. */
struct ggml_tensor *nn_cpu_conv(struct nn_graph *g, struct ggml_tensor *w, struct ggml_tensor *b,
                                struct ggml_tensor *x, int stride, struct nn_padding pad);
/* x as [height, width, channels] with its padding. NULL for a layout of x that it does not support. */
struct ggml_tensor *nn_cpu_rows(struct nn_graph *g, struct ggml_tensor *x, struct nn_padding pad,
                                bool bf16);
void nn_cpu_conv_op(struct ggml_tensor *dst, int ith, int nth, void *user);
void nn_cpu_pack_op(struct ggml_tensor *dst, int ith, int nth, void *user);
void nn_cpu_rows_op(struct ggml_tensor *dst, int ith, int nth, void *user);
double nn_cpu_conv_flops(const struct ggml_tensor *t);

/* ---- small operations: small.c ------------------------------------------------------------------------ */

/* x with its values as bf16, shape kept. */
struct ggml_tensor *nn_cpu_to_bf16(struct nn_graph *g, struct ggml_tensor *x);
void nn_cpu_to_bf16_op(struct ggml_tensor *dst, int ith, int nth, void *user);

/* Each gives bf16 where products are of bf16, and NULL when ggml has to do it. */
struct ggml_tensor *nn_cpu_rms_norm(struct nn_graph *g, struct ggml_tensor *x,
                                    struct ggml_tensor *weight, float eps);
/* LayerNorm, times 1 + scale, plus shift. */
struct ggml_tensor *nn_cpu_norm_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                         struct ggml_tensor *shift, struct ggml_tensor *scale,
                                         float eps);
/* RMSNorm of each head (weight NULL: none), then rotation. */
struct ggml_tensor *nn_cpu_norm_rope(struct nn_graph *g, struct ggml_tensor *x,
                                     struct ggml_tensor *weight, float eps, struct ggml_tensor *cos,
                                     struct ggml_tensor *sin, bool pairs);
/* b appended to a along an axis of ne; bf16 when one of them is. */
struct ggml_tensor *nn_cpu_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                                int axis);
void nn_cpu_norm_op(struct ggml_tensor *dst, int ith, int nth, void *user);
void nn_cpu_rope_op(struct ggml_tensor *dst, int ith, int nth, void *user);
void nn_cpu_join_op(struct ggml_tensor *dst, int ith, int nth, void *user);

#endif

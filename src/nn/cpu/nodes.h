/* nodes.h - the custom nodes of the CPU: how they are made (from ops.c and its like), and their functions. */
#ifndef VT_NN_CPU_NODES_H
#define VT_NN_CPU_NODES_H

#include "nn/cpu/cpu.h"
#include "nn/cpu/vec.h"
#include "nn/params.h"

/* ---- linear layers: linear.c ------------------------------------------------------------------------ */

/* residual + gate * act(x W^T + b), or silu(x W^T) * (x W2^T). NULL leaves a part out. */
struct nn_cpu_linear {
    struct ggml_tensor *x; /* [tokens, in], float32 or bf16 */
    const struct nn_param *w, *w2, *b;
    bool halves; /* instead of w2: W is the first half of w's rows, W2 the second */
    struct ggml_tensor *gate, *residual; /* [1, out], [tokens, out] */
    enum vec_act act;
    bool bf16_out;
};

/* NULL when this layer is better left to ggml. */
struct ggml_tensor *nn_cpu_linear(struct nn_graph *g, const struct nn_cpu_linear *l);
void nn_cpu_linear_op(struct ggml_tensor *dst, int ith, int nth, void *user);
double nn_cpu_linear_flops(const struct ggml_tensor *t);

/* ---- small operations: small.c ------------------------------------------------------------------------ */

/* x with its values as bf16, shape kept. */
struct ggml_tensor *nn_cpu_to_bf16(struct nn_graph *g, struct ggml_tensor *x);
void nn_cpu_to_bf16_op(struct ggml_tensor *dst, int ith, int nth, void *user);

#endif

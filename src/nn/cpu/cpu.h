/* cpu.h - what the CPU's own operations share: which kernels a graph gets, and scratch memory.
 *
 * Our operations are ggml custom nodes, so that ggml's workers run them and its allocator plans their memory.
 * A node's scratch is a tensor of its own, made by a node that does nothing: it is allocated right before the
 * operation that has it as a source and given back after it, and plans that add up memory see it.
 */
#ifndef VT_NN_CPU_CPU_H
#define VT_NN_CPU_CPU_H

#include "nn/graph.h"

/* GGML: ggml's own kernels (other devices; exact graphs; neither oneDNN nor products of ours;
 * VEETANCE_CPU_KERNELS=ggml).
 * F32: products in float32 (processors without bf16 of their own; VEETANCE_CPU_KERNELS=f32 or =own), oneDNN's or ours
 * (choice.h).
 * BF16: products of bf16 with float32 sums. */
enum nn_cpu_mode { NN_CPU_GGML, NN_CPU_F32, NN_CPU_BF16 };

enum nn_cpu_mode nn_cpu_mode(const struct nn_graph *g);

/* Whether int8 matmul is the fastest on this processor. */
bool nn_cpu_has_int8(void);
/* How many bits of its bytes are used: 8, or 7 with our own products (gemm.h). Not for inner loops: it takes a lock. */
int nn_cpu_int8_bits(void);

/* Bytes for each of the device's threads, 64-aligned. */
struct ggml_tensor *nn_cpu_scratch(struct nn_graph *g, size_t bytes);
/* The part of worker ith. */
unsigned char *nn_cpu_scratch_part(const struct ggml_tensor *scratch, int ith);
/* The next piece of work of the operation whose scratch this is: 0, 1, 2, ... Pieces are taken by whoever has time, so
 * that fast cores do not wait for slow ones; what a piece gives must not depend on who takes it. */
int64_t nn_cpu_next(const struct ggml_tensor *scratch);

static inline size_t nn_cpu_pad(size_t n)
{
    return (n + 63) / 64 * 64;
}

/* Two numbers packed into the user pointer of a custom node: nothing else lives as long as the node. */
static inline void *nn_cpu_pack(uint32_t low, float high)
{
    union {
        float f;
        uint32_t u;
    } bits = {.f = high};
    return (void *)(uintptr_t)((uint64_t)bits.u << 32 | low);
}

static inline uint32_t nn_cpu_low(const void *user)
{
    return (uint32_t)(uintptr_t)user;
}

static inline float nn_cpu_high(const void *user)
{
    union {
        uint32_t u;
        float f;
    } bits = {.u = (uint32_t)((uint64_t)(uintptr_t)user >> 32)};
    return bits.f;
}

/* Part ith of nth of n things: first .. last - 1. */
static inline void nn_cpu_share(int64_t n, int ith, int nth, int64_t *first, int64_t *last)
{
    *first = n * ith / nth;
    *last = n * (ith + 1) / nth;
}

/* Multiplications and additions of a node of ours; 0 for all others. */
double nn_cpu_flops(const struct ggml_tensor *t);

/* The kind of a node of ours, for profiles: "linear", "attention", ...; NULL for all others. */
const char *nn_cpu_kind(const struct ggml_tensor *t);

/* The function behind a custom node (NULL for others), and the pointer that it carries. */
ggml_custom_op_t nn_cpu_function(const struct ggml_tensor *t);
void *nn_cpu_user(const struct ggml_tensor *t);

#endif

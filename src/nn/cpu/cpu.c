/* cpu.c - which kernels a graph gets on the CPU, and scratch memory for its nodes.
 *
 * VEETANCE_CPU_KERNELS asks for other kernels than the fastest, to compare them. Scratch has a part for each thread
 * and is sized when the graph is built; ggml's allocator lets it overlap with whatever is not alive at the same
 * time.
 */
#include "nn/cpu/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cpu/choice.h"
#include "nn/cpu/gemm.h"
#include "nn/cpu/nodes.h"
#include "nn/cpu/onednn.h"

/* Whether VEETANCE_CPU_KERNELS asks for these. */
static bool chosen(const char *kernels)
{
    const char *wanted = getenv("VEETANCE_CPU_KERNELS");
    return wanted && strcmp(wanted, kernels) == 0;
}

enum nn_cpu_mode nn_cpu_mode(const struct nn_graph *g)
{
    if (!nn_device_is_cpu(g->device) || g->exact || chosen("ggml"))
        return NN_CPU_GGML;
    const struct onednn *d = onednn_get();
    if (!d && !gemm_get())
        return NN_CPU_GGML;
    return d && d->bf16 && !chosen("f32") && !chosen("own") ? NN_CPU_BF16 : NN_CPU_F32;
}

bool nn_cpu_has_int8(void)
{
    const struct onednn *d = chosen("ggml") ? NULL : onednn_get();
    return !chosen("ggml") && ((d && d->int8) || gemm_get());
}

int nn_cpu_int8_bits(void)
{
    return nn_cpu_own(NN_CPU_WORK_INT8) ? GEMM_BITS : 8;
}

/* ---- scratch ---------------------------------------------------------------------------------------- */

/* Scratch begins with the number of the next piece of work; a part of each worker follows, 64-aligned. */
static unsigned char *aligned(const struct ggml_tensor *scratch, int ith)
{
    unsigned char *p = (unsigned char *)scratch->data + (size_t)ith * scratch->nb[1];
    return p + (64 - (uintptr_t)p % 64) % 64;
}

static atomic_llong *next_piece(const struct ggml_tensor *scratch)
{
    return (atomic_llong *)(void *)aligned(scratch, 0);
}

static void begin(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)nth;
    (void)user;
    if (ith == 0)
        atomic_init(next_piece(dst), 0);
}

int64_t nn_cpu_next(const struct ggml_tensor *scratch)
{
    return atomic_fetch_add_explicit(next_piece(scratch), 1, memory_order_relaxed);
}

struct ggml_tensor *nn_cpu_scratch(struct nn_graph *g, size_t bytes)
{
    /* ggml aligns tensors to 32 bytes: 64 bytes more for each part leave room to align it to 64. */
    int64_t part = (int64_t)nn_cpu_pad(bytes) + 2 * 64;
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_I8, part, nn_device_threads(g->device), 1, 1, NULL,
                          0, begin, 1, NULL);
}

unsigned char *nn_cpu_scratch_part(const struct ggml_tensor *scratch, int ith)
{
    return aligned(scratch, ith) + 64;
}

/* ---- nodes from outside ------------------------------------------------------------------------------ */

/* What ggml_custom_4d stores in a node. */
struct custom {
    ggml_custom_op_t fn;
    int n_tasks;
    void *user;
};

static struct custom custom_of(const struct ggml_tensor *t)
{
    struct custom c = {0};
    if (t->op == GGML_OP_CUSTOM)
        memcpy(&c, t->op_params, sizeof c);
    return c;
}

ggml_custom_op_t nn_cpu_function(const struct ggml_tensor *t)
{
    return custom_of(t).fn;
}

void *nn_cpu_user(const struct ggml_tensor *t)
{
    return custom_of(t).user;
}

static const struct {
    ggml_custom_op_t fn;
    const char *kind;
    double (*flops)(const struct ggml_tensor *t);
} kinds[] = {
    {nn_cpu_linear_op, "linear", nn_cpu_linear_flops},
    {nn_cpu_attention_op, "attention", nn_cpu_attention_flops},
    {nn_cpu_conv_op, "convolution", nn_cpu_conv_flops},
    {nn_cpu_pack_op, "kernel packing", NULL},
    {nn_cpu_rows_op, "image to rows", NULL},
    {nn_cpu_to_bf16_op, "convert", NULL},
    {nn_cpu_to_u8_op, "quantise", NULL},
    {nn_cpu_float8_op, "unpack float8", NULL},
    {nn_cpu_norm_op, "norm", NULL},
    {nn_cpu_rope_op, "norm and rope", NULL},
    {nn_cpu_join_op, "join", NULL},
    {begin, "scratch", NULL},
};

double nn_cpu_flops(const struct ggml_tensor *t)
{
    ggml_custom_op_t fn = nn_cpu_function(t);
    for (size_t i = 0; fn && i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].fn == fn)
            return kinds[i].flops ? kinds[i].flops(t) : 0;
    return 0;
}

const char *nn_cpu_kind(const struct ggml_tensor *t)
{
    ggml_custom_op_t fn = nn_cpu_function(t);
    for (size_t i = 0; fn && i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].fn == fn)
            return kinds[i].kind;
    return NULL;
}

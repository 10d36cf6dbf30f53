/* help.h - small graphs on the CPU for tests of single operations. */
#ifndef TESTS_UNIT_NN_HELP_H
#define TESTS_UNIT_NN_HELP_H

#include <ggml-alloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "nn/ops.h"
#include "weights/dtype.h"

enum { MAX_PARAMS = 8, MAX_INPUTS = 8 };

struct test_graph {
    struct nn_device *device;
    struct nn_graph g;
    struct ggml_context *ctx; /* parameters */
    ggml_backend_buffer_t buffer;
    struct nn_param params[MAX_PARAMS];
    int n_params, n_inputs;
    struct ggml_tensor *inputs[MAX_INPUTS];
    const float *data[MAX_INPUTS];
};

/* Floats between -1 and 1, the same each time. */
static inline float *numbers(size_t n, uint32_t seed)
{
    float *f = mem_try_array(n, sizeof *f);
    assert_non_null(f);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        f[i] = (float)(int32_t)seed / 2147483648.0f;
    }
    return f;
}

static inline float bf16_round(float f)
{
    uint32_t u = (uint32_t)dtype_f32_to_bf16(f) << 16;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline void graph_open(struct test_graph *b, int threads)
{
    struct err e = {0};
    memset(b, 0, sizeof *b);
    assert_int_equal(nn_device_open("cpu", threads, &b->device, &e), ERR_OK);
    nn_graph_init(&b->g, b->device, false);
    struct ggml_init_params init = {.mem_size = 64 * ggml_tensor_overhead(), .no_alloc = true};
    b->ctx = ggml_init(init);
}

/* A parameter of ne0 x ne1 x ne2 x ne3 of any type; its memory comes with graph_params. */
static inline struct nn_param *graph_param(struct test_graph *b, enum ggml_type type,
                                           const int64_t ne[4])
{
    struct nn_param *p = &b->params[b->n_params++];
    p->t = ggml_new_tensor(b->ctx, type, 4, ne);
    p->scale = 1.0f;
    return p;
}

static inline void graph_params(struct test_graph *b)
{
    b->buffer = ggml_backend_alloc_ctx_tensors(b->ctx, nn_device_backend(b->device));
    assert_non_null(b->buffer);
}

/* Stores f in the parameter's type. */
static inline void param_set(struct nn_param *p, const float *f)
{
    size_t n = (size_t)ggml_nelements(p->t);
    if (p->t->type == GGML_TYPE_F32) {
        memcpy(p->t->data, f, n * sizeof *f);
    } else {
        size_t rows = n / (size_t)p->t->ne[0];
        ggml_quantize_chunk(p->t->type, f, p->t->data, 0, (int64_t)rows, p->t->ne[0], NULL);
    }
}

/* What is stored, as float32. Caller frees. */
static inline float *param_get(const struct nn_param *p)
{
    size_t n = (size_t)ggml_nelements(p->t);
    float *f = mem_try_array(n, sizeof *f);
    assert_non_null(f);
    if (p->t->type == GGML_TYPE_F32)
        memcpy(f, p->t->data, n * sizeof *f);
    else
        ggml_get_type_traits(p->t->type)->to_float(p->t->data, f, (int64_t)n);
    return f;
}

static inline struct ggml_tensor *graph_input(struct test_graph *b, const float *data, int64_t ne0,
                                              int64_t ne1, int64_t ne2)
{
    struct ggml_tensor *t = nn_input(&b->g, ne0, ne1, ne2, 1);
    b->data[b->n_inputs] = data;
    b->inputs[b->n_inputs++] = t;
    return t;
}

/* Runs with out as the result; its values as float32. Caller frees. */
static inline float *graph_result(struct test_graph *b, struct ggml_tensor *out)
{
    struct err e = {0};
    if (out->type != GGML_TYPE_F32)
        out = ggml_cast(nn_ctx(&b->g), out, GGML_TYPE_F32);
    float *f = mem_try_array((size_t)ggml_nelements(out), sizeof *f);
    assert_non_null(f);
    nn_graph_output(&b->g, out);
    assert_int_equal(nn_graph_prepare(&b->g, &e), ERR_OK);
    b->g.threads = nn_device_threads(b->device); /* also where a graph is small */
    for (int i = 0; i < b->n_inputs; i++)
        nn_graph_set(&b->g, b->inputs[i], b->data[i]);
    assert_int_equal(nn_graph_run(&b->g, NULL, &e), ERR_OK);
    nn_graph_get(&b->g, out, f);
    return f;
}

static inline void graph_close(struct test_graph *b)
{
    nn_graph_deinit(&b->g);
    if (b->buffer)
        ggml_backend_buffer_free(b->buffer);
    ggml_free(b->ctx);
    nn_device_close(b->device);
}

/* Root mean square of a - b over that of b; NaN anywhere gives NaN. */
static inline double relative_rms(const float *a, const double *b, size_t n)
{
    double d2 = 0, b2 = 0;
    for (size_t i = 0; i < n; i++) {
        d2 += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        b2 += b[i] * b[i];
    }
    return sqrt(d2 / (b2 + 1e-300));
}

#endif

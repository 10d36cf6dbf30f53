/* peak.c - the fastest matrix product that oneDNN does on this processor.
 *
 * The numbers in `veetance bench` are shares of this peak, so it has to be what the libraries of this machine can
 * reach and not a figure from a data sheet. Unlike everything else here the product may use oneDNN's own threads;
 * their number is put back afterwards. Memory is touched before the clock starts.
 */
#include "nn/peak.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/cpu/onednn.h"
#include "weights/dtype.h"

enum { MIN_RUNS = 3, MAX_RUNS = 1000, ALIGN_BYTES = 64 };

/* ---- one product ------------------------------------------------------------------------------------ */

enum { SRC, WEIGHTS, DST, ARGS };

struct layer_product {
    const struct onednn *d;
    dnnl_stream_t stream;
    dnnl_memory_desc_t desc[ARGS];
    dnnl_memory_t memory[ARGS];
    void *bytes[ARGS];
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
};

static void layer_free(struct layer_product *p)
{
    const struct onednn *d = p->d;
    if (p->primitive)
        (void)d->primitive_destroy(p->primitive);
    if (p->primitive_desc)
        (void)d->primitive_desc_destroy(p->primitive_desc);
    for (int i = 0; i < ARGS; i++) {
        if (p->memory[i])
            (void)d->memory_destroy(p->memory[i]);
        if (p->desc[i])
            (void)d->memory_desc_destroy(p->desc[i]);
        mem_free(p->bytes[i]);
    }
    if (p->stream)
        (void)d->stream_destroy(p->stream);
}

/* Small numbers of both signs, so that nothing overflows and nothing is a denormal. */
static void fill(void *p, enum nn_peak_dtype dtype, size_t n)
{
    uint32_t s = 1;
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        float v = (float)(int32_t)(s >> 16) / 65536.0f - 0.5f;
        if (dtype == NN_PEAK_BF16)
            ((uint16_t *)p)[i] = dtype_f32_to_bf16(v);
        else
            ((float *)p)[i] = v;
    }
}

static enum err_code layer_memory(struct layer_product *p, enum nn_peak_dtype dtype,
                                  const struct nn_peak_shape *s, struct err *e)
{
    const dnnl_dims_t dims[ARGS] = {{s->m, s->k}, {s->k, s->n}, {s->m, s->n}};
    /* The weights lie as [n, k]: the k x n matrix of the product has its columns side by side. */
    const dnnl_dims_t strides[ARGS] = {{s->k, 1}, {1, s->k}, {s->n, 1}};
    for (int i = 0; i < ARGS; i++) {
        bool bf16 = dtype == NN_PEAK_BF16 && i != DST;
        size_t n = (size_t)dims[i][0] * (size_t)dims[i][1];
        p->bytes[i] = mem_try_aligned(ALIGN_BYTES, n * (bf16 ? 2 : 4));
        if (!p->bytes[i])
            return err_set(e, ERR_NOMEM, "no memory to measure a product of %lld x %lld x %lld",
                           (long long)s->m, (long long)s->k, (long long)s->n);
        fill(p->bytes[i], bf16 ? NN_PEAK_BF16 : NN_PEAK_F32, n);
        if (p->d->memory_desc_create_with_strides(
                &p->desc[i], 2, dims[i], bf16 ? dnnl_bf16 : dnnl_f32, strides[i]) != dnnl_success ||
            p->d->memory_create(&p->memory[i], p->desc[i], p->d->engine, p->bytes[i]) !=
                dnnl_success)
            return err_set(e, ERR_DEVICE, "oneDNN refuses a matrix of %lld x %lld",
                           (long long)dims[i][0], (long long)dims[i][1]);
    }
    return ERR_OK;
}

static enum err_code layer_make(struct layer_product *p, enum nn_peak_dtype dtype,
                                const struct nn_peak_shape *s, struct err *e)
{
    const struct onednn *d = p->d;
    if (d->stream_create(&p->stream, d->engine, dnnl_stream_default_flags) != dnnl_success)
        return err_set(e, ERR_DEVICE, "oneDNN does not start");
    TRY(layer_memory(p, dtype, s, e));
    if (d->matmul_primitive_desc_create(&p->primitive_desc, d->engine, p->desc[SRC],
                                        p->desc[WEIGHTS], NULL, p->desc[DST],
                                        NULL) != dnnl_success ||
        d->primitive_create(&p->primitive, p->primitive_desc) != dnnl_success)
        return err_set(e, ERR_DEVICE, "oneDNN cannot multiply %s on this processor",
                       dtype == NN_PEAK_BF16 ? "bf16" : "float32");
    return ERR_OK;
}

static enum err_code layer_run(const struct layer_product *p, double *seconds, struct err *e)
{
    const dnnl_exec_arg_t args[ARGS] = {{DNNL_ARG_SRC, p->memory[SRC]},
                                        {DNNL_ARG_WEIGHTS, p->memory[WEIGHTS]},
                                        {DNNL_ARG_DST, p->memory[DST]}};
    int64_t start = clock_ns();
    if (p->d->primitive_execute(p->primitive, p->stream, ARGS, args) != dnnl_success ||
        p->d->stream_wait(p->stream) != dnnl_success)
        return err_set(e, ERR_DEVICE, "oneDNN failed to multiply");
    *seconds = (double)(clock_ns() - start) * 1e-9;
    return ERR_OK;
}

/* The first run is not counted: it meets cold caches and sleeping threads. */
static enum err_code best_run(const struct layer_product *p, double budget,
                              const atomic_bool *cancel, double *best, struct err *e)
{
    double t, start = clock_s();
    enum err_code rc = layer_run(p, &t, e);
    *best = 0;
    for (int i = 0; rc == ERR_OK && i < MAX_RUNS; i++) {
        if (cancel && atomic_load(cancel))
            return err_set(e, ERR_CANCELLED, "stopped on request");
        if (i >= MIN_RUNS && clock_s() - start > budget)
            break;
        rc = layer_run(p, &t, e);
        if (rc == ERR_OK && (i == 0 || t < *best))
            *best = t;
    }
    return rc;
}

enum err_code nn_peak_matmul(enum nn_peak_dtype dtype, const struct nn_peak_shape *shape,
                             int threads, double seconds, const atomic_bool *cancel,
                             struct nn_peak_result *out, struct err *e)
{
    const struct onednn *d = onednn_get();
    struct layer_product p = {.d = d};
    memset(out, 0, sizeof *out);
    if (!d)
        return err_set(e, ERR_NOTFOUND, "oneDNN (libdnnl.so.%d) is not installed",
                       DNNL_VERSION_MAJOR);
    int before = d->get_threads ? d->get_threads() : 0;
    if (threads > 0 && d->set_threads)
        d->set_threads(threads);
    enum err_code rc;
    TRY_GOTO(layer_make(&p, dtype, shape, e), done);
    rc = best_run(&p, seconds, cancel, &out->seconds, e);
done:
    layer_free(&p);
    if (before > 0 && d->set_threads)
        d->set_threads(before);
    if (rc != ERR_OK)
        return rc;
    const dnnl_version_t *v = d->version();
    (void)snprintf(out->version, sizeof out->version, "%d.%d.%d", v->major, v->minor, v->patch);
    out->flops_per_second =
        2.0 * (double)shape->m * (double)shape->k * (double)shape->n / out->seconds;
    return ERR_OK;
}

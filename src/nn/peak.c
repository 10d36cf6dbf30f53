#include "nn/peak.h"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "weights/dtype.h"

enum { MIN_RUNS = 3, MAX_RUNS = 1000, ALIGN_BYTES = 64 };

/* ---- oneDNN, loaded by hand ------------------------------------------------------------------------ */

/* X(name) for dnnl_name: what a product needs of the library. */
#define DNNL_FUNCTIONS(X)                                                                          \
    X(version)                                                                                     \
    X(engine_create)                                                                               \
    X(engine_destroy)                                                                              \
    X(stream_create)                                                                               \
    X(stream_destroy)                                                                              \
    X(stream_wait)                                                                                 \
    X(memory_desc_create_with_strides)                                                             \
    X(memory_desc_destroy)                                                                         \
    X(matmul_primitive_desc_create)                                                                \
    X(primitive_desc_destroy)                                                                      \
    X(primitive_create)                                                                            \
    X(primitive_destroy)                                                                           \
    X(primitive_execute)                                                                           \
    X(memory_create)                                                                               \
    X(memory_destroy)

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define DNNL_BY_MAJOR "libdnnl.so." STRING(DNNL_VERSION_MAJOR)
#define DNNL_BY_MINOR DNNL_BY_MAJOR "." STRING(DNNL_VERSION_MINOR)
#define DNNL_POINTER(name) __typeof__(dnnl_##name) *name;

struct dnnl {
    void *library;
    DNNL_FUNCTIONS(DNNL_POINTER)
    void (*set_threads)(
        int n); /* of the OpenMP runtime that oneDNN uses; NULL when it uses another */
};

/* Distributions name the file by the minor version, oneDNN itself by the major one alone. */
static void *load(void)
{
    static const char *const names[] = {DNNL_BY_MINOR, DNNL_BY_MAJOR, "libdnnl.so"};
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof names[0]; i++)
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    return library;
}

static enum err_code dnnl_open(struct dnnl *d, struct err *e)
{
    memset(d, 0, sizeof *d);
    d->library = load();
    if (!d->library)
        return err_set(e, ERR_NOTFOUND, "oneDNN (libdnnl.so.%d) is not installed",
                       DNNL_VERSION_MAJOR);
    const struct {
        const char *name;
        void **to;
    } table[] = {
#define DNNL_ENTRY(name) {"dnnl_" #name, (void **)&d->name},
        DNNL_FUNCTIONS(DNNL_ENTRY)
#undef DNNL_ENTRY
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        *table[i].to = dlsym(d->library, table[i].name);
        if (!*table[i].to)
            return err_set(e, ERR_NOTFOUND, "oneDNN has no %s", table[i].name);
    }
    *(void **)&d->set_threads = dlsym(d->library, "omp_set_num_threads");
    return ERR_OK;
}

/* The library stays loaded: its worker threads outlive the measurement and must not lose their code. */

/* ---- one product ------------------------------------------------------------------------------------ */

enum { SRC, WEIGHTS, DST, ARGS };

struct product {
    const struct dnnl *d;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t desc[ARGS];
    dnnl_memory_t memory[ARGS];
    void *bytes[ARGS];
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
};

static void product_free(struct product *p)
{
    const struct dnnl *d = p->d;
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
    if (p->engine)
        (void)d->engine_destroy(p->engine);
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

static enum err_code product_memory(struct product *p, enum nn_peak_dtype dtype,
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
            p->d->memory_create(&p->memory[i], p->desc[i], p->engine, p->bytes[i]) != dnnl_success)
            return err_set(e, ERR_DEVICE, "oneDNN refuses a matrix of %lld x %lld",
                           (long long)dims[i][0], (long long)dims[i][1]);
    }
    return ERR_OK;
}

static enum err_code product_make(struct product *p, enum nn_peak_dtype dtype,
                                  const struct nn_peak_shape *s, struct err *e)
{
    const struct dnnl *d = p->d;
    if (d->engine_create(&p->engine, dnnl_cpu, 0) != dnnl_success ||
        d->stream_create(&p->stream, p->engine, dnnl_stream_default_flags) != dnnl_success)
        return err_set(e, ERR_DEVICE, "oneDNN does not start");
    enum err_code rc = product_memory(p, dtype, s, e);
    if (rc != ERR_OK)
        return rc;
    if (d->matmul_primitive_desc_create(&p->primitive_desc, p->engine, p->desc[SRC],
                                        p->desc[WEIGHTS], NULL, p->desc[DST],
                                        NULL) != dnnl_success ||
        d->primitive_create(&p->primitive, p->primitive_desc) != dnnl_success)
        return err_set(e, ERR_DEVICE, "oneDNN cannot multiply %s on this processor",
                       dtype == NN_PEAK_BF16 ? "bf16" : "float32");
    return ERR_OK;
}

static enum err_code product_run(const struct product *p, double *seconds, struct err *e)
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
static enum err_code best_run(const struct product *p, double budget, const atomic_bool *cancel,
                              double *best, struct err *e)
{
    double t, start = clock_s();
    enum err_code rc = product_run(p, &t, e);
    *best = 0;
    for (int i = 0; rc == ERR_OK && i < MAX_RUNS; i++) {
        if (cancel && atomic_load(cancel))
            return err_set(e, ERR_CANCELLED, "stopped on request");
        if (i >= MIN_RUNS && clock_s() - start > budget)
            break;
        rc = product_run(p, &t, e);
        if (rc == ERR_OK && (i == 0 || t < *best))
            *best = t;
    }
    return rc;
}

enum err_code nn_peak_matmul(enum nn_peak_dtype dtype, const struct nn_peak_shape *shape,
                             int threads, double seconds, const atomic_bool *cancel,
                             struct nn_peak_result *out, struct err *e)
{
    struct dnnl d;
    struct product p = {.d = &d};
    memset(out, 0, sizeof *out);
    enum err_code rc = dnnl_open(&d, e);
    if (rc != ERR_OK)
        return rc;
    if (threads > 0 && d.set_threads)
        d.set_threads(threads);
    rc = product_make(&p, dtype, shape, e);
    if (rc == ERR_OK)
        rc = best_run(&p, seconds, cancel, &out->seconds, e);
    product_free(&p);
    if (rc != ERR_OK)
        return rc;
    const dnnl_version_t *v = d.version();
    (void)snprintf(out->version, sizeof out->version, "%d.%d.%d", v->major, v->minor, v->patch);
    out->flops_per_second =
        2.0 * (double)shape->m * (double)shape->k * (double)shape->n / out->seconds;
    return ERR_OK;
}

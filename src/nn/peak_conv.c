/* peak_conv.c - the fastest convolution that oneDNN does on this processor: see peak.h.
 *
 * As peak.c, for a 3 x 3 convolution with channels last. The kernel is repacked into the layout that oneDNN asks
 * for before the clock starts, because a model also packs its kernels once and then uses them for many tiles.
 */
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/cpu/onednn.h"
#include "nn/peak.h"

enum { SRC, WEIGHTS, DST, ARGS };
enum { MIN_RUNS = 3, MAX_RUNS = 1000, ALIGN_BYTES = 64, BF16_SMALL = 0x3c00 };

struct conv {
    const struct onednn *d;
    dnnl_memory_desc_t desc[ARGS];
    dnnl_memory_t memory[ARGS];
    void *bytes[ARGS];
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
};

static void conv_free(struct conv *c)
{
    const struct onednn *d = c->d;
    if (c->primitive)
        (void)d->primitive_destroy(c->primitive);
    if (c->primitive_desc)
        (void)d->primitive_desc_destroy(c->primitive_desc);
    for (int i = 0; i < ARGS; i++) {
        if (c->memory[i])
            (void)d->memory_destroy(c->memory[i]);
        if (c->desc[i])
            (void)d->memory_desc_destroy(c->desc[i]);
        mem_free(c->bytes[i]);
    }
    if (c->stream)
        (void)d->stream_destroy(c->stream);
}

static bool describe(struct conv *c, enum nn_peak_dtype dtype, const struct nn_peak_image *s)
{
    dnnl_data_type_t type = dtype == NN_PEAK_BF16 ? dnnl_bf16 : dnnl_f32;
    const struct onednn *d = c->d;
    const dnnl_dims_t image = {1, s->channels, s->side, s->side},
                      kernel = {s->channels, s->channels, 3, 3}, ones = {1, 1}, zeros = {0, 0};
    return d->memory_desc_create_with_tag(&c->desc[SRC], 4, image, type, dnnl_nhwc) == 0 &&
           d->memory_desc_create_with_tag(&c->desc[WEIGHTS], 4, kernel, type,
                                          dnnl_format_tag_any) == 0 &&
           d->memory_desc_create_with_tag(&c->desc[DST], 4, image, dnnl_f32, dnnl_nhwc) == 0 &&
           d->convolution_forward_primitive_desc_create(
               &c->primitive_desc, d->engine, dnnl_forward_inference, dnnl_convolution_direct,
               c->desc[SRC], c->desc[WEIGHTS], NULL, c->desc[DST], ones, zeros, ones, ones,
               NULL) == 0;
}

/* The same small number everywhere: no denormals, nothing overflows. */
static enum err_code allocate(struct conv *c, struct err *e)
{
    const struct onednn *d = c->d;
    const_dnnl_memory_desc_t desc[ARGS] = {
        c->desc[SRC], d->primitive_desc_query_md(c->primitive_desc, dnnl_query_weights_md, 0),
        c->desc[DST]};
    for (int i = 0; i < ARGS; i++) {
        size_t n = d->memory_desc_get_size(desc[i]);
        c->bytes[i] = mem_try_aligned(ALIGN_BYTES, n);
        if (!c->bytes[i])
            return err_set(e, ERR_NOMEM, "no memory to measure a convolution");
        for (size_t k = 0; k < n / 2; k++)
            ((uint16_t *)c->bytes[i])[k] = BF16_SMALL;
        if (d->memory_create(&c->memory[i], desc[i], d->engine, c->bytes[i]) != 0)
            return err_set(e, ERR_DEVICE, "oneDNN refuses an image");
    }
    return ERR_OK;
}

static enum err_code conv_make(struct conv *c, enum nn_peak_dtype dtype,
                               const struct nn_peak_image *s, struct err *e)
{
    const struct onednn *d = c->d;
    if (!describe(c, dtype, s))
        return err_set(e, ERR_DEVICE, "oneDNN cannot convolve %s on this processor",
                       dtype == NN_PEAK_BF16 ? "bf16" : "float32");
    TRY(allocate(c, e));
    if (d->primitive_create(&c->primitive, c->primitive_desc) != 0 ||
        d->stream_create(&c->stream, d->engine, dnnl_stream_default_flags) != 0)
        return err_set(e, ERR_DEVICE, "oneDNN does not start");
    return ERR_OK;
}

static enum err_code best_run(const struct conv *c, double budget, const atomic_bool *cancel,
                              double *best, struct err *e)
{
    const struct onednn *d = c->d;
    const dnnl_exec_arg_t args[ARGS] = {{DNNL_ARG_SRC, c->memory[SRC]},
                                        {DNNL_ARG_WEIGHTS, c->memory[WEIGHTS]},
                                        {DNNL_ARG_DST, c->memory[DST]}};
    double start = clock_s();
    *best = 0;
    for (int i = 0; i < MAX_RUNS && (i <= MIN_RUNS || clock_s() - start < budget); i++) {
        double t = clock_s();
        if (cancel && atomic_load(cancel))
            return err_set(e, ERR_CANCELLED, "stopped on request");
        if (d->primitive_execute(c->primitive, c->stream, ARGS, args) != 0 ||
            d->stream_wait(c->stream) != 0)
            return err_set(e, ERR_DEVICE, "oneDNN failed to convolve");
        t = clock_s() - t;
        if (i > 0 && (*best <= 0 || t < *best)) /* the first meets cold caches */
            *best = t;
    }
    return ERR_OK;
}

enum err_code nn_peak_conv(enum nn_peak_dtype dtype, const struct nn_peak_image *shape, int threads,
                           double seconds, const atomic_bool *cancel, struct nn_peak_result *out,
                           struct err *e)
{
    struct conv c = {.d = onednn_get()};
    memset(out, 0, sizeof *out);
    if (!c.d)
        return err_set(e, ERR_NOTFOUND, "oneDNN (libdnnl.so.%d) is not installed",
                       DNNL_VERSION_MAJOR);
    int before = c.d->get_threads ? c.d->get_threads() : 0;
    if (threads > 0 && c.d->set_threads)
        c.d->set_threads(threads);
    enum err_code rc = conv_make(&c, dtype, shape, e);
    if (rc == ERR_OK)
        rc = best_run(&c, seconds, cancel, &out->seconds, e);
    conv_free(&c);
    if (before > 0 && c.d->set_threads)
        c.d->set_threads(before);
    if (rc == ERR_OK)
        out->flops_per_second = 2.0 * 9.0 * (double)(shape->channels * shape->channels) *
                                (double)(shape->side * shape->side) / out->seconds;
    return rc;
}

/* device_run.c - what a run sets on its device: accountant, dry runs, the watch for progress, stopping.
 *
 * These are pointers and flags that belong to whoever sets them and are reset to NULL or false afterwards; the
 * device only keeps them. The accountant is copied, so its struct may live on the stack. Progress never goes back:
 * spans of nested work are mapped to the whole, and the last value that was told is remembered.
 */
#include "nn/device_impl.h"

#include <ggml-alloc.h>
#include <ggml.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/device.h"
#include "nn/nvidia/card.h"
#include "nn/nvidia/run.h"
#include "nn/upload.h"

void nn_device_set_cancel(struct nn_device *d, const atomic_bool *cancel)
{
    d->cancel = cancel;
}

void nn_device_set_patience(struct nn_device *d, double seconds)
{
    if (seconds > 0)
        d->patience = seconds;
}

void nn_device_guard(const struct nn_device *d)
{
    nn_rpc_guard(&d->worker, d->patience);
}

const atomic_bool *nn_device_cancel(const struct nn_device *d)
{
    return d->cancel;
}

void nn_device_set_watch(struct nn_device *d, const struct nn_watch *w)
{
    d->watch = w ? *w : (struct nn_watch){0};
    d->span = (struct nn_span){0, 1};
    d->told = 0;
}

bool nn_device_watched(const struct nn_device *d)
{
    return d->watch.fn != NULL;
}

struct nn_span nn_device_span(const struct nn_device *d)
{
    return d->span;
}

void nn_device_set_span(struct nn_device *d, struct nn_span span)
{
    d->span = span;
}

void nn_device_tell_watch(struct nn_device *d, double done)
{
    double now = d->span.from + d->span.share * done;
    if (!d->watch.fn || now < d->told)
        return;
    d->told = now < 1 - 1e-9 ? now : 1; /* the sum of all parts may miss it by a rounding */
    d->watch.fn(d->watch.user, d->told);
}

void nn_device_set_abort(struct nn_device *d, bool (*fn)(void *user), void *user)
{
    if (d->set_abort)
        d->set_abort(d->backend, fn, user);
}

/* ---- memory ------------------------------------------------------------------------------------------ */

void nn_device_set_accountant(struct nn_device *d, const struct nn_accountant *a)
{
    d->has_accountant = a != NULL;
    d->accountant = a ? *a : (struct nn_accountant){0};
}

const struct nn_accountant *nn_device_accountant(const struct nn_device *d)
{
    return d->has_accountant ? &d->accountant : NULL;
}

void nn_device_set_dry(struct nn_device *d, bool dry)
{
    d->dry = dry;
}

bool nn_device_is_dry(const struct nn_device *d)
{
    return d->dry;
}

enum err_code nn_device_take(struct nn_device *d, enum nn_memory_kind kind, uint64_t bytes,
                             const char *what, struct err *e)
{
    return d->has_accountant && bytes > 0
               ? d->accountant.take(d->accountant.user, kind, bytes, what, e)
               : ERR_OK;
}

void nn_device_give(struct nn_device *d, enum nn_memory_kind kind, uint64_t bytes)
{
    if (d->has_accountant && bytes > 0)
        d->accountant.give(d->accountant.user, kind, bytes);
}

struct nn_uploader *nn_device_uploader(struct nn_device *d)
{
    if (!d->uploader)
        d->uploader = nn_uploader_new(d);
    return d->uploader;
}

uint64_t nn_device_locked_bytes(const struct nn_device *d)
{
    uint64_t own = d->card ? nv_card_locked_bytes(d->card) : 0;
    return own + (d->uploader ? nn_uploader_locked_bytes(d->uploader) : 0);
}

void nn_device_set_streaming(struct nn_device *d, struct nn_params *ps)
{
    d->streaming = ps;
}

struct nn_params *nn_device_streaming(const struct nn_device *d)
{
    return d->streaming;
}

void nn_device_set_profile(struct nn_device *d, struct nn_profile *p)
{
    d->profile = p;
}

struct nn_profile *nn_device_profile(const struct nn_device *d)
{
    return d->profile;
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* How fast a device multiplies: enough to tell devices apart, not a benchmark. */

/* A layer's shape, small enough for a quarter of a second on a slow processor. */
enum { MEASURE_IN = 2048, MEASURE_OUT = 1024, MEASURE_ROWS = 256, MEASURE_NODES = 8 };

static enum err_code run_graph(ggml_backend_t backend, struct ggml_cgraph *graph, double *best,
                               struct err *e)
{
    const double end = clock_s() + 0.25;
    *best = 0;
    /* The first run warms up (shaders are compiled, threads are started) and counts for nothing. */
    for (int i = 0; i < 2 || (clock_s() < end && i < 100); i++) {
        double start = clock_s();
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS)
            return err_set(e, ERR_DEVICE, "the device failed to multiply two matrices");
        double took = clock_s() - start;
        if (i > 0 && took > 0 && (*best == 0 || took < *best))
            *best = took;
    }
    return ERR_OK;
}

enum err_code nn_device_measure(const struct nn_device *d, double *out, struct err *e)
{
    ggml_backend_t backend = nn_device_backend(d);
    if (nn_device_card(d))
        return nv_card_measure(nn_device_card(d), out, e);
    struct ggml_init_params params = {
        .mem_size = ggml_tensor_overhead() * MEASURE_NODES +
                    ggml_graph_overhead_custom(MEASURE_NODES, false),
        .no_alloc = true,
    };
    double seconds = 0;
    struct ggml_context *ctx = ggml_init(params);
    if (!ctx)
        return err_set(e, ERR_NOMEM, "no memory for a graph");
    struct ggml_tensor *w = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, MEASURE_IN, MEASURE_OUT);
    struct ggml_tensor *x = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, MEASURE_IN, MEASURE_ROWS);
    struct ggml_tensor *y = ggml_mul_mat(ctx, w, x);
    struct ggml_cgraph *graph = ggml_new_graph_custom(ctx, MEASURE_NODES, false);
    ggml_build_forward_expand(graph, y);
    ggml_backend_buffer_t room = ggml_backend_alloc_ctx_tensors(ctx, backend);
    enum err_code rc = ERR_OK;
    if (!room) {
        rc = err_set(e, ERR_NOMEM, "the device has no memory for two matrices");
    } else {
        ggml_backend_buffer_clear(room, 0);
        rc = run_graph(backend, graph, &seconds, e);
    }
    ggml_backend_buffer_free(room);
    ggml_free(ctx);
    *out = seconds > 0 ? 2.0 * MEASURE_IN * MEASURE_OUT * MEASURE_ROWS / seconds : 0;
    return rc;
}

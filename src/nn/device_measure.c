/* device_measure.c - how fast a device multiplies: enough to tell devices apart, not a benchmark. */
#include <ggml-alloc.h>
#include <ggml.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/device.h"
#include "nn/nvidia/run.h"

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

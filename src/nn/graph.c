/* graph.c - building, allocating and running one graph.
 *
 * Order: init, build, nn_graph_output, prepare (which fixes the order of the nodes, checks that the device has
 * every operation, takes the memory from the accountant and allocates), then set, run, get as often as wanted,
 * deinit. After prepare no node may be added.
 *
 * Checks come first because ggml ends the process where it cannot go on: when a context is full (so tensor records
 * grow in pieces here) and when a backend lacks an operation. A graph runs on one of three ways: whole, node by
 * node under the profiler, or in segments while weights are streamed. Cancelling is polled by ggml between nodes
 * and here between pieces. A graph belongs to the device's thread; only `cancel` may be set from elsewhere.
 */
#include "nn/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/buffer.h"
#include "nn/profile.h"
#include "nn/graph_segments.h"
#include "nn/nvidia/run.h"
#include "nn/params.h"

/* ---- growing ----------------------------------------------------------------------------------------- */

enum { PIECE_TENSORS = 256 };

/* ggml takes the room for tensors beforehand and ends the process when it is used up. So there are pieces,
 * and nobody has to know how many tensors a graph will have. */
struct nn_records {
    struct nn_records *before;
    struct ggml_context *ctx;
};

static size_t room_left(const struct nn_records *r)
{
    return ggml_get_mem_size(r->ctx) - ggml_used_mem(r->ctx);
}

struct ggml_context *nn_ctx(struct nn_graph *g)
{
    if (g->records && room_left(g->records) >= NN_EXPRESSION_TENSORS * ggml_tensor_overhead())
        return g->records->ctx;
    struct nn_records *r = mem_alloc(sizeof *r);
    r->before = g->records;
    r->ctx = ggml_init((struct ggml_init_params){.mem_size = PIECE_TENSORS * ggml_tensor_overhead(),
                                                 .no_alloc = true});
    g->records = r;
    return r->ctx;
}

static void records_free(struct nn_records *r)
{
    while (r) {
        struct nn_records *before = r->before;
        ggml_free(r->ctx);
        mem_free(r);
        r = before;
    }
}

/* Room for one more in an array that doubles. False, and noted in g, when memory is out. */
static bool make_room(struct nn_graph *g, void **array, size_t size, size_t used, size_t *room)
{
    if (used < *room)
        return true;
    size_t more = *room ? 2 * *room : 64;
    void *p = more <= SIZE_MAX / size ? mem_try_realloc(*array, more * size) : NULL;
    if (!p) {
        g->out_of_memory = true;
        return false;
    }
    *array = p;
    *room = more;
    return true;
}

void nn_graph_add(struct nn_graph *g, struct ggml_tensor *t)
{
    void *added = g->added;
    bool ok = make_room(g, &added, sizeof(void *), g->n_added, &g->room_for_added);
    g->added = added;
    if (ok)
        g->added[g->n_added++] = t;
}

/* An upper bound for nodes and for leafs alike (leafs from outside this graph appear as sources of nodes). */
static size_t count_nodes(const struct nn_graph *g)
{
    size_t n = 1;
    for (const struct nn_records *r = g->records; r; r = r->before)
        for (struct ggml_tensor *t = ggml_get_first_tensor(r->ctx); t;
             t = ggml_get_next_tensor(r->ctx, t)) {
            n++;
            for (int i = 0; i < GGML_MAX_SRC; i++)
                n += t->src[i] && t->src[i]->op == GGML_OP_NONE;
        }
    return n;
}

/* Sorts what was added into the order of computation. */
static enum err_code put_in_order(struct nn_graph *g, struct err *e)
{
    if (g->out_of_memory)
        return err_set(e, ERR_NOMEM, "no memory for a graph of %zu results", g->n_added);
    if (g->gf)
        return ERR_OK;
    size_t n = count_nodes(g);
    g->order = ggml_init((struct ggml_init_params){.mem_size = ggml_graph_overhead_custom(n, false),
                                                   .no_alloc = true});
    g->gf = ggml_new_graph_custom(g->order, n, false);
    for (size_t i = 0; i < g->n_added; i++)
        ggml_build_forward_expand(g->gf, g->added[i]);
    return ERR_OK;
}

/* ---- building ---------------------------------------------------------------------------------------- */

void nn_graph_init(struct nn_graph *g, struct nn_device *d, bool trace)
{
    memset(g, 0, sizeof *g);
    g->device = d;
    g->trace = trace;
}

void nn_graph_deinit(struct nn_graph *g)
{
    nn_segments_free(g->segments);
    if (g->alloc)
        ggml_gallocr_free(g->alloc);
    nv_graph_free(g->on_card);
    if (g->device)
        nn_device_give(g->device, NN_MEMORY_COMPUTE, g->compute_bytes);
    ggml_free(g->order);
    records_free(g->records);
    mem_free(g->added);
    mem_free(g->mids);
    memset(g, 0, sizeof *g);
}

void nn_graph_allow_int8(struct nn_graph *g, bool allowed)
{
    g->int8 = allowed && nn_device_compute(g->device) == NN_COMPUTE_INT8;
}

struct ggml_tensor *nn_input(struct nn_graph *g, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)
{
    struct ggml_tensor *t = ggml_new_tensor_4d(nn_ctx(g), GGML_TYPE_F32, ne0, ne1, ne2, ne3);
    ggml_set_input(t);
    return t;
}

struct ggml_tensor *nn_input_ints(struct nn_graph *g, int64_t n)
{
    struct ggml_tensor *t = ggml_new_tensor_1d(nn_ctx(g), GGML_TYPE_I32, n);
    ggml_set_input(t);
    return t;
}

/* An output has memory of its own, so it outlasts the run. */
bool nn_graph_keep(struct nn_graph *g, struct ggml_tensor *input)
{
    if (!nn_device_card(g->device))
        return false;
    ggml_set_output(input);
    return true;
}

void nn_graph_output(struct nn_graph *g, struct ggml_tensor *t)
{
    ggml_set_output(t);
    nn_graph_add(g, t);
}

struct ggml_tensor *nn_mid(struct nn_graph *g, struct ggml_tensor *t, const char *fmt, ...)
{
    if (!g->trace)
        return t;
    void *mids = g->mids;
    bool ok = make_room(g, &mids, sizeof *g->mids, g->n_mids, &g->room_for_mids);
    g->mids = mids;
    if (!ok)
        return t;
    struct nn_mid *m = &g->mids[g->n_mids++];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(m->name, sizeof m->name, fmt, ap);
    va_end(ap);
    /* A copy of its own: t itself may be a view, or be overwritten in place by what follows. */
    m->t =
        t->type == GGML_TYPE_F32 ? ggml_cont(nn_ctx(g), t) : ggml_cast(nn_ctx(g), t, GGML_TYPE_F32);
    nn_graph_output(g, m->t);
    return t;
}

void nn_graph_block_end(struct nn_graph *g, struct ggml_tensor *x)
{
    nn_graph_add(g, x);
}

/* ggml's threads wait for each other by spinning after every node. Below about a megaflop a node that wait costs more
 * than a second thread gains, and a hundred times more on a busy machine. */
static int threads_for(const struct nn_graph *g)
{
    double flops = 0;
    int n = ggml_graph_n_nodes(g->gf);
    for (int i = 0; i < n; i++)
        flops += nn_node_flops(ggml_graph_node(g->gf, i));
    double wanted = n > 0 ? flops / n / 1e6 : 1;
    int all = nn_device_threads(g->device);
    return wanted < 1 ? 1 : wanted >= all ? all : (int)wanted;
}

enum err_code nn_graph_measure(struct nn_graph *g, size_t *bytes, struct err *e)
{
    *bytes = 0;
    TRY(put_in_order(g, e));
    if (nn_device_card(g->device))
        return nv_measure(g->gf, bytes, e);
    ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(nn_device_ggml(g->device));
    ggml_gallocr_t a = ggml_gallocr_new(buft);
    if (!a)
        return err_set(e, ERR_NOMEM, "no memory to measure a graph");
    ggml_gallocr_reserve_n_size(a, g->gf, NULL, NULL, bytes);
    ggml_gallocr_free(a);
    return ERR_OK;
}

static bool device_can(const struct nn_graph *g, const struct ggml_tensor *t)
{
    return nn_device_card(g->device) ? nv_can(t)
                                     : ggml_backend_dev_supports_op(nn_device_ggml(g->device), t);
}

static enum err_code check_operations(const struct nn_graph *g, struct err *e)
{
    struct nn_device_info info;
    for (int i = 0; i < ggml_graph_n_nodes(g->gf); i++) {
        const struct ggml_tensor *t = ggml_graph_node(g->gf, i);
        if (device_can(g, t))
            continue;
        nn_device_info(g->device, &info);
        return err_set(e, ERR_DEVICE,
                       "the device '%s' cannot do %s of type %s [%lld, %lld, %lld, %lld]",
                       info.name, ggml_op_desc(t), ggml_type_name(t->type), (long long)t->ne[3],
                       (long long)t->ne[2], (long long)t->ne[1], (long long)t->ne[0]);
    }
    return ERR_OK;
}

static enum err_code allocate(struct nn_graph *g, struct err *e)
{
    struct err why = {0};
    if (nn_device_card(g->device)) {
        enum err_code rc = nv_graph_new(nn_device_card(g->device), g->gf, &g->on_card, &why);
        if (rc != ERR_NOMEM)
            return rc == ERR_OK ? rc : err_set(e, rc, "%s", why.text);
        return err_set(e, ERR_NOMEM, NN_NO_ROOM, g->compute_bytes >> 20, "computing");
    }
    g->alloc = ggml_gallocr_new(ggml_backend_dev_buffer_type(nn_device_ggml(g->device)));
    if (!g->alloc || !ggml_gallocr_alloc_graph(g->alloc, g->gf))
        return err_set(e, ERR_NOMEM, NN_NO_ROOM, g->compute_bytes >> 20, "computing");
    return ERR_OK;
}

enum err_code nn_graph_prepare(struct nn_graph *g, struct err *e)
{
    size_t bytes;
    TRY(nn_graph_measure(g, &bytes, e));
    TRY(check_operations(g, e));
    g->threads = threads_for(g);
    TRY(nn_device_take(g->device, NN_MEMORY_COMPUTE, bytes, "computing", e));
    g->compute_bytes = bytes;
    if (nn_device_is_dry(g->device))
        return ERR_OK;
    enum err_code rc = allocate(g, e);
    struct nn_params *streaming = nn_device_streaming(g->device);
    return rc == ERR_OK && streaming ? nn_segments_make(g->gf, streaming, &g->segments, e) : rc;
}

size_t nn_graph_compute_bytes(const struct nn_graph *g)
{
    return g->compute_bytes;
}

void nn_graph_set(struct nn_graph *g, struct ggml_tensor *input, const float *data)
{
    nn_graph_set_bytes(g, input, data);
}

void nn_graph_set_bytes(struct nn_graph *g, struct ggml_tensor *input, const void *data)
{
    bool sound = !g->on_card || nv_graph_is_sound(g->on_card); /* else the next run reports it */
    if (sound && nn_tensor_is_real(g->device, input))
        nn_tensor_set(g->device, input, data, 0, ggml_nbytes(input));
}

/* Tells the accountant how many bytes were streamed for this run. */
static void account_run(const struct nn_graph *g)
{
    const struct nn_accountant *a = nn_device_accountant(g->device);
    struct nn_params *ps = nn_device_streaming(g->device);
    uint64_t resident, streamed;
    if (a && ps && (g->segments || nn_device_is_dry(g->device)) &&
        nn_params_placed_bytes(ps, nn_params_placement(ps), &resident, &streamed, NULL) == ERR_OK)
        a->ran(a->user, streamed);
}

enum err_code nn_graph_compute(const struct nn_graph *g, struct nn_piece piece,
                               const atomic_bool *cancel, struct err *e)
{
    if (g->on_card)
        return nv_graph_run(g->on_card, piece.first, piece.end, cancel, e);
    enum ggml_status st = ggml_backend_graph_compute(nn_device_backend(g->device), piece.gf);
    if (st == GGML_STATUS_ABORTED)
        return err_set(e, ERR_CANCELLED, "stopped on request");
    if (st == GGML_STATUS_ALLOC_FAILED)
        return err_set(e, ERR_NOMEM, "the device ran out of memory");
    if (st != GGML_STATUS_SUCCESS)
        return err_set(e, ERR_DEVICE, "the device failed: %s", ggml_status_to_string(st));
    return ERR_OK;
}

enum err_code nn_graph_run(struct nn_graph *g, const atomic_bool *cancel, struct err *e)
{
    account_run(g);
    if (nn_device_is_dry(g->device))
        return cancel && atomic_load(cancel) ? err_set(e, ERR_CANCELLED, "stopped on request")
                                             : ERR_OK;
    nn_device_use_threads(g->device, g->threads);
    struct nn_running running;
    nn_running_begin(&running, g, cancel);
    nn_device_set_abort(g->device, nn_running_next, &running);
    enum err_code rc;
    if (g->segments)
        rc = nn_segments_run(g->segments, &running, e);
    else if (nn_device_profile(g->device))
        rc = nn_profile_run(nn_device_profile(g->device), g, cancel, e);
    else
        rc = nn_graph_compute(g, (struct nn_piece){.gf = g->gf, .end = ggml_graph_n_nodes(g->gf)},
                              cancel, e);
    nn_device_set_abort(g->device, NULL, NULL);
    if (rc != ERR_OK)
        return rc;
    if (cancel && atomic_load(cancel))
        return err_set(e, ERR_CANCELLED, "stopped on request");
    nn_running_reached(&running, -1);
    return ERR_OK;
}

void nn_graph_get(const struct nn_graph *g, const struct ggml_tensor *t, float *dst)
{
    if (!nn_device_is_dry(g->device))
        nn_tensor_get(g->device, t, dst, 0, ggml_nbytes(t));
}

static bool tensor_is_finite(const struct nn_graph *g, const struct ggml_tensor *t)
{
    size_t n = (size_t)ggml_nelements(t);
    float *f = mem_try_array(n, sizeof *f);
    bool ok = true;
    if (!f)
        return true;
    nn_graph_get(g, t, f);
    for (size_t i = 0; i < n && ok; i++)
        ok = isfinite(f[i]);
    mem_free(f);
    return ok;
}

const struct nn_mid *nn_graph_first_bad_mid(const struct nn_graph *g)
{
    for (size_t i = 0; i < g->n_mids; i++)
        if (!tensor_is_finite(g, g->mids[i].t))
            return &g->mids[i];
    return NULL;
}

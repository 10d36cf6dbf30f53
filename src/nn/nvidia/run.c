/* run.c - a graph on a card: laid out once, launched node by node, recorded when it runs again.
 *
 * A graph holds one piece of the card's memory from nv_graph_new to nv_graph_free; nodes are then launched one
 * after the other on one stream, and nothing waits until the end. Every 32 nodes the host waits for the batch
 * before the last one: far enough behind that the card never idles, near enough that cancelling takes effect soon.
 * nv_wait is called on every way out, since memory may be freed right after.
 *
 * The first whole run loads kernels, which must not happen in a recording. The second one records each batch and
 * replays it at once, so that the card computes while the next batch is recorded; later ones only replay. What is
 * recorded holds addresses, which are compared before each run (weights may have been moved) and must be all that a
 * launch takes from outside: whatever changes from run to run is read from the card's memory by kernels. A batch that
 * could not be recorded is launched. Runs of parts, as of streamed and profiled graphs, are never recorded.
 */
#include "nn/nvidia/run.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/nvidia/layout.h"
#include "nn/nvidia/nodes.h"

enum { BATCH = 32 }; /* nodes that are queued on the card between two waits */

struct batch {
    struct nv_record record;
    bool tried, made;
};

struct nv_graph {
    struct nv_card *card;
    struct ggml_cgraph *gf;
    struct nv_layout *layout;
    struct nv_memory memory;
    uint64_t addresses;    /* of the last whole run; 0: there was none */
    struct batch *batches; /* NULL: launched only */
};

bool nv_can(const struct ggml_tensor *t)
{
    return nv_op_of(t) != NULL || nv_plain_known(t);
}

const char *nv_kind(const struct ggml_tensor *t)
{
    const struct nv_op *op = nv_op_of(t);
    return op ? op->name : NULL;
}

double nv_flops(const struct ggml_tensor *t)
{
    const struct nv_op *op = nv_op_of(t);
    return op && op->flops ? op->flops(t) : 0;
}

static size_t scratch_of(const struct ggml_tensor *t)
{
    const struct nv_op *op = nv_op_of(t);
    return op && op->scratch ? op->scratch(t) : 0;
}

static struct ggml_tensor *overwritten_by(const struct ggml_tensor *t)
{
    const struct nv_op *op = nv_op_of(t);
    return op && op->in_place ? op->in_place(t) : NULL;
}

static const struct nv_layout_rules rules = {scratch_of, overwritten_by};

enum err_code nv_measure(struct ggml_cgraph *gf, size_t *bytes, struct err *e)
{
    struct nv_layout *l;
    TRY(nv_layout_new(gf, &rules, &l, e));
    *bytes = nv_layout_bytes(l);
    nv_layout_free(l);
    return ERR_OK;
}

enum err_code nv_graph_new(struct nv_card *c, struct ggml_cgraph *gf, struct nv_graph **out,
                           struct err *e)
{
    *out = NULL;
    struct nv_graph *r = mem_try_alloc(sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "no memory for a graph");
    r->card = c;
    r->gf = gf;
    enum err_code rc = nv_layout_new(gf, &rules, &r->layout, e);
    if (rc == ERR_OK)
        rc = nv_memory_new(c, nv_layout_bytes(r->layout), &r->memory, e);
    if (rc != ERR_OK) {
        nv_graph_free(r);
        return rc;
    }
    nv_layout_place(r->layout, r->memory.p);
    *out = r;
    return ERR_OK;
}

static size_t count_batches(const struct nv_graph *r)
{
    return ((size_t)ggml_graph_n_nodes(r->gf) + BATCH - 1) / BATCH;
}

static void drop_batches(struct nv_graph *r)
{
    for (size_t i = 0; r->batches && i < count_batches(r); i++)
        nv_record_free(r->card, &r->batches[i].record);
    mem_free(r->batches);
    r->batches = NULL;
}

void nv_graph_free(struct nv_graph *r)
{
    if (!r)
        return;
    drop_batches(r);
    nv_memory_free(r->card, &r->memory);
    nv_layout_free(r->layout);
    mem_free(r);
}

bool nv_graph_is_sound(const struct nv_graph *r)
{
    return nv_card_check(r->card, r->memory.generation, NULL) == ERR_OK;
}

static enum err_code launch_node(struct nv_graph *r, int i, struct err *e)
{
    struct ggml_tensor *t = ggml_graph_node(r->gf, i);
    const struct nv_op *op = nv_op_of(t);
    const struct nv_job j = {
        .card = r->card, .t = t, .scratch = nv_layout_scratch(r->layout, i), .e = e};
    return op ? op->launch(&j) : nv_plain_launch(&j);
}

static bool stopped(const atomic_bool *cancel)
{
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

static enum err_code launch_nodes(struct nv_graph *r, int first, int end, const atomic_bool *cancel,
                                  struct err *e)
{
    enum err_code rc = ERR_OK;
    for (int i = first; i < end && rc == ERR_OK; i++)
        rc = stopped(cancel) ? err_set(e, ERR_CANCELLED, "stopped on request")
                             : launch_node(r, i, e);
    return rc;
}

/* ---- recorded ------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, const void *address)
{
    return (hash ^ (uintptr_t)address) * 0x100000001b3u;
}

/* Changes when a tensor lies elsewhere. Never 0. */
static uint64_t addresses_of(const struct nv_graph *r)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < ggml_graph_n_nodes(r->gf); i++) {
        const struct ggml_tensor *t = ggml_graph_node(r->gf, i);
        hash = mix(hash, t->data);
        for (int k = 0; k < GGML_MAX_SRC; k++)
            if (t->src[k])
                hash = mix(hash, t->src[k]->data);
    }
    return hash | 1;
}

/* Before a whole run. What was recorded at other addresses is dropped; a second run at the same ones is recorded. */
static void look_for_recordings(struct nv_graph *r)
{
    uint64_t now = addresses_of(r);
    bool again = now == r->addresses;
    r->addresses = now;
    if (!again)
        drop_batches(r);
    else if (!r->batches && nv_card_records(r->card))
        r->batches = mem_try_array(count_batches(r), sizeof *r->batches);
}

static void record(struct nv_graph *r, int first, int end, struct batch *b)
{
    struct err why = {0}, e = {0};
    b->tried = true;
    if (nv_record_begin(r->card, &why) != ERR_OK)
        return;
    enum err_code rc = launch_nodes(r, first, end, NULL, &why);
    enum err_code ended = nv_record_end(r->card, &b->record, &e);
    b->made = rc == ERR_OK && ended == ERR_OK;
    if (!b->made) {
        nv_record_free(r->card, &b->record);
        log_debug("nodes %d to %d are not recorded: %s", first, end - 1,
                  rc == ERR_OK ? e.text : why.text);
    }
}

static enum err_code run_batch(struct nv_graph *r, int first, int end, bool whole,
                               const atomic_bool *cancel, struct err *e)
{
    struct batch *b = whole && r->batches ? &r->batches[first / BATCH] : NULL;
    if (stopped(cancel))
        return err_set(e, ERR_CANCELLED, "stopped on request");
    if (b && !b->tried)
        record(r, first, end, b);
    return b && b->made ? nv_record_replay(r->card, &b->record, e)
                        : launch_nodes(r, first, end, cancel, e);
}

enum err_code nv_graph_run(struct nv_graph *r, int first, int end, const atomic_bool *cancel,
                           struct err *e)
{
    bool whole = first == 0 && end == ggml_graph_n_nodes(r->gf);
    enum err_code rc = nv_card_check(r->card, r->memory.generation, e);
    if (rc != ERR_OK)
        return rc;
    if (whole)
        look_for_recordings(r);
    for (int i = first, next; i < end && rc == ERR_OK; i = next) {
        next = (i / BATCH + 1) * BATCH < end ? (i / BATCH + 1) * BATCH : end;
        rc = run_batch(r, i, next, whole, cancel, e);
        if (rc == ERR_OK && next % BATCH == 0)
            rc = nv_throttle(r->card, e);
    }
    enum err_code waited = nv_wait(r->card, rc == ERR_OK ? e : NULL);
    return rc == ERR_OK ? waited : rc;
}

/* ---- how fast a card multiplies -------------------------------------------------------------------------- */

enum { MEASURE_SIDE = 4096, MEASURE_RUNS = 8 };

static enum err_code run_products(struct nv_card *c, struct nv_gemm *g, double *seconds,
                                  struct err *e)
{
    const struct nv_job j = {.card = c, .e = e};
    enum err_code rc = nv_gemm_launch(&j, g); /* loads the kernels */
    if (rc == ERR_OK)
        rc = nv_wait(c, e);
    double start = clock_s();
    for (int i = 0; rc == ERR_OK && i < MEASURE_RUNS; i++)
        rc = nv_gemm_launch(&j, g);
    if (rc == ERR_OK)
        rc = nv_wait(c, e);
    *seconds = clock_s() - start;
    return rc;
}

enum err_code nv_card_measure(struct nv_card *c, double *out, struct err *e)
{
    const size_t matrix = (size_t)MEASURE_SIDE * MEASURE_SIDE * 2;
    struct nv_memory m;
    double seconds = 0;
    *out = 0;
    enum err_code rc = nv_memory_new(c, 3 * matrix, &m, e);
    if (rc != ERR_OK)
        return rc;
    char *at = (char *)(uintptr_t)m.p;
    struct nv_gemm g = {
        .x = at,
        .w = at + matrix,
        .y = at + 2 * matrix,
        .ldx = MEASURE_SIDE,
        .ldw = MEASURE_SIDE,
        .ldy = MEASURE_SIDE,
        .m = MEASURE_SIDE,
        .n = MEASURE_SIDE,
        .k = MEASURE_SIDE,
        .scale = 1.0f,
        .x_type = NV_BF16,
        .w_type = NV_BF16,
        .y_type = NV_BF16,
    };
    rc = nv_zero(c, m.p, 3 * matrix, e);
    if (rc == ERR_OK)
        rc = run_products(c, &g, &seconds, e);
    nv_memory_free(c, &m);
    if (rc == ERR_OK && seconds > 0)
        *out = 2.0 * MEASURE_SIDE * MEASURE_SIDE * MEASURE_SIDE * MEASURE_RUNS / seconds;
    return rc;
}

/* graph_segments.c - cuts a prepared graph at the blocks whose weights are streamed, and runs the pieces.
 *
 * A graph becomes a list of moves: take a block, compute nodes [first, end), leave a block. It is made once, when
 * the graph is prepared, from the first and last node that read each block's weights. Two blocks that share a slot
 * must not be alive at once; the model's order of nodes could break that, so it is checked and reported instead of
 * computing with the wrong weights.
 *
 * Each piece is a graph of its own over the same nodes, at the addresses that the whole graph was allocated with.
 * A run that stops early must still leave the blocks that it took, or the stream's thread would wait for them for
 * ever. One thread runs the segments, that of the device; it meets the stream's thread only in nn_stream_acquire
 * and _done.
 */
#include "nn/graph_segments.h"

#include <ggml.h>

#include "base/mem.h"
#include "nn/profile.h"
#include "nn/stream.h"

/* The cost of reading and writing a value, in operations, so that it can be added to the arithmetic of matrices. */
enum { VALUE_WORK = 20 };

/* Views and the like are no operations. */
static bool computes(const struct ggml_tensor *t)
{
    return t->op != GGML_OP_NONE && t->op != GGML_OP_VIEW && t->op != GGML_OP_RESHAPE &&
           t->op != GGML_OP_PERMUTE && t->op != GGML_OP_TRANSPOSE;
}

static double work_of(const struct ggml_tensor *t)
{
    return computes(t) ? nn_node_flops(t) + VALUE_WORK * (double)ggml_nelements(t) : 0;
}

void nn_running_begin(struct nn_running *r, const struct nn_graph *g, const atomic_bool *cancel)
{
    *r = (struct nn_running){.g = g, .cancel = cancel};
    if (!nn_device_watched(g->device))
        return;
    for (int i = 0; i < ggml_graph_n_nodes(g->gf); i++)
        r->all += work_of(ggml_graph_node(g->gf, i));
}

static void tell(const struct nn_running *r)
{
    if (r->all > 0)
        nn_device_tell_watch(r->g->device, r->done < r->all ? r->done / r->all : 1);
}

bool nn_running_next(void *running)
{
    struct nn_running *r = running;
    int n = ggml_graph_n_nodes(r->g->gf);
    while (r->all > 0 && r->node < n) {
        const struct ggml_tensor *t = ggml_graph_node(r->g->gf, r->node++);
        r->done += work_of(t);
        if (computes(t))
            break;
    }
    tell(r);
    return r->cancel && atomic_load_explicit(r->cancel, memory_order_relaxed);
}

void nn_running_reached(struct nn_running *r, int node)
{
    int n = ggml_graph_n_nodes(r->g->gf);
    for (; r->all > 0 && r->node < n && (node < 0 || r->node < node); r->node++)
        r->done += work_of(ggml_graph_node(r->g->gf, r->node));
    tell(r);
}

struct span { /* nodes that use a block's weights; first > last: none */
    int first, last;
};

enum action { TAKE_BLOCK, LEAVE_BLOCK, COMPUTE };

struct move {
    enum action action;
    int block;
    struct nn_piece piece; /* COMPUTE */
};

struct nn_segments {
    struct nn_params *ps;
    struct ggml_context *ctx;
    struct move *moves;
    int n;
};

static void note_use(struct span *spans, int block, int node)
{
    if (block < 0)
        return;
    if (spans[block].first > node)
        spans[block].first = node;
    if (spans[block].last < node)
        spans[block].last = node;
}

static void find_spans(struct ggml_cgraph *gf, const struct nn_params *ps, struct span *spans)
{
    int nodes = ggml_graph_n_nodes(gf);
    for (int b = 0; b < nn_params_blocks(ps); b++)
        spans[b] = (struct span){nodes, -1};
    for (int i = 0; i < nodes; i++) {
        const struct ggml_tensor *t = ggml_graph_node(gf, i);
        for (int k = 0; k < GGML_MAX_SRC; k++) {
            const struct ggml_tensor *s = t->src[k];
            if (s)
                note_use(spans, nn_params_block_of(ps, s->view_src ? s->view_src : s), i);
        }
    }
}

/* Two blocks of one slot must not be alive at the same time. */
static enum err_code check_spans(const struct span *spans, const struct nn_params *ps,
                                 struct err *e)
{
    int n = nn_params_blocks(ps), slots = nn_params_slots(ps);
    for (int b = 0; b + slots < n; b++)
        if (spans[b].last >= 0 && spans[b + slots].last >= 0 &&
            spans[b + slots].first <= spans[b].last)
            return err_set(e, ERR_INTERNAL,
                           "blocks %d and %d are computed at the same time and share a slot", b,
                           b + slots);
    return ERR_OK;
}

static void compute(struct nn_segments *s, int first, int end)
{
    if (first < end)
        s->moves[s->n++] = (struct move){.action = COMPUTE, .piece = {.first = first, .end = end}};
}

static void cut(struct nn_segments *s, int nodes, const struct span *spans)
{
    int blocks = nn_params_blocks(s->ps), from = 0;
    for (int i = 0; i < nodes; i++) {
        for (int b = 0; b < blocks; b++)
            if (spans[b].last >= 0 && spans[b].first == i) {
                compute(s, from, i);
                from = i;
                s->moves[s->n++] = (struct move){.action = TAKE_BLOCK, .block = b};
            }
        for (int b = 0; b < blocks; b++)
            if (spans[b].last == i) {
                compute(s, from, i + 1);
                from = i + 1;
                s->moves[s->n++] = (struct move){.action = LEAVE_BLOCK, .block = b};
            }
    }
    compute(s, from, nodes);
}

static size_t count_nodes(const struct move *m)
{
    return (size_t)(m->piece.end - m->piece.first);
}

/* The graphs of the parts, in one piece of memory that is as large as they are. */
static enum err_code make_graphs(struct nn_segments *s, struct ggml_cgraph *gf, struct err *e)
{
    struct ggml_init_params init = {.no_alloc = true};
    for (int i = 0; i < s->n; i++)
        if (s->moves[i].action == COMPUTE)
            init.mem_size += ggml_graph_overhead_custom(count_nodes(&s->moves[i]), false);
    s->ctx = ggml_init(init);
    if (!s->ctx)
        return err_set(e, ERR_NOMEM, "no memory for a graph");
    for (int i = 0; i < s->n; i++) {
        struct move *m = &s->moves[i];
        if (m->action != COMPUTE)
            continue;
        m->piece.gf = ggml_new_graph_custom(s->ctx, count_nodes(m), false);
        for (int k = m->piece.first; k < m->piece.end; k++)
            ggml_graph_add_node(m->piece.gf, ggml_graph_node(gf, k));
    }
    return ERR_OK;
}

enum err_code nn_segments_make(struct ggml_cgraph *gf, struct nn_params *ps,
                               struct nn_segments **out, struct err *e)
{
    int blocks = nn_params_blocks(ps), used = 0;
    *out = NULL;
    struct nn_segments *s = mem_try_alloc(sizeof *s);
    struct span *spans = mem_try_array((size_t)blocks + 1, sizeof *spans);
    enum err_code rc;
    if (!s || !spans) {
        rc = err_set(e, ERR_NOMEM, "no memory for a graph");
        goto done;
    }
    s->ps = ps;
    find_spans(gf, ps, spans);
    TRY_GOTO(check_spans(spans, ps, e), done);
    for (int b = 0; b < blocks; b++)
        used += spans[b].last >= 0;
    if (used == 0)
        goto done;
    s->moves = mem_try_array(4 * (size_t)used + 1, sizeof *s->moves);
    if (!s->moves) {
        rc = err_set(e, ERR_NOMEM, "no memory for a graph");
        goto done;
    }
    cut(s, ggml_graph_n_nodes(gf), spans);
    TRY_GOTO(make_graphs(s, gf, e), done);
    *out = s;
    s = NULL;
done:
    mem_free(spans);
    nn_segments_free(s);
    return rc;
}

void nn_segments_free(struct nn_segments *s)
{
    if (!s)
        return;
    ggml_free(s->ctx);
    mem_free(s->moves);
    mem_free(s);
}

/* Releases the blocks that a run which ended early still holds. */
static void leave_from(const struct nn_segments *s, int reached)
{
    struct nn_stream *stream = nn_params_stream(s->ps);
    for (int i = reached; i < s->n; i++)
        if (s->moves[i].action == LEAVE_BLOCK)
            nn_stream_done(stream, s->moves[i].block);
}

enum err_code nn_segments_run(struct nn_segments *s, struct nn_running *running, struct err *e)
{
    const atomic_bool *cancel = running->cancel;
    struct nn_stream *stream = nn_params_stream(s->ps);
    enum err_code rc = ERR_OK;
    int i = 0;
    for (; i < s->n && rc == ERR_OK; i++) {
        const struct move *m = &s->moves[i];
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            rc = err_set(e, ERR_CANCELLED, "stopped on request");
        else if (m->action == TAKE_BLOCK)
            rc = nn_stream_acquire(stream, m->block, e);
        else if (m->action == LEAVE_BLOCK)
            nn_stream_done(stream, m->block);
        else
            rc = nn_graph_compute(running->g, m->piece, cancel, e);
        if (rc == ERR_OK && m->action == COMPUTE)
            nn_running_reached(running, m->piece.end);
    }
    if (rc != ERR_OK)
        leave_from(s, i - 1);
    return rc;
}

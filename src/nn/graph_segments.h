/* graph_segments.h - running a graph piece by piece while its blocks of weights are streamed through slots.
 *
 * The graph is one, allocated as a whole; only its execution is cut: before the first node that uses a block's
 * weights the block is waited for, and after the last one its slot is free again. So results are those of the
 * uncut graph, bit for bit. */
#ifndef VT_NN_GRAPH_SEGMENTS_H
#define VT_NN_GRAPH_SEGMENTS_H

#include "nn/graph.h"
#include "nn/params.h"

struct nn_segments;

/* *out = NULL when the graph uses no streamed weights. */
ERR_MUST_CHECK enum err_code nn_segments_make(struct ggml_cgraph *gf, struct nn_params *ps,
                                              struct nn_segments **out, struct err *e);
void nn_segments_free(struct nn_segments *s);
/* A block that could not be loaded is an error, too. Between segments cancel is checked and the watch told. */
ERR_MUST_CHECK enum err_code nn_segments_run(struct nn_segments *s, struct nn_running *running,
                                             struct err *e);

/* Tells the device's watch (device.h) how far a graph is, measured by its arithmetic.
 *
 * On the CPU ggml calls back after each operation, on the thread that runs the graph. Elsewhere progress is
 * known only at the end of a graph, or of each of its pieces where weights are streamed. */

struct nn_running {
    const struct nn_graph *g;
    const atomic_bool *cancel; /* may be NULL */
    double all, done;          /* the work of the nodes; all is 0 when nobody watches */
    int node;                  /* the next one */
};

void nn_running_begin(struct nn_running *r, const struct nn_graph *g, const atomic_bool *cancel);
/* For nn_device_set_abort, with a struct nn_running: an operation has ended. True: stop. */
bool nn_running_next(void *running);
/* The nodes before this one have been computed; -1: all have. */
void nn_running_reached(struct nn_running *r, int node);

#endif

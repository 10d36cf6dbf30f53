/* graph_watch.h - tells the device's watch (device.h) how far a graph is, measured by its arithmetic.
 *
 * On the CPU ggml calls back after each operation, on the thread that runs the graph. Elsewhere progress is
 * known only at the end of a graph, or of each of its pieces where weights are streamed. */
#ifndef VT_NN_GRAPH_WATCH_H
#define VT_NN_GRAPH_WATCH_H

#include "nn/graph.h"

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

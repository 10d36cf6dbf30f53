/* profile.h - where the time of graphs goes, by kind of operation.
 *
 * While a device has a profile its graphs are computed a node at a time, and each node's seconds are added to
 * its kind. That costs some microseconds a node; results are the same. */
#ifndef VT_NN_PROFILE_H
#define VT_NN_PROFILE_H

#include "nn/graph.h"

enum { NN_PROFILE_KINDS = 48, NN_PROFILE_NAME_BYTES = 32 };

struct nn_profile_kind {
    char name
        [NN_PROFILE_NAME_BYTES]; /* "linear", "attention", ...; ggml's words for its own operations */
    int nodes;
    double seconds, cpu_seconds, flops;
};

struct nn_profile {
    struct nn_profile_kind kinds[NN_PROFILE_KINDS];
    int n;
};

/* Multiplications and additions of a node; 0 for what only moves or maps elements. */
double nn_node_flops(const struct ggml_tensor *t);

/* Computes g and adds its nodes to p. */
ERR_MUST_CHECK enum err_code nn_profile_run(struct nn_profile *p, const struct nn_graph *g,
                                            const atomic_bool *cancel, struct err *e);

#endif

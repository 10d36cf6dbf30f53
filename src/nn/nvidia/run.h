/* run.h - graphs on a card: which operations there are, what memory a graph takes, and running it. */
#ifndef VT_NN_NVIDIA_RUN_H
#define VT_NN_NVIDIA_RUN_H

#include <ggml.h>
#include <stdatomic.h>

#include "nn/nvidia/card.h"

/* Whether the card can do this node. */
bool nv_can(const struct ggml_tensor *t);
/* The name of a node of ours, and its number of operations; NULL and 0 for others. */
const char *nv_kind(const struct ggml_tensor *t);
double nv_flops(const struct ggml_tensor *t);

/* Bytes that the graph's own tensors take. */
ERR_MUST_CHECK enum err_code nv_measure(struct ggml_cgraph *gf, size_t *bytes, struct err *e);

/* Lays the graph out and gives its tensors their places. */
struct nv_graph;

ERR_MUST_CHECK enum err_code nv_graph_new(struct nv_card *c, struct ggml_cgraph *gf,
                                          struct nv_graph **out, struct err *e);
void nv_graph_free(struct nv_graph *r);
/* Whether its memory is still there. */
bool nv_graph_is_sound(const struct nv_graph *r);

/* Runs nodes first .. end - 1 and waits for them. cancel may be NULL; it is looked at between nodes. */
ERR_MUST_CHECK enum err_code nv_graph_run(struct nv_graph *r, int first, int end,
                                          const atomic_bool *cancel, struct err *e);

/* Floating point operations a second of a product in bf16. */
ERR_MUST_CHECK enum err_code nv_card_measure(struct nv_card *c, double *out, struct err *e);

#endif

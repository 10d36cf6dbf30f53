/* terms.h - what is added to a layer's product beside its stored matrix: nn_term of params.h, for ops.c. */
#ifndef VT_NN_TERMS_H
#define VT_NN_TERMS_H

#include "nn/graph.h"
#include "nn/params.h"

/* y [n_tok, out] + gate * what w's terms make of x [n_tok, in]; gate [1, out], NULL: 1. y itself where w has none. */
struct ggml_tensor *nn_terms_add(struct nn_graph *g, const struct nn_param *w,
                                 struct ggml_tensor *x, struct ggml_tensor *gate,
                                 struct ggml_tensor *y);

#endif

/* heads.h - in which order the rows of queries and keys lie in memory.
 *
 * As tensors they are [tokens, heads, head_dim] everywhere. Attention kernels go head by head, so an
 * operation that creates such a tensor may write it head by head: the tensor is then a view, and needs no copy later. */
#ifndef VT_NN_HEADS_H
#define VT_NN_HEADS_H

#include <ggml.h>

#include "nn/graph.h"

/* ne = head_dim, heads, tokens becomes head_dim, tokens, heads and the other way round: a view. */
static inline struct ggml_tensor *nn_swap_heads(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_permute(nn_ctx(g), x, 0, 2, 1, 3);
}

/* ne = head_dim, heads, tokens, but all of a head's rows lie one after the other. */
static inline bool nn_lies_by_head(const struct ggml_tensor *x)
{
    size_t row = (size_t)x->ne[0] * ggml_element_size(x);
    return !ggml_is_contiguous(x) && x->ne[3] == 1 && x->nb[0] == ggml_element_size(x) &&
           x->nb[2] == row && x->nb[1] == row * (size_t)x->ne[2];
}

#endif

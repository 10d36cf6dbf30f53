/* layout.h - where the tensors of a graph lie in one piece of a card's memory.
 *
 * A tensor that owns memory is needed from the first node that writes it to the last that reads it or a view of it
 * (inputs from the start, outputs to the end). Tensors that are never needed at the same time may share memory: the
 * largest is placed first, each as low as it fits. A node that is the last to read something may write over it.
 * Tensors that have an address already (weights, caches) are left alone.
 *
 * Nodes run in order on one stream, so memory is reused only after its last reader has run.
 */
#ifndef VT_NN_NVIDIA_LAYOUT_H
#define VT_NN_NVIDIA_LAYOUT_H

#include <ggml.h>

#include "base/err.h"

enum { NV_ALIGN = 256 };

struct nv_layout_item {
    size_t bytes;
    int first, last; /* nodes, both included */
    size_t at;       /* result */
};

/* Places all items, in order of size, and gives the bytes that they take together. */
ERR_MUST_CHECK enum err_code nv_layout_pack(struct nv_layout_item *items, size_t n, size_t *bytes,
                                            struct err *e);

struct nv_layout;

struct nv_layout_rules { /* either may be NULL: nothing, none */
    /* Bytes that a node needs while it runs. */
    size_t (*scratch)(const struct ggml_tensor *t);
    /* The source whose memory the node may overwrite with its result, element by element; NULL: none. */
    struct ggml_tensor *(*in_place)(const struct ggml_tensor *t);
};

/* Lays out the graph's own tensors. */
ERR_MUST_CHECK enum err_code nv_layout_new(struct ggml_cgraph *gf,
                                           const struct nv_layout_rules *rules,
                                           struct nv_layout **out, struct err *e);
void nv_layout_free(struct nv_layout *l);
size_t nv_layout_bytes(const struct nv_layout *l);
/* Gives every tensor its address, `base` being that of the memory. */
void nv_layout_place(struct nv_layout *l, uint64_t base);
/* The scratch of node i of the graph. */
uint64_t nv_layout_scratch(const struct nv_layout *l, int node);

#endif

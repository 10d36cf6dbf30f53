/* stored.h - matrices that lie on a card in fewer bits than the 16 that products read: quantised, float8, int8.
 *
 * Such a matrix keeps the bytes of its file. Before a product its node unpacks it to bf16, in memory that the node
 * alone has (nv_op.scratch), at most NV_UNPACKED_BYTES at a time, but one tile at least: more is multiplied in bands of
 * the matrix's rows. Scales of all its values and of its rows stay with the product.
 *
 * What a node must know of a matrix is kept with the matrix's tensor: nv_stored_mark puts it there. */
#ifndef VT_NN_NVIDIA_STORED_H
#define VT_NN_NVIDIA_STORED_H

#include "nn/nvidia/nodes.h"

enum { NV_UNPACKED_BYTES = 128 << 20 };

struct nv_stored {
    enum nv_blocks kind;                  /* NV_BLOCKS_NONE: products read it as it lies */
    const struct ggml_tensor *row_scales; /* NULL: none */
};

/* What unpacks this stored type; NV_BLOCKS_NONE: nothing does, it becomes bf16 while it is uploaded. */
enum nv_blocks nv_stored_kind(enum dtype t);
/* Once p has its tensors, on a card. */
void nv_stored_mark(struct nn_param *p);
struct nv_stored nv_stored_of(const struct ggml_tensor *w);

/* n rows of w from row0 on as bf16 side by side: at `to`, a multiple of 16, or where they lie. */
ERR_MUST_CHECK enum err_code nv_stored_rows(const struct nv_job *j, const struct ggml_tensor *w,
                                            int64_t row0, int64_t n, nv_ptr to, const void **out,
                                            struct err *e);

/* The product g of n = g->n columns with w. Its second matrix, if it has one, is w2, or the rows of w from n on. g's own
 * w, w2, ldw and w_type are used only when neither is stored in fewer bits. */
ERR_MUST_CHECK enum err_code nv_stored_product(const struct nv_job *j, const struct nv_gemm *g,
                                               const struct ggml_tensor *w,
                                               const struct ggml_tensor *w2);
/* Bytes of scratch that takes; 0: nothing is to be unpacked. */
size_t nv_stored_scratch(const struct ggml_tensor *w, const struct ggml_tensor *w2, int64_t n);

#endif

/* product.h - one matrix product of fixed shape in one thread, through oneDNN.
 *
 * C [m, n] = A [m, k] B, float32 sums. Rows may have gaps (lda, ldb, ldc in elements). B is [k, n], or [n, k]
 * as checkpoints hold weights. Making one costs some microseconds once oneDNN has generated the code for the
 * shape, which it keeps; so they are made where they are used and live as long as one operation.
 *
 * One column into rows with gaps (n = 1, ldc > 1) is refused: oneDNN 3.7 ignores the gaps then.
 */
#ifndef VT_NN_CPU_PRODUCT_H
#define VT_NN_CPU_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#include "nn/cpu/onednn.h"

struct product_shape {
    int64_t m, n, k;
    int64_t lda, ldb, ldc;
    bool bf16;      /* A and B are bf16, otherwise float32 */
    bool int8;      /* instead: A uint8, B int8, C int32 */
    bool bf16_out;  /* C is bf16, otherwise float32 */
    bool b_by_rows; /* B is [n, k] */
    bool add;       /* C += A B */
};

enum { PRODUCT_A, PRODUCT_B, PRODUCT_C, PRODUCT_SCRATCH, PRODUCT_ARGS };

struct product {
    const struct onednn *d;
    dnnl_memory_desc_t desc[PRODUCT_ARGS];
    dnnl_memory_t memory[PRODUCT_ARGS];
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    size_t scratch_bytes;
};

/* False when oneDNN cannot do it; there is nothing to free then. scratch: scratch_bytes bytes, 64-aligned, that no
 * other thread uses meanwhile; with NULL this only checks, and finds scratch_bytes. */
bool product_make(struct product *p, const struct onednn *d, const struct product_shape *s,
                  void *scratch);
void product_free(struct product *p);
bool product_run(const struct product *p, const void *a, const void *b, void *c);

#endif

/* conv_tile.h - the convolution of one tile of rows in one thread, through oneDNN: channels last, no padding. */
#ifndef VT_NN_CPU_CONV_TILE_H
#define VT_NN_CPU_CONV_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "nn/cpu/onednn.h"

/* From [rows_in, width_in, in] to [rows, width, out], the result float32. */
struct tile_shape {
    int64_t in, out, kh, kw, width_in, width, rows, rows_in;
    int stride;
    bool bf16; /* of image and kernel; otherwise float32 */
};

enum { TILE_SRC, TILE_WEIGHTS, TILE_DST, TILE_SCRATCH, TILE_ARGS };

struct tile_conv {
    const struct onednn *d;
    dnnl_memory_desc_t desc[TILE_ARGS];
    dnnl_memory_t memory[TILE_ARGS];
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    const_dnnl_memory_desc_t packed; /* the form of the kernel; belongs to primitive_desc */
    size_t scratch_bytes;
};

/* False when oneDNN cannot do it; there is nothing to free then. kernel: packed. scratch: as in product.h; with NULL
 * this only checks. */
bool tile_make(struct tile_conv *c, const struct onednn *d, const struct tile_shape *s,
               void *kernel, void *scratch);
void tile_free(struct tile_conv *c);
bool tile_run(const struct tile_conv *c, const void *src, void *dst);

/* How oneDNN wants a kernel [out, in, kh, kw]: blocks of [in_block, out_block] (and finer inside). */
struct tile_packing {
    size_t bytes;
    int64_t stride[4];                  /* of blocks along out, in, kh, kw, in elements */
    int64_t padded_out, padded_in;      /* whole blocks */
    int64_t out_block, in_block, inner; /* inner: elements of a block */
    int n_inner;
    int64_t blocks[12];
    int axes[12];
};
/* False for a packing that cannot be described by blocks. */
bool tile_packing_of(const struct tile_conv *c, struct tile_packing *p);

#endif

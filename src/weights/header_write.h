/* header_write.h - what stands in front of the tensors in a file that we write.
 *
 * A caller lists its tensors and metadata; the writer lays the tensors out behind the header and says where
 * each one's bytes belong. The bytes themselves are the caller's business: they may come from several
 * threads in any order.
 *
 *     struct write_tensor t[] = {{.name = "x", .dtype = DTYPE_BF16, .n_dims = 1, .dims = {64}}};
 *     gguf_write_header(t, 1, meta, n_meta, &header, &file_bytes, &e);
 *     ... header at 0, the first tensor's bytes at t[0].offset ...
 */
#ifndef VT_WEIGHTS_HEADER_WRITE_H
#define VT_WEIGHTS_HEADER_WRITE_H

#include "base/buf.h"
#include "weights/checkpoint.h"

struct write_tensor {
    const char *name;
    enum dtype dtype;
    int n_dims;
    int64_t dims[WEIGHTS_MAX_DIMS]; /* reading order */
    uint64_t bytes, offset;         /* filled in; the offset counts from the file's first byte */
};

enum write_meta_type { WRITE_STRING, WRITE_U32, WRITE_I32_ARRAY, WRITE_GGUF_VALUE };

struct write_meta {
    struct str key;
    enum write_meta_type type;
    struct str
        text; /* WRITE_STRING; WRITE_GGUF_VALUE: the value's bytes, its type number in front */
    uint32_t number;
    int32_t items[WEIGHTS_MAX_DIMS];
    size_t n_items;
};

enum { WRITE_MAX_HEADER_BYTES = 512 << 20 };

/* Both initialise out (buf_deinit frees it, also after a failure). Safetensors take WRITE_STRING only, and
 * refuse quantised types; GGUF refuses float8, and what has no type number there. */
ERR_MUST_CHECK enum err_code safetensors_write_header(struct write_tensor *tensors, size_t n,
                                                      const struct write_meta *meta, size_t n_meta,
                                                      struct buf *out, uint64_t *file_bytes,
                                                      struct err *e);
ERR_MUST_CHECK enum err_code gguf_write_header(struct write_tensor *tensors, size_t n,
                                               const struct write_meta *meta, size_t n_meta,
                                               struct buf *out, uint64_t *file_bytes,
                                               struct err *e);

/* Bytes of a tensor of this shape; ERR_FORMAT when its rows are no whole blocks. */
ERR_MUST_CHECK enum err_code write_tensor_bytes(const struct write_tensor *t, uint64_t *out,
                                                struct err *e);

#endif

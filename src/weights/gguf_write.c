/* gguf_write.c - the header of a GGUF file, version 3, little-endian; gguf.c shows the format.
 *
 * Tensors of more than four dims are stored with the inner ones joined, and their shape under
 * "comfy.gguf.orig_shape.NAME", as ComfyUI's converter does it. */
#include <inttypes.h>

#include "base/ck.h"
#include "weights/header_write.h"

enum {
    VERSION = 3,
    ALIGNMENT = 32,
    MAX_DIMS = 4,
    VALUE_U32 = 4,
    VALUE_I32 = 5,
    VALUE_STRING = 8,
    VALUE_ARRAY = 9,
};

static const char shape_key[] = "comfy.gguf.orig_shape.";

static void put_u32(struct buf *b, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        buf_add_byte(b, v >> (8 * i) & 255u);
}

static void put_u64(struct buf *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

static void put_string(struct buf *b, struct str s)
{
    put_u64(b, s.n);
    buf_add_str(b, s);
}

static void put_i32_array(struct buf *b, const int32_t *items, size_t n)
{
    put_u32(b, VALUE_ARRAY);
    put_u32(b, VALUE_I32);
    put_u64(b, n);
    for (size_t i = 0; i < n; i++)
        put_u32(b, (uint32_t)items[i]);
}

static void put_meta(struct buf *b, const struct write_meta *m)
{
    put_string(b, m->key);
    switch (m->type) {
    case WRITE_STRING:
        put_u32(b, VALUE_STRING);
        put_string(b, m->text);
        break;
    case WRITE_U32:
        put_u32(b, VALUE_U32);
        put_u32(b, m->number);
        break;
    case WRITE_I32_ARRAY:
        put_i32_array(b, m->items, m->n_items);
        break;
    case WRITE_GGUF_VALUE:
        buf_add_str(b, m->text);
        break;
    }
}

static bool needs_shape(const struct write_tensor *t)
{
    return t->n_dims > MAX_DIMS;
}

static void put_shape(struct buf *b, const struct write_tensor *t)
{
    int32_t dims[WEIGHTS_MAX_DIMS];
    for (int i = 0; i < t->n_dims; i++)
        dims[i] = (int32_t)t->dims[i];
    put_u64(b, sizeof shape_key - 1 + strlen(t->name));
    buf_add_z(b, shape_key);
    buf_add_z(b, t->name);
    put_i32_array(b, dims, (size_t)t->n_dims);
}

/* Innermost first; what is beyond four dims is multiplied into the innermost, and a scalar is [1]. */
static void put_tensor(struct buf *b, const struct write_tensor *t)
{
    int n = t->n_dims > MAX_DIMS ? MAX_DIMS : t->n_dims;
    int64_t inner = 1;
    for (int i = n > 0 ? n - 1 : 0; i < t->n_dims; i++)
        inner *= t->dims[i]; /* write_tensor_bytes checked the product */
    put_string(b, str_from(t->name));
    put_u32(b, n > 0 ? (uint32_t)n : 1);
    put_u64(b, (uint64_t)inner);
    for (int i = n - 2; i >= 0; i--)
        put_u64(b, (uint64_t)t->dims[i]);
    put_u32(b, (uint32_t)dtype_info(t->dtype)->gguf_id);
    put_u64(b, t->offset);
}

static uint64_t padded(uint64_t n)
{
    return n + (ALIGNMENT - n % ALIGNMENT) % ALIGNMENT;
}

static enum err_code lay_out(struct write_tensor *t, uint64_t *at, struct err *e)
{
    if (dtype_info(t->dtype)->gguf_id < 0)
        return err_set(e, ERR_FORMAT, "a GGUF file cannot hold %s (tensor '%.200s')",
                       dtype_info(t->dtype)->name, t->name);
    for (int i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 1 || (needs_shape(t) && t->dims[i] > INT32_MAX))
            return err_set(e, ERR_FORMAT,
                           "a GGUF file cannot hold tensor '%.200s', whose dim %d is %" PRId64,
                           t->name, i, t->dims[i]);
    }
    TRY(write_tensor_bytes(t, &t->bytes, e));
    t->offset = *at;
    if (t->bytes > UINT64_MAX / 2 || !ck_add_u64(*at, padded(t->bytes), at))
        return err_set(e, ERR_LIMIT, "the tensors are too large for a file");
    return ERR_OK;
}

enum err_code gguf_write_header(struct write_tensor *tensors, size_t n,
                                const struct write_meta *meta, size_t n_meta, struct buf *out,
                                uint64_t *file_bytes, struct err *e)
{
    uint64_t at = 0, shapes = 0;
    enum err_code rc = ERR_OK;
    buf_init(out, WRITE_MAX_HEADER_BYTES);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        rc = lay_out(&tensors[i], &at, e);
        shapes += needs_shape(&tensors[i]);
    }
    if (rc != ERR_OK)
        return rc;
    buf_add_z(out, "GGUF");
    put_u32(out, VERSION);
    put_u64(out, n);
    put_u64(out, n_meta + shapes);
    for (size_t i = 0; i < n_meta; i++)
        put_meta(out, &meta[i]);
    for (size_t i = 0; i < n; i++)
        if (needs_shape(&tensors[i]))
            put_shape(out, &tensors[i]);
    for (size_t i = 0; i < n; i++)
        put_tensor(out, &tensors[i]);
    while (out->n % ALIGNMENT != 0 && !buf_failed(out))
        buf_add_byte(out, 0);
    if (buf_failed(out))
        return err_set(e, ERR_NOMEM, "no memory for a header of %zu tensors", n);
    for (size_t i = 0; i < n; i++)
        tensors[i].offset += out->n;
    *file_bytes = out->n + at;
    return ERR_OK;
}

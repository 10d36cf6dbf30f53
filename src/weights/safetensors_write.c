/* safetensors_write.c - u64 length, a JSON object, then the tensors without gaps.
 *
 * Wide elements come first, as the Hugging Face library does it: then every tensor is aligned to its
 * elements, which lets a reader use it in place.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/ck.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "weights/header_write.h"

enum { ALIGNMENT = 64 }; /* of the first tensor */

enum err_code write_tensor_bytes(const struct write_tensor *t, uint64_t *out, struct err *e)
{
    uint64_t n = 1, row = t->n_dims > 0 ? (uint64_t)t->dims[t->n_dims - 1] : 1;
    for (int i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0 || !ck_mul_u64(n, (uint64_t)t->dims[i], &n))
            return err_set(e, ERR_LIMIT, "tensor '%.200s' is too large", t->name);
    }
    if (!dtype_bytes(t->dtype, n, row, out))
        return err_set(e, ERR_FORMAT,
                       "tensor '%.200s': rows of %" PRIu64 " elements are no whole %s blocks",
                       t->name, row, dtype_info(t->dtype)->name);
    return ERR_OK;
}

static void add_entry(struct buf *out, const struct write_tensor *t, uint64_t begin)
{
    json_key(out, str_from(t->name));
    json_object(out, NULL);
    json_put_z(out, "dtype", dtype_info(t->dtype)->name);
    json_put_ints(out, "shape", t->dims, (size_t)t->n_dims);
    json_array(out, "data_offsets");
    json_put_uint(out, NULL, begin);
    json_put_uint(out, NULL, begin + t->bytes);
    json_end_array(out);
    json_end_object(out);
}

static void add_metadata(struct buf *out, const struct write_meta *meta, size_t n)
{
    json_object(out, "__metadata__");
    for (size_t i = 0; i < n; i++) {
        json_key(out, meta[i].key);
        json_put_str(out, NULL, meta[i].text);
    }
    json_end_object(out);
}

static enum err_code check(struct write_tensor *t, struct err *e)
{
    if (dtype_info(t->dtype)->quantised || dtype_info(t->dtype)->block_elems == 0)
        return err_set(e, ERR_FORMAT, "a safetensors file cannot hold %s (tensor '%.200s')",
                       dtype_info(t->dtype)->name, t->name);
    return write_tensor_bytes(t, &t->bytes, e);
}

static int wide_first(const void *a, const void *b)
{
    const struct write_tensor *const *x = a, *const *y = b;
    uint32_t p = dtype_info((*x)->dtype)->block_bytes, q = dtype_info((*y)->dtype)->block_bytes;
    if (p != q)
        return p > q ? -1 : 1;
    return strcmp((*x)->name, (*y)->name);
}

enum err_code safetensors_write_header(struct write_tensor *tensors, size_t n,
                                       const struct write_meta *meta, size_t n_meta,
                                       struct buf *out, uint64_t *file_bytes, struct err *e)
{
    uint64_t at = 0;
    enum err_code rc = ERR_OK;
    buf_init(out, WRITE_MAX_HEADER_BYTES);
    struct write_tensor **order = mem_try_array(n, sizeof(struct write_tensor *));
    if (!order)
        return err_set(e, ERR_NOMEM, "no memory for a header of %zu tensors", n);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        order[i] = &tensors[i];
        rc = check(&tensors[i], e);
    }
    if (rc == ERR_OK)
        qsort(order, n, sizeof(struct write_tensor *), wide_first);
    (void)buf_grow(out, sizeof(uint64_t));
    buf_add_byte(out, '{'); /* whatever the length's last byte is, no comma goes between */
    add_metadata(out, meta, n_meta);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        add_entry(out, order[i], at);
        order[i]->offset = at;
        if (!ck_add_u64(at, order[i]->bytes, &at))
            rc = err_set(e, ERR_LIMIT, "the tensors are too large for a file");
    }
    json_end_object(out);
    while (out->n % ALIGNMENT != 0 && !buf_failed(out))
        buf_add_byte(out, ' ');
    if (rc == ERR_OK && buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "no memory for a header of %zu tensors", n);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        tensors[i].offset += out->n;
    if (rc == ERR_OK) {
        uint64_t length = out->n - sizeof length; /* little-endian, as every machine this runs on */
        memcpy(out->p, &length, sizeof length);
        *file_bytes = out->n + at;
    }
    mem_free(order);
    return rc;
}

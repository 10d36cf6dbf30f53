/* safetensors.c - reads the header of a .safetensors file.
 *
 *   offset  size  what
 *   0       8     n: little-endian length of the header
 *   8       n     JSON: {"NAME": {"dtype": "BF16", "shape": [..], "data_offsets": [begin, end]}, ...}
 *                 and optionally "__metadata__": {"key": "string", ...}
 *   8 + n   ...   data; offsets count from here
 *
 * The header is padded with spaces by most writers. Bytes after the last tensor and holes between
 * tensors are tolerated; overlaps (catalogue_finish) and spans that differ from dtype x shape are not.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/ck.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "weights/catalogue.h"
#include "weights/header_write.h"

enum { LENGTH_BYTES = 8, MAX_COMMAS = 4 * 1000 * 1000 };

static const uint64_t max_header_bytes =
    100u * 1000 * 1000; /* the reference implementation's cap */

/* Each comma can become two 16-byte JSON values: this bounds what parsing may take from the heap. */
static enum err_code check_commas(struct str text, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    if (n > MAX_COMMAS)
        return err_set(e, ERR_LIMIT, "the header has %zu entries, at most %d are allowed", n,
                       MAX_COMMAS);
    return ERR_OK;
}

static enum err_code header_text(const unsigned char *p, uint64_t n, struct str *out, struct err *e)
{
    uint64_t len = 0;
    if (n < LENGTH_BYTES + 2)
        return err_set(e, ERR_FORMAT, "%" PRIu64 " bytes are too few for a safetensors file", n);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        len = len << 8 | p[i];
    if (len > max_header_bytes)
        return err_set(e, ERR_LIMIT,
                       "the header claims %" PRIu64 " bytes, at most %" PRIu64 " are allowed", len,
                       max_header_bytes);
    if (len > n - LENGTH_BYTES)
        return err_set(e, ERR_FORMAT,
                       "the header claims %" PRIu64 " bytes, but the file has only %" PRIu64
                       ": it is cut short or no safetensors file",
                       len, n);
    *out = (struct str){(const char *)p + LENGTH_BYTES, (size_t)len};
    if (len == 0 || out->p[0] != '{')
        return err_set(e, ERR_FORMAT, "the header does not begin with '{'");
    return check_commas(*out, e);
}

static enum err_code read_shape(yyjson_val *shape, struct tensor_claim *t, struct err *e)
{
    struct catalogue_shown name = catalogue_show(t->name);
    if (!yyjson_is_arr(shape))
        return err_set(e, ERR_FORMAT, "tensor '%s': 'shape' is missing or no array", name.z);
    if (yyjson_arr_size(shape) > WEIGHTS_MAX_DIMS)
        return err_set(e, ERR_LIMIT, "tensor '%s' has %zu dims, at most %d are allowed", name.z,
                       yyjson_arr_size(shape), WEIGHTS_MAX_DIMS);
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(shape, i, n, v)
    {
        if (!yyjson_is_uint(v) || yyjson_get_uint(v) > (uint64_t)INT64_MAX)
            return err_set(e, ERR_FORMAT, "tensor '%s': dim %zu is no count", name.z, i);
        t->dims[i] = (int64_t)yyjson_get_uint(v);
    }
    t->n_dims = (int)n;
    return ERR_OK;
}

static enum err_code read_offsets(yyjson_val *offsets, const struct tensor_claim *t,
                                  uint64_t *begin, uint64_t *bytes, struct err *e)
{
    yyjson_val *b = yyjson_arr_get(offsets, 0), *end = yyjson_arr_get(offsets, 1);
    if (yyjson_arr_size(offsets) != 2 || !yyjson_is_uint(b) || !yyjson_is_uint(end))
        return err_set(e, ERR_FORMAT, "tensor '%s': 'data_offsets' is no pair of byte counts",
                       catalogue_show(t->name).z);
    if (yyjson_get_uint(end) < yyjson_get_uint(b))
        return err_set(e, ERR_FORMAT,
                       "tensor '%s' ends at byte %" PRIu64 ", before it begins at %" PRIu64,
                       catalogue_show(t->name).z, yyjson_get_uint(end), yyjson_get_uint(b));
    *begin = yyjson_get_uint(b);
    *bytes = yyjson_get_uint(end) - *begin;
    return ERR_OK;
}

static enum err_code read_tensor(struct checkpoint *c, int file, struct str data, struct str name,
                                 yyjson_val *v, struct err *e)
{
    struct tensor_claim t = {.name = name};
    yyjson_val *dtype = NULL, *shape = NULL, *offsets = NULL, *key, *item;
    size_t i, n;
    if (!yyjson_is_obj(v))
        return err_set(e, ERR_FORMAT, "tensor '%s' is no JSON object", catalogue_show(name).z);
    yyjson_obj_foreach(v, i, n, key, item)
    {
        yyjson_val **slot = yyjson_equals_str(key, "dtype")          ? &dtype
                            : yyjson_equals_str(key, "shape")        ? &shape
                            : yyjson_equals_str(key, "data_offsets") ? &offsets
                                                                     : NULL;
        if (slot && *slot)
            return err_set(e, ERR_FORMAT, "tensor '%s': '%s' is there twice",
                           catalogue_show(name).z, yyjson_get_str(key));
        if (slot)
            *slot = item;
    }
    if (!yyjson_is_str(dtype))
        return err_set(e, ERR_FORMAT, "tensor '%s': 'dtype' is missing or no string",
                       catalogue_show(name).z);
    struct str dtype_name = {yyjson_get_str(dtype), yyjson_get_len(dtype)};
    t.dtype = dtype_from_safetensors(dtype_name);
    if (t.dtype == DTYPE_INVALID)
        return err_set(e, ERR_FORMAT, "tensor '%s': the dtype '%s' is not known",
                       catalogue_show(name).z, catalogue_show(dtype_name).z);
    uint64_t bytes = 0;
    TRY(read_shape(shape, &t, e));
    TRY(read_offsets(offsets, &t, &t.offset, &bytes, e));
    t.claimed_bytes = &bytes;
    return catalogue_add_tensor(c, file, (const unsigned char *)data.p, data.n, &t, e);
}

static enum err_code read_metadata(struct checkpoint *c, int file, yyjson_val *v, struct err *e)
{
    yyjson_val *key, *item;
    size_t i, n;
    if (yyjson_is_null(v)) /* some writers say so that there is none */
        return ERR_OK;
    if (!yyjson_is_obj(v))
        return err_set(e, ERR_FORMAT, "'__metadata__' is no JSON object");
    yyjson_obj_foreach(v, i, n, key, item)
    {
        struct str k = {yyjson_get_str(key), yyjson_get_len(key)};
        if (!yyjson_is_str(item))
            return err_set(e, ERR_FORMAT, "'__metadata__': '%s' is no string", catalogue_show(k).z);
        struct meta_item m = {.type = META_STRING,
                              .file = file,
                              .key = {arena_strdup(&c->arena, k), k.n},
                              .text = {NULL, yyjson_get_len(item)}};
        m.text.p = arena_strdup(&c->arena, (struct str){yyjson_get_str(item), m.text.n});
        if (!m.key.p || !m.text.p)
            return err_set(e, ERR_NOMEM, "no memory for the metadata");
        enum err_code rc = catalogue_add_meta(c, &m, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_header(struct checkpoint *c, int file, struct str data, yyjson_val *root,
                                 struct err *e)
{
    yyjson_val *key, *v;
    size_t i, n;
    bool metadata_seen = false;
    if (!yyjson_is_obj(root))
        return err_set(e, ERR_FORMAT, "the header is no JSON object");
    yyjson_obj_foreach(root, i, n, key, v)
    {
        struct str name = {yyjson_get_str(key), yyjson_get_len(key)};
        bool is_metadata = str_eq_z(name, "__metadata__");
        if (is_metadata && metadata_seen)
            return err_set(e, ERR_FORMAT, "'__metadata__' is there twice");
        metadata_seen |= is_metadata;
        enum err_code rc =
            is_metadata ? read_metadata(c, file, v, e) : read_tensor(c, file, data, name, v, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code safetensors_read(struct checkpoint *c, int file, struct err *e)
{
    const struct weights_file *f = &c->files[file];
    struct str text = {0};
    yyjson_doc *doc = NULL;
    enum err_code rc;
    TRY_GOTO(header_text(f->p, f->n, &text, e), done);
    TRY_GOTO(json_parse(text, "header", &doc, e), done);
    struct str data = {text.p + text.n, (size_t)(f->n - LENGTH_BYTES - text.n)};
    rc = read_header(c, file, data, yyjson_doc_get_root(doc), e);
done:
    yyjson_doc_free(doc);
    if (rc != ERR_OK)
        (void)err_note(e, "%s", f->path);
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* U64 length, a JSON object, then the tensors without gaps.
 *
 * Wide elements come first, as the Hugging Face library does it: then every tensor is aligned to its
 * elements, which lets a reader use it in place. */

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

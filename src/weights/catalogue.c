/* catalogue.c - the list of tensors and metadata while a checkpoint opens.
 *
 * Everything in here came from a file that may be hostile: names are checked before they become C strings, sizes
 * are multiplied with overflow checks, and a tensor's span must lie inside the file before a pointer to it is
 * kept.
 *
 * Order: readers add tensors and metadata as they meet them; catalogue_finish sorts by place to find overlaps,
 * then by name to find doubles. The second order is the one that stays, because lookups search it by halves. Names
 * live in the checkpoint's arena, data stays in the map.
 */
#include "weights/catalogue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ck.h"
#include "base/mem.h"

struct catalogue_shown catalogue_show(struct str s)
{
    struct catalogue_shown out;
    size_t n = 0, max = sizeof out.z - 4;
    bool valid = str_is_utf8(s, NULL);
    for (size_t i = 0; i < s.n && n < max; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        out.z[n++] = ch < 0x20 || ch == 0x7f || (ch >= 0x80 && !valid) ? '?' : (char)ch;
    }
    if (n < s.n) {
        while (n > 0 && ((unsigned char)out.z[n - 1] & 0xc0) == 0x80) /* no half UTF-8 character */
            n--;
        if (n > 0 && (unsigned char)out.z[n - 1] >= 0xc0)
            n--;
        memcpy(out.z + n, "...", 3);
        n += 3;
    }
    out.z[n] = '\0';
    return out;
}

struct catalogue_shape catalogue_shape(const int64_t *dims, int n_dims)
{
    struct catalogue_shape out;
    size_t n = 0;
    out.z[n++] = '[';
    for (int i = 0; i < n_dims; i++) {
        if (i > 0) {
            out.z[n++] = ',';
            out.z[n++] = ' ';
        }
        if (dims[i] < 0)
            out.z[n++] = '*';
        else
            n += (size_t)snprintf(out.z + n, sizeof out.z - n, "%" PRId64, dims[i]);
    }
    out.z[n++] = ']';
    out.z[n] = '\0';
    return out;
}

/* Doubles a growing array of structs that is full. */
static bool make_room(void **items, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t cap_new = *cap ? *cap * 2 : 256, bytes;
    if (!ck_mul_size(cap_new, size, &bytes))
        return false;
    void *p = mem_try_realloc(*items, bytes);
    if (!p)
        return false;
    *items = p;
    *cap = cap_new;
    return true;
}

/* Names become C strings in messages, JSON and lookups: no NUL, no control characters, valid UTF-8. */
static enum err_code check_name(struct str name, struct err *e)
{
    if (name.n == 0)
        return err_set(e, ERR_FORMAT, "a tensor has an empty name");
    if (name.n > CATALOGUE_MAX_NAME_BYTES)
        return err_set(e, ERR_LIMIT, "the tensor name '%s' has %zu bytes, at most %d are allowed",
                       catalogue_show(name).z, name.n, CATALOGUE_MAX_NAME_BYTES);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char ch = (unsigned char)name.p[i];
        if (ch < 0x20 || ch == 0x7f)
            return err_set(e, ERR_FORMAT, "the tensor name '%s' holds a control character",
                           catalogue_show(name).z);
    }
    if (!str_is_utf8(name, NULL))
        return err_set(e, ERR_FORMAT, "the tensor name '%s' is not UTF-8", catalogue_show(name).z);
    return ERR_OK;
}

static enum err_code size_of(const struct tensor_claim *t, uint64_t *bytes, struct err *e)
{
    uint64_t n = 1;
    for (int i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0 || !ck_mul_u64(n, (uint64_t)t->dims[i], &n) || n > (uint64_t)INT64_MAX)
            return err_set(e, ERR_FORMAT, "tensor '%s': the shape %s is too large",
                           catalogue_show(t->name).z, catalogue_shape(t->dims, t->n_dims).z);
    }
    uint64_t row = t->n_dims > 0 ? (uint64_t)t->dims[t->n_dims - 1] : 1;
    const struct dtype_info *info = dtype_info(t->dtype);
    if (row % info->block_elems != 0)
        return err_set(e, ERR_FORMAT,
                       "tensor '%s': rows of %" PRIu64 " are not whole %s blocks of %u",
                       catalogue_show(t->name).z, row, info->name, info->block_elems);
    if (!dtype_bytes(t->dtype, n, row, bytes))
        return err_set(e, ERR_FORMAT, "tensor '%s': %s of %s is too large",
                       catalogue_show(t->name).z, catalogue_shape(t->dims, t->n_dims).z,
                       info->name);
    return ERR_OK;
}

enum err_code catalogue_add_tensor(struct checkpoint *c, int file, const unsigned char *data,
                                   uint64_t room, const struct tensor_claim *claim, struct err *e)
{
    uint64_t bytes = 0, end = 0;
    TRY(check_name(claim->name, e));
    TRY(size_of(claim, &bytes, e));
    if (claim->claimed_bytes && *claim->claimed_bytes != bytes)
        return err_set(e, ERR_FORMAT,
                       "tensor '%s': %s of %s takes %" PRIu64 " bytes, its offsets span %" PRIu64,
                       catalogue_show(claim->name).z, catalogue_shape(claim->dims, claim->n_dims).z,
                       dtype_info(claim->dtype)->name, bytes, *claim->claimed_bytes);
    if (!ck_add_u64(claim->offset, bytes, &end) || end > room)
        return err_set(e, ERR_FORMAT,
                       "tensor '%s' begins at byte %" PRIu64 " and takes %" PRIu64
                       " bytes, but the file holds only %" PRIu64 " bytes of data",
                       catalogue_show(claim->name).z, claim->offset, bytes, room);
    if (c->n_tensors >= CATALOGUE_MAX_TENSORS)
        return err_set(e, ERR_LIMIT, "more than %d tensors", CATALOGUE_MAX_TENSORS);
    char *name = arena_strdup(&c->arena, claim->name);
    void *items = c->tensors;
    bool ok = name && make_room(&items, &c->cap_tensors, c->n_tensors, sizeof *c->tensors);
    c->tensors = items;
    if (!ok)
        return err_set(e, ERR_NOMEM, "no memory for the list of tensors");
    struct weights_tensor *t = &c->tensors[c->n_tensors++];
    *t = (struct weights_tensor){.name = name,
                                 .dtype = claim->dtype,
                                 .n_dims = claim->n_dims,
                                 .data = data + claim->offset,
                                 .bytes = bytes,
                                 .file = file};
    memcpy(t->dims, claim->dims, sizeof t->dims);
    return ERR_OK;
}

enum err_code catalogue_add_meta(struct checkpoint *c, const struct meta_item *item, struct err *e)
{
    if (c->n_meta >= CATALOGUE_MAX_META)
        return err_set(e, ERR_LIMIT, "more than %d metadata keys", CATALOGUE_MAX_META);
    void *items = c->meta;
    bool ok = make_room(&items, &c->cap_meta, c->n_meta, sizeof *c->meta);
    c->meta = items;
    if (!ok)
        return err_set(e, ERR_NOMEM, "no memory for the metadata");
    c->meta[c->n_meta++] = *item;
    return ERR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r != 0 ? r : by_place(a, b);
}

static int by_key(const void *a, const void *b)
{
    const struct meta_item *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int r = n ? memcmp(x->key.p, y->key.p, n) : 0;
    if (r != 0 || x->key.n != y->key.n)
        return r != 0 ? r : x->key.n < y->key.n ? -1 : 1;
    return x->file - y->file;
}

static enum err_code check_overlap(const struct checkpoint *c, struct err *e)
{
    const struct weights_tensor *last = NULL;
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct weights_tensor *t = &c->tensors[i];
        if (t->bytes == 0)
            continue;
        if (last && last->file == t->file && last->data + last->bytes > t->data)
            return err_set(e, ERR_FORMAT, "%s: tensors '%s' and '%s' overlap",
                           c->files[t->file].path, catalogue_show(str_from(last->name)).z,
                           catalogue_show(str_from(t->name)).z);
        last = t;
    }
    return ERR_OK;
}

static enum err_code check_double_names(const struct checkpoint *c, struct err *e)
{
    for (size_t i = 1; i < c->n_tensors; i++) {
        const struct weights_tensor *a = &c->tensors[i - 1], *b = &c->tensors[i];
        if (strcmp(a->name, b->name) != 0)
            continue;
        if (a->file == b->file)
            return err_set(e, ERR_FORMAT, "%s: tensor '%s' is there twice", c->files[a->file].path,
                           catalogue_show(str_from(a->name)).z);
        return err_set(e, ERR_FORMAT, "tensor '%s' is in two shards: '%s' and '%s'",
                       catalogue_show(str_from(a->name)).z, c->files[a->file].path,
                       c->files[b->file].path);
    }
    return ERR_OK;
}

enum err_code catalogue_finish(struct checkpoint *c, struct err *e)
{
    if (c->n_tensors == 0)
        return err_set(e, ERR_FORMAT, "'%s' holds no tensors", c->path);
    qsort(c->tensors, c->n_tensors, sizeof *c->tensors, by_place);
    TRY(check_overlap(c, e));
    qsort(c->tensors, c->n_tensors, sizeof *c->tensors, by_name);
    TRY(check_double_names(c, e));
    if (c->n_meta == 0)
        return ERR_OK;
    qsort(c->meta, c->n_meta, sizeof *c->meta, by_key);
    for (size_t i = 1; i < c->n_meta;
         i++) { /* shards may repeat each other's keys, not their own */
        const struct meta_item *a = &c->meta[i - 1], *b = &c->meta[i];
        if (a->file == b->file && str_eq(a->key, b->key))
            return err_set(e, ERR_FORMAT, "%s: the metadata key '%s' is there twice",
                           c->files[a->file].path, catalogue_show(a->key).z);
    }
    return c->format == CHECKPOINT_GGUF ? gguf_finish(c, e) : ERR_OK;
}

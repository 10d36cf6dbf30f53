/* gguf.c - reads the header of a GGUF file, versions 2 and 3, little-endian.
 *
 *   "GGUF"  u32 version  u64 tensor count  u64 key count
 *   keys:    string key, u32 type, value      (string: u64 length, bytes; array: u32 type, u64 count, items)
 *   tensors: string name, u32 rank, u64 dims innermost first, u32 type, u64 offset
 *   padding to general.alignment (32 unless said otherwise), then data; offsets count from there
 *
 * We read it ourselves since ggml ends the process on some broken headers. Arrays are not copied: strings
 * are walked once to check their lengths, leaving a mark every few strings for later look-ups, so a
 * vocabulary of 150,000 tokens costs a millisecond and 40 kB.
 */
#include <inttypes.h>

#include "base/ck.h"
#include "weights/catalogue.h"

enum { GGUF_MAX_DIMS = 4, GGUF_DEFAULT_ALIGNMENT = 32, GGUF_MAX_ALIGNMENT = 1 << 20 };

static const uint64_t max_string_bytes = (uint64_t)64 << 20;

/* What is left of the file. */
struct cursor {
    const unsigned char *p;
    uint64_t left;
};

static bool take(struct cursor *in, uint64_t n, const unsigned char **out)
{
    if (n > in->left)
        return false;
    *out = in->p;
    in->p += n;
    in->left -= n;
    return true;
}

static bool take_number(struct cursor *in, size_t n, uint64_t *out)
{
    const unsigned char *p;
    if (!take(in, n, &p))
        return false;
    *out = 0;
    for (size_t i = n; i-- > 0;)
        *out = *out << 8 | p[i];
    return true;
}

static bool take_u32(struct cursor *in, uint32_t *out)
{
    uint64_t v;
    if (!take_number(in, 4, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool take_string(struct cursor *in, uint64_t max, struct str *out)
{
    uint64_t n;
    const unsigned char *p;
    if (!take_number(in, 8, &n) || n > max || !take(in, n, &p))
        return false;
    *out = (struct str){(const char *)p, (size_t)n};
    return true;
}

static enum err_code cut_short(const char *where, struct err *e)
{
    return err_set(e, ERR_FORMAT, "the file ends early, or a length is wrong, in %s", where);
}

static enum err_code in_key(const struct meta_item *m, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "metadata key '%s' %s", catalogue_show(m->key).z, what);
}

static enum err_code read_string_array(struct checkpoint *c, struct cursor *in, struct meta_item *m,
                                       struct err *e)
{
    if (m->count > in->left / 8) /* each string has at least its length */
        return in_key(m, "claims more strings than the file can hold", e);
    size_t n_marks = (size_t)(m->count / CATALOGUE_MARK_EVERY) + 1;
    uint64_t *marks = arena_array(&c->arena, n_marks, sizeof *marks);
    if (!marks)
        return err_set(e, ERR_NOMEM, "no memory for the metadata");
    m->marks = marks;
    for (uint64_t i = 0; i < m->count; i++) {
        struct str s;
        if (i % CATALOGUE_MARK_EVERY == 0)
            marks[i / CATALOGUE_MARK_EVERY] = (uint64_t)(in->p - m->p);
        if (!take_string(in, max_string_bytes, &s))
            return in_key(m, "holds a string that leaves the file", e);
    }
    return ERR_OK;
}

static enum err_code read_array(struct checkpoint *c, struct cursor *in, struct meta_item *m,
                                struct err *e)
{
    uint32_t elem;
    uint64_t bytes;
    if (!take_u32(in, &elem) || !take_number(in, 8, &m->count))
        return in_key(m, "is cut short", e);
    if (elem > META_F64 || elem == META_ARRAY)
        return in_key(m, "is an array of an unknown type", e);
    m->elem = (enum meta_type)elem;
    m->p = in->p;
    if (m->elem == META_STRING)
        return read_string_array(c, in, m, e);
    if (!ck_mul_u64(m->count, catalogue_meta_size(m->elem), &bytes) || !take(in, bytes, &m->p))
        return in_key(m, "claims more numbers than the file can hold", e);
    return ERR_OK;
}

static enum err_code read_key(struct checkpoint *c, int file, struct cursor *in, struct err *e)
{
    struct meta_item m = {.file = file};
    uint32_t type;
    if (!take_string(in, CATALOGUE_MAX_KEY_BYTES, &m.key) || !take_u32(in, &type))
        return cut_short("the metadata keys", e);
    if (m.key.n == 0 || !str_is_utf8(m.key, NULL))
        return err_set(e, ERR_FORMAT, "a metadata key is empty or not UTF-8");
    if (type > META_F64)
        return in_key(&m, "is of an unknown type", e);
    m.type = (enum meta_type)type;
    if (m.type == META_ARRAY)
        TRY(read_array(c, in, &m, e));
    else {
        if (m.type == META_STRING ? !take_string(in, max_string_bytes, &m.text)
                                  : !take(in, catalogue_meta_size(m.type), &m.p))
            TRY(in_key(&m, "is cut short", e));
    }
    return catalogue_add_meta(c, &m, e);
}

/* Double keys are refused later, once all are sorted. */
static enum err_code find_alignment(const struct checkpoint *c, uint64_t *out, struct err *e)
{
    *out = GGUF_DEFAULT_ALIGNMENT;
    for (size_t i = 0; i < c->n_meta; i++) {
        const struct meta_item *m = &c->meta[i];
        if (!str_eq_z(m->key, "general.alignment"))
            continue;
        uint32_t v = 0;
        struct cursor at = {m->p, 4};
        if (m->type != META_U32 || !take_u32(&at, &v))
            return err_set(e, ERR_FORMAT, "general.alignment is no 32-bit count");
        if (v == 0 || (v & (v - 1)) != 0 || v > GGUF_MAX_ALIGNMENT)
            return err_set(e, ERR_FORMAT,
                           "general.alignment is %u, expected a power of two up to %d", v,
                           GGUF_MAX_ALIGNMENT);
        *out = v;
    }
    return ERR_OK;
}

/* Tensors are added only when the data's beginning is known, so their entries are read twice: first
 * (data NULL) to check and to find their end. */
static enum err_code read_tensor(struct checkpoint *c, int file, struct cursor *in,
                                 uint64_t alignment, struct str data, struct err *e)
{
    struct tensor_claim t = {0};
    uint32_t rank, type;
    if (!take_string(in, CATALOGUE_MAX_KEY_BYTES, &t.name) || !take_u32(in, &rank))
        return cut_short("the list of tensors", e);
    if (rank > GGUF_MAX_DIMS)
        return err_set(e, ERR_FORMAT, "tensor '%s' has %u dims, at most %d are allowed",
                       catalogue_show(t.name).z, rank, GGUF_MAX_DIMS);
    t.n_dims = (int)rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t dim;
        if (!take_number(in, 8, &dim))
            return cut_short("the list of tensors", e);
        if (dim == 0 || dim > (uint64_t)INT64_MAX)
            return err_set(e, ERR_FORMAT, "tensor '%s': dim %u is %" PRIu64,
                           catalogue_show(t.name).z, i, dim);
        t.dims[rank - 1 - i] = (int64_t)dim;
    }
    if (!take_u32(in, &type) || !take_number(in, 8, &t.offset))
        return cut_short("the list of tensors", e);
    t.dtype = dtype_from_gguf(type);
    if (t.dtype == DTYPE_INVALID)
        return err_set(e, ERR_FORMAT, "tensor '%s': the type %u is not known",
                       catalogue_show(t.name).z, type);
    if (t.offset % alignment != 0)
        return err_set(e, ERR_FORMAT,
                       "tensor '%s' begins at byte %" PRIu64 ", not a multiple of %" PRIu64,
                       catalogue_show(t.name).z, t.offset, alignment);
    if (!data.p)
        return ERR_OK;
    return catalogue_add_tensor(c, file, (const unsigned char *)data.p, data.n, &t, e);
}

static enum err_code read_tensors(struct checkpoint *c, int file, struct cursor in, uint64_t n,
                                  struct err *e)
{
    const struct weights_file *f = &c->files[file];
    struct cursor again = in;
    uint64_t alignment = 0, begin;
    TRY(find_alignment(c, &alignment, e));
    for (uint64_t i = 0; i < n; i++)
        TRY(read_tensor(c, file, &in, alignment, (struct str){0}, e));
    begin = f->n - in.left;
    begin += (alignment - begin % alignment) % alignment;
    if (begin > f->n)
        return cut_short("the padding behind the list of tensors", e);
    struct str data = {(const char *)f->p + begin, (size_t)(f->n - begin)};
    for (uint64_t i = 0; i < n; i++)
        TRY(read_tensor(c, file, &again, alignment, data, e));
    return ERR_OK;
}

static enum err_code read_header(struct checkpoint *c, int file, struct err *e)
{
    const struct weights_file *f = &c->files[file];
    struct cursor in = {f->p, f->n};
    const unsigned char *magic;
    uint32_t version;
    uint64_t n_tensors, n_keys;
    if (!take(&in, 4, &magic) || !take_u32(&in, &version) || !take_number(&in, 8, &n_tensors) ||
        !take_number(&in, 8, &n_keys))
        return cut_short("the first 24 bytes", e);
    if ((version & 0xffff) == 0 && version >> 16 != 0) /* a small number, its bytes turned round */
        return err_set(e, ERR_FORMAT,
                       "this is a big-endian GGUF file; only little-endian ones can be read "
                       "(llama.cpp's gguf_convert_endian.py turns one into the other)");
    if (version < 2 || version > 3)
        return err_set(e, ERR_FORMAT, "GGUF version %u, expected 2 or 3", version);
    if (n_tensors > CATALOGUE_MAX_TENSORS)
        return err_set(e, ERR_LIMIT,
                       "the header claims %" PRIu64 " tensors, at most %d are allowed", n_tensors,
                       CATALOGUE_MAX_TENSORS);
    if (n_keys > CATALOGUE_MAX_META)
        return err_set(e, ERR_LIMIT, "the header claims %" PRIu64 " keys, at most %d are allowed",
                       n_keys, CATALOGUE_MAX_META);
    for (uint64_t i = 0; i < n_keys; i++)
        TRY(read_key(c, file, &in, e));
    return read_tensors(c, file, in, n_tensors, e);
}

enum err_code gguf_read(struct checkpoint *c, int file, struct err *e)
{
    enum err_code rc = read_header(c, file, e);
    if (rc != ERR_OK)
        (void)err_note(e, "%s", c->files[file].path);
    return rc;
}

/* ComfyUI's converter flattens tensors of more dims than GGUF has and keeps their true shape under this
 * key; for others the key may be there, too. */
static enum err_code restore_shape(struct checkpoint *c, const struct meta_item *m,
                                   struct str prefix, struct err *e)
{
    char name[CATALOGUE_MAX_NAME_BYTES + 1];
    struct str rest = str_skip(m->key, prefix.n);
    int64_t dims[WEIGHTS_MAX_DIMS] = {0}, n = 1, have = 1;
    if (m->type != META_ARRAY || rest.n >= sizeof name || m->count > WEIGHTS_MAX_DIMS)
        return in_key(m, "is no shape", e);
    memcpy(name, rest.p, rest.n);
    name[rest.n] = '\0';
    const struct weights_tensor *found = checkpoint_find(c, name);
    if (!found || m->count == 0)
        return ERR_OK;
    struct weights_tensor *t = &c->tensors[found - c->tensors];
    for (int i = 0; i < t->n_dims; i++)
        have *= t->dims[i];
    for (size_t i = 0; i < m->count; i++) {
        if (!catalogue_meta_item_i64(m, i, &dims[i]) || dims[i] < 1 || !ck_mul_i64(n, dims[i], &n))
            return in_key(m, "is no shape", e);
    }
    if (n != have || dims[m->count - 1] % dtype_info(t->dtype)->block_elems != 0)
        return in_key(m, "does not fit its tensor", e);
    t->n_dims = (int)m->count;
    memcpy(t->dims, dims, sizeof t->dims);
    return ERR_OK;
}

/* Of a split file all parts must have been opened, which their names lead to. */
static enum err_code check_parts(const struct checkpoint *c, struct err *e)
{
    int64_t parts = 0, tensors = 0;
    if (!checkpoint_meta_i64(c, "split.count", &parts) || parts < 2)
        return ERR_OK;
    if ((size_t)parts != c->n_files)
        return err_set(e, ERR_FORMAT,
                       "'%s' is one of %" PRId64 " parts of a split GGUF, which are found by the "
                       "names that llama.cpp gives them (NAME-00001-of-%05" PRId64 ".gguf)",
                       c->path, parts, parts);
    if (checkpoint_meta_i64(c, "split.tensors.count", &tensors) &&
        (uint64_t)tensors != c->n_tensors)
        return err_set(e, ERR_FORMAT,
                       "the parts of the split GGUF '%s' hold %zu tensors, %" PRId64
                       " are promised: they do not belong together",
                       c->path, c->n_tensors, tensors);
    return ERR_OK;
}

enum err_code gguf_finish(struct checkpoint *c, struct err *e)
{
    const struct str prefix = STR_LIT("comfy.gguf.orig_shape.");
    enum err_code rc = check_parts(c, e);
    for (size_t i = 0; i < c->n_meta && rc == ERR_OK; i++) {
        if (str_starts(c->meta[i].key, prefix))
            rc = restore_shape(c, &c->meta[i], prefix, e);
    }
    if (rc != ERR_OK)
        (void)err_note(e, "%s", c->path);
    return rc;
}

/* metadata.c - answers about a checkpoint's key-value pairs, read from the map when asked for.
 *
 * Nothing is converted while a checkpoint opens, as most keys are never asked for. Keys are sorted by then and are
 * found by bisection. A number is given in whatever width it was stored if it fits; a value of another kind counts
 * as absent, so callers need one test only. Lengths are trusted here, because the reader has checked every one.
 * Thread-safe: only reads.
 */
#include "weights/catalogue.h"

static const struct meta_item *find(const struct checkpoint *c, const char *key)
{
    struct str k = str_from(key);
    size_t lo = 0, hi = c->n_meta;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct meta_item *m = &c->meta[mid];
        size_t n = k.n < m->key.n ? k.n : m->key.n;
        int r = n ? memcmp(k.p, m->key.p, n) : 0;
        if (r == 0 && k.n == m->key.n)
            return m;
        if (r < 0 || (r == 0 && k.n < m->key.n))
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static bool number_i64(enum meta_type type, const unsigned char *p, int64_t *out)
{
    uint64_t u;
    switch (type) {
    case META_U8:
        *out = p[0];
        return true;
    case META_I8:
        *out = p[0] < 128 ? p[0] : p[0] - 256;
        return true;
    case META_U16:
        *out = (int64_t)load_le(p, 2);
        return true;
    case META_I16:
        *out = (int16_t)load_le(p, 2);
        return true;
    case META_U32:
        *out = (int64_t)load_le(p, 4);
        return true;
    case META_I32:
        *out = (int32_t)load_le(p, 4);
        return true;
    case META_BOOL:
        *out = p[0] != 0;
        return true;
    case META_U64:
        u = load_le(p, 8);
        if (u > (uint64_t)INT64_MAX)
            return false;
        *out = (int64_t)u;
        return true;
    case META_I64:
        *out = (int64_t)load_le(p, 8);
        return true;
    default:
        return false;
    }
}

static bool number_double(enum meta_type type, const unsigned char *p, double *out)
{
    if (type == META_F32) {
        uint32_t bits = (uint32_t)load_le(p, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        *out = (double)f;
        return true;
    }
    if (type == META_F64) {
        uint64_t bits = load_le(p, 8);
        memcpy(out, &bits, sizeof bits);
        return true;
    }
    int64_t v;
    if (!number_i64(type, p, &v))
        return false;
    *out = (double)v;
    return true;
}

size_t catalogue_meta_size(enum meta_type type)
{
    switch (type) {
    case META_U8:
    case META_I8:
    case META_BOOL:
        return 1;
    case META_U16:
    case META_I16:
        return 2;
    case META_U32:
    case META_I32:
    case META_F32:
        return 4;
    case META_U64:
    case META_I64:
    case META_F64:
        return 8;
    default:
        return 0;
    }
}

bool catalogue_meta_item_i64(const struct meta_item *m, size_t i, int64_t *out)
{
    return m->type == META_ARRAY && i < m->count &&
           number_i64(m->elem, m->p + i * catalogue_meta_size(m->elem), out);
}

bool catalogue_meta_i64(const struct meta_item *m, int64_t *out)
{
    return number_i64(m->type, m->p, out);
}

bool catalogue_meta_double(const struct meta_item *m, double *out)
{
    return number_double(m->type, m->p, out);
}

bool checkpoint_meta_str(const struct checkpoint *c, const char *key, struct str *out)
{
    const struct meta_item *m = find(c, key);
    if (!m || m->type != META_STRING)
        return false;
    *out = m->text;
    return true;
}

bool checkpoint_meta_i64(const struct checkpoint *c, const char *key, int64_t *out)
{
    const struct meta_item *m = find(c, key);
    return m && number_i64(m->type, m->p, out);
}

bool checkpoint_meta_double(const struct checkpoint *c, const char *key, double *out)
{
    const struct meta_item *m = find(c, key);
    return m && number_double(m->type, m->p, out);
}

size_t checkpoint_meta_array_count(const struct checkpoint *c, const char *key)
{
    const struct meta_item *m = find(c, key);
    return m && m->type == META_ARRAY ? (size_t)m->count : 0;
}

bool checkpoint_meta_array_str(const struct checkpoint *c, const char *key, size_t i,
                               struct str *out)
{
    const struct meta_item *m = find(c, key);
    if (!m || m->type != META_ARRAY || m->elem != META_STRING || i >= m->count)
        return false;
    /* The reader walked these lengths and checked them. */
    const unsigned char *p = m->p + m->marks[i / CATALOGUE_MARK_EVERY];
    for (size_t k = i % CATALOGUE_MARK_EVERY; k > 0; k--)
        p += 8 + load_le(p, 8);
    *out = (struct str){(const char *)p + 8, (size_t)load_le(p, 8)};
    return true;
}

bool checkpoint_meta_array_double(const struct checkpoint *c, const char *key, size_t i,
                                  double *out)
{
    const struct meta_item *m = find(c, key);
    if (!m || m->type != META_ARRAY || i >= m->count)
        return false;
    return number_double(m->elem, m->p + i * catalogue_meta_size(m->elem), out);
}

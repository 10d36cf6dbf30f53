/* zipfile.c - reading ZIP archives on libzip, within limits; the writer is zipfile_write.c.
 *
 * The directory of an archive is a claim by whoever made it. Entries, sizes, their sum and the packing ratio are
 * checked before anything is unpacked, and unpacking then reads exactly the claimed number of bytes and insists on
 * the end. libzip is opened with the first archive, and OpenSSL's libcrypto, bzip2 and others with it (base/late.h).
 */
#include "layers/zipfile.h"

#include <zip.h>

#include "base/late.h"
#include "base/mem.h"

#define ZIP_FUNCTIONS(X)                                                                           \
    X(zip_discard)                                                                                 \
    X(zip_error_code_zip)                                                                          \
    X(zip_error_fini)                                                                              \
    X(zip_error_init)                                                                              \
    X(zip_error_strerror)                                                                          \
    X(zip_fclose)                                                                                  \
    X(zip_file_get_error)                                                                          \
    X(zip_fopen_index)                                                                             \
    X(zip_fread)                                                                                   \
    X(zip_get_error)                                                                               \
    X(zip_get_num_entries)                                                                         \
    X(zip_name_locate)                                                                             \
    X(zip_open_from_source)                                                                        \
    X(zip_source_buffer_create)                                                                    \
    X(zip_source_free)                                                                             \
    X(zip_stat)                                                                                    \
    X(zip_stat_init)

LATE_LIBRARY(layers_zip, "reading ZIP archives", ZIP_FUNCTIONS)

enum err_code zipfile_prepare(struct err *e)
{
    return late_open(&layers_zip, e);
}

/* Small files may compress very well without being a bomb: an image of one colour does. */
static const size_t RATIO_COUNTS_FROM = (size_t)4 << 20;

struct zipfile_reader {
    zip_t *zip;
    struct zipfile_limits limits;
    size_t total; /* unpacked so far */
};

static enum err_code set_zip_error(struct err *e, enum err_code code, zip_error_t *ze,
                                   const char *what)
{
    if (zip_error_code_zip(ze) == ZIP_ER_MEMORY)
        code = ERR_NOMEM;
    return err_set(e, code, "%s: %s", what, zip_error_strerror(ze));
}

/* ---- reading --------------------------------------------------------------------------------- */

struct zipfile_limits zipfile_limits_defaults(void)
{
    return (struct zipfile_limits){
        .max_entries = 4096,
        .max_entry_bytes = (size_t)1 << 30,
        .max_total_bytes = (size_t)4 << 30,
        .max_ratio = 200,
    };
}

enum err_code zipfile_open(struct str bytes, const struct zipfile_limits *limits,
                           struct zipfile_reader **out, struct err *e)
{
    zip_error_t ze;
    *out = NULL;
    TRY(late_open(&layers_zip, e));
    zip_error_init(&ze);
    zip_source_t *s = zip_source_buffer_create(bytes.p, bytes.n, 0, &ze);
    zip_t *zip = s ? zip_open_from_source(s, ZIP_RDONLY, &ze) : NULL;
    enum err_code rc = ERR_OK;
    if (!zip) {
        zip_source_free(s);
        rc = set_zip_error(e, ERR_FORMAT, &ze, "not a ZIP archive");
    }
    zip_error_fini(&ze);
    if (rc != ERR_OK)
        return rc;

    zip_int64_t n = zip_get_num_entries(zip, 0);
    if (n < 0 || (zip_uint64_t)n > limits->max_entries) {
        zip_discard(zip);
        return err_set(e, ERR_LIMIT, "the archive has %lld entries, the limit is %zu", (long long)n,
                       limits->max_entries);
    }
    *out = mem_try_alloc(sizeof **out);
    if (!*out) {
        zip_discard(zip);
        return err_set(e, ERR_NOMEM, "no memory for an archive");
    }
    **out = (struct zipfile_reader){.zip = zip, .limits = *limits};
    return ERR_OK;
}

void zipfile_close(struct zipfile_reader *z)
{
    if (!z)
        return;
    zip_discard(z->zip);
    mem_free(z);
}

bool zipfile_has(const struct zipfile_reader *z, const char *name)
{
    return zip_name_locate(z->zip, name, 0) >= 0;
}

size_t zipfile_count(const struct zipfile_reader *z)
{
    zip_int64_t n = zip_get_num_entries(z->zip, 0);
    return n < 0 ? 0 : (size_t)n;
}

bool zipfile_peek(struct zipfile_reader *z, size_t index, char *bytes, size_t n)
{
    zip_file_t *f = zip_fopen_index(z->zip, index, 0);
    zip_int64_t got = f ? zip_fread(f, bytes, n) : -1;
    if (f)
        zip_fclose(f);
    return got >= 0 && (size_t)got == n;
}

/* Whether an entry may be unpacked at all, by what the directory says of it. */
static enum err_code check_entry(const struct zipfile_reader *z, const zip_stat_t *st,
                                 const char *name, struct err *e)
{
    const struct zipfile_limits *l = &z->limits;
    if (st->encryption_method != ZIP_EM_NONE)
        return err_set(e, ERR_FORMAT, "'%s' in the archive is encrypted", name);
    if (st->size > l->max_entry_bytes || st->size > l->max_total_bytes - z->total)
        return err_set(e, ERR_LIMIT, "'%s' in the archive unpacks to %llu bytes, over the limit",
                       name, (unsigned long long)st->size);
    if (st->size > RATIO_COUNTS_FROM && st->size / l->max_ratio > st->comp_size)
        return err_set(e, ERR_LIMIT, "'%s' in the archive unpacks to %llu times its size", name,
                       (unsigned long long)(st->size / (st->comp_size ? st->comp_size : 1)));
    return ERR_OK;
}

/* Reads exactly n bytes and then the end: the directory's size is only a claim. */
static enum err_code read_exactly(zip_file_t *f, char *p, size_t n, const char *name, struct err *e)
{
    size_t got = 0;
    char extra;
    while (got < n) {
        zip_int64_t r = zip_fread(f, p + got, n - got);
        if (r < 0)
            return set_zip_error(e, ERR_FORMAT, zip_file_get_error(f), name);
        if (r == 0)
            return err_set(e, ERR_FORMAT, "'%s' ends after %zu of %zu bytes", name, got, n);
        got += (size_t)r;
    }
    zip_int64_t r = zip_fread(f, &extra, 1);
    if (r < 0)
        return set_zip_error(e, ERR_FORMAT, zip_file_get_error(f), name);
    if (r > 0)
        return err_set(e, ERR_FORMAT, "'%s' has more than the %zu bytes it claims", name, n);
    return ERR_OK;
}

enum err_code zipfile_read(struct zipfile_reader *z, const char *name, struct buf *out,
                           struct err *e)
{
    zip_stat_t st;
    enum err_code rc;
    const zip_uint64_t needed =
        ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_ENCRYPTION_METHOD;
    buf_init(out, z->limits.max_entry_bytes + 1);
    zip_stat_init(&st);
    if (zip_stat(z->zip, name, 0, &st) != 0)
        return err_set(e, ERR_NOTFOUND, "the archive has no '%s'", name);
    if ((st.valid & needed) != needed)
        return err_set(e, ERR_FORMAT, "'%s' in the archive has no size", name);
    if ((rc = check_entry(z, &st, name, e)) != ERR_OK)
        return rc;
    zip_file_t *f = zip_fopen_index(z->zip, st.index, 0);
    if (!f)
        return set_zip_error(e, ERR_FORMAT, zip_get_error(z->zip), name);
    char *p = buf_grow(out, (size_t)st.size);
    if (!p)
        rc = err_set(e, ERR_NOMEM, "no memory for the %llu bytes of '%s'",
                     (unsigned long long)st.size, name);
    else
        rc = read_exactly(f, p, (size_t)st.size, name, e);
    zip_fclose(f);
    if (rc != ERR_OK)
        buf_deinit(out);
    else
        z->total += (size_t)st.size;
    return rc;
}

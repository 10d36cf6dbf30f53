#include "image/zipfile.h"

#include <zip.h>

#include "base/ck.h"
#include "base/mem.h"

/* The DOS date of 1 January 1980, the first that the format knows. */
enum { DOS_DATE_ZERO = (1 << 5) | 1 };

/* Small files may pack well without being a bomb: a plain image is nothing but zeros. */
static const size_t RATIO_COUNTS_FROM = (size_t)4 << 20;

/* libzip reads what it packs when the archive is closed, so the bytes have to live until then. */
struct kept {
    struct kept *next;
    char bytes[];
};

struct zipfile_writer {
    zip_t *zip;
    zip_source_t *archive; /* where zip_close leaves it; we hold one reference */
    struct kept *kept;
    size_t total;
    struct err err; /* of the first failure */
};

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

/* ---- writing --------------------------------------------------------------------------------- */

struct zipfile_writer *zipfile_writer_new(void)
{
    struct zipfile_writer *z = mem_try_alloc(sizeof *z);
    if (!z)
        return NULL;
    z->archive = zip_source_buffer_create(NULL, 0, 0, NULL);
    if (z->archive) {
        zip_source_keep(z->archive);
        z->zip = zip_open_from_source(z->archive, ZIP_CREATE | ZIP_TRUNCATE, NULL);
        if (!z->zip) {
            zip_source_free(z->archive);
            zip_source_free(z->archive);
        }
    }
    if (!z->zip) {
        mem_free(z);
        return NULL;
    }
    return z;
}

void zipfile_writer_free(struct zipfile_writer *z)
{
    if (!z)
        return;
    if (z->zip)
        zip_discard(z->zip);
    zip_source_free(z->archive);
    while (z->kept) {
        struct kept *next = z->kept->next;
        mem_free(z->kept);
        z->kept = next;
    }
    mem_free(z);
}

static enum err_code add_entry(struct zipfile_writer *z, const char *name, struct str bytes,
                               enum zipfile_method method)
{
    size_t room;
    if (!ck_add_size(z->total, bytes.n, &z->total) || z->total > ZIPFILE_MAX_BYTES)
        return err_set(&z->err, ERR_LIMIT, "the archive would be over %zu MiB",
                       ZIPFILE_MAX_BYTES >> 20);
    struct kept *k = ck_add_size(sizeof *k, bytes.n, &room) ? mem_try_alloc(room) : NULL;
    if (!k)
        return err_set(&z->err, ERR_NOMEM, "no memory for '%s' in the archive", name);
    if (bytes.n > 0)
        memcpy(k->bytes, bytes.p, bytes.n);
    k->next = z->kept;
    z->kept = k;

    zip_source_t *s = zip_source_buffer(z->zip, k->bytes, bytes.n, 0);
    zip_int64_t at = s ? zip_file_add(z->zip, name, s, ZIP_FL_ENC_UTF_8) : -1;
    if (at < 0) {
        zip_source_free(s);
        return set_zip_error(&z->err, ERR_INTERNAL, zip_get_error(z->zip), name);
    }
    zip_int32_t how = method == ZIPFILE_STORED ? ZIP_CM_STORE : ZIP_CM_DEFLATE;
    if (zip_set_file_compression(z->zip, (zip_uint64_t)at, how, 0) != 0 ||
        zip_file_set_dostime(z->zip, (zip_uint64_t)at, 0, DOS_DATE_ZERO, 0) != 0)
        return set_zip_error(&z->err, ERR_INTERNAL, zip_get_error(z->zip), name);
    return ERR_OK;
}

void zipfile_add(struct zipfile_writer *z, const char *name, struct str bytes,
                 enum zipfile_method method)
{
    if (z && z->err.code == ERR_OK)
        (void)add_entry(z, name, bytes, method);
}

/* Copies the finished archive out of libzip's buffer. */
static enum err_code take_archive(zip_source_t *s, struct buf *out, struct err *e)
{
    zip_stat_t st;
    if (zip_source_stat(s, &st) != 0 || zip_source_open(s) != 0)
        return set_zip_error(e, ERR_INTERNAL, zip_source_error(s), "reading the archive back");
    enum err_code rc = ERR_OK;
    void *p = st.size <= ZIPFILE_MAX_BYTES ? buf_grow(out, (size_t)st.size) : NULL;
    if (!p)
        rc = err_set(e, ERR_NOMEM, "no memory for an archive of %zu bytes", (size_t)st.size);
    else if (zip_source_read(s, p, st.size) != (zip_int64_t)st.size)
        rc = set_zip_error(e, ERR_INTERNAL, zip_source_error(s), "reading the archive back");
    zip_source_close(s);
    return rc;
}

enum err_code zipfile_finish(struct zipfile_writer *z, struct buf *out, struct err *e)
{
    buf_init(out, ZIPFILE_MAX_BYTES + 1);
    if (!z)
        return err_set(e, ERR_NOMEM, "no memory for an archive");
    if (z->err.code != ERR_OK)
        return err_set(e, z->err.code, "%s", z->err.text);
    if (zip_close(z->zip) != 0)
        return set_zip_error(e, ERR_INTERNAL, zip_get_error(z->zip), "packing the archive");
    z->zip = NULL;
    return take_archive(z->archive, out, e);
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

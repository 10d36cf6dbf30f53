/* zipfile_write.c - a ZIP archive in the order of its bytes; see zipfile.h. All numbers are little endian.
 *
 *     each entry:  "PK\3\4" facts, length of name (2), of more (2), name; then its bytes
 *     directory:   "PK\1\2" made by (2), facts, lengths as above, of a comment (2), disk (2), kinds (2 + 4),
 *                  offset of the entry (4), name; for each entry
 *     end:         "PK\5\6" disks (2 + 2), entries (2 + 2), bytes of the directory (4), its offset (4), 0 (2)
 *     facts:       version needed (2), flags (2), method (2), time (2), date (2), CRC-32 (4), packed (4), unpacked (4)
 */
#include "layers/zipfile.h"

#include <string.h>

#include <zlib.h>

#include "base/mem.h"

enum {
    VERSION = 20,                 /* 2.0: deflate */
    DOS_DATE_ZERO = (1 << 5) | 1, /* 1 January 1980, the first that the format knows */
    METHOD_DEFLATE = 8,
    ENTRIES_MAX = 65534, /* more need ZIP64 */
    DIRECTORY_MAX_BYTES = 16 << 20,
};

struct zipfile_writer {
    const struct image_out *out;
    struct buf directory;
    size_t entries, bytes; /* written */
    struct err err;        /* of the first failure */
};

struct zipfile_writer *zipfile_writer_new(const struct image_out *out)
{
    struct zipfile_writer *z = mem_try_alloc(sizeof *z);
    if (!z)
        return NULL;
    *z = (struct zipfile_writer){.out = out};
    buf_init(&z->directory, DIRECTORY_MAX_BYTES);
    return z;
}

void zipfile_writer_free(struct zipfile_writer *z)
{
    if (!z)
        return;
    buf_deinit(&z->directory);
    mem_free(z);
}

static void put(struct buf *b, size_t v, int bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        buf_add_byte(b, (unsigned)(v & 0xff));
}

struct entry {
    const char *name;
    enum zipfile_method method;
    size_t crc, packed, unpacked;
};

static void put_facts(struct buf *b, const struct entry *t)
{
    put(b, VERSION, 2);
    put(b, 0, 2);
    put(b, t->method == ZIPFILE_DEFLATED ? METHOD_DEFLATE : 0, 2);
    put(b, 0, 2);
    put(b, DOS_DATE_ZERO, 2);
    put(b, t->crc, 4);
    put(b, t->packed, 4);
    put(b, t->unpacked, 4);
    put(b, strlen(t->name), 2);
    put(b, 0, 2);
}

/* Keeps the first error of the sink as that of the archive. */
static enum err_code keep(struct zipfile_writer *z, enum err_code rc)
{
    return rc == ERR_OK || z->err.code != ERR_OK
               ? rc
               : err_set(&z->err, rc, "the archive cannot be written");
}

static enum err_code write_bytes(struct zipfile_writer *z, struct str s)
{
    if (s.n > ZIPFILE_MAX_BYTES - z->bytes)
        return err_set(&z->err, ERR_LIMIT, "the archive would be over %zu MiB",
                       ZIPFILE_MAX_BYTES >> 20);
    z->bytes += s.n;
    return keep(z, image_out_write(z->out, s.p, s.n, &z->err));
}

static enum err_code write_entry(struct zipfile_writer *z, const struct entry *t, struct str data)
{
    const size_t at = z->bytes;
    struct buf head;
    if (z->entries == ENTRIES_MAX)
        return err_set(&z->err, ERR_LIMIT, "the archive would have more than %d files",
                       ENTRIES_MAX);
    buf_init(&head, 1 << 12);
    buf_add(&head, "PK\3\4", 4);
    put_facts(&head, t);
    buf_add_z(&head, t->name);
    enum err_code rc = buf_failed(&head)
                           ? err_set(&z->err, ERR_NOMEM, "no memory for '%s'", t->name)
                           : write_bytes(z, buf_str(&head));
    buf_deinit(&head);
    if (rc == ERR_OK)
        rc = write_bytes(z, data);
    if (rc != ERR_OK)
        return rc;
    buf_add(&z->directory, "PK\1\2", 4);
    put(&z->directory, VERSION, 2);
    put_facts(&z->directory, t);
    put(&z->directory, 0, 2 + 2 + 2 + 4);
    put(&z->directory, at, 4);
    buf_add_z(&z->directory, t->name);
    z->entries++;
    return buf_failed(&z->directory) ? err_set(&z->err, ERR_NOMEM, "no memory for the directory")
                                     : ERR_OK;
}

/* The stream alone, without zlib's own head and sum. */
static bool deflate_all(struct str bytes, struct buf *out)
{
    z_stream s = {.next_in = (Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n};
    if (deflateInit2(&s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&s, bytes.n);
    s.next_out = buf_grow(out, bound);
    s.avail_out = (uInt)bound;
    bool ok = s.next_out && deflate(&s, Z_FINISH) == Z_STREAM_END;
    if (ok)
        buf_cut(out, bound - s.avail_out);
    (void)deflateEnd(&s);
    return ok;
}

static enum err_code add_entry(struct zipfile_writer *z, const char *name, struct str bytes,
                               enum zipfile_method method)
{
    struct entry t = {.name = name, .method = method, .packed = bytes.n, .unpacked = bytes.n};
    struct buf packed;
    if (bytes.n > ZIPFILE_MAX_BYTES)
        return err_set(&z->err, ERR_LIMIT, "'%s' has over %zu MiB", name, ZIPFILE_MAX_BYTES >> 20);
    t.crc = crc32(0, (const Bytef *)bytes.p, (uInt)bytes.n);
    if (method == ZIPFILE_STORED)
        return write_entry(z, &t, bytes);
    buf_init(&packed, ZIPFILE_MAX_BYTES + (ZIPFILE_MAX_BYTES >> 4));
    enum err_code rc;
    if (deflate_all(bytes, &packed)) {
        t.packed = packed.n;
        rc = write_entry(z, &t, buf_str(&packed));
    } else {
        rc = err_set(&z->err, ERR_NOMEM, "no memory for '%s' in the archive", name);
    }
    buf_deinit(&packed);
    return rc;
}

void zipfile_add(struct zipfile_writer *z, const char *name, struct str bytes,
                 enum zipfile_method method)
{
    if (z && z->err.code == ERR_OK)
        (void)add_entry(z, name, bytes, method);
}

enum err_code zipfile_poll(struct zipfile_writer *z, struct err *e)
{
    if (!z)
        return err_set(e, ERR_NOMEM, "no memory for an archive");
    if (z->err.code == ERR_OK)
        (void)keep(z, image_out_poll(z->out, &z->err));
    return z->err.code == ERR_OK ? ERR_OK : err_set(e, z->err.code, "%s", z->err.text);
}

enum err_code zipfile_finish(struct zipfile_writer *z, struct err *e)
{
    TRY(zipfile_poll(z, e));
    const size_t at = z->bytes, n = z->directory.n;
    buf_add(&z->directory, "PK\5\6", 4);
    put(&z->directory, 0, 4);
    put(&z->directory, z->entries, 2);
    put(&z->directory, z->entries, 2);
    put(&z->directory, n, 4);
    put(&z->directory, at, 4);
    put(&z->directory, 0, 2);
    if (buf_failed(&z->directory))
        return err_set(e, ERR_NOMEM, "no memory for the directory of an archive");
    return write_bytes(z, buf_str(&z->directory)) == ERR_OK
               ? ERR_OK
               : err_set(e, z->err.code, "%s", z->err.text);
}

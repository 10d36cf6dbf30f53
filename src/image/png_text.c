/* png_text.c - finds a text chunk without touching the pixels; the prototypes are in png_save.h.
 *
 * A PNG is a signature of 8 bytes and chunks: length (4, big endian), name (4), data, CRC-32 of name and
 * data (4). Inside the three that hold text:
 *
 *     tEXt  key NUL  Latin-1
 *     zTXt  key NUL  method (0)  zlib stream of Latin-1
 *     iTXt  key NUL  packed? (0 or 1)  method (0)  language NUL  translated key NUL  UTF-8 or zlib stream
 */
#include "image/png_save.h"

#include <inttypes.h>
#include <string.h>

#include <zlib.h>

enum { SIGNATURE_BYTES = 8, CHUNK_BYTES = 12, UNPACKED_MAX_BYTES = 8 << 20 };

static uint32_t u32_at(struct str s, size_t at)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Takes the part in front of the next NUL off s; false when there is none. */
static bool take_z(struct str *s, struct str *part)
{
    const char *end = s->n ? memchr(s->p, 0, s->n) : NULL;
    if (!end)
        return false;
    *part = (struct str){s->p, (size_t)(end - s->p)};
    *s = str_skip(*s, part->n + 1);
    return true;
}

static void add_latin1(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            buf_add_byte(out, 0xc0u | (c >> 6));
            c = 0x80u | (c & 0x3fu);
        }
        buf_add_byte(out, c);
    }
}

static enum err_code unpack(struct str packed, struct buf *out, struct err *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    unsigned char piece[4096];
    int status = inflateInit(&z);
    if (status != Z_OK)
        return err_set(e, ERR_NOMEM, "no memory to unpack a PNG text");
    while (status == Z_OK && !buf_failed(out)) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        status = inflate(&z, Z_NO_FLUSH);
        buf_add(out, piece, sizeof piece - z.avail_out);
    }
    (void)inflateEnd(&z);
    if (buf_failed(out))
        return err_set(e, ERR_LIMIT, "a PNG text is too large");
    return status == Z_STREAM_END ? ERR_OK : err_set(e, ERR_FORMAT, "a packed PNG text is broken");
}

/* The text of one of the three chunks, behind its key. */
static enum err_code decode(const char *name, struct str s, struct buf *out, struct err *e)
{
    struct str skipped;
    struct buf plain;
    bool international = memcmp(name, "iTXt", 4) == 0, packed = memcmp(name, "zTXt", 4) == 0;
    if (international) {
        packed = s.n > 0 && s.p[0] == 1;
        s = str_skip(s, 2);
        if (!take_z(&s, &skipped) || !take_z(&s, &skipped))
            return err_set(e, ERR_FORMAT, "a PNG text is broken");
    } else if (packed) {
        s = str_skip(s, 1);
    }
    buf_init(&plain, UNPACKED_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(packed ? unpack(s, &plain, e) : ERR_OK, done);
    struct str text = packed ? buf_str(&plain) : s;
    if (international && !str_is_utf8(text, NULL)) {
        rc = err_set(e, ERR_FORMAT, "a PNG text is not UTF-8");
        goto done;
    }
    if (international)
        buf_add_str(out, text);
    else
        add_latin1(out, text);
    if (buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "no memory for a PNG text of %zu bytes", text.n);
done:
    buf_deinit(&plain);
    return rc;
}

static bool is_text(const char *name)
{
    return memcmp(name, "tEXt", 4) == 0 || memcmp(name, "zTXt", 4) == 0 ||
           memcmp(name, "iTXt", 4) == 0;
}

struct chunk {
    const char *name; /* four letters */
    struct str data;
};

/* Takes the next chunk off s. */
static enum err_code take_chunk(struct str *s, struct chunk *out, struct err *e)
{
    if (s->n < CHUNK_BYTES)
        return err_set(e, ERR_FORMAT, "the PNG is cut: it has no end");
    uint32_t n = u32_at(*s, 0);
    if (n > s->n - CHUNK_BYTES)
        return err_set(e, ERR_FORMAT, "the PNG is cut: a chunk of %" PRIu32 " bytes", n);
    *out = (struct chunk){s->p + 4, {s->p + 8, n}};
    *s = str_skip(*s, CHUNK_BYTES + (size_t)n);
    return ERR_OK;
}

static enum err_code take_signature(struct str *s, struct err *e)
{
    if (!str_starts(*s, STR_LIT("\x89PNG\r\n\x1a\n")))
        return err_set(e, ERR_FORMAT, "not a PNG file (%zu bytes)", s->n);
    *s = str_skip(*s, SIGNATURE_BYTES);
    return ERR_OK;
}

/* Its checksum is that of its bytes. */
static bool is_whole(const struct chunk *c)
{
    return crc32(0, (const Bytef *)c->name, (uInt)c->data.n + 4) ==
           u32_at((struct str){c->data.p, c->data.n + 4}, c->data.n);
}

enum err_code image_png_text(struct str bytes, const char *key, struct buf *out, struct err *e)
{
    struct chunk c;
    struct str found;
    enum err_code rc = take_signature(&bytes, e);
    while (rc == ERR_OK && (rc = take_chunk(&bytes, &c, e)) == ERR_OK) {
        struct str data = c.data;
        if (memcmp(c.name, "IEND", 4) == 0)
            return err_set(e, ERR_NOTFOUND, "the PNG has no text '%s'", key);
        if (!is_text(c.name) || !take_z(&data, &found) || !str_eq_z(found, key))
            continue;
        return is_whole(&c) ? decode(c.name, data, out, e)
                            : err_set(e, ERR_FORMAT, "the PNG text '%s' is damaged", key);
    }
    return rc;
}

enum err_code image_png_texts(struct str bytes,
                              bool (*visit)(struct str key, struct str text, void *user),
                              void *user, struct err *e)
{
    struct chunk c;
    struct str key;
    bool more = true;
    enum err_code rc = take_signature(&bytes, e);
    while (rc == ERR_OK && more && (rc = take_chunk(&bytes, &c, e)) == ERR_OK) {
        struct str data = c.data;
        struct err broken = {0};
        struct buf text;
        if (memcmp(c.name, "IEND", 4) == 0)
            return ERR_OK;
        if (!is_text(c.name) || !take_z(&data, &key) || !is_whole(&c))
            continue;
        buf_init(&text, UNPACKED_MAX_BYTES);
        if (decode(c.name, data, &text, &broken) == ERR_OK)
            more = visit(key, buf_str(&text), user);
        err_clear(&broken);
        buf_deinit(&text);
    }
    return rc;
}

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

#include "base/buf.h"
#include "image/exif.h"
#include "image/xmp.h"

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

/* ---- orientation ----------------------------------------------------------------------------- */

/* The orientation of a PNG, from every place where programs put it; see png_save.h.
 *
 * The chunk eXIf is the standard and wins. Before it existed, ImageMagick and others wrote EXIF or XMP as
 * hexadecimal in a text chunk ("Raw profile type ..."); Adobe's programs write XMP as an iTXt. All texts are
 * bounded, and damage in them means no orientation, never an error: the image itself may be fine. */

enum { PROFILE_MAX_BYTES = 1 << 20 };

/* Also behind the pixels, where libpng has not been when the header is read. "" when there is none. */
static struct str find_exif(struct str s)
{
    s = str_skip(s, SIGNATURE_BYTES);
    while (s.n >= CHUNK_BYTES) {
        const unsigned char *p = (const unsigned char *)s.p;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > s.n - CHUNK_BYTES)
            break;
        if (memcmp(p + 4, "eXIf", 4) == 0)
            return (struct str){s.p + 8, n};
        s = str_skip(s, CHUNK_BYTES + n);
    }
    return STR_LIT("");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next word of *s, which it leaves behind. */
static struct str word(struct str *s)
{
    size_t n = 0;
    while (s->n && is_space(s->p[0]))
        *s = str_skip(*s, 1);
    while (n < s->n && !is_space(s->p[n]))
        n++;
    struct str w = {s->p, n};
    *s = str_skip(*s, n);
    return w;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool png_profile_unpack(struct str text, struct buf *out)
{
    int64_t n;
    int high = -1;
    (void)word(&text); /* the name */
    if (!str_to_i64(word(&text), &n) || n < 1 || n > (int64_t)text.n / 2)
        return false;
    for (; n > 0 && text.n; text = str_skip(text, 1)) {
        int digit = hex_digit(text.p[0]);
        if (digit < 0 && !is_space(text.p[0]))
            return false;
        if (digit >= 0 && high < 0) {
            high = digit;
        } else if (digit >= 0) {
            buf_add_byte(out, (unsigned)(16 * high + digit));
            high = -1;
            n--;
        }
    }
    return n == 0 && !buf_failed(out);
}

/* What one of those texts says; 0: nothing. APP1 is a JPEG's, and may hold either. */
static int of_profile(struct str file, const char *key)
{
    const struct str xmp_head = STR_LIT(XMP_JPEG_HEAD);
    struct buf text, bytes;
    int v = 0;
    buf_init(&text, 4 * PROFILE_MAX_BYTES);
    buf_init(&bytes, PROFILE_MAX_BYTES);
    if (image_png_text(file, key, &text, NULL) == ERR_OK &&
        png_profile_unpack(buf_str(&text), &bytes)) {
        struct str s = buf_str(&bytes);
        v = str_starts(s, xmp_head) ? xmp_orientation(str_skip(s, xmp_head.n))
                                    : exif_orientation(exif_payload(s));
        v = v ? v : xmp_orientation(s);
    }
    buf_deinit(&text);
    buf_deinit(&bytes);
    return v;
}

static int of_xmp(struct str file)
{
    struct buf packet;
    buf_init(&packet, PROFILE_MAX_BYTES);
    int v = image_png_text(file, IMAGE_PNG_XMP, &packet, NULL) == ERR_OK
                ? xmp_orientation(buf_str(&packet))
                : 0;
    buf_deinit(&packet);
    return v;
}

int png_orientation(struct str file)
{
    static const char *const keys[] = {"Raw profile type exif", "Raw profile type APP1",
                                       "Raw profile type xmp"};
    int v = exif_orientation(exif_payload(find_exif(file)));
    for (size_t i = 0; v == 0 && i < 2; i++)
        v = of_profile(file, keys[i]);
    v = v ? v : of_xmp(file);
    v = v ? v : of_profile(file, keys[2]);
    return v ? v : 1;
}

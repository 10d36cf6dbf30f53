/* exif.c - a TIFF header, and the first directory of it:
 *
 *     0  2  "II" little or "MM" big endian
 *     2  2  42
 *     4  4  offset of the directory: count (2), then entries of 12 bytes:
 *              tag (2), type (2), values (4), value or its offset (4)
 */
#include "image/exif.h"

#include <stdint.h>
#include <string.h>

#include "image/unicode.h"
#include "image/xmp.h"

enum {
    TAG_ORIENTATION = 0x0112,
    TAG_SOFTWARE = 0x0131,
    TAG_EXIF = 0x8769,    /* a directory of its own */
    TAG_COMMENT = 0x9286, /* 8 bytes that name its characters, then text */
    ENTRY_BYTES = 12,
    CHARSET_BYTES = 8,
};

/* TIFF's types of numbers. EXIF wants a SHORT here; writers choose what they like. */
enum {
    TYPE_BYTE = 1,
    TYPE_ASCII = 2,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    TYPE_RATIONAL = 5,
    TYPE_SBYTE = 6,
    TYPE_UNDEFINED = 7,
    TYPE_SSHORT = 8,
    TYPE_SLONG = 9,
    TYPE_SRATIONAL = 10,
};

struct exif {
    struct str s;
    bool big;
};

/* Zero past the end: zero is not a meaningful value of any field that we read. */
static unsigned byte_at(const struct exif *x, uint64_t at)
{
    return at < x->s.n ? (unsigned char)x->s.p[at] : 0u;
}

static unsigned u16_at(const struct exif *x, uint64_t at)
{
    unsigned a = byte_at(x, at), b = byte_at(x, at + 1);
    return x->big ? a << 8 | b : b << 8 | a;
}

static uint32_t u32_at(const struct exif *x, uint64_t at)
{
    uint32_t a = u16_at(x, at), b = u16_at(x, at + 2);
    return x->big ? a << 16 | b : b << 16 | a;
}

struct str exif_payload(struct str s)
{
    return str_starts(s, STR_LIT("Exif\0\0")) ? str_skip(s, 6) : s;
}

/* The first value of the entry; 0 when it is no whole number. Negative ones come out huge. */
static uint32_t first_value(const struct exif *x, uint64_t entry)
{
    uint64_t at = entry + 8;
    switch (u16_at(x, entry + 2)) {
    case TYPE_BYTE:
    case TYPE_SBYTE:
        return byte_at(x, at);
    case TYPE_SHORT:
    case TYPE_SSHORT:
        return u16_at(x, at);
    case TYPE_LONG:
    case TYPE_SLONG:
        return u32_at(x, at);
    case TYPE_RATIONAL:
    case TYPE_SRATIONAL: {
        uint64_t pair = u32_at(x, at);
        uint32_t over = u32_at(x, pair), under = u32_at(x, pair + 4);
        return under && over % under == 0 ? over / under : 0;
    }
    default:
        return 0;
    }
}

static bool open_tiff(struct exif *x, struct str tiff)
{
    *x = (struct exif){.s = tiff, .big = str_starts(tiff, STR_LIT("MM"))};
    return (x->big || str_starts(tiff, STR_LIT("II"))) && u16_at(x, 2) == 42;
}

/* Where in a directory the entry of a tag is; 0 when there is none. */
static uint64_t find(const struct exif *x, uint64_t directory, unsigned tag)
{
    unsigned count = u16_at(x, directory);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = directory + 2 + (uint64_t)i * ENTRY_BYTES;
        if (at + ENTRY_BYTES > x->s.n)
            return 0;
        if (u16_at(x, at) == tag)
            return at;
    }
    return 0;
}

int exif_orientation(struct str tiff)
{
    struct exif x;
    uint64_t at = open_tiff(&x, tiff) ? find(&x, u32_at(&x, 4), TAG_ORIENTATION) : 0;
    uint32_t v = at ? first_value(&x, at) : 0;
    return v >= 1 && v <= 8 ? (int)v : 0;
}

/* ---- the comment ------------------------------------------------------------------------------ */

/* UTF-16 in the order of its byte order mark; without one, in the order that leaves more zeros in high bytes, since
 * programs do not agree on it. */
static bool comment_is_big(struct str units)
{
    size_t zeros[2] = {0, 0};
    for (size_t i = 0; i < units.n; i++)
        zeros[i % 2] += units.p[i] == 0;
    if (str_starts(units, STR_LIT("\xfe\xff")) || str_starts(units, STR_LIT("\xff\xfe")))
        return (unsigned char)units.p[0] == 0xfe;
    return zeros[0] >= zeros[1];
}

static void add_utf16(struct str units, struct buf *out)
{
    bool big = comment_is_big(units);
    uint32_t high = 0, v = 0;
    for (size_t i = 0; i + 1 < units.n; i += 2) {
        unsigned a = (unsigned char)units.p[i], b = (unsigned char)units.p[i + 1];
        char bytes[4];
        if (unicode_from_unit(big ? a << 8 | b : b << 8 | a, &high, &v) && v != 0xfeff && v != 0)
            buf_add(out, bytes, unicode_to_utf8(v, bytes));
    }
}

bool exif_comment(struct str tiff, struct buf *out)
{
    struct exif x;
    uint64_t at = open_tiff(&x, tiff) ? find(&x, u32_at(&x, 4), TAG_EXIF) : 0;
    at = at ? find(&x, u32_at(&x, at + 8), TAG_COMMENT) : 0;
    uint64_t begin = at ? u32_at(&x, at + 8) : 0, n = at ? u32_at(&x, at + 4) : 0;
    if (n < CHARSET_BYTES || begin + n > tiff.n)
        return false;
    struct str all = {tiff.p + begin, (size_t)n}, text = str_skip(all, CHARSET_BYTES);
    if (str_starts(all, STR_LIT("UNICODE\0"))) {
        add_utf16(text, out);
        return true;
    }
    while (text.n && text.p[text.n - 1] == 0)
        text.n--;
    if (!str_is_utf8(text, NULL))
        return false;
    buf_add_str(out, text);
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void put(struct buf *b, uint64_t v, int bytes)
{
    while (bytes-- > 0)
        buf_add_byte(b, (unsigned)(v >> (8 * bytes) & 0xffu));
}

static void put_entry(struct buf *b, unsigned tag, unsigned type, size_t count, uint64_t value)
{
    put(b, tag, 2);
    put(b, type, 2);
    put(b, count, 4);
    put(b, value, 4);
}

static size_t utf16_bytes(struct str s, size_t *at)
{
    return unicode_next(s, at) >= 0x10000 ? 4 : 2;
}

/* The comment in as many bytes as there is room for. */
static void put_comment(struct buf *text, struct str comment, size_t room)
{
    struct unicode_cut cut = unicode_cut(comment, room, utf16_bytes);
    buf_add(text, "UNICODE", CHARSET_BYTES);
    (void)unicode_add_utf16(text, (struct str){comment.p, cut.head});
    if (cut.head < cut.tail)
        (void)unicode_add_utf16(text, STR_LIT(UNICODE_CUT));
    (void)unicode_add_utf16(text, str_skip(comment, cut.tail));
}

void exif_write(struct str comment, size_t max_bytes, struct buf *out)
{
    static const char software[] = "veetance " VT_VERSION;
    enum {
        FIRST = 8,
        SECOND = FIRST + 2 + 2 * ENTRY_BYTES + 4,
        TAIL = SECOND + 2 + ENTRY_BYTES + 4
    };
    const size_t head = TAIL + sizeof software + CHARSET_BYTES;
    struct buf text;
    buf_init(&text, max_bytes);
    put_comment(&text, comment, max_bytes > head ? max_bytes - head : 0);
    buf_add_z(out, "MM");
    put(out, 42, 2);
    put(out, FIRST, 4);
    put(out, 2, 2);
    put_entry(out, TAG_SOFTWARE, TYPE_ASCII, sizeof software, TAIL);
    put_entry(out, TAG_EXIF, TYPE_LONG, 1, SECOND);
    put(out, 0, 4);
    put(out, 1, 2);
    put_entry(out, TAG_COMMENT, TYPE_UNDEFINED, text.n, TAIL + sizeof software);
    put(out, 0, 4);
    buf_add(out, software, sizeof software);
    buf_add_str(out, buf_str(&text));
    buf_deinit(&text);
}

int xmp_or_exif_orientation(struct str exif, struct str xmp)
{
    int v = exif_orientation(exif_payload(exif));
    v = v ? v : xmp_orientation(xmp);
    return v ? v : 1;
}

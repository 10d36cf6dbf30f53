/* exif.c - a TIFF header, and the first directory of it:
 *
 *     0  2  "II" little or "MM" big endian
 *     2  2  42
 *     4  4  offset of the directory: count (2), then entries of 12 bytes:
 *              tag (2), type (2), values (4), value or its offset (4)
 */
#include "image/exif.h"

#include <stdint.h>

enum { TAG_ORIENTATION = 0x0112, ENTRY_BYTES = 12 };

/* TIFF's types of numbers. EXIF wants a SHORT here; writers choose what they like. */
enum {
    TYPE_BYTE = 1,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    TYPE_RATIONAL = 5,
    TYPE_SBYTE = 6,
    TYPE_SSHORT = 8,
    TYPE_SLONG = 9,
    TYPE_SRATIONAL = 10,
};

struct exif {
    struct str s;
    bool big;
};

/* Zero behind the end: no field that we read means anything as zero. */
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

int exif_orientation(struct str tiff)
{
    struct exif x = {.s = tiff, .big = str_starts(tiff, STR_LIT("MM"))};
    if ((!x.big && !str_starts(tiff, STR_LIT("II"))) || u16_at(&x, 2) != 42)
        return 1;
    uint64_t directory = u32_at(&x, 4);
    unsigned count = u16_at(&x, directory);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = directory + 2 + (uint64_t)i * ENTRY_BYTES;
        if (at + ENTRY_BYTES > tiff.n)
            return 1;
        if (u16_at(&x, at) != TAG_ORIENTATION)
            continue;
        uint32_t v = first_value(&x, at);
        return v >= 1 && v <= 8 ? (int)v : 1;
    }
    return 1;
}

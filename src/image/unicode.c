#include "image/unicode.h"

uint32_t unicode_next(struct str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[(*at)++];
    int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    uint32_t v = more == 0 ? c : c & (0x3fu >> more);
    while (more-- > 0 && *at < s.n)
        v = (v << 6) | ((unsigned char)s.p[(*at)++] & 0x3fu);
    return v;
}

size_t unicode_to_utf8(uint32_t v, char out[4])
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    size_t k = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    for (size_t i = k - 1; i > 0; i--, v >>= 6)
        out[i] = (char)(0x80 | (v & 0x3f));
    out[0] = (char)((0xf0u << (4 - k) & 0xf0u) | v);
    return k;
}

static void add_unit(struct buf *out, uint32_t unit)
{
    buf_add_byte(out, unit >> 8 & 0xffu);
    buf_add_byte(out, unit & 0xffu);
}

size_t unicode_add_utf16(struct buf *out, struct str utf8)
{
    size_t units = 0;
    for (size_t at = 0; at < utf8.n; units++) {
        uint32_t c = unicode_next(utf8, &at);
        if (c >= 0x10000) {
            add_unit(out, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
            units++;
        }
        add_unit(out, c);
    }
    return units;
}

bool unicode_from_unit(uint32_t unit, uint32_t *high, uint32_t *out)
{
    uint32_t first = *high;
    *high = 0;
    if (unit >= 0xd800 && unit < 0xdc00) {
        *high = unit;
        return false;
    }
    *out = unit;
    if (unit >= 0xdc00 && unit < 0xe000)
        *out = first ? 0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00) : '?';
    return true;
}

static size_t cost_of(struct str s, size_t (*cost)(struct str s, size_t *at))
{
    size_t all = 0;
    for (size_t at = 0; at < s.n;)
        all += cost(s, &at);
    return all;
}

struct unicode_cut unicode_cut(struct str s, size_t room, size_t (*cost)(struct str s, size_t *at))
{
    struct unicode_cut cut = {0, s.n};
    if (cost_of(s, cost) <= room)
        return (struct unicode_cut){s.n, s.n};
    while (cut.tail > 0 && s.p[cut.tail - 1] != '\n')
        cut.tail--;
    size_t line = cut.tail > 0 ? cut.tail - 1 : s.n; /* with the end of the line before it */
    size_t taken = cost_of(str_skip(s, line), cost);
    cut.tail = taken <= room / 2 ? line : s.n;
    size_t used = cost_of(STR_LIT(UNICODE_CUT), cost) + (cut.tail < s.n ? taken : 0);
    for (size_t at = 0; at < cut.tail; cut.head = at) {
        used += cost(s, &at);
        if (used > room)
            break;
    }
    return cut;
}

/* bytelevel.c - see bytelevel.h. */
#include "text/bytelevel.h"

#include <string.h>

static bool is_printable_latin1(int byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

void bytelevel_init(struct bytelevel *b)
{
    int next = 0x100;
    for (int i = 0; i < BYTELEVEL_CHARS; i++)
        b->byte_of[i] = -1;
    for (int byte = 0; byte < 256; byte++)
        b->byte_of[is_printable_latin1(byte) ? byte : next++] = (int16_t)byte;
}

bool bytelevel_decode(const struct bytelevel *b, struct str text, char *out, size_t *n)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned cp = p[i];
        if (cp >= 0x80) {
            /* Only two-byte sequences reach the alphabet, which ends at U+0143. */
            if (cp < 0xc2 || cp > 0xc5 || i + 1 >= text.n)
                return false;
            cp = ((cp & 0x1fu) << 6) | (p[++i] & 0x3fu);
        }
        if (cp >= BYTELEVEL_CHARS || b->byte_of[cp] < 0)
            return false;
        out[used++] = (char)b->byte_of[cp];
    }
    *n = used;
    return true;
}

/* Bytes of the sequence that starts at p, n bytes left: well-formed (true) or the longest prefix of a
 * well-formed one, at least 1 (false). Table 3-7 of the Unicode standard. */
static bool utf8_prefix(const unsigned char *p, size_t n, size_t *len)
{
    *len = 1;
    if (p[0] < 0x80)
        return true;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return false;
    size_t want = p[0] >= 0xf0 ? 4 : (p[0] >= 0xe0 ? 3 : 2);
    unsigned lo = p[0] == 0xe0 ? 0xa0 : (p[0] == 0xf0 ? 0x90 : 0x80);
    unsigned hi = p[0] == 0xed ? 0x9f : (p[0] == 0xf4 ? 0x8f : 0xbf);
    while (*len < want) {
        if (*len >= n || p[*len] < lo || p[*len] > hi)
            return false;
        (*len)++;
        lo = 0x80;
        hi = 0xbf;
    }
    return true;
}

void utf8_append_lossy(struct buf *out, struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t good_from = 0, i = 0;
    while (i < bytes.n) {
        size_t len;
        bool good = utf8_prefix(p + i, bytes.n - i, &len);
        if (!good) {
            buf_add(out, bytes.p + good_from, i - good_from);
            buf_add(out, "\xef\xbf\xbd", 3);
            good_from = i + len;
        }
        i += len;
    }
    buf_add(out, bytes.p + good_from, bytes.n - good_from);
}

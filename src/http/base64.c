#include "http/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    char *to = buf_grow(out, (s.n + 2) / 3 * 4);
    if (!to)
        return;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0u);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[v & 63] : '=';
    }
}

static int value_of(unsigned char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool base64_decode(struct str s, struct buf *out)
{
    unsigned v = 0, bits = 0;
    unsigned char *to = buf_grow(out, s.n / 4 * 3 + 3);
    size_t n = 0, i = 0;
    if (!to)
        return false;
    for (; i < s.n && s.p[i] != '='; i++) {
        int d = value_of((unsigned char)s.p[i]);
        if (is_space(s.p[i]))
            continue;
        if (d < 0)
            return false;
        v = (v << 6 | (unsigned)d) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            to[n++] = (unsigned char)(v >> bits);
        }
    }
    for (; i < s.n; i++)
        if (s.p[i] != '=' && !is_space(s.p[i]))
            return false;
    buf_cut(out, (size_t)(to - (unsigned char *)out->p) + n);
    return bits < 6;
}

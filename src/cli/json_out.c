#include "cli/json_out.h"

#include <stdio.h>

static void add_escaped(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        buf_add_z(b, "\\\"");
        break;
    case '\\':
        buf_add_z(b, "\\\\");
        break;
    case '\n':
        buf_add_z(b, "\\n");
        break;
    default:
        if (c < 0x20)
            buf_printf(b, "\\u%04x", c);
        else
            buf_add_byte(b, c);
    }
}

void json_out_str(struct buf *b, const char *z)
{
    struct str s = str_from(z);
    buf_add_byte(b, '"');
    while (s.n > 0) {
        size_t good = s.n;
        (void)str_is_utf8(s, &good);
        for (size_t i = 0; i < good; i++)
            add_escaped(b, (unsigned char)s.p[i]);
        s = str_skip(s, good);
        if (s.n > 0) {
            buf_add_z(b, "\xef\xbf\xbd");
            s = str_skip(s, 1);
        }
    }
    buf_add_byte(b, '"');
}

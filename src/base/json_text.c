#include "base/json_text.h"

#include <string.h>

static void add_escaped(struct buf *b, unsigned char c)
{
    if (c == '"' || c == '\\')
        buf_printf(b, "\\%c", c);
    else if (c == '\n')
        buf_add_z(b, "\\n");
    else if (c < 0x20 || c == 0x7f)
        buf_printf(b, "\\u%04x", c);
    else
        buf_add_byte(b, c);
}

void json_add_str(struct buf *b, struct str s)
{
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

void json_add_z(struct buf *b, const char *z)
{
    json_add_str(b, str_from(z));
}

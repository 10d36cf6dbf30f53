#include "layers/xml.h"

#include <stdio.h>

void layers_xml_add(struct buf *b, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '&')
            buf_add_z(b, "&amp;");
        else if (c == '<')
            buf_add_z(b, "&lt;");
        else if (c == '>')
            buf_add_z(b, "&gt;");
        else if (c == '"')
            buf_add_z(b, "&quot;");
        else
            buf_add_byte(b, (unsigned char)c);
    }
}

void layers_xml_add_double(struct buf *b, double v)
{
    char text[40];
    double back = 0;
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (str_to_double(str_from(text), &back) && back == v)
            break;
    }
    buf_add_z(b, text);
}

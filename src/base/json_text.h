/* json_text.h - text as JSON holds it. Reading JSON is yyjson's. */
#ifndef VT_BASE_JSON_TEXT_H
#define VT_BASE_JSON_TEXT_H

#include "base/buf.h"

/* A quoted string; bytes that are not UTF-8 become U+FFFD. */
void json_add_str(struct buf *b, struct str s);
void json_add_z(struct buf *b, const char *z);

#endif

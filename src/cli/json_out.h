/* json_out.h - writing JSON into a buffer. */
#ifndef VT_CLI_JSON_OUT_H
#define VT_CLI_JSON_OUT_H

#include "base/buf.h"

/* A quoted JSON string; invalid UTF-8 bytes become U+FFFD. */
void json_out_str(struct buf *b, const char *z);

#endif

/* base64.h - RFC 4648, with padding. */
#ifndef VT_HTTP_BASE64_H
#define VT_HTTP_BASE64_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

void base64_add(struct buf *out, struct str bytes);
/* False for text that is none; white space and missing padding are fine. */
bool base64_decode(struct str text, struct buf *out);

#endif

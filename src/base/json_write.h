/* json_write.h - a yyjson document as text. Fails when memory is out, a string is not UTF-8 or a number is not finite. */
#ifndef VT_BASE_JSON_WRITE_H
#define VT_BASE_JSON_WRITE_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends it as people read it: two spaces a level, a final newline. */
ERR_MUST_CHECK enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e);
/* As a member of what json_text.h writes, in one line; key as there. */
ERR_MUST_CHECK enum err_code json_put_doc(struct buf *b, const char *key, const yyjson_mut_doc *doc,
                                          struct err *e);
/* As json_write, into a file that is replaced whole (file_write_atomic). */
ERR_MUST_CHECK enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path,
                                             struct err *e);

#endif

/* json_write.h - a yyjson document as text that people read: two spaces a level, a final newline. */
#ifndef VT_BASE_JSON_WRITE_H
#define VT_BASE_JSON_WRITE_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends. Fails when memory is out, a string is not UTF-8 or a number is not finite. */
ERR_MUST_CHECK enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e);
/* The same, into a file that is replaced whole (file_write_atomic). */
ERR_MUST_CHECK enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path,
                                             struct err *e);

#endif

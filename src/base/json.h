/* json.h - reading JSON from files and requests that may be hostile, on top of yyjson.
 *
 * json_parse bounds size and nesting first. The json_get_* helpers turn "missing, of the wrong type or
 * out of range" into one sentence that names the key; `what` is the document's name for messages.
 * A NULL object behaves as one without keys.
 */
#ifndef VT_BASE_JSON_H
#define VT_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_MAX_DEPTH = 64 };

/* Parses text (strict JSON). Caller frees with yyjson_doc_free. Strings are NUL-terminated. */
ERR_MUST_CHECK enum err_code json_parse(struct str text, const char *what, yyjson_doc **out,
                                        struct err *e);
/* Reads and parses a file of at most max_bytes. */
ERR_MUST_CHECK enum err_code json_read_file(const char *path, size_t max_bytes, yyjson_doc **out,
                                            struct err *e);

/* Each stores the value of key if present and of the right kind, keeps *out (the default) when the key is
 * absent or null, and fails when it is of another kind or outside [lo, hi]. */
ERR_MUST_CHECK enum err_code json_get_i64(yyjson_val *obj, const char *key, int64_t lo, int64_t hi,
                                          int64_t *out, const char *what, struct err *e);
ERR_MUST_CHECK enum err_code json_get_double(yyjson_val *obj, const char *key, double lo, double hi,
                                             double *out, const char *what, struct err *e);
ERR_MUST_CHECK enum err_code json_get_bool(yyjson_val *obj, const char *key, bool *out,
                                           const char *what, struct err *e);
/* Borrowed from the document. */
ERR_MUST_CHECK enum err_code json_get_str(yyjson_val *obj, const char *key, struct str *out,
                                          const char *what, struct err *e);
/* Array of integers into out[max]; *n is how many (unchanged when the key is absent). */
ERR_MUST_CHECK enum err_code json_get_i64_array(yyjson_val *obj, const char *key, int64_t lo,
                                                int64_t hi, int64_t *out, size_t max, size_t *n,
                                                const char *what, struct err *e);
ERR_MUST_CHECK enum err_code json_get_double_array(yyjson_val *obj, const char *key, double *out,
                                                   size_t max, size_t *n, const char *what,
                                                   struct err *e);

/* ---- writing documents ----------------------------------------------------------------------- */

/* A yyjson document as text. Fails when memory is out, a string is not UTF-8 or a number is not finite. */

/* Appends it as people read it: two spaces a level, a final newline. */
ERR_MUST_CHECK enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e);
/* As a member of what json_text.h writes, in one line; key as there. */
ERR_MUST_CHECK enum err_code json_put_doc(struct buf *b, const char *key, const yyjson_mut_doc *doc,
                                          struct err *e);
/* As json_write, into a file that is replaced whole (file_write_atomic). */
ERR_MUST_CHECK enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path,
                                             struct err *e);

#endif

/* json_text.h - JSON as it is written, piece by piece, into a buffer. Reading JSON is yyjson's.
 *
 * A comma is put where one is missing: before whatever does not follow an opening bracket or the beginning of a line.
 *
 *     json_object(b, NULL);
 *     json_put_z(b, "id", job->id);
 *     json_array(b, "layers");
 *     for (size_t i = 0; i < n; i++)
 *         json_put_int(b, NULL, layers[i]);
 *     json_end_array(b);
 *     json_end_object(b);
 *
 * key: NULL for an item of an array, for what follows json_key, and for the outermost value. Such keys are our own
 * words, so they are not escaped.
 * Failures stick in the buffer. */
#ifndef VT_BASE_JSON_TEXT_H
#define VT_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

void json_object(struct buf *b, const char *key);
void json_end_object(struct buf *b);
void json_array(struct buf *b, const char *key);
void json_end_array(struct buf *b);
/* A string that is appended piece by piece, of characters that need no escape: base64, an address, a number. */
void json_string(struct buf *b, const char *key);
void json_end_string(struct buf *b);

/* A member's name that comes from outside, escaped; put its value next. */
void json_key(struct buf *b, struct str key);

void json_put_str(struct buf *b, const char *key, struct str value);
void json_put_z(struct buf *b, const char *key, const char *value); /* NULL: null */
void json_put_int(struct buf *b, const char *key, int64_t value);
void json_put_uint(struct buf *b, const char *key, uint64_t value);
void json_put_ints(struct buf *b, const char *key, const int64_t *values, size_t n); /* an array */
void json_put_bool(struct buf *b, const char *key, bool value);
void json_put_null(struct buf *b, const char *key);
/* With this many decimals; infinity and NaN, which JSON lacks, become null. */
void json_put_fixed(struct buf *b, const char *key, double value, int digits);
/* As short as %g. */
void json_put_number(struct buf *b, const char *key, double value);
/* With as many digits as tell every float apart. */
void json_put_float(struct buf *b, const char *key, double value);
/* A value that is JSON already; a newline at its end is left out. */
void json_put_raw(struct buf *b, const char *key, struct str json);
/* The members of an object that is JSON already. */
void json_put_members(struct buf *b, struct str object);

/* A quoted string, and nothing else; bytes that are not UTF-8 become U+FFFD. */
void json_add_str(struct buf *b, struct str s);
void json_add_z(struct buf *b, const char *z);

#endif

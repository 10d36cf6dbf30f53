/* check.h - values from outside against a table of fields. Pure: no connection. */
#ifndef VT_HTTP_CHECK_H
#define VT_HTTP_CHECK_H

#include "http/request.h"

enum { CHECK_FIELD_SIZE = 160 };

/* object's members against fields: known, of the right type, in range, none missing (unless merge).
 * ERR_ARG with a sentence; field becomes the member's path, "layers[2].opacity". object NULL: as {}. */
ERR_MUST_CHECK enum err_code check_object(const struct http_field *fields, yyjson_val *object,
                                          bool merge, char field[CHECK_FIELD_SIZE], struct err *e);
/* One text (query parameter, form field) against its row. */
ERR_MUST_CHECK enum err_code check_text(const struct http_field *f, const char *text,
                                        struct err *e);
/* The row of that name; the "*" row when there is one; NULL. */
const struct http_field *check_find(const struct http_field *fields, struct str name);
/* "a|b|c" holds text. */
bool check_among(const char *values, struct str text);

#endif

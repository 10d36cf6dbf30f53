/* recipe_json.h - the text that an image's file carries of how it was made, for clients: ours, and that of
 * Automatic1111 and of those who write as it does. Members have the names of a request's parameters, so that it can be
 * asked for again; what the text does not say is left out. */
#ifndef VT_SERVER_API_RECIPE_JSON_H
#define VT_SERVER_API_RECIPE_JSON_H

#include "http/request.h"

extern const struct http_field recipe_fields[];

/* null where the text is no recipe. */
void recipe_json(struct buf *b, const char *key, struct str text);

#endif

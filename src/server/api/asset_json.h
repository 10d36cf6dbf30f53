/* asset_json.h - an image of the store as clients see it. */
#ifndef VT_SERVER_API_ASSET_JSON_H
#define VT_SERVER_API_ASSET_JSON_H

#include "http/request.h"
#include "store/assets.h"

/* Those of asset_fields (routes.h), and the recipe. */
extern const struct http_field asset_info_fields[];

/* The member "url": the path of the file. */
void asset_put_url(struct buf *b, const char *id);
void asset_json(const struct asset *a, struct buf *b);
/* With the recipe that the file carries. */
ERR_MUST_CHECK enum err_code asset_info_json(struct store *s, const struct asset *a, struct buf *b,
                                             struct err *e);

/* For the store: tells the readers of /v1/events. user: the server. */
void asset_tell(const char *id, bool deleted, void *user);

#endif

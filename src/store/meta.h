/* meta.h - texts that the store keeps by name, for whoever needs one: settings, not data.
 *
 * Names in use: "limit.*" (tidy.c), "queue.paused", "preferences" (JSON). */
#ifndef VT_STORE_META_H
#define VT_STORE_META_H

#include "base/buf.h"
#include "store/store.h"

/* Appends the text to out; nothing when there is none. */
ERR_MUST_CHECK enum err_code meta_get(struct store *s, const char *name, struct buf *out,
                                      struct err *e);
ERR_MUST_CHECK enum err_code meta_put(struct store *s, const char *name, struct str text,
                                      struct err *e);

#endif

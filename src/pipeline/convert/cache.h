/* cache.h - networks in another type than their files have, converted once and kept.
 *
 * A component's path is replaced by that of a converted copy before anything is opened: nothing behind it
 * needs to know. Copies lie in $VEETANCE_HOME/cache/weights, else $XDG_CACHE_HOME/veetance/weights, else
 * ~/.cache/veetance/weights. A copy's name and a mark inside it say which files it was made of (path, size,
 * time, and a hash of their headers and ends); one that does not match is made anew. Two processes that want
 * the same copy wait for each other. Copies of files that have changed since go when a new one is made. The
 * folder may be removed at any time.
 */
#ifndef VT_PIPELINE_CONVERT_CACHE_H
#define VT_PIPELINE_CONVERT_CACHE_H

#include <stdatomic.h>

#include "pipeline/model_dir.h"
#include "veetance.h"

struct convert_cache_run {
    const char *type; /* "q5_0", ...; NULL: everything stays as it is stored */
    int threads;      /* 0: one a core */
    const atomic_bool *cancel;
    const struct vt_callbacks *callbacks;
};

/* Refuses a type that is none. type may be NULL. */
ERR_MUST_CHECK enum err_code convert_cache_check(const char *type, struct err *e);

/* Where converted weights lie; it is made. */
ERR_MUST_CHECK enum err_code convert_cache_folder(char out[MODEL_PATH_BYTES], struct err *e);

/* Transformer and text encoder; the VAE and a vision tower stay. */
ERR_MUST_CHECK enum err_code
convert_cache_model(struct model_dir *m, const struct convert_cache_run *run, struct err *e);
/* One network. path has room for MODEL_PATH_BYTES; what: "transformer", for messages. A network that is
 * stored in that type, or quantised already, stays as it is. */
ERR_MUST_CHECK enum err_code convert_cache_part(const char *what, char *path,
                                                const struct convert_cache_run *run, struct err *e);

#endif

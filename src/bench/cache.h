/* cache.h - folders of synthetic models, each made once and used again.
 *
 * A model is written beside its place and renamed when it is whole, so that a folder that is there can be
 * used. A lock keeps a second process from writing the same one.
 */
#ifndef VT_BENCH_CACHE_H
#define VT_BENCH_CACHE_H

#include "bench/weights.h"

struct bench_cached {
    const char *name; /* of the folder */
    uint64_t bytes;   /* that the disk must have room for */
    /* Fills the empty folder dir. */
    enum err_code (*write)(const void *user, const char *dir, const struct bench_writing *run,
                           struct err *e);
    const void *user;
};

/* The model's folder under cache_dir, made if it is not there. NULL cache_dir: $XDG_CACHE_HOME/veetance/bench
 * or ~/.cache/veetance/bench. */
ERR_MUST_CHECK enum err_code bench_cache_get(const struct bench_cached *what, const char *cache_dir,
                                             const struct bench_writing *run, char *out,
                                             size_t out_size, struct err *e);

#endif

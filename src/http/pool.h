/* pool.h - a few threads for work that takes long or much memory, so that those that answer stay free.
 *
 * Tasks run in the order they came, as many at once as there are threads and as their memory fits the allowance. What
 * waits at the head for memory lets nobody pass: nothing starves.
 *
 * Threads: any may call. run is called without a lock. */
#ifndef VT_HTTP_POOL_H
#define VT_HTTP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct pool;

/* Lies in what it works on. */
struct pool_task {
    /* On a thread of the pool, once. The task may be gone when it returns. */
    void (*run)(struct pool_task *t);
    uint64_t bytes; /* what it takes at most */
    struct pool_task *next;
};

struct pool_options {
    int threads, max_waiting;
    uint64_t allowance; /* bytes, of all that run */
};

ERR_MUST_CHECK enum err_code pool_open(const struct pool_options *o, struct pool **out,
                                       struct err *e);
/* Runs what waits to its end, and takes nothing more. Accepts NULL. */
void pool_stop(struct pool *p);
/* After pool_stop. Accepts NULL. */
void pool_free(struct pool *p);

/* ERR_LIMIT: it takes more than the whole allowance; ERR_BUSY: too many wait, or the pool
 * has been stopped. */
ERR_MUST_CHECK enum err_code pool_add(struct pool *p, struct pool_task *t, struct err *e);

struct pool_state {
    int running, waiting;
    uint64_t begun;            /* so far */
    uint64_t bytes, allowance; /* bytes: of those that run */
};
void pool_state(struct pool *p, struct pool_state *out);

#endif

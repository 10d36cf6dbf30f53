/* tidy.h - what goes by itself: finished jobs and images that nobody needs, by age, number and size.
 *
 * The limits are kept in the store. An image that a project, an undo point or a waiting job refers to never goes. */
#ifndef VT_STORE_TIDY_H
#define VT_STORE_TIDY_H

#include <stdatomic.h>

#include "store/store.h"

/* 0 anywhere: no such limit. */
struct store_limits {
    int64_t job_days;   /* since a job ended; then it is forgotten */
    int64_t jobs;       /* that have ended: the newest so many stay */
    int64_t asset_days; /* since an image that nothing refers to was put in last; then it goes */
    /* Of all images. Above it those that nothing refers to go, the oldest first, then the oldest jobs with theirs;
     * nothing of the last hour. What projects hold stays, even if that is more. */
    int64_t bytes;
};

/* 30 days, 10,000 jobs, 7 days, any size. */
struct store_limits store_limits_defaults(void);
ERR_MUST_CHECK enum err_code store_limits_get(struct store *s, struct store_limits *out,
                                              struct err *e);
/* ERR_ARG for a number that is out of range. */
ERR_MUST_CHECK enum err_code store_limits_set(struct store *s, const struct store_limits *limits,
                                              struct err *e);

struct store_tidied {
    uint64_t jobs;             /* forgotten */
    struct store_gc_result gc; /* what went */
};

/* Applies the limits, and removes stray files. stop (NULL: nothing) ends it early with ERR_CANCELLED. */
ERR_MUST_CHECK enum err_code store_tidy(struct store *s, const struct store_limits *limits,
                                        const atomic_bool *stop, struct store_tidied *out,
                                        struct err *e);

#endif

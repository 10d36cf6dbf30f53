/* caretaker.h - applies the store's limits from time to time, on a thread of its own.
 *
 * Threads: any may call. */
#ifndef VT_SERVER_JOBS_CARETAKER_H
#define VT_SERVER_JOBS_CARETAKER_H

#include "store/tidy.h"

struct caretaker;

enum { CARETAKER_DEFAULT_SECONDS = 3600 };

/* every_seconds 0: the default. */
ERR_MUST_CHECK enum err_code caretaker_open(struct store *s, int every_seconds,
                                            struct caretaker **out, struct err *e);
/* Ends what it does now, early. Accepts NULL. */
void caretaker_close(struct caretaker *c);
/* At once, on the thread that calls; one at a time. */
ERR_MUST_CHECK enum err_code caretaker_tidy(struct caretaker *c, struct store_tidied *out,
                                            struct err *e);

struct caretaker_seen {
    int64_t at_ms; /* of the last time; 0: not yet */
    struct store_tidied last;
};
void caretaker_seen(struct caretaker *c, struct caretaker_seen *out);

#endif

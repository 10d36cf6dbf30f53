/* deadly.h - requests that ended the engine's process: one that did so twice is not given to it a third time. Remembered
 * as long as the server lives, and only the last of them. Not for several threads at once: the queue's lock guards it. */
#ifndef VT_SERVER_JOBS_DEADLY_H
#define VT_SERVER_JOBS_DEADLY_H

#include "base/err.h"
#include "base/sha256.h"

enum { DEADLY_TIMES = 2, DEADLY_KEPT = 64 };

struct deadly {
    struct {
        unsigned char digest[SHA256_BYTES];
        int times; /* 0: a free place */
        enum err_code code;
    } of[DEADLY_KEPT];
    int at; /* the next to be replaced */
};

/* The request of a job ended: rc says how. A good end, or a failure that is the engine's answer, clears it. */
void deadly_note(struct deadly *d, const char *kind, const char *request, enum err_code rc);
/* One of ERR_ENGINE_* when it is not to run. */
ERR_MUST_CHECK enum err_code deadly_check(const struct deadly *d, const char *kind,
                                          const char *request, struct err *e);

#endif

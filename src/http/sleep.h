/* sleep.h - connections that sleep while something is done for them, and whose client may leave meanwhile.
 *
 * libmicrohttpd does not look at a connection that is suspended, so it would hear of a client that has gone only
 * when it writes to it. One thread here watches the sockets of all that sleep: it wakes those whose client has
 * closed, or half closed, its side, so that what is done for nobody can end.
 *
 * Threads: any may wake; the lock inside comes last in the order of locks. */
#ifndef VT_HTTP_SLEEP_H
#define VT_HTTP_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct http_sleepers;
struct MHD_Connection;

/* Part of what sleeps: a request, an event stream. Zero: awake. */
struct http_nap {
    struct http_sleepers *among;
    struct MHD_Connection *connection;
    uint64_t serial;
    int fd;
    bool asleep, gone, watched;
    bool held, called; /* a thread works on it: whoever would wake it only leaves word */
    struct http_nap *next, *before;
};

ERR_MUST_CHECK enum err_code http_sleepers_open(struct http_sleepers **out, struct err *e);
/* Nobody may sleep any more. Accepts NULL. */
void http_sleepers_close(struct http_sleepers *s);

/* Suspends the connection; from its own thread. watched: a client that leaves wakes it. */
void http_nap_begin(struct http_nap *n, struct http_sleepers *s, struct MHD_Connection *connection,
                    bool watched);
/* The same, for a thread that works for the connection meanwhile. Until http_nap_release others wake it in name only,
 * and http_nap_begin makes it sleep on after the release. */
void http_nap_hold(struct http_nap *n, struct http_sleepers *s, struct MHD_Connection *connection);
/* awake: resumes it; else it sleeps on, unless it was called or its client has gone. It may be freed at once. */
void http_nap_release(struct http_nap *n, bool awake);
/* Resumes it; nothing when it is awake. */
void http_nap_end(struct http_nap *n);
/* Its client went while it slept. */
bool http_nap_gone(struct http_nap *n);

#endif

/* core.h - what answers HTTP: a socket, its threads, connections and their deadlines. It knows no store and no
 * queue: an application hands in its tables of routes and a sink for files, and is asked what only it can tell.
 *
 *     struct http_app app = {.user = me, .routes = my_routes, .sink = my_sink};
 *     if ((rc = http_core_open(&options, &app, &core, e)) != ERR_OK) ...  // listens; no thread yet: rights can be
 *                                                                         // given up for all of them
 *     if ((rc = http_core_start(core, e)) != ERR_OK) ...                  // answers from here on
 *     http_core_tick(core);                                               // about twice a second: deadlines
 *     http_core_stop(core);                                               // open requests get their answers
 *     ... what woke requests ends ...
 *     http_core_free(core);
 *
 * Threads: the application's functions are called on several at once. */
#ifndef VT_HTTP_CORE_H
#define VT_HTTP_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "http/pool.h"

struct http_core;
struct http_request;
struct http_route;
struct http_upload;

enum { HTTP_FILE_NAME_BYTES = 256 /* with the NUL; a longer name is refused */ };

/* Where files go that come with requests, piece by piece. app is http_app.user. Each file that was begun ends with
 * finish or abort, after a failure of write with abort. */
struct http_sink {
    const char *const
        *types; /* of a body that is a file: "image/png", ...; ends with NULL. NULL: none */
    enum err_code (*begin)(void *app, uint64_t max_bytes, void **file, struct err *e);
    enum err_code (*write)(void *file, const void *p, size_t n, struct err *e);
    /* The memory that finish will take, at least 1. All bytes have come. On a thread for such work. */
    uint64_t (*weight)(const void *file);
    /* Keeps it, and fills id and info of out; what they point to lives in a. On a thread for such work. */
    enum err_code (*finish)(void *app, void *file, const char *name, struct arena *a,
                            struct http_upload *out, struct err *e);
    void (*abort)(void *file);
};

struct http_app {
    void *user;
    const struct http_route *const *routes; /* tables; ends with NULL */
    struct http_sink sink;                  /* needed where a route takes files */
    /* Each may be NULL. */
    int (*status_of)(const struct err *e); /* else http_status_of */
    int (*retry_after)(void *user);        /* seconds, of a 429 or 503; else 1 */
    /* What the clients of some routes expect of a failure: another status; and members, appended to the open
     * problem+json object. True: they include "detail". */
    int (*face_status)(const struct http_request *rq, int status);
    bool (*face_error)(const struct http_request *rq, int status, struct buf *b);
};

enum { HTTP_MAX_HOSTS = 8 };

struct http_options {
    const char *listen; /* "127.0.0.1:8188", "[::1]:8188", "0.0.0.0:80"; port 0: any free one */
    const char *token;  /* NULL or "": none; must be given for addresses that are no loopback */
    const char *const *hosts; /* further names that the Host header may have */
    size_t n_hosts;
    int threads;          /* 0: 4 */
    uint64_t work_memory; /* bytes for heavy work; 0: by the machine */
};

/* Copies both, and listens. ERR_ARG: an address that is none, or one beyond this machine without a token. *out is to
 * be freed after a failure, too. */
ERR_MUST_CHECK enum err_code http_core_open(const struct http_options *o,
                                            const struct http_app *app, struct http_core **out,
                                            struct err *e);
ERR_MUST_CHECK enum err_code http_core_start(struct http_core *c, struct err *e);
/* Ends connections that are too slow. */
void http_core_tick(struct http_core *c);
/* From here on only GET is answered. */
void http_core_drain(struct http_core *c);
bool http_core_is_draining(const struct http_core *c);
/* What heavy work still runs is for nobody: http_is_left. */
void http_core_abandon(struct http_core *c);
/* Waits a moment for open requests, then ends the threads and closes the socket. Accepts NULL. */
void http_core_stop(struct http_core *c);
/* After http_core_stop. Accepts NULL. */
void http_core_free(struct http_core *c);

/* "127.0.0.1:8188": where it really listens. Borrowed. */
const char *http_core_address(const struct http_core *c);
int http_core_port(const struct http_core *c);
bool http_core_is_loopback(const struct http_core *c);

struct http_counts {
    uint64_t replies[6];            /* by hundreds of the status */
    double seconds;                 /* spent on answers */
    uint64_t connections, requests; /* open now */
    uint64_t refused_slow;
    struct pool_state work;
};
void http_core_counts(struct http_core *c, struct http_counts *out);

#endif

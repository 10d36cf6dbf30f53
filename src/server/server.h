/* server.h - the HTTP server over one store and one engine or several.
 *
 *     struct server_options o = server_options_defaults();
 *     o.store_dir = dir;
 *     if ((rc = server_open(&o, &s, e)) != ERR_OK) ...     // listens from here on
 *     rc = server_run(s, stop_fd, e);                      // until a byte comes on stop_fd, twice: at once
 *     server_close(s);
 *
 * Threads: those of libmicrohttpd answer; each engine has a worker (jobs/queue.h); server_run's own looks after
 * timers. docs/server.md tells what the API is and what it defends against. */
#ifndef VT_SERVER_SERVER_H
#define VT_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "veetance.h"

enum { SERVER_MAX_HOSTS = 8, SERVER_MAX_ENGINES = 16 };

struct server_options {
    const char *listen;    /* "127.0.0.1:8188", "[::1]:8188", "0.0.0.0:80"; port 0: any free one */
    const char *store_dir; /* NULL: the user's own */
    const char *token;     /* NULL or "": none; must be given for addresses that are no loopback */
    const char *model,
        *layers_model; /* of requests that name none; NULL: the first that can do it */
    /* One at least: each runs a job at a time. What their strings point to must outlive the server. */
    struct vt_engine_options engines[SERVER_MAX_ENGINES];
    int n_engines;
    double idle_seconds;  /* after which an engine without work is closed; 0: never */
    int http_threads;     /* 0: 4 */
    int max_queue;        /* jobs that may wait; 0: 1,000 */
    int tidy_seconds;     /* between two times that limits are applied; 0: 3,600 */
    uint64_t work_memory; /* bytes for reading and rendering images; 0: by the machine */
    bool sandbox;         /* give up the network once it listens */
    bool network_stays;   /* for a compute server that the person named */
    const char *hosts[SERVER_MAX_HOSTS]; /* further names that the Host header may have */
    size_t n_hosts;
};

struct server;

struct server_options server_options_defaults(void);
/* Listens, gives up the network, opens the store, starts the threads. ERR_ARG: an address that is none, or one
 * beyond this machine without a token. Strings
 * are copied, but for the engines'. */
ERR_MUST_CHECK enum err_code server_open(const struct server_options *o, struct server **out,
                                         struct err *e);
/* "127.0.0.1:8188": where it really listens. Borrowed. */
const char *server_address(const struct server *s);
/* Blocks. The first byte on stop_fd: no new work, what runs ends; the second: it is cancelled. */
ERR_MUST_CHECK enum err_code server_run(struct server *s, int stop_fd, struct err *e);
/* Accepts NULL. */
void server_close(struct server *s);

#endif

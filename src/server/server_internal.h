/* server_internal.h - the server's insides, for the files of this folder only. */
#ifndef VT_SERVER_SERVER_INTERNAL_H
#define VT_SERVER_SERVER_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http.h"
#include "server/server.h"

enum { SERVER_TOKEN_BYTES = 256, SERVER_NAME_BYTES = 256 };

/* A connection, for the deadlines that libmicrohttpd does not know. */
struct server_connection {
    int fd;
    int64_t
        since_ns; /* it waits for a request's headers, or its body, since then; 0: one is being handled */
    bool in_body;
    uint64_t bytes; /* of the body so far */
    struct server_connection *next, *before;
};

struct server_counters {
    atomic_ullong replies[6]; /* by hundreds of the status */
    atomic_ullong micros;
    atomic_ullong connections, requests; /* open now */
    atomic_ullong refused_slow;
};

struct server {
    /* set at the start, never changed */
    char address[128];
    int port;
    bool is_loopback;
    char token[SERVER_TOKEN_BYTES];
    char hosts[SERVER_MAX_HOSTS][SERVER_NAME_BYTES];
    size_t n_hosts;
    char model[SERVER_NAME_BYTES], layers_model[SERVER_NAME_BYTES]; /* of the options; "": none */
    int http_threads;
    int64_t started_ns;
    double sandbox_seconds;
    bool is_sandboxed;
    struct store *store;
    struct http_sleepers *sleepers;
    struct pool *pool; /* heavy work of requests */
    struct exports *exports;
    struct caretaker *caretaker;
    struct events_hub *events;
    struct queue *queue;
    struct MHD_Daemon *daemon;
    int listen_fd;

    atomic_bool stopping, ending;            /* ending: what is still worked on is for nobody */
    pthread_mutex_t settings_lock;           /* guards the next */
    char preferred_model[SERVER_NAME_BYTES]; /* of clients that set options; "": none */
    struct server_counters counters;
    pthread_mutex_t connections_lock; /* guards the list and its items */
    struct server_connection *connections;
};

static inline bool server_is_stopping(const struct server *s)
{
    return atomic_load(&s->stopping);
}

/* The model that a request of these tasks gets: named, or the server's own; NULL: the first that can do it. */
const char *server_model(const struct server *s, const char *named, unsigned tasks);
/* For who was told to come back later. */
int server_retry_after(struct server *s);
void server_count_reply(struct server *s, int status, double seconds);
void server_request_began(struct server *s, struct http_request *rq);
/* n bytes of its body have come; 0: that was all. */
void server_request_read(struct server *s, struct http_request *rq, size_t n);
void server_request_ended(struct server *s, struct http_request *rq);

/* listen.c: the socket, its address as text, and whether it is this machine's alone. */
ERR_MUST_CHECK enum err_code server_listen(struct server *s, const char *address, struct err *e);

/* http_guard.c */
bool http_host_allowed(const struct server *s, const char *host);
bool http_token_equal(const char *a, const char *b);

/* telemetry.c: the JSON of /v1/telemetry. */
void telemetry_json(struct server *s, struct buf *b);

#endif

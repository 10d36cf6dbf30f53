/* server_internal.h - the server's insides, for the files of this folder only. */
#ifndef VT_SERVER_SERVER_INTERNAL_H
#define VT_SERVER_SERVER_INTERNAL_H

#include <pthread.h>

#include "http/core.h"
#include "http/request.h"
#include "reader/reader.h"
#include "server/server.h"
#include "store/store.h"

enum { SERVER_NAME_BYTES = 256 };

struct server {
    /* set at the start, never changed */
    char model[SERVER_NAME_BYTES], layers_model[SERVER_NAME_BYTES]; /* of the options; "": none */
    int64_t started_ns;
    double sandbox_seconds;
    bool is_sandboxed;
    struct http_core *http;
    struct reader *reader; /* of all that came from elsewhere */
    struct store *store;
    struct exports *exports, *thumbnails;
    struct caretaker *caretaker;
    struct events_hub *events;
    struct queue *queue;

    pthread_mutex_t settings_lock;           /* guards the next */
    char preferred_model[SERVER_NAME_BYTES]; /* of clients that set options; "": none */
};

static inline struct server *server_of(const struct http_request *rq)
{
    return http_app_of(rq);
}

static inline struct store *store_of(const struct http_request *rq)
{
    return server_of(rq)->store;
}

/* The model that a request of these tasks gets: named, or the server's own; NULL: the first that can do it. */
const char *server_model(const struct server *s, const char *named, unsigned tasks);

/* app.c: what the HTTP core is given. */
struct http_app server_app(struct server *s);
/* The status of a failure that names none. */
int server_status_of(const struct err *e);

/* telemetry.c: the JSON of /v1/telemetry. */
void telemetry_json(struct server *s, struct buf *b);

#endif

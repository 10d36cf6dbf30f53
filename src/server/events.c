#include "server/events.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "server/http_internal.h"
#include "server/server_internal.h"

enum {
    MAX_STREAMS = 512,
    SOFT_BYTES = 1 << 20, /* from here on previews are left out */
    HARD_BYTES = 8 << 20,
};

struct subscription {
    struct http_stream base; /* first: a stream is one */
    struct events_hub *hub;
    struct server *server;
    struct MHD_Connection *connection;
    struct http_nap nap;
    char topic[EVENTS_TOPIC_SIZE];
    void (*left)(struct server *s, const char *topic);
    char left_topic[EVENTS_TOPIC_SIZE];
    struct buf out;
    size_t sent;
    bool asleep, ended, found_last;
    struct subscription *next;
};

struct events_hub {
    pthread_mutex_t lock; /* guards everything below, and every subscription */
    struct subscription *first;
    size_t n;
    bool closed;
};

struct events_hub *events_hub_new(void)
{
    struct events_hub *h = mem_alloc(sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void events_hub_free(struct events_hub *h)
{
    if (!h)
        return;
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

static void wake(struct subscription *s)
{
    if (s->asleep)
        http_nap_end(&s->nap);
    s->asleep = false;
}

static void stream_close(struct http_stream *base)
{
    struct subscription *s = (struct subscription *)base;
    struct events_hub *h = s->hub;
    pthread_mutex_lock(&h->lock);
    for (struct subscription **p = &h->first; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            h->n--;
            break;
        }
    bool left = s->left && !s->ended;
    pthread_mutex_unlock(&h->lock);
    if (left)
        s->left(s->server, s->left_topic);
    buf_deinit(&s->out);
    mem_free(s);
}

enum err_code events_subscribe(struct events_hub *h, struct http_request *rq, const char *topic,
                               struct http_stream **out, struct err *e)
{
    struct subscription *s = mem_alloc(sizeof *s);
    s->base.close = stream_close;
    s->hub = h;
    s->server = rq->server;
    s->connection = rq->connection;
    (void)snprintf(s->topic, sizeof s->topic, "%s", topic);
    buf_init(&s->out, HARD_BYTES);
    pthread_mutex_lock(&h->lock);
    bool full = h->n == MAX_STREAMS || h->closed;
    if (!full) {
        s->next = h->first;
        h->first = s;
        h->n++;
    }
    pthread_mutex_unlock(&h->lock);
    if (full) {
        mem_free(s);
        return http_refuse(rq, 503, NULL, e, "too many event streams are open");
    }
    *out = &s->base;
    return ERR_OK;
}

/* The hub's lock is held. */
static void append(struct subscription *s, const char *name, struct str data, unsigned flags)
{
    size_t waiting = s->out.n - s->sent;
    if (s->ended || ((flags & EVENTS_DROPPABLE) && waiting > SOFT_BYTES))
        return;
    if (s->sent && s->sent == s->out.n) {
        buf_clear(&s->out);
        s->sent = 0;
    }
    if (name)
        buf_printf(&s->out, "event: %s\n", name);
    buf_add_z(&s->out, "data: ");
    buf_add_str(&s->out, data);
    buf_add_z(&s->out, "\n\n");
    if (buf_failed(&s->out) || (flags & EVENTS_LAST))
        s->ended = true;
    wake(s);
}

void events_tell(struct http_stream *base, const char *name, struct str data)
{
    struct subscription *s = (struct subscription *)base;
    pthread_mutex_lock(&s->hub->lock);
    append(s, name, data, 0);
    pthread_mutex_unlock(&s->hub->lock);
}

void events_on_leave(struct http_stream *base, void (*left)(struct server *s, const char *topic),
                     const char *topic)
{
    struct subscription *s = (struct subscription *)base;
    s->left = left;
    (void)snprintf(s->left_topic, sizeof s->left_topic, "%s", topic);
}

void events_end(struct http_stream *base)
{
    struct subscription *s = (struct subscription *)base;
    pthread_mutex_lock(&s->hub->lock);
    s->ended = true;
    wake(s);
    pthread_mutex_unlock(&s->hub->lock);
}

void events_publish(struct events_hub *h, const char *topic, const char *name, struct str data,
                    unsigned flags)
{
    pthread_mutex_lock(&h->lock);
    for (struct subscription *s = h->first; s; s = s->next)
        if (strcmp(s->topic, topic) == 0)
            append(s, name, data, flags);
    pthread_mutex_unlock(&h->lock);
}

bool events_find(struct events_hub *h, const char *prefix, unsigned flags,
                 char topic[EVENTS_TOPIC_SIZE])
{
    size_t n = strlen(prefix);
    pthread_mutex_lock(&h->lock);
    struct subscription *s = h->first;
    while (s && (s->found_last || s->ended || strncmp(s->topic, prefix, n) != 0))
        s = s->next;
    if (s) {
        memcpy(topic, s->topic, EVENTS_TOPIC_SIZE);
        s->found_last = flags & EVENTS_LAST;
    }
    pthread_mutex_unlock(&h->lock);
    return s != NULL;
}

bool events_anyone(struct events_hub *h, const char *topic)
{
    bool any = false;
    pthread_mutex_lock(&h->lock);
    for (struct subscription *s = h->first; s && !any; s = s->next)
        any = strcmp(s->topic, topic) == 0;
    pthread_mutex_unlock(&h->lock);
    return any;
}

void events_keep_alive(struct events_hub *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct subscription *s = h->first; s; s = s->next)
        if (s->asleep) {
            buf_add_z(&s->out, ": still here\n\n");
            wake(s);
        }
    pthread_mutex_unlock(&h->lock);
}

void events_end_all(struct events_hub *h)
{
    pthread_mutex_lock(&h->lock);
    h->closed = true;
    for (struct subscription *s = h->first; s; s = s->next) {
        s->ended = true;
        wake(s);
    }
    pthread_mutex_unlock(&h->lock);
}

size_t events_count(struct events_hub *h)
{
    pthread_mutex_lock(&h->lock);
    size_t n = h->n;
    pthread_mutex_unlock(&h->lock);
    return n;
}

ssize_t events_read(void *stream, uint64_t at, char *out, size_t max)
{
    struct subscription *s = stream;
    ssize_t n = 0;
    (void)at;
    if (http_nap_gone(&s->nap))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    pthread_mutex_lock(&s->hub->lock);
    s->asleep = false;
    size_t waiting = s->out.n - s->sent;
    if (waiting) {
        n = (ssize_t)(waiting < max ? waiting : max);
        memcpy(out, s->out.p + s->sent, (size_t)n);
        s->sent += (size_t)n;
        if (s->sent == s->out.n) {
            buf_clear(&s->out);
            s->sent = 0;
        }
    } else if (s->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        /* Under the lock: who publishes sees that it sleeps. */
        http_nap_begin(&s->nap, s->server->sleepers, s->connection, true);
        s->asleep = true;
    }
    pthread_mutex_unlock(&s->hub->lock);
    return n;
}

void events_free(void *stream)
{
    stream_close(stream);
}

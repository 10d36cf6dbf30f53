#include "http/events.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"
#include "http/limits.h"

enum {
    MAX_STREAMS = 512,
    PAST_EVENTS = 512,
    RETRY_MS = 2000, /* that a browser waits before it comes back */
};

/* An event that was published, as it is sent. */
struct past {
    uint64_t number;
    char topic[EVENTS_TOPIC_SIZE];
    char *text;
    size_t n;
};

struct subscription {
    struct http_stream base; /* first: a stream is one */
    struct events_hub *hub;
    struct http_core *core;
    struct MHD_Connection *connection;
    struct http_nap nap;
    char topic[EVENTS_TOPIC_SIZE];
    void (*left)(void *app, const char *topic);
    char left_topic[EVENTS_TOPIC_SIZE];
    struct buf out;
    size_t sent;
    bool asleep, ended, found_last;
    unsigned muted;
    enum events_start start;
    struct subscription *next;
};

struct events_hub {
    size_t stream_bytes;
    pthread_mutex_t lock; /* guards everything below, and every subscription */
    struct subscription *first;
    size_t n;
    bool closed;
    char era[20];                  /* in every id: numbers begin anew with the process */
    uint64_t number;               /* of the last event */
    struct past past[PAST_EVENTS]; /* a ring */
    size_t past_first, n_past, past_bytes;
    uint64_t lost; /* the last number that should be kept and is not */
};

struct events_hub *events_hub_new(size_t stream_bytes)
{
    struct events_hub *h = mem_alloc(sizeof *h);
    h->stream_bytes = stream_bytes;
    pthread_mutex_init(&h->lock, NULL);
    (void)snprintf(h->era, sizeof h->era, "%llx", (unsigned long long)clock_ns());
    return h;
}

static void forget_oldest(struct events_hub *h)
{
    struct past *p = &h->past[h->past_first];
    h->lost = p->number;
    h->past_bytes -= p->n;
    mem_free(p->text);
    h->past_first = (h->past_first + 1) % PAST_EVENTS;
    h->n_past--;
}

/* The lock is held. */
static void keep(struct events_hub *h, const char *topic, struct str text)
{
    char *copy = text.n <= LIMIT_PAST_EVENTS ? mem_try_strndup(text.p, text.n) : NULL;
    while (h->n_past &&
           (!copy || h->n_past == PAST_EVENTS || h->past_bytes + text.n > LIMIT_PAST_EVENTS))
        forget_oldest(h);
    if (!copy) {
        h->lost = h->number;
        return;
    }
    struct past *p = &h->past[(h->past_first + h->n_past++) % PAST_EVENTS];
    *p = (struct past){.number = h->number, .text = copy, .n = text.n};
    (void)snprintf(p->topic, sizeof p->topic, "%s", topic);
    h->past_bytes += text.n;
}

void events_hub_free(struct events_hub *h)
{
    if (!h)
        return;
    while (h->n_past)
        forget_oldest(h);
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
        s->left(s->core->app.user, s->left_topic);
    buf_deinit(&s->out);
    mem_free(s);
}

static ptrdiff_t stream_read(struct http_stream *base, char *out, size_t max)
{
    struct subscription *s = (struct subscription *)base;
    ptrdiff_t n = 0;
    if (http_nap_gone(&s->nap))
        return HTTP_STREAM_BROKEN;
    pthread_mutex_lock(&s->hub->lock);
    s->asleep = false;
    size_t waiting = s->out.n - s->sent;
    if (waiting) {
        n = (ptrdiff_t)(waiting < max ? waiting : max);
        memcpy(out, s->out.p + s->sent, (size_t)n);
        s->sent += (size_t)n;
        if (s->sent == s->out.n) {
            buf_clear(&s->out);
            s->sent = 0;
        }
    } else if (s->ended) {
        n = HTTP_STREAM_END;
    } else {
        /* Under the lock: who publishes sees that it sleeps. */
        http_nap_begin(&s->nap, s->core->sleepers, s->connection, true);
        s->asleep = true;
    }
    pthread_mutex_unlock(&s->hub->lock);
    return n;
}

/* The number in "ERA-NUMBER"; false when it is none of this process. */
static bool number_of(const struct events_hub *h, const char *id, uint64_t *out)
{
    size_t n = strlen(h->era);
    return strncmp(id, h->era, n) == 0 && id[n] == '-' && str_to_u64(str_from(id + n + 1), out) &&
           *out <= h->number;
}

/* What the client missed since that event. The lock is held. */
static void resume(struct subscription *s, const char *last)
{
    struct events_hub *h = s->hub;
    uint64_t seen = 0;
    s->start = number_of(h, last, &seen) && seen >= h->lost ? EVENTS_RESUMED : EVENTS_LOST;
    for (size_t i = 0; s->start == EVENTS_RESUMED && i < h->n_past; i++) {
        const struct past *p = &h->past[(h->past_first + i) % PAST_EVENTS];
        if (p->number > seen && strcmp(p->topic, s->topic) == 0)
            buf_add(&s->out, p->text, p->n);
    }
}

enum events_start events_started(struct http_stream *base)
{
    return ((struct subscription *)base)->start;
}

void events_mute(struct http_stream *base, unsigned flags)
{
    struct subscription *s = (struct subscription *)base;
    pthread_mutex_lock(&s->hub->lock);
    s->muted = flags;
    pthread_mutex_unlock(&s->hub->lock);
}

enum err_code events_subscribe(struct events_hub *h, struct http_request *rq, const char *topic,
                               struct http_stream **out, struct err *e)
{
    struct subscription *s = mem_alloc(sizeof *s);
    s->base.read = stream_read;
    s->base.close = stream_close;
    s->hub = h;
    s->core = rq->core;
    s->connection = rq->connection;
    (void)snprintf(s->topic, sizeof s->topic, "%s", topic);
    const char *last = http_header(rq, "Last-Event-ID");
    buf_init(&s->out, h->stream_bytes);
    if (rq->method == HTTP_GET)
        buf_printf(&s->out, "retry: %d\n\n", RETRY_MS);
    pthread_mutex_lock(&h->lock);
    bool full = h->n == MAX_STREAMS || h->closed;
    if (!full) {
        if (last)
            resume(s, last);
        s->next = h->first;
        h->first = s;
        h->n++;
    }
    pthread_mutex_unlock(&h->lock);
    if (full) {
        buf_deinit(&s->out);
        mem_free(s);
        return http_refuse(rq, 503, NULL, e, "too many event streams are open");
    }
    *out = &s->base;
    return ERR_OK;
}

/* The event as it is sent. */
static void event_text(struct buf *b, const char *id, const char *name, struct str data)
{
    buf_printf(b, "id: %s\n", id);
    if (name)
        buf_printf(b, "event: %s\n", name);
    buf_add_z(b, "data: ");
    buf_add_str(b, data);
    buf_add_z(b, "\n\n");
}

/* The hub's lock is held. */
static void append(struct subscription *s, struct str text, unsigned flags)
{
    size_t waiting = s->out.n - s->sent;
    if (s->ended || (flags & s->muted) ||
        ((flags & EVENTS_DROPPABLE) && waiting > LIMIT_STREAM_SOFT))
        return;
    if (s->sent && s->sent == s->out.n) {
        buf_clear(&s->out);
        s->sent = 0;
    }
    buf_add_str(&s->out, text);
    if (buf_failed(&s->out) || (flags & EVENTS_LAST))
        s->ended = true;
    wake(s);
}

/* "ERA-NUMBER". The hub's lock is held. */
static void next_id(struct events_hub *h, char out[EVENTS_TOPIC_SIZE])
{
    (void)snprintf(out, EVENTS_TOPIC_SIZE, "%s-%llu", h->era, (unsigned long long)++h->number);
}

void events_tell(struct http_stream *base, const char *id, const char *name, struct str data)
{
    struct subscription *s = (struct subscription *)base;
    char own[EVENTS_TOPIC_SIZE];
    struct buf b;
    buf_init(&b, s->hub->stream_bytes);
    pthread_mutex_lock(&s->hub->lock);
    if (!id)
        next_id(s->hub, own);
    event_text(&b, id ? id : own, name, data);
    append(s, buf_str(&b), 0);
    pthread_mutex_unlock(&s->hub->lock);
    buf_deinit(&b);
}

void events_on_leave(struct http_stream *base, void (*left)(void *app, const char *topic),
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

/* The hub's lock is held. */
static bool listens(const struct subscription *s, const char *topic, unsigned flags)
{
    return !s->ended && !(flags & s->muted) && strcmp(s->topic, topic) == 0;
}

void events_publish(struct events_hub *h, const char *topic, const char *name, struct str data,
                    unsigned flags)
{
    char id[EVENTS_TOPIC_SIZE];
    struct buf b;
    pthread_mutex_lock(&h->lock);
    bool any = flags & EVENTS_KEEP;
    for (struct subscription *s = h->first; s && !any; s = s->next)
        any = listens(s, topic, flags);
    if (any) {
        next_id(h, id);
        if (flags & EVENTS_LAST)
            (void)snprintf(id, sizeof id, "end-%s", name);
        buf_init(&b, h->stream_bytes);
        event_text(&b, id, name, data);
        for (struct subscription *s = h->first; s; s = s->next)
            if (listens(s, topic, flags))
                append(s, buf_str(&b), flags);
        if (flags & EVENTS_KEEP)
            keep(h, topic, buf_str(&b));
        buf_deinit(&b);
    }
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

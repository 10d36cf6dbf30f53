/* events.h - server-sent events: a hub that many connections listen to, each at one topic.
 *
 * A connection sleeps (suspended in libmicrohttpd) while it has nothing to send; publishing wakes it. Each has a
 * bounded buffer of its own, so one that does not read holds up nobody: past the first bound it misses
 * previews, past the second it is ended.
 *
 * Threads: any may publish; the hub's lock guards every subscription. */
#ifndef VT_HTTP_EVENTS_H
#define VT_HTTP_EVENTS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "http/request.h"

struct events_hub;

/* stream_bytes: what may wait for one reader, the largest event at least. */
struct events_hub *events_hub_new(size_t stream_bytes);
/* Every subscription must have been freed. Accepts NULL. */
void events_hub_free(struct events_hub *h);

/* A stream for rq's connection that gets what is published under topic. With Last-Event-ID it begins with what was
 * missed, as far as that was kept. ERR_LIMIT: too many listen. */
ERR_MUST_CHECK enum err_code events_subscribe(struct events_hub *h, struct http_request *rq,
                                              const char *topic, struct http_stream **out,
                                              struct err *e);
/* NEW: the client has seen nothing; RESUMED: it has all now; LOST: something that it missed is not kept any more. */
enum events_start { EVENTS_NEW, EVENTS_RESUMED, EVENTS_LOST };
enum events_start events_started(struct http_stream *base);
/* Events that were published with one of these flags are left out. */
void events_mute(struct http_stream *base, unsigned flags);
/* One event to that subscription alone, before it is read the first time. data: one line of JSON; name NULL:
 * an event without a name; id NULL: the next number. */
void events_tell(struct http_stream *base, const char *id, const char *name, struct str data);
/* left is called with the topic when the client goes before the stream has ended; from a thread of HTTP, without
 * a lock. */
void events_on_leave(struct http_stream *base, void (*left)(void *app, const char *topic),
                     const char *topic);
/* The stream ends when what it holds is sent. */
void events_end(struct http_stream *base);

enum {
    EVENTS_LAST = 1,      /* the stream ends with it: its id is "end-NAME" */
    EVENTS_DROPPABLE = 2, /* a slow reader may miss it */
    EVENTS_KEEP = 4,      /* for readers that come back */
    EVENTS_PREVIEW = 8,   /* what it is about, for events_mute */
    EVENTS_TELEMETRY = 16,
};
void events_publish(struct events_hub *h, const char *topic, const char *name, struct str data,
                    unsigned flags);
bool events_anyone(struct events_hub *h, const char *topic);
enum { EVENTS_TOPIC_SIZE = 64 }; /* with the NUL */
/* The topic of someone who listens to one that begins so; false when there is none. With EVENTS_LAST that one is
 * found no more: of several who could tell the end one does. */
bool events_find(struct events_hub *h, const char *prefix, unsigned flags,
                 char topic[EVENTS_TOPIC_SIZE]);
/* A comment to every connection that sleeps: finds out who has gone. */
void events_keep_alive(struct events_hub *h);
/* Ends every stream, for the server's end. */
void events_end_all(struct events_hub *h);
size_t events_count(struct events_hub *h);

#endif

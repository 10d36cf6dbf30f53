#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/events.h"
#include "http/internal.h"
#include "http/limits.h"

enum { STREAM_BYTES = 512 << 20 };

/* A request without a connection: it says nothing of what it has seen. */
static struct http_request *request(void)
{
    static struct http_request rq;
    rq = (struct http_request){.method = HTTP_GET};
    return &rq;
}

static struct http_stream *subscribe(struct events_hub *h, const char *topic)
{
    struct http_stream *s = NULL;
    struct err e = {0};
    assert_int_equal(events_subscribe(h, request(), topic, &s, &e), ERR_OK);
    return s;
}

/* Takes what the stream holds, and no more: it would go to sleep. */
static struct buf take(struct http_stream *s, size_t n)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 30);
    while (b.n < n) {
        char piece[1 << 16];
        ptrdiff_t got = s->read(s, piece, n - b.n < sizeof piece ? n - b.n : sizeof piece);
        assert_true(got > 0);
        buf_add(&b, piece, (size_t)got);
    }
    return b;
}

static void event_as_large_as_an_image_arrives(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new(STREAM_BYTES);
    struct http_stream *s = subscribe(h, "t");
    size_t n = (size_t)40 << 20;
    char *data = mem_alloc(n);
    memset(data, 'x', n);
    for (int i = 0; i < 2; i++)
        events_publish(h, "t", "image", (struct str){data, n}, 0);
    struct buf b = take(s, 2 * n);
    assert_non_null(memmem(b.p, b.n, data, n));
    buf_deinit(&b);
    mem_free(data);
    s->close(s);
    events_hub_free(h);
}

static void previews_are_left_out_for_a_slow_reader(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new(STREAM_BYTES);
    struct http_stream *s = subscribe(h, "t");
    size_t n = LIMIT_STREAM_SOFT + 1;
    char *data = mem_alloc(n);
    memset(data, 'x', n);
    events_publish(h, "t", "first", (struct str){data, n}, 0);
    events_publish(h, "t", "preview", STR_LIT("{}"), EVENTS_DROPPABLE);
    events_publish(h, "other", "foreign", STR_LIT("{}"), 0);
    events_publish(h, "t", "done", STR_LIT("{}"), EVENTS_LAST);
    struct buf b = take(s, n + 1);
    char piece[400];
    ptrdiff_t got;
    while ((got = s->read(s, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)got);
    assert_int_equal(got, HTTP_STREAM_END);
    const char *text = buf_z(&b);
    assert_non_null(strstr(text, "id: end-done\nevent: done\ndata: {}\n\n"));
    assert_null(strstr(text, "preview"));
    assert_null(strstr(text, "foreign"));
    buf_deinit(&b);
    mem_free(data);
    s->close(s);
    events_hub_free(h);
}

/* What an ended stream holds. */
static struct buf take_all(struct http_stream *s)
{
    struct buf b;
    char piece[400];
    ptrdiff_t got;
    buf_init(&b, 1 << 20);
    while ((got = s->read(s, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)got);
    return b;
}

static void muted_parts_do_not_come(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new(STREAM_BYTES);
    struct http_stream *s = subscribe(h, "t");
    events_mute(s, EVENTS_TELEMETRY);
    events_publish(h, "t", "telemetry", STR_LIT("{}"), EVENTS_TELEMETRY);
    events_publish(h, "t", "end", STR_LIT("{}"), EVENTS_LAST);
    struct buf b = take_all(s);
    assert_null(strstr(buf_z(&b), "telemetry"));
    buf_deinit(&b);
    s->close(s);
    events_hub_free(h);
}

/* ---- many threads --------------------------------------------------------------------------------------- */

enum { PUBLISHERS = 4, LISTENERS = 6, ROUNDS = 200, TOPICS = 3 };

struct crowd {
    struct events_hub *hub;
    unsigned seed;
    int wrong;
};

static void *publish_many(void *user)
{
    struct crowd *c = user;
    char topic[EVENTS_TOPIC_SIZE];
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(topic, sizeof topic, "t%d", rand_r(&c->seed) % TOPICS);
        unsigned flags = i % 3 == 0 ? EVENTS_KEEP : i % 3 == 1 ? EVENTS_DROPPABLE : EVENTS_PREVIEW;
        events_publish(c->hub, topic, "step", STR_LIT("{\"n\":1}"), flags);
        (void)events_anyone(c->hub, topic);
        if (i % 50 == 49)
            events_keep_alive(c->hub);
    }
    return NULL;
}

/* Comes, reads all that it got until its end, and goes. What it reads is whole events. */
static void *listen_many(void *user)
{
    struct crowd *c = user;
    for (int i = 0; i < ROUNDS; i++) {
        struct http_request rq = {.method = HTTP_POST};
        struct http_stream *s = NULL;
        char topic[EVENTS_TOPIC_SIZE];
        (void)snprintf(topic, sizeof topic, "t%d", rand_r(&c->seed) % TOPICS);
        if (events_subscribe(c->hub, &rq, topic, &s, NULL) != ERR_OK) {
            c->wrong++;
            continue;
        }
        if (i % 2)
            events_mute(s, EVENTS_PREVIEW);
        events_tell(s, NULL, "first", STR_LIT("{}"));
        events_end(s);
        struct buf all = take_all(s);
        c->wrong += all.n < 10 || strcmp(buf_z(&all) + all.n - 2, "\n\n") != 0 ||
                    !strstr(buf_z(&all), "event: first\n");
        buf_deinit(&all);
        s->close(s);
    }
    return NULL;
}

static void streams_are_whole_when_many_publish(void **state)
{
    struct events_hub *h = events_hub_new(STREAM_BYTES);
    struct crowd crowd[PUBLISHERS + LISTENERS];
    pthread_t threads[PUBLISHERS + LISTENERS];
    (void)state;
    for (unsigned i = 0; i < PUBLISHERS + LISTENERS; i++) {
        crowd[i] = (struct crowd){.hub = h, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < PUBLISHERS ? publish_many : listen_many, &crowd[i]),
                         0);
    }
    for (int i = 0; i < PUBLISHERS + LISTENERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].wrong, 0);
    }
    assert_int_equal(events_count(h), 0);
    events_hub_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_as_large_as_an_image_arrives),
        cmocka_unit_test(previews_are_left_out_for_a_slow_reader),
        cmocka_unit_test(muted_parts_do_not_come),
        cmocka_unit_test(streams_are_whole_when_many_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

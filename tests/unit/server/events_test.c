#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "server/events.h"
#include "server/http_internal.h"
#include "server/limits.h"

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
        ssize_t got = events_read(s, 0, piece, n - b.n < sizeof piece ? n - b.n : sizeof piece);
        assert_true(got > 0);
        buf_add(&b, piece, (size_t)got);
    }
    return b;
}

static void event_as_large_as_an_image_arrives(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new();
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
    events_free(s);
    events_hub_free(h);
}

static void bounds_admit_what_is_made(void **state)
{
    (void)state;
    assert_true((uint64_t)LIMIT_IMAGE_EVENT >= (uint64_t)LIMIT_FILE * 4 / 3);
    assert_true(LIMIT_STREAM >= LIMIT_IMAGE_EVENT);
    assert_true(LIMIT_JOB_EVENT > LIMIT_RESULT);
    assert_true(LIMIT_PREVIEW_EVENT > LIMIT_PREVIEW * 4 / 3);
    assert_true(LIMIT_REQUEST > LIMIT_TASK_BODY);
}

static void previews_are_left_out_for_a_slow_reader(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new();
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
    ssize_t got;
    while ((got = events_read(s, 0, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)got);
    assert_int_equal(got, MHD_CONTENT_READER_END_OF_STREAM);
    const char *text = buf_z(&b);
    assert_non_null(strstr(text, "id: end-done\nevent: done\ndata: {}\n\n"));
    assert_null(strstr(text, "preview"));
    assert_null(strstr(text, "foreign"));
    buf_deinit(&b);
    mem_free(data);
    events_free(s);
    events_hub_free(h);
}

static void muted_parts_do_not_come(void **state)
{
    (void)state;
    struct events_hub *h = events_hub_new();
    struct http_stream *s = subscribe(h, "t");
    events_mute(s, EVENTS_TELEMETRY);
    events_publish(h, "t", "telemetry", STR_LIT("{}"), EVENTS_TELEMETRY);
    events_publish(h, "t", "end", STR_LIT("{}"), EVENTS_LAST);
    struct buf b = take(s, 20);
    char piece[400];
    ssize_t got;
    while ((got = events_read(s, 0, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)got);
    assert_null(strstr(buf_z(&b), "telemetry"));
    buf_deinit(&b);
    events_free(s);
    events_hub_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_as_large_as_an_image_arrives),
        cmocka_unit_test(bounds_admit_what_is_made),
        cmocka_unit_test(previews_are_left_out_for_a_slow_reader),
        cmocka_unit_test(muted_parts_do_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The HTTP core with an application of its own: a sink that keeps files in memory, and no store. Clients on a loopback
 * socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/core.h"
#include "http/request.h"

enum { WAIT_SECONDS = 60, MAX_FILE = 64 };

static struct app {
    atomic_int begun, finished, aborted;
} app;

struct file {
    size_t n;
    uint64_t max;
    char bytes[MAX_FILE];
};

/* ---- the sink --------------------------------------------------------------------------------------- */

static enum err_code sink_begin(void *user, uint64_t max_bytes, void **file, struct err *e)
{
    struct file *f = mem_alloc(sizeof *f);
    (void)e;
    f->max = max_bytes;
    *file = f;
    atomic_fetch_add(&((struct app *)user)->begun, 1);
    return ERR_OK;
}

static enum err_code sink_write(void *file, const void *p, size_t n, struct err *e)
{
    struct file *f = file;
    if (f->n + n > f->max)
        return err_set(e, ERR_LIMIT, "the file is too large");
    memcpy(f->bytes + f->n, p, n);
    f->n += n;
    return ERR_OK;
}

static uint64_t sink_weight(const void *file)
{
    return 1 + ((const struct file *)file)->n;
}

static enum err_code sink_finish(void *user, void *file, const char *name, struct arena *a,
                                 struct http_upload *out, struct err *e)
{
    struct file *f = file;
    bool bad = memcmp(f->bytes, "bad", 3) == 0;
    out->id = arena_strdup(a, (struct str){f->bytes, f->n});
    out->info = arena_strdup(a, str_from(name));
    mem_free(f);
    atomic_fetch_add(&((struct app *)user)->finished, 1);
    return bad ? err_set(e, ERR_BUSY, "the sink does not want it") : ERR_OK;
}

static void sink_abort(void *file)
{
    mem_free(file);
    atomic_fetch_add(&app.aborted, 1);
}

/* ---- the application -------------------------------------------------------------------------------- */

static enum err_code run_upload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    assert_ptr_equal(http_app_of(rq), &app);
    for (size_t i = 0; i < http_upload_count(rq); i++) {
        const struct http_upload *u = http_upload(rq, i);
        buf_printf(&re->body, "[%s|%s|%s]", u->name, (const char *)u->info, u->id);
    }
    return ERR_OK;
}

static enum err_code run_full(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)re;
    return err_set(e, ERR_IO, "full");
}

static enum err_code run_item(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    buf_printf(&re->body, "{\"id\":\"%s\",\"n\":%d}", http_path(rq, "id"),
               (int)http_query_int(rq, "n", 7));
    return ERR_OK;
}

static const struct http_field any[] = {{.name = "*", .type = HTTP_ANY}, {0}};
static const struct http_field number[] = {{.name = "n", .type = HTTP_INT, .lo = 1, .hi = 9}, {0}};

static const struct http_route routes[] = {
    {HTTP_POST, "/files", "upload", "", .run = run_upload, .body = any, .max_file = MAX_FILE,
     .accepts = HTTP_MULTIPART | HTTP_BYTES},
    {HTTP_POST, "/full", "full", "", .run = run_full},
    {HTTP_GET, "/items/{id}", "item", "", .run = run_item, .query = number},
    {0}};
static const struct http_route *const tables[] = {routes, NULL};

static int status_of(const struct err *e)
{
    return e->code == ERR_IO ? 507 : http_status_of(e);
}

static int retry_after(void *user)
{
    (void)user;
    return 17;
}

static struct http_core *start(void)
{
    static const char *const types[] = {"image/x-test", NULL};
    struct http_options o = {.listen = "127.0.0.1:0", .threads = 2};
    struct http_app a = {
        .user = &app,
        .routes = tables,
        .sink = {types, sink_begin, sink_write, sink_weight, sink_finish, sink_abort},
        .status_of = status_of,
        .retry_after = retry_after};
    struct http_core *c = NULL;
    struct err e = {0};
    memset(&app, 0, sizeof app);
    assert_int_equal(http_core_open(&o, &a, &c, &e), ERR_OK);
    assert_true(http_core_is_loopback(c));
    assert_int_equal(http_core_start(c, &e), ERR_OK);
    return c;
}

static void end(struct http_core *c)
{
    http_core_drain(c);
    http_core_abandon(c);
    http_core_stop(c);
    http_core_free(c);
}

/* ---- a client --------------------------------------------------------------------------------------- */

static int connect_to(const struct http_core *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_core_port(c))};
    struct timeval limit = {.tv_sec = WAIT_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* All that comes until the connection ends; borrowed until the next call. */
static const char *ask(const struct http_core *c, const char *line, const char *headers,
                       const char *body)
{
    static char reply[8192];
    char head[1024];
    size_t n = 0;
    int fd = connect_to(c);
    int k = snprintf(head, sizeof head,
                     "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nX-Veetance: 1\r\n"
                     "Content-Length: %zu\r\n%s\r\n",
                     line, http_core_address(c), strlen(body), headers);
    assert_true(k > 0 && (size_t)k < sizeof head);
    assert_int_equal(send(fd, head, (size_t)k, MSG_NOSIGNAL), k);
    if (*body)
        assert_int_equal(send(fd, body, strlen(body), MSG_NOSIGNAL), strlen(body));
    for (;;) {
        ssize_t got = recv(fd, reply + n, sizeof reply - 1 - n, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    reply[n] = 0;
    (void)close(fd);
    return reply;
}

static void expect(const char *reply, const char *part)
{
    if (!strstr(reply, part))
        fail_msg("'%s' is not in: %s", part, reply);
}

/* ---- cases ------------------------------------------------------------------------------------------ */

static void routes_answer_with_path_and_query(void **state)
{
    (void)state;
    struct http_core *c = start();
    expect(ask(c, "GET /items/a%20b?n=3", "", ""), "{\"id\":\"a b\",\"n\":3}");
    expect(ask(c, "GET /items/x", "", ""), "\"n\":7");
    expect(ask(c, "GET /items/x?n=12", "", ""), "HTTP/1.1 400");
    expect(ask(c, "GET /nothing", "", ""), "HTTP/1.1 404");
    expect(ask(c, "DELETE /items/x", "", ""), "Allow: GET, HEAD, OPTIONS");
    struct http_counts n;
    http_core_counts(c, &n);
    assert_int_equal(n.replies[2], 2);
    assert_int_equal(n.replies[4], 3);
    end(c);
}

static void a_file_goes_through_the_sink(void **state)
{
    (void)state;
    struct http_core *c = start();
    expect(ask(c, "POST /files", "Content-Type: image/x-test\r\nX-File-Name: cat\r\n", "bytes"),
           "[|cat|bytes]");
    expect(ask(c, "POST /files", "Content-Type: image/png\r\n", "bytes"), "HTTP/1.1 415");
    assert_int_equal(atomic_load(&app.begun), 1);
    assert_int_equal(atomic_load(&app.finished), 1);
    assert_int_equal(atomic_load(&app.aborted), 0);
    end(c);
}

static void files_of_a_form_become_ids(void **state)
{
    (void)state;
    struct http_core *c = start();
    expect(
        ask(c, "POST /files", "Content-Type: multipart/form-data; boundary=XX\r\n",
            "--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"1.png\"\r\n\r\none\r\n"
            "--XX\r\nContent-Disposition: form-data; name=\"b\"; filename=\"2.png\"\r\n\r\ntwo\r\n"
            "--XX--\r\n"),
        "[a|1.png|one][b|2.png|two]");
    assert_int_equal(atomic_load(&app.finished), 2);
    end(c);
}

static void a_file_ends_once_when_it_fails(void **state)
{
    (void)state;
    struct http_core *c = start();
    char large[MAX_FILE + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    char form[400];
    (void)snprintf(
        form, sizeof form,
        "--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"1.png\"\r\n\r\n%s"
        "\r\n--XX--\r\n",
        large);
    const char *multipart = "Content-Type: multipart/form-data; boundary=XX\r\n";
    expect(ask(c, "POST /files", multipart, form), "HTTP/1.1 413");
    const char *reply = ask(c, "POST /files", "Content-Type: image/x-test\r\n", "bad");
    expect(reply, "HTTP/1.1 409");
    expect(reply, "the sink does not want it");
    end(c);
    assert_int_equal(atomic_load(&app.begun), 2);
    assert_int_equal(atomic_load(&app.aborted), 1);
    assert_int_equal(atomic_load(&app.finished), 1);
}

static void failures_have_the_status_that_the_application_names(void **state)
{
    (void)state;
    struct http_core *c = start();
    expect(ask(c, "POST /full", "", ""), "HTTP/1.1 507");
    http_core_drain(c);
    const char *reply = ask(c, "POST /full", "", "");
    expect(reply, "HTTP/1.1 503");
    expect(reply, "Retry-After: 17");
    expect(ask(c, "GET /items/x", "", ""), "HTTP/1.1 200");
    end(c);
}

static void a_core_that_did_not_start_is_freed(void **state)
{
    (void)state;
    struct http_options o = {.listen = "0.0.0.0:0"};
    struct http_app a = {.routes = tables};
    struct http_core *c = NULL;
    struct err e = {0};
    assert_int_equal(http_core_open(&o, &a, &c, &e), ERR_ARG);
    http_core_stop(c);
    http_core_free(c);
    http_core_stop(NULL);
    http_core_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_answer_with_path_and_query),
        cmocka_unit_test(a_file_goes_through_the_sink),
        cmocka_unit_test(files_of_a_form_become_ids),
        cmocka_unit_test(a_file_ends_once_when_it_fails),
        cmocka_unit_test(failures_have_the_status_that_the_application_names),
        cmocka_unit_test(a_core_that_did_not_start_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

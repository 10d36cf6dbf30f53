/* request.c - the life of a request: found, guarded, read, handled, answered. libmicrohttpd calls http_access first
 * with the headers, then with pieces of the body, then once more without; and again when a connection that
 * slept was woken. */
#include "http/internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/limits.h"

enum { REQUEST_ARENA_BYTES = 1 << 20, WEIGHING_BYTES = 1 << 20 };

void *http_app_of(const struct http_request *rq)
{
    return rq->core->app.user;
}

struct arena *http_arena(struct http_request *rq)
{
    return &rq->arena;
}

enum http_method http_method_of(const struct http_request *rq)
{
    return rq->method;
}

const char *http_url(const struct http_request *rq)
{
    return rq->url;
}

const char *http_host(const struct http_request *rq)
{
    return rq->host;
}

struct http_memo *http_memo(struct http_request *rq)
{
    return &rq->memo;
}

bool http_again(const struct http_request *rq)
{
    return rq->memo.user != NULL;
}

static struct http_request *request_new(struct http_core *core, struct MHD_Connection *c,
                                        const char *url)
{
    struct http_request *rq = mem_try_alloc(sizeof *rq);
    if (!rq)
        return NULL;
    rq->core = core;
    rq->connection = c;
    rq->start_ns = clock_ns();
    arena_init(&rq->arena, REQUEST_ARENA_BYTES);
    rq->url = arena_strdup(&rq->arena, str_from(url));
    if (!rq->url) {
        arena_deinit(&rq->arena);
        mem_free(rq);
        return NULL;
    }
    return rq;
}

static void request_free(struct http_request *rq)
{
    if (rq->is_ready)
        http_reply_free(&rq->reply);
    http_body_free(rq);
    arena_deinit(&rq->arena);
    mem_free(rq);
}

void http_completed(void *core, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode why)
{
    struct http_request *rq = *state;
    (void)connection;
    (void)why;
    if (!rq)
        return;
    if (rq->memo.left && !rq->is_answered)
        rq->memo.left(rq);
    http_request_ended(core, rq);
    request_free(rq);
    *state = NULL;
}

void http_sleep(struct http_request *rq, bool watched)
{
    http_nap_begin(&rq->nap, rq->core->sleepers, rq->connection, watched);
}

void http_wake(struct http_request *rq)
{
    http_nap_end(&rq->nap);
}

/* Everything that can be known before the body. */
static enum err_code open_request(struct http_request *rq, const char *method, struct err *e)
{
    http_method_read(rq, method);
    enum err_code rc = http_frame_check(rq, e);
    if (rc == ERR_OK)
        rc = http_guard(rq, e);
    enum err_code found = rc == ERR_OK ? http_route_find(rq, e) : rc;
    if (rc != ERR_OK)
        return rc;
    /* Who has no token does not learn which paths there are. */
    if (found != ERR_OK) {
        int status = rq->status;
        struct err token = {0};
        if (http_guard_token(rq, &token) != ERR_OK) {
            *e = token;
            return token.code;
        }
        rq->status = status;
        return found;
    }
    if (rq->is_options)
        return ERR_OK;
    rc = http_guard_token(rq, e);
    if (rc == ERR_OK)
        rc = http_query_check(rq, e);
    if (rc == ERR_OK && atomic_load(&rq->core->stopping) && rq->method != HTTP_GET)
        rc = http_refuse(rq, 503, NULL, e, "the server is about to end");
    return rc == ERR_OK ? http_body_begin(rq, e) : rc;
}

static void answer_options(struct http_request *rq, struct http_reply *re)
{
    re->status = 204;
    re->type = "";
    if (rq->allow[0])
        http_reply_header(re, "Allow", "%s", rq->allow);
}

/* On whichever thread. */
static void handle(struct http_request *rq, struct http_reply *re)
{
    http_reply_init(re, rq->route);
    if (!rq->refused && !rq->is_read && rq->route && !rq->is_options)
        rq->refused = http_body_end(rq, &rq->err) != ERR_OK;
    rq->is_read = true;
    if (!rq->refused && rq->is_options)
        answer_options(rq, re);
    else if (!rq->refused && rq->route)
        rq->refused = rq->route->run(rq, re, &rq->err) != ERR_OK;
    if (rq->refused)
        http_problem(rq, re);
    rq->is_ready = !re->later && !re->heavy;
    if (!rq->is_ready)
        http_reply_free(re);
}

/* ---- heavy work ------------------------------------------------------------------------------------- */

static struct http_request *request_of(struct pool_task *t)
{
    return (struct http_request *)(void *)((char *)t - offsetof(struct http_request, task));
}

static void run_heavy(struct pool_task *t)
{
    struct http_request *rq = request_of(t);
    bool awake = true;
    if (!http_nap_gone(&rq->nap)) {
        rq->on_pool = true;
        handle(rq, &rq->reply);
        rq->on_pool = false;
        awake = !rq->reply.later;
    }
    http_nap_release(&rq->nap, awake);
}

static void refuse_heavy(struct http_request *rq, enum err_code rc, const struct err *why)
{
    rq->refused = true;
    (void)http_refuse(rq, rc == ERR_LIMIT ? 507 : 503, NULL, &rq->err, "%s", why->text);
    rq->err.code = rc;
    http_reply_init(&rq->reply, rq->route);
    http_problem(rq, &rq->reply);
    rq->is_ready = true;
}

/* The connection is held. */
static void add_task(struct http_request *rq, void (*run)(struct pool_task *t), uint64_t bytes)
{
    struct err e = {0};
    rq->task = (struct pool_task){.run = run, .bytes = bytes};
    enum err_code rc = pool_add(rq->core->pool, &rq->task, &e);
    if (rc != ERR_OK) {
        refuse_heavy(rq, rc, &e);
        http_nap_release(&rq->nap, true);
    }
}

/* What came with it is weighed, which may take a while, too; then it waits for the memory that it takes. */
static void run_weighing(struct pool_task *t)
{
    struct http_request *rq = request_of(t);
    if (http_nap_gone(&rq->nap))
        http_nap_release(&rq->nap, true);
    else
        add_task(rq, run_heavy, http_body_weight(rq));
}

static enum MHD_Result hand_over(struct http_request *rq, void (*run)(struct pool_task *t),
                                 uint64_t bytes)
{
    http_nap_hold(&rq->nap, rq->core->sleepers, rq->connection);
    add_task(rq, run, bytes);
    return MHD_YES;
}

bool http_heavy(struct http_request *rq, struct http_reply *re, uint64_t bytes)
{
    re->heavy = rq->on_pool ? 0 : bytes;
    return rq->on_pool;
}

bool http_is_left(struct http_request *rq)
{
    return http_nap_gone(&rq->nap) || atomic_load(&rq->core->ending);
}

static enum MHD_Result answer(struct http_request *rq)
{
    struct http_reply *re = &rq->reply;
    if (!rq->is_ready) {
        if (!rq->refused && !rq->is_read && rq->route)
            rq->refused = http_body_close(rq, &rq->err) != ERR_OK;
        if (!rq->refused && !rq->is_read && rq->n_files)
            return hand_over(rq, run_weighing, WEIGHING_BYTES);
        handle(rq, re);
        if (re->heavy)
            return hand_over(rq, run_heavy, re->heavy);
    }
    if (!rq->is_ready)
        return MHD_YES;
    enum MHD_Result ok = http_reply_send(rq, re);
    http_reply_free(re);
    rq->is_ready = false;
    return ok;
}

/* Answered before a body is read, the connection cannot be used again; where there is none, or where reading and
 * throwing it away is cheap, the answer waits: a client that is sending does not read, and would only see its
 * connection break. */
static bool answers_early(const struct http_request *rq)
{
    const char *v = http_header(rq, "Content-Length");
    const char *expect = http_header(rq, "Expect");
    int64_t n = 0;
    if (rq->ends_connection)
        return true;
    if (expect && strcasecmp(expect, "100-continue") == 0)
        return true;
    return v && (!str_to_i64(str_from(v), &n) || n > LIMIT_DRAIN);
}

static enum MHD_Result begin(struct http_request *rq, const char *method)
{
    rq->refused = open_request(rq, method, &rq->err) != ERR_OK;
    if (rq->refused && answers_early(rq)) {
        struct http_reply re;
        http_reply_init(&re, NULL);
        http_problem(rq, &re);
        enum MHD_Result ok = http_reply_send(rq, &re);
        http_reply_free(&re);
        return ok;
    }
    return MHD_YES;
}

static enum MHD_Result take(struct http_request *rq, const char *p, size_t n)
{
    if (!rq->refused && rq->route && !rq->is_options) {
        rq->refused = http_body_add(rq, p, n, &rq->err) != ERR_OK;
        if (rq->refused)
            rq->received = 0;
        return MHD_YES;
    }
    rq->received += n;
    return rq->received > LIMIT_DRAIN ? MHD_NO : MHD_YES;
}

enum MHD_Result http_access(void *core, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload,
                            size_t *upload_bytes, void **state)
{
    struct http_request *rq = *state;
    (void)version;
    if (!rq) {
        rq = request_new(core, connection, url);
        if (!rq)
            return MHD_NO;
        *state = rq;
        http_request_began(core, rq);
        return begin(rq, method);
    }
    if (*upload_bytes) {
        http_request_read(core, rq, *upload_bytes);
        enum MHD_Result ok = take(rq, upload, *upload_bytes);
        *upload_bytes = 0;
        return ok;
    }
    if (!rq->is_read)
        http_request_read(core, rq, 0);
    return http_nap_gone(&rq->nap) ? MHD_NO : answer(rq);
}

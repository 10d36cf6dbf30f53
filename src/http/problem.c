/* problem.c - failures as problem+json (RFC 9457): which status, which code, and which member was wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "http/internal.h"

enum err_code http_refuse(struct http_request *rq, int status, const char *field, struct err *e,
                          const char *fmt, ...)
{
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rq->status = status;
    (void)snprintf(rq->field, sizeof rq->field, "%s", field ? field : "");
    return err_set(e, ERR_ARG, "%s", text);
}

int http_status_of(const struct err *e)
{
    static const int by_code[] = {
        [ERR_ARG] = 422,
        [ERR_FORMAT] = 422,
        [ERR_NOTFOUND] = 404,
        [ERR_LIMIT] = 413,
        [ERR_BUSY] = 409,
        [ERR_CANCELLED] = 409,
        [ERR_NOMEM] = 503,
        [ERR_DEVICE] = 503,
        [ERR_IO] = 500,
        [ERR_NUMERIC] = 500,
        [ERR_INTERNAL] = 500,
        [ERR_ENGINE_CRASHED] = 500,
        [ERR_ENGINE_LOST_WORKER] = 503,
        [ERR_ENGINE_OUT_OF_MEMORY] = 503,
        [ERR_ENGINE_STUCK] = 500,
    };
    bool known = e->code > ERR_OK && (size_t)e->code < sizeof by_code / sizeof by_code[0];
    return known ? by_code[e->code] : 500;
}

/* code: what a program can tell from it where the error itself does not say more. */
static const struct {
    int status;
    const char *text, *code;
} statuses[] = {
    {400, "Bad Request", NULL},
    {401, "Unauthorized", "unauthorised"},
    {403, "Forbidden", "forbidden_origin"},
    {404, "Not Found", "not_found"},
    {405, "Method Not Allowed", "method"},
    {409, "Conflict", "conflict"},
    {412, "Precondition Failed", "precondition"},
    {413, "Content Too Large", "too_large"},
    {414, "URI Too Long", "too_large"},
    {415, "Unsupported Media Type", "media_type"},
    {416, "Range Not Satisfiable", "range"},
    {421, "Misdirected Request", "forbidden_host"},
    {422, "Unprocessable Content", NULL},
    {428, "Precondition Required", "precondition"},
    {429, "Too Many Requests", "queue_full"},
    {431, "Request Header Fields Too Large", "too_large"},
    {500, "Internal Server Error", NULL},
    {501, "Not Implemented", "not_implemented"},
    {503, "Service Unavailable", "unavailable"},
    {507, "Insufficient Storage", "no_room"},
};

static const char *status_text(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Error";
}

const char *http_error_code(const struct http_request *rq, int status)
{
    if (status == 403 && strcmp(rq->field, "X-Veetance") == 0)
        return "missing_header";
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status && statuses[i].code)
            return statuses[i].code;
    return err_code_name(rq->err.code);
}

static int status_to_tell(const struct http_request *rq)
{
    const struct http_app *app = &rq->core->app;
    int status = rq->status       ? rq->status
                 : app->status_of ? app->status_of(&rq->err)
                                  : http_status_of(&rq->err);
    return app->face_status ? app->face_status(rq, status) : status;
}

static void put_problem(const struct http_request *rq, int status, struct buf *b)
{
    const struct http_app *app = &rq->core->app;
    json_object(b, NULL);
    json_put_z(b, "type", "about:blank");
    json_put_z(b, "title", status_text(status));
    json_put_int(b, "status", status);
    if (!(app->face_error && app->face_error(rq, status, b)))
        json_put_z(b, "detail", rq->err.text);
    json_put_z(b, "code", http_error_code(rq, status));
    if (rq->field[0])
        json_put_z(b, "field", rq->field);
    json_end_object(b);
}

/* A page's script says in words of its own that a token is wanted; at Basic its browser would ask before it can. */
static bool from_script(const struct http_request *rq)
{
    const char *mode = http_header(rq, "Sec-Fetch-Mode");
    return mode && strcmp(mode, "navigate") != 0;
}

static void put_challenges(const struct http_request *rq, struct http_reply *re)
{
    http_reply_header(re, "WWW-Authenticate", "Bearer realm=\"veetance\"");
    if (!from_script(rq))
        http_reply_header(re, "WWW-Authenticate", "Basic realm=\"veetance\", charset=\"UTF-8\"");
}

void http_problem(struct http_request *rq, struct http_reply *re)
{
    const struct http_app *app = &rq->core->app;
    int status = status_to_tell(rq);
    const char *cache = re->cache;
    http_reply_free(re);
    http_reply_init(re, NULL);
    re->cache = cache && status == 404 ? NULL : re->cache;
    re->status = status;
    re->type = "application/problem+json";
    put_problem(rq, status, &re->body);
    if (status == 405)
        http_reply_header(re, "Allow", "%s", rq->allow);
    if (status == 401)
        put_challenges(rq, re);
    if (rq->ends_connection)
        http_reply_header(re, "Connection", "close");
    if (status == 429 || status == 503)
        http_reply_header(re, "Retry-After", "%d",
                          app->retry_after ? app->retry_after(app->user) : 1);
}

/* ---- what handlers and faces ask and say of it --------------------------------------------------------- */

const struct err *http_error(const struct http_request *rq)
{
    return &rq->err;
}

const char *http_error_field(const struct http_request *rq)
{
    return rq->field;
}

int http_error_status(const struct http_request *rq)
{
    return rq->status;
}

void http_set_error_field(struct http_request *rq, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(rq->field, sizeof rq->field, fmt, ap);
    va_end(ap);
}

void http_set_error_status(struct http_request *rq, int status)
{
    rq->status = status;
}

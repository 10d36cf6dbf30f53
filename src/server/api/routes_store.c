/* routes_store.c - how much the store holds, its limits, and tidying it. */
#include "base/json_text.h"
#include "server/jobs/caretaker.h"
#include "server/routes.h"
#include "server/server_internal.h"

enum { TIDY_BYTES = 8 << 20 }; /* memory that it takes at most */

static const struct http_field limit_fields[] = {
    {.name = "job_days",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 36500,
     .required = true,
     .help = "days after which a job that has ended is forgotten; 0: never"},
    {.name = "jobs",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 100000000,
     .required = true,
     .help = "jobs that have ended and are kept, the newest; 0: any number"},
    {.name = "asset_days",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 36500,
     .required = true,
     .help = "days after which an image that no project and no job refers to goes; 0: never"},
    {.name = "bytes",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 9e15,
     .required = true,
     .help = "of all images; above it the oldest go that no project refers to; 0: no limit"},
    {0}};

static const struct http_field tidied_fields[] = {
    {.name = "jobs", .type = HTTP_INT, .required = true, .help = "jobs that were forgotten"},
    {.name = "assets", .type = HTTP_INT, .required = true, .help = "images that went"},
    {.name = "strays",
     .type = HTTP_INT,
     .required = true,
     .help = "files that nothing knew, and small versions of images that are gone"},
    {.name = "bytes", .type = HTTP_INT, .required = true},
    {0}};

static const struct http_field store_fields[] = {
    {.name = "assets", .type = HTTP_INT, .required = true},
    {.name = "asset_bytes", .type = HTTP_INT, .required = true},
    {.name = "projects", .type = HTTP_INT, .required = true},
    {.name = "jobs", .type = HTTP_INT, .required = true},
    {.name = "database_bytes", .type = HTTP_INT, .required = true},
    {.name = "limits", .type = HTTP_OBJECT, .fields = limit_fields, .required = true},
    {.name = "tidied_ms",
     .type = HTTP_INT,
     .required = true,
     .nullable = true,
     .help = "when the limits were applied last, since 1970; null: not yet"},
    {.name = "tidied",
     .type = HTTP_OBJECT,
     .fields = tidied_fields,
     .required = true,
     .nullable = true,
     .help = "what went then"},
    {0}};

static void put_limits(struct buf *b, const char *key, const struct store_limits *l)
{
    json_object(b, key);
    json_put_int(b, "job_days", l->job_days);
    json_put_int(b, "jobs", l->jobs);
    json_put_int(b, "asset_days", l->asset_days);
    json_put_int(b, "bytes", l->bytes);
    json_end_object(b);
}

static void put_tidied(struct buf *b, const char *key, const struct store_tidied *t)
{
    json_object(b, key);
    json_put_uint(b, "jobs", t->jobs);
    json_put_uint(b, "assets", t->gc.assets);
    json_put_uint(b, "strays", t->gc.strays + t->gc.thumbs + t->gc.temporary);
    json_put_uint(b, "bytes", t->gc.bytes);
    json_end_object(b);
}

static enum err_code run_store(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct store_numbers n;
    struct store_limits l;
    struct caretaker_seen seen;
    struct buf *b = &re->body;
    TRY(store_count(store_of(rq), &n, e));
    TRY(store_limits_get(store_of(rq), &l, e));
    caretaker_seen(server_of(rq)->caretaker, &seen);
    json_object(b, NULL);
    json_put_uint(b, "assets", n.assets);
    json_put_uint(b, "asset_bytes", n.asset_bytes);
    json_put_uint(b, "projects", n.projects);
    json_put_uint(b, "jobs", n.jobs);
    json_put_uint(b, "database_bytes", n.database_bytes);
    put_limits(b, "limits", &l);
    if (seen.at_ms) {
        json_put_int(b, "tidied_ms", seen.at_ms);
        put_tidied(b, "tidied", &seen.last);
    } else {
        json_put_null(b, "tidied_ms");
        json_put_null(b, "tidied");
    }
    json_end_object(b);
    return ERR_OK;
}

static enum err_code run_limits(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct store_limits l;
    TRY(store_limits_get(store_of(rq), &l, e));
    l.job_days = http_body_int(rq, "job_days", l.job_days);
    l.jobs = http_body_int(rq, "jobs", l.jobs);
    l.asset_days = http_body_int(rq, "asset_days", l.asset_days);
    l.bytes = http_body_int(rq, "bytes", l.bytes);
    TRY(store_limits_set(store_of(rq), &l, e));
    put_limits(&re->body, NULL, &l);
    return ERR_OK;
}

static enum err_code run_tidy(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct store_tidied t;
    if (!http_heavy(rq, re, TIDY_BYTES))
        return ERR_OK;
    TRY(caretaker_tidy(server_of(rq)->caretaker, &t, e));
    put_tidied(&re->body, NULL, &t);
    return ERR_OK;
}

const struct http_route routes_store[] = {
    {HTTP_GET, "/v1/store", "getStore", "How much the store holds, and its limits", .tag = "system",
     .run = run_store, .gives = store_fields},
    {HTTP_PATCH, "/v1/store/limits", "setStoreLimits",
     "Change when finished jobs and images that nobody needs go by themselves", .tag = "system",
     .run = run_limits, .body = limit_fields, .gives = limit_fields, .accepts = HTTP_JSON,
     .flags = HTTP_MERGE},
    {HTTP_POST, "/v1/store/tidy", "tidyStore", "Apply the limits now", .tag = "system",
     .run = run_tidy, .gives = tidied_fields, .accepts = HTTP_JSON},
    {0}};

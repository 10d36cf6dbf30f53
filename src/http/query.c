/* query.c - what a request says about itself: path values, query, headers. */
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

/* libmicrohttpd leaves the escapes in (server.c): decoded copies are kept in the arena. */
static enum err_code keep(struct http_request *rq, const char *key, const char *value,
                          struct err *e)
{
    char *k = arena_strdup(&rq->arena, str_from(key));
    char *v = arena_strdup(&rq->arena, str_from(value ? value : ""));
    if (rq->n_query == HTTP_MAX_QUERY)
        return http_refuse(rq, 400, NULL, e, "more than %d parameters", HTTP_MAX_QUERY);
    if (!k || !v || !http_unescape(k, true) || !http_unescape(v, true))
        return http_refuse(rq, 400, NULL, e, "the query has a broken escape");
    rq->query_names[rq->n_query] = k;
    rq->query_values[rq->n_query++] = v;
    return ERR_OK;
}

struct query_check {
    struct http_request *rq;
    struct err *e;
    enum err_code rc;
};

/* A page that everyone gets says itself that the token in its address is wrong. */
static bool is_open_page(const struct http_request *rq)
{
    return rq->core->token[0] && (rq->route->flags & HTTP_OPEN);
}

static enum MHD_Result check_one(void *user, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    struct query_check *q = user;
    struct http_request *rq = q->rq;
    (void)kind;
    if (strcmp(key, "token") == 0 && (rq->set_cookie || is_open_page(rq)))
        return MHD_YES;
    q->rc = keep(rq, key, value, q->e);
    if (q->rc != ERR_OK)
        return MHD_NO;
    key = rq->query_names[rq->n_query - 1];
    const struct http_field *f =
        rq->route->query ? check_find(rq->route->query, str_from(key)) : NULL;
    if (!f) {
        q->rc = http_refuse(rq, 400, key, q->e, "there is no parameter '%.60s' here", key);
    } else {
        q->rc = check_text(f, rq->query_values[rq->n_query - 1], q->e);
        if (q->rc != ERR_OK)
            (void)snprintf(rq->field, sizeof rq->field, "%s", f->name);
        rq->status = q->rc == ERR_OK ? 0 : 400;
    }
    return q->rc == ERR_OK ? MHD_YES : MHD_NO;
}

enum err_code http_query_check(struct http_request *rq, struct err *e)
{
    struct query_check q = {.rq = rq, .e = e};
    MHD_get_connection_values(rq->connection, MHD_GET_ARGUMENT_KIND, check_one, &q);
    for (const struct http_field *f = rq->route->query; q.rc == ERR_OK && f && f->name; f++)
        if (f->required && !http_query(rq, f->name))
            q.rc = http_refuse(rq, 400, f->name, e, "the parameter %s is missing", f->name);
    return q.rc;
}

const char *http_path(const struct http_request *rq, const char *name)
{
    for (int i = 0; i < rq->n_params; i++)
        if (strlen(name) == rq->param_name_bytes[i] &&
            memcmp(name, rq->param_names[i], rq->param_name_bytes[i]) == 0)
            return rq->param_values[i];
    return "";
}

const char *http_query(const struct http_request *rq, const char *name)
{
    for (int i = 0; i < rq->n_query; i++)
        if (strcmp(rq->query_names[i], name) == 0)
            return rq->query_values[i];
    return NULL;
}

int64_t http_query_int(const struct http_request *rq, const char *name, int64_t fallback)
{
    const char *v = http_query(rq, name);
    int64_t i;
    return v && str_to_i64(str_from(v), &i) ? i : fallback;
}

bool http_query_bool(const struct http_request *rq, const char *name, bool fallback)
{
    const char *v = http_query(rq, name);
    return v ? check_among("true|1", str_from(v)) : fallback;
}

const char *http_header(const struct http_request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

enum err_code http_if_match(struct http_request *rq, int64_t *revision, struct err *e)
{
    const char *v = http_header(rq, "If-Match");
    *revision = 0;
    if (!v || strcmp(v, "*") == 0)
        return ERR_OK;
    if (strncmp(v, "W/", 2) == 0)
        v += 2;
    size_t n = strlen(v);
    if (n > 2 && v[0] == '"' && v[n - 1] == '"' &&
        str_to_i64((struct str){v + 1, n - 2}, revision) && *revision > 0)
        return ERR_OK;
    *revision = 0;
    return http_refuse(rq, 400, "If-Match", e, "If-Match should be an ETag that this server gave");
}

/* ---- the body's members ----------------------------------------------------------------------------- */

yyjson_val *http_body(const struct http_request *rq)
{
    return yyjson_doc_get_root(rq->doc);
}

void http_set_body(struct http_request *rq, yyjson_doc *doc)
{
    yyjson_doc_free(rq->doc);
    rq->doc = doc;
}

static yyjson_val *member(const struct http_request *rq, const char *name)
{
    return yyjson_obj_get(http_body(rq), name);
}

const char *http_body_str(const struct http_request *rq, const char *name, const char *fallback)
{
    yyjson_val *v = member(rq, name);
    return yyjson_is_str(v) ? yyjson_get_str(v) : fallback;
}

int64_t http_body_int(const struct http_request *rq, const char *name, int64_t fallback)
{
    yyjson_val *v = member(rq, name);
    if (yyjson_is_real(v))
        return (int64_t)yyjson_get_real(v);
    if (yyjson_is_uint(v))
        return yyjson_get_uint(v) > INT64_MAX ? INT64_MAX : (int64_t)yyjson_get_uint(v);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : fallback;
}

double http_body_double(const struct http_request *rq, const char *name, double fallback)
{
    yyjson_val *v = member(rq, name);
    return yyjson_is_num(v) ? yyjson_get_num(v) : fallback;
}

bool http_body_bool(const struct http_request *rq, const char *name, bool fallback)
{
    yyjson_val *v = member(rq, name);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : fallback;
}

size_t http_upload_count(const struct http_request *rq)
{
    return rq->n_uploads;
}

const struct http_upload *http_upload(const struct http_request *rq, size_t i)
{
    return &rq->uploads[i];
}

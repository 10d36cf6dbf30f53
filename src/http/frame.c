/* frame.c - what a request says about its own shape, before anything else is believed. Two answers to where it
 * ends, or to whom it is for, are how requests are smuggled past a proxy: such a one is refused, and its connection
 * ends. */
#include <string.h>

#include "http/internal.h"
#include "http/limits.h"

struct counts {
    int hosts, lengths, codings;
    const char *coding;
};

static enum MHD_Result count(void *user, enum MHD_ValueKind kind, const char *key,
                             const char *value)
{
    struct counts *c = user;
    (void)kind;
    c->hosts += strcasecmp(key, "Host") == 0;
    c->lengths += strcasecmp(key, "Content-Length") == 0;
    if (strcasecmp(key, "Transfer-Encoding") == 0) {
        c->codings++;
        c->coding = value ? value : "";
    }
    return MHD_YES;
}

static enum err_code check_length(struct http_request *rq, const struct counts *c, struct err *e)
{
    const char *v = http_header(rq, "Content-Length");
    int64_t n;
    if (c->lengths > 1 || c->codings > 1)
        return http_refuse(rq, 400, c->lengths > 1 ? "Content-Length" : "Transfer-Encoding", e,
                           "the request says twice how long it is");
    if (c->lengths && c->codings)
        return http_refuse(rq, 400, "Content-Length", e,
                           "the request has both Content-Length and Transfer-Encoding");
    if (v && (!*v || strspn(v, "0123456789") != strlen(v) || !str_to_i64(str_from(v), &n)))
        return http_refuse(rq, 400, "Content-Length", e, "Content-Length should be a number");
    if (c->coding && strcasecmp(c->coding, "chunked") != 0)
        return http_refuse(rq, 501, "Transfer-Encoding", e,
                           "the transfer encoding '%.40s' is not known here; chunked is",
                           c->coding);
    return ERR_OK;
}

static enum err_code check_size(struct http_request *rq, struct err *e)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t target = strlen(rq->url), all = info ? info->header_size : 0;
    if (target > LIMIT_TARGET)
        return http_refuse(rq, 414, NULL, e, "the path has %zu bytes, the limit is %d", target,
                           LIMIT_TARGET);
    if (all > LIMIT_HEADERS)
        return http_refuse(rq, 431, NULL, e,
                           "the request's line and headers have %zu bytes, the limit is %d", all,
                           LIMIT_HEADERS);
    return ERR_OK;
}

/* "http://HOST/path", as clients of a proxy send it, names its host itself. */
static enum err_code take_target(struct http_request *rq, struct err *e)
{
    size_t scheme = strncasecmp(rq->url, "http://", 7) == 0    ? 7
                    : strncasecmp(rq->url, "https://", 8) == 0 ? 8
                                                               : 0;
    if (scheme) {
        const char *name = rq->url + scheme;
        size_t n = strcspn(name, "/");
        rq->host = arena_strdup(&rq->arena, (struct str){name, n});
        rq->url = name[n] ? name + n : "/";
        if (!rq->host)
            return err_set(e, ERR_NOMEM, "no memory for a request");
    }
    if (rq->url[0] != '/' && !(rq->is_options && strcmp(rq->url, "*") == 0))
        return http_refuse(rq, 400, NULL, e, "the request names no path");
    return ERR_OK;
}

enum err_code http_frame_check(struct http_request *rq, struct err *e)
{
    struct counts c = {0};
    rq->host = http_header(rq, "Host");
    MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, count, &c);
    enum err_code rc = check_size(rq, e);
    if (rc == ERR_OK)
        rc = check_length(rq, &c, e);
    if (rc == ERR_OK && c.hosts > 1)
        rc = http_refuse(rq, 400, "Host", e, "the request has two Hosts");
    rq->ends_connection = rc != ERR_OK;
    return rc == ERR_OK ? take_target(rq, e) : rc;
}

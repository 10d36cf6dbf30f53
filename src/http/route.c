/* route.c - from method and path to a row of the tables. */
#include <stdio.h>
#include <string.h>

#include "http/internal.h"

static const char *const http_method_names[HTTP_METHODS] = {"GET", "POST", "PUT", "PATCH",
                                                            "DELETE"};

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool http_unescape(char *text, bool plus_is_space)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        if (*p == '%') {
            int hi = hex(p[1]), lo = hi < 0 ? -1 : hex(p[2]);
            if (lo < 0 || (hi == 0 && lo == 0))
                return false;
            *to++ = (char)(hi * 16 + lo);
            p += 2;
        } else {
            *to++ = *p == '+' && plus_is_space ? ' ' : *p;
        }
    }
    *to = 0;
    return true;
}

/* One segment of the template against one of the path; a {name} takes any that is not empty. */
static bool match(struct http_request *rq, const char *shape, const char *path)
{
    rq->n_params = 0;
    for (;;) {
        size_t n = strcspn(shape, "/"), m = strcspn(path, "/");
        if (shape[0] == '{') {
            if (m == 0 || rq->n_params == HTTP_MAX_PATH_PARAMS)
                return false;
            rq->param_names[rq->n_params] = shape + 1;
            rq->param_name_bytes[rq->n_params] = n - 2;
            rq->param_values[rq->n_params++] = path;
        } else if (n != m || memcmp(shape, path, n) != 0) {
            return false;
        }
        shape += n;
        path += m;
        if (!*shape || !*path)
            return !*shape && !*path;
        shape++;
        path++;
    }
}

/* The values still point into the path, up to the next slash: copies, decoded. */
static bool take_params(struct http_request *rq)
{
    for (int i = 0; i < rq->n_params; i++) {
        const char *p = rq->param_values[i];
        char *copy = arena_strdup(&rq->arena, (struct str){p, strcspn(p, "/")});
        if (!copy || !http_unescape(copy, false))
            return false;
        rq->param_values[i] = copy;
    }
    return true;
}

static void add_allow(struct http_request *rq, const char *name)
{
    size_t n = strlen(rq->allow);
    (void)snprintf(rq->allow + n, sizeof rq->allow - n, "%s%s", n ? ", " : "", name);
}

void http_method_read(struct http_request *rq, const char *method)
{
    rq->is_head = strcmp(method, "HEAD") == 0;
    rq->is_options = strcmp(method, "OPTIONS") == 0;
    if (rq->is_head)
        method = "GET";
    rq->method = HTTP_METHODS;
    for (int m = 0; m < HTTP_METHODS; m++)
        if (strcmp(method, http_method_names[m]) == 0)
            rq->method = (enum http_method)m;
}

enum err_code http_route_find(struct http_request *rq, struct err *e)
{
    bool path_is_known = false;
    const struct http_route *found = NULL;
    for (const struct http_route *const *table = rq->core->app.routes; *table; table++)
        for (const struct http_route *r = *table; r->path; r++) {
            if (!match(rq, r->path, rq->url))
                continue;
            path_is_known = true;
            add_allow(rq, http_method_names[r->method]);
            if (r->method == HTTP_GET)
                add_allow(rq, "HEAD");
            if (r->method == rq->method)
                found = r;
        }
    rq->route = found;
    if (found)
        return match(rq, found->path, rq->url) && take_params(rq)
                   ? ERR_OK
                   : http_refuse(rq, 400, NULL, e, "the path has a broken escape");
    if (path_is_known)
        add_allow(rq, "OPTIONS");
    if (rq->is_options && (path_is_known || strcmp(rq->url, "*") == 0))
        return ERR_OK;
    if (path_is_known)
        return http_refuse(rq, 405, NULL, e, "that method is not possible here; there are %s",
                           rq->allow);
    return http_refuse(rq, 404, NULL, e, "there is nothing at this path");
}

/* http_guard.c - who may ask, decided before anything is read.
 *
 * The server stands on a person's own machine, so every web page that the person visits can send it requests.
 * Three things keep those out:
 *
 *   Host     must name this server: a page of evil.example whose name was made to resolve to 127.0.0.1 still
 *            says Host: evil.example.
 *   Origin   when a browser sends it, must be this server's, compared whole; "null" (sandboxed frames, files)
 *            is nobody's. Sec-Fetch-Site, where sent, may be cross-site only for plain navigation to a page.
 *   content  what changes something must come in a form that a page cannot send unasked: JSON, a picture, or
 *            with a header of its own (X-Veetance, X-Requested-With, Authorization). We never answer the
 *            browser's question for permission, so such requests of other origins end there.
 *
 * With a token, every request must also carry it: Authorization: Bearer, or the cookie that a page gets when
 * it was opened with ?token=. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "server/http_internal.h"
#include "server/server_internal.h"

/* ---- Host ------------------------------------------------------------------------------------------- */

static bool same_host(const char *host, const char *name, int port)
{
    char want[300];
    (void)snprintf(want, sizeof want, "%s:%d", name, port);
    return strcasecmp(host, want) == 0 || (port == 80 && strcasecmp(host, name) == 0);
}

/* Numbers cannot be rebound: an address is always the machine itself. */
static bool is_address(const char *host, int port)
{
    char name[80], tail[16];
    unsigned char bytes[16];
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    size_t skip = host[0] == '[' ? 1 : 0;
    if (!end)
        end = host + strlen(host);
    size_t n = (size_t)(end - host) - skip;
    if (n >= sizeof name)
        return false;
    (void)snprintf(name, sizeof name, "%.*s", (int)n, host + skip);
    (void)snprintf(tail, sizeof tail, ":%d", port);
    const char *rest = *end == ']' ? end + 1 : end;
    if (strcmp(rest, tail) != 0 && !(port == 80 && !*rest))
        return false;
    return inet_pton(skip ? AF_INET6 : AF_INET, name, bytes) == 1;
}

bool http_host_allowed(const struct server *s, const char *host)
{
    static const char *const own[] = {"127.0.0.1", "localhost", "[::1]"};
    if (!host)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (same_host(host, own[i], s->port))
            return true;
    for (size_t i = 0; i < s->n_hosts; i++)
        if (same_host(host, s->hosts[i], s->port))
            return true;
    return !s->is_loopback && is_address(host, s->port);
}

/* ---- Origin ----------------------------------------------------------------------------------------- */

/* Only this scheme, this host (already known to be ours) and this port. */
static bool own_origin(const char *origin, const char *host)
{
    return strncmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0;
}

static enum err_code check_origin(struct http_request *rq, struct err *e)
{
    const char *origin = http_header(rq, "Origin");
    const char *site = http_header(rq, "Sec-Fetch-Site");
    const char *mode = http_header(rq, "Sec-Fetch-Mode");
    if (origin && !own_origin(origin, rq->host))
        return http_refuse(rq, 403, "Origin", e, "pages of another origin may not ask this server");
    if (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0)
        return ERR_OK;
    if (rq->method == HTTP_GET && mode && strcmp(mode, "navigate") == 0)
        return ERR_OK;
    return http_refuse(rq, 403, "Sec-Fetch-Site", e,
                       "pages of another site may not ask this server");
}

/* ---- token ------------------------------------------------------------------------------------------ */

/* In time that does not tell how much was right. */
bool http_token_equal(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned bad = n != m;
    for (size_t i = 0; i < n; i++)
        bad |= (unsigned)(unsigned char)a[i] ^ (unsigned char)(m ? b[i % m] : 1);
    return bad == 0;
}

/* A page opened with the right ?token= gets it as a cookie; nothing else takes a token in its address, where
 * logs and histories keep it. */
static bool token_in_address(struct http_request *rq)
{
    const char *given = MHD_lookup_connection_value(rq->connection, MHD_GET_ARGUMENT_KIND, "token");
    const char *mode = http_header(rq, "Sec-Fetch-Mode");
    if (!given || rq->method != HTTP_GET || (mode && strcmp(mode, "navigate") != 0) ||
        !http_token_equal(given, rq->server->token))
        return false;
    rq->set_cookie = true;
    return true;
}

static enum err_code check_token(struct http_request *rq, struct err *e)
{
    const char *auth = http_header(rq, "Authorization");
    const char *cookie =
        MHD_lookup_connection_value(rq->connection, MHD_COOKIE_KIND, "veetance_token");
    const char *token = rq->server->token;
    if (!token[0])
        return ERR_OK;
    if (auth && strncasecmp(auth, "Bearer ", 7) == 0 && http_token_equal(auth + 7, token))
        return ERR_OK;
    if ((cookie && http_token_equal(cookie, token)) || token_in_address(rq))
        return ERR_OK;
    return http_refuse(rq, 401, "Authorization", e,
                       "this server wants its token: Authorization: Bearer ...");
}

/* ---- content ---------------------------------------------------------------------------------------- */

static bool is_simple(const char *type)
{
    static const char *const simple[] = {"text/plain", "multipart/form-data",
                                         "application/x-www-form-urlencoded"};
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (n == 0)
        return true;
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++)
        if (strlen(simple[i]) == n && strncasecmp(type, simple[i], n) == 0)
            return true;
    return false;
}

/* POST is the only method that a page can send unasked. */
static enum err_code check_intent(struct http_request *rq, struct err *e)
{
    static const char *const own[] = {"X-Veetance", "X-Requested-With", "Authorization"};
    if (rq->method == HTTP_GET || !is_simple(http_header(rq, "Content-Type")))
        return ERR_OK;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (http_header(rq, own[i]))
            return ERR_OK;
    return http_refuse(rq, 403, "X-Veetance", e,
                       "a request of this content type needs a header that no foreign page can "
                       "send: X-Veetance: 1");
}

enum err_code http_guard(struct http_request *rq, struct err *e)
{
    rq->host = http_header(rq, "Host");
    if (!http_host_allowed(rq->server, rq->host))
        return http_refuse(rq, rq->host ? 421 : 400, "Host", e,
                           "this server does not answer to that Host");
    enum err_code rc = check_origin(rq, e);
    if (rc == ERR_OK)
        rc = rq->is_options ? ERR_OK : check_intent(rq, e);
    return rc;
}

enum err_code http_guard_token(struct http_request *rq, struct err *e)
{
    bool open = rq->route && (rq->route->flags & HTTP_OPEN);
    return open ? ERR_OK : check_token(rq, e);
}

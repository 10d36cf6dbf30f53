/* guard.c - who may ask, decided before anything is read.
 *
 * The server stands on a person's own machine, so every web page that the person visits can send it requests.
 * Three things keep those out:
 *
 *   Host     must name this server: a page of evil.example whose name was made to resolve to 127.0.0.1 still
 *            says Host: evil.example.
 *   Origin   when a browser sends it, must be this server's, compared whole; "null" (sandboxed frames, files)
 *            is nobody's. Sec-Fetch-Site, where sent, may be cross-site only for plain navigation to a page.
 *   content  what changes something must come in a form that a page cannot send unasked: JSON, an image, or
 *            with a header of its own (X-Veetance, X-Requested-With, Authorization: Bearer). We never answer the
 *            browser's question for permission, so such requests of other origins end there. Without a body, and
 *            without a sign of a page (Origin, Referer, Sec-Fetch-*), nothing more is asked for.
 *
 * With a token, every request must also carry it: Authorization: Bearer or Basic, or the cookie that a page gets
 * when it was opened with ?token=. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "http/base64.h"
#include "http/internal.h"

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

/* "name", "name:port", "[::1]:port": how long the name is; 0 when what follows it is no port. */
static size_t name_bytes(const char *host)
{
    size_t n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
    n += host[0] == '[' && host[n] == ']';
    const char *port = host + n;
    if (*port == 0)
        return n;
    size_t digits = strspn(port + 1, "0123456789");
    return *port == ':' && digits > 0 && digits <= 5 && port[1 + digits] == 0 ? n : 0;
}

/* One of the names that the server's owner gave it: whatever stands in front of it chooses the port. */
static bool is_named(const struct http_core *c, const char *host)
{
    size_t n = name_bytes(host);
    for (size_t i = 0; n && i < c->n_hosts; i++)
        if (strlen(c->hosts[i]) == n && strncasecmp(c->hosts[i], host, n) == 0)
            return true;
    return false;
}

bool http_host_allowed(const struct http_core *c, const char *host)
{
    static const char *const own[] = {"127.0.0.1", "localhost", "[::1]"};
    if (!host)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (same_host(host, own[i], c->port))
            return true;
    if (is_named(c, host))
        return true;
    return !c->is_loopback && is_address(host, c->port);
}

/* ---- Origin ----------------------------------------------------------------------------------------- */

/* This host (already known to be ours) and its port by http; by https where a proxy in front of the server, which the
 * owner has named, speaks it. Some proxies hand on the Host without its port. */
static bool own_origin(const struct http_core *c, const char *origin, const char *host)
{
    if (strncmp(origin, "http://", 7) == 0)
        return strcasecmp(origin + 7, host) == 0;
    if (strncmp(origin, "https://", 8) != 0 || !is_named(c, host))
        return false;
    size_t n = name_bytes(origin + 8);
    return strcasecmp(origin + 8, host) == 0 ||
           (host[n] == 0 && n == strlen(host) && strncasecmp(origin + 8, host, n) == 0);
}

static enum err_code check_origin(struct http_request *rq, struct err *e)
{
    const char *origin = http_header(rq, "Origin");
    const char *site = http_header(rq, "Sec-Fetch-Site");
    const char *mode = http_header(rq, "Sec-Fetch-Mode");
    if (origin && !own_origin(rq->core, origin, rq->host))
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
        !http_token_equal(given, rq->core->token))
        return false;
    rq->set_cookie = true;
    return true;
}

/* "Basic" with the token as password, whatever the name: for clients that know nothing else. */
static bool token_as_password(const char *auth, const char *token)
{
    struct buf b;
    buf_init(&b, 2 * HTTP_TOKEN_BYTES);
    bool good = base64_decode(str_from(auth), &b);
    const char *colon = good ? strchr(buf_z(&b), ':') : NULL;
    good = colon && strlen(buf_z(&b)) == b.n && http_token_equal(colon + 1, token);
    buf_deinit(&b);
    return good;
}

static enum err_code check_token(struct http_request *rq, struct err *e)
{
    const char *auth = http_header(rq, "Authorization");
    const char *cookie =
        MHD_lookup_connection_value(rq->connection, MHD_COOKIE_KIND, "veetance_token");
    const char *token = rq->core->token;
    if (!token[0])
        return ERR_OK;
    if (auth && strncasecmp(auth, "Bearer ", 7) == 0 && http_token_equal(auth + 7, token))
        return ERR_OK;
    if (auth && strncasecmp(auth, "Basic ", 6) == 0 && token_as_password(auth + 6, token))
        return ERR_OK;
    if ((cookie && http_token_equal(cookie, token)) || token_in_address(rq))
        return ERR_OK;
    return http_refuse(rq, 401, "Authorization", e,
                       "this server wants its token: Authorization: Bearer ..., or as the password "
                       "of Basic");
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

/* Every browser of the last years says so itself when a page sends a request that may change something. */
static bool is_of_page(const struct http_request *rq)
{
    static const char *const signs[] = {"Origin",         "Referer",        "Sec-Fetch-Site",
                                        "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (http_header(rq, signs[i]))
            return true;
    return false;
}

/* A page can send a POST unasked, but not with a header of its own. Basic is no such header: browsers add it. */
static bool has_own_header(const struct http_request *rq)
{
    const char *auth = http_header(rq, "Authorization");
    return http_header(rq, "X-Veetance") || http_header(rq, "X-Requested-With") ||
           (auth && strncasecmp(auth, "Bearer ", 7) == 0);
}

static enum err_code check_intent(struct http_request *rq, struct err *e)
{
    if (rq->method == HTTP_GET || rq->method == HTTP_METHODS ||
        !is_simple(http_header(rq, "Content-Type")) || has_own_header(rq))
        return ERR_OK;
    if (!http_has_body(rq) && !is_of_page(rq))
        return ERR_OK;
    return http_refuse(rq, 403, "X-Veetance", e,
                       "a request of this content type needs a header that no foreign page can "
                       "send: X-Veetance: 1");
}

enum err_code http_guard(struct http_request *rq, struct err *e)
{
    const char *host = http_header(rq, "Host");
    if (!http_host_allowed(rq->core, rq->host) || (host && !http_host_allowed(rq->core, host)))
        return http_refuse(rq, rq->host ? 421 : 400, "Host", e,
                           "this server does not answer to that Host");
    TRY(check_origin(rq, e));
    if (!(rq->is_options))
        TRY(check_intent(rq, e));
    return ERR_OK;
}

enum err_code http_guard_token(struct http_request *rq, struct err *e)
{
    if (!rq->route || !(rq->route->flags & HTTP_OPEN))
        return check_token(rq, e);
    if (rq->core->token[0])
        (void)token_in_address(rq);
    return ERR_OK;
}

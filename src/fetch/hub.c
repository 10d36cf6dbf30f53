/* hub.c - questions to the hub; see hub.h.
 *
 * A HEAD request is asked first. A server that answers it without a size, and storage hosts, whose links may be
 * good for GET only, get a GET of one byte. Redirects are followed by hand: each target is checked (https unless
 * the user named an http hub), and hub_prepare gives the token only to the hub's own origin. Failures are retried
 * as words.c advises. What the server sends is kept as printable ASCII.
 */
#include "fetch/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "fetch/words.h"

enum { MAX_HOPS = 8 };

/* ---- requests in general -------------------------------------------------------------------------------- */

const char *hub_host(const char *url, char out[256])
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    (void)snprintf(out, 256, "%.*s", n > 250 ? 250 : (int)n, host);
    return out;
}

void hub_header(CURL *easy, const char *name, char *out, size_t out_size)
{
    struct curl_header *h = NULL;
    out[0] = 0;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK || !h)
        return;
    /* Kept as text for messages and the record: nothing that could move a terminal's cursor. */
    size_t n = 0;
    for (const char *p = h->value; *p && n + 1 < out_size; p++)
        out[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
    out[n] = 0;
}

void hub_etag(CURL *easy, const char *name, char out[HUB_ETAG_BYTES])
{
    char raw[HUB_ETAG_BYTES];
    hub_header(easy, name, raw, sizeof raw);
    const char *p = strncmp(raw, "W/", 2) == 0 ? raw + 2 : raw;
    size_t n = strlen(p);
    if (n >= 2 && p[0] == '"' && p[n - 1] == '"') {
        p++;
        n -= 2;
    }
    (void)snprintf(out, HUB_ETAG_BYTES, "%.*s", (int)n, p);
}

void hub_page(const struct hub *h, const struct catalogue_source *s, char *out, size_t out_size)
{
    (void)snprintf(out, out_size, "%s/%s", h->base, s->repo);
    if (s->page)
        (void)snprintf(out, out_size, "%s", s->page);
}

enum err_code hub_check_url(const struct hub *h, const char *url, struct err *e)
{
    char origin[ORIGIN_BYTES];
    if (url_origin(url, origin, NULL) != ERR_OK)
        return err_set(e, ERR_IO, "%s redirects to '%.100s', which is no https address", h->base,
                       url);
    if (strncmp(origin, "https://", 8) != 0 && !h->allow_http)
        return err_set(e, ERR_IO, "%s redirects to plain http (%.100s), which is refused", h->base,
                       origin);
    return ERR_OK;
}

enum err_code hub_prepare(struct hub *h, CURL *easy, const char *url, struct err *e)
{
    char origin[ORIGIN_BYTES];
    const char *ca = getenv("SSL_CERT_FILE");
    enum err_code rc = hub_check_url(h, url, e);
    if (rc != ERR_OK || (rc = url_origin(url, origin, e)) != ERR_OK)
        return rc;
    curl_easy_reset(easy);
    bool token = h->with_token && strcmp(origin, h->token.origin) == 0;
    CURLcode c = curl_easy_setopt(easy, CURLOPT_URL, url);
    if (c == CURLE_OK)
        c = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, token ? h->with_token : h->without_token);
    if (c == CURLE_OK)
        c = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, h->allow_http ? "http,https" : "https");
    if (c == CURLE_OK && ca && *ca)
        c = curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    if (c != CURLE_OK)
        return err_set(e, ERR_INTERNAL, "libcurl refuses an option: %s", curl_easy_strerror(c));
    /* Redirects are ours to follow; a header for the hub must not reach a proxy. */
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "veetance-fetch/" VT_VERSION);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30L);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 512L);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, 30L);
    return ERR_OK;
}

static enum err_code make_headers(struct hub *h, struct err *e)
{
    /* Compressed answers would have no size to compare. */
    h->without_token = curl_slist_append(NULL, "Accept-Encoding: identity");
    if (!h->without_token)
        return err_set(e, ERR_NOMEM, "no memory for a request");
    if (!h->token.secret[0])
        return ERR_OK;
    char line[TOKEN_BYTES + 40];
    (void)snprintf(line, sizeof line, "Authorization: Bearer %s", h->token.secret);
    h->with_token = curl_slist_append(NULL, "Accept-Encoding: identity");
    struct curl_slist *more = h->with_token ? curl_slist_append(h->with_token, line) : NULL;
    token_wipe(line, sizeof line);
    return more ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a request");
}

enum err_code hub_init(struct hub *h, const char *base, struct err *e)
{
    *h = (struct hub){.tries = 8};
    int n = snprintf(h->base, sizeof h->base, "%s", base);
    enum err_code rc = n > 0 && (size_t)n < sizeof h->base
                           ? url_origin(base, h->origin, e)
                           : err_set(e, ERR_ARG, "the hub's address is empty or too long");
    if (rc != ERR_OK)
        return rc;
    while (n > 0 && h->base[n - 1] == '/')
        h->base[--n] = 0;
    h->allow_http = strncmp(h->origin, "https://", 8) != 0;
    if ((rc = token_find(h->origin, &h->token, e)) != ERR_OK)
        return rc;
    /* Over plain http a token is for anybody to read who is in between. */
    if (h->allow_http && !url_is_loopback(base))
        token_wipe(h->token.secret, sizeof h->token.secret);
    if ((rc = make_headers(h, e)) != ERR_OK)
        return rc;
    h->easy = curl_easy_init();
    return h->easy ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a connection");
}

void hub_deinit(struct hub *h)
{
    if (h->easy)
        curl_easy_cleanup(h->easy);
    for (struct curl_slist *l = h->with_token; l; l = l->next)
        token_wipe(l->data, strlen(l->data));
    curl_slist_free_all(h->with_token);
    curl_slist_free_all(h->without_token);
    token_wipe(h, sizeof *h);
}

/* ---- one question ----------------------------------------------------------------------------------------- */

static size_t swallow(char *p, size_t size, size_t n, void *user)
{
    (void)p;
    (void)user;
    return size * n;
}

/* A probe wants the headers only: the first byte of a body that is longer than asked for ends it. */
static size_t refuse_body(char *p, size_t size, size_t n, void *user)
{
    (void)p;
    (void)user;
    return size * n <= 1 ? size * n : 0;
}

static int watch(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct hub *h = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return h->stop && atomic_load(h->stop);
}

struct question {
    const struct catalogue_source *source;
    const char *path;
    bool probe; /* GET of one byte where HEAD tells too little */
    char what[700];
};

static enum err_code ask_once(struct hub *h, const struct question *q, const char *url,
                              long *status, enum words_advice *advice, struct err *e)
{
    char detail[CURL_ERROR_SIZE] = "", host[256];
    *advice = WORDS_GIVE_UP;
    *status = 0;
    TRY(hub_prepare(h, h->easy, url, e));
    (void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, detail);
    (void)curl_easy_setopt(h->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(h->easy, CURLOPT_XFERINFOFUNCTION, watch);
    (void)curl_easy_setopt(h->easy, CURLOPT_XFERINFODATA, h);
    (void)curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, q->probe ? refuse_body : swallow);
    (void)curl_easy_setopt(h->easy, CURLOPT_TIMEOUT, 60L);
    if (q->probe)
        (void)curl_easy_setopt(h->easy, CURLOPT_RANGE, "0-0");
    else
        (void)curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
    CURLcode c = curl_easy_perform(h->easy);
    (void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, status);
    if (c == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, ERR_CANCELLED, "stopped");
    if (c == CURLE_OK || (c == CURLE_WRITE_ERROR && q->probe && *status > 0))
        return ERR_OK;
    *advice = words_for_transfer(c, detail, hub_host(url, host), e);
    return err_note(e, "%s", q->what);
}

double hub_wait_s(CURL *easy)
{
    char text[200];
    curl_off_t after = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &after);
    if (after > 0)
        return (double)after;
    hub_header(easy, "RateLimit", text, sizeof text);
    return words_wait_s(text);
}

static enum err_code judge(struct hub *h, const struct question *q, const char *url, long status,
                           enum words_advice *advice, double *wait, struct err *e)
{
    char code[64], message[200], page[1200], origin[ORIGIN_BYTES] = "";
    if (status < 400)
        return ERR_OK;
    hub_header(h->easy, "X-Error-Code", code, sizeof code);
    hub_header(h->easy, "X-Error-Message", message, sizeof message);
    hub_page(h, q->source, page, sizeof page);
    TRY(url_origin(url, origin, e));
    *wait = hub_wait_s(h->easy);
    struct words_http w = {.status = status,
                           .code = code,
                           .message = message,
                           .what = q->what,
                           .page = page,
                           .hub = h->base,
                           .had_token = h->with_token != NULL,
                           .from_elsewhere = strcmp(origin, h->origin) != 0,
                           .retry_after_s = *wait};
    struct err local = {0};
    *advice = words_for_status(&w, e ? e : &local);
    return e ? e->code : local.code;
}

/* Until there is an answer below 400, or no hope. */
static enum err_code ask(struct hub *h, const struct question *q, const char *url, long *status,
                         struct err *e)
{
    struct retry retry = {0};
    for (;;) {
        enum words_advice advice;
        double asked = 0;
        enum err_code rc = ask_once(h, q, url, status, &advice, e);
        if (rc == ERR_OK)
            rc = judge(h, q, url, *status, &advice, &asked, e);
        if (rc == ERR_OK || rc == ERR_CANCELLED || advice == WORDS_GIVE_UP ||
            retry.failures + 1 >= h->tries)
            return rc;
        double wait = retry_next_s(&retry, asked);
        if (h->note && e) {
            char text[640];
            (void)snprintf(text, sizeof text, "trying again in %.1f s: %s", wait, e->text);
            h->note(text, h->user);
        }
        if (!retry_sleep(wait, h->stop))
            return err_set(e, ERR_CANCELLED, "stopped");
    }
}

/* ---- what the answer says --------------------------------------------------------------------------------- */

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* "bytes 0-0/123" or a length. */
static bool read_size(CURL *easy, long status, uint64_t *out)
{
    char text[100];
    hub_header(easy, "Content-Range", text, sizeof text);
    const char *slash = strchr(text, '/');
    if (status == 206)
        return slash && str_to_u64(str_from(slash + 1), out);
    hub_header(easy, "Content-Length", text, sizeof text);
    return str_to_u64(str_from(text), out);
}

/* What the hub's own headers tell, on a redirect or on the file. *sized: the size is known. */
static void read_hub_headers(CURL *easy, struct hub_file *f, bool *sized)
{
    char text[100], commit[65];
    hub_header(easy, "X-Repo-Commit", commit, sizeof commit);
    if (is_hex(commit, 40) || is_hex(commit, 64))
        memcpy(f->commit, commit, sizeof commit);
    hub_header(easy, "X-Linked-Size", text, sizeof text);
    if (str_to_u64(str_from(text), &f->size))
        *sized = true;
    hub_etag(easy, "X-Linked-ETag", f->etag);
    if (is_hex(f->etag, 64)) {
        f->sum = HUB_SUM_SHA256;
        memcpy(f->sum_hex, f->etag, 65);
    }
}

/* A plain ETag: only a hub's is a sum, anybody else's is just a name. */
static void read_etag(CURL *easy, struct hub_file *f)
{
    if (f->sum != HUB_SUM_NONE)
        return;
    if (!f->etag[0])
        hub_etag(easy, "ETag", f->etag);
    if (!f->commit[0])
        return;
    f->sum = is_hex(f->etag, 64)   ? HUB_SUM_SHA256
             : is_hex(f->etag, 40) ? HUB_SUM_GIT
                                   : HUB_SUM_NONE;
    if (f->sum != HUB_SUM_NONE)
        (void)snprintf(f->sum_hex, sizeof f->sum_hex, "%.64s", f->etag);
}

static enum err_code file_url(const struct hub *h, const struct catalogue_source *s,
                              const char *path, char out[HUB_URL_BYTES], struct err *e)
{
    struct buf b;
    buf_init(&b, HUB_URL_BYTES - 1);
    buf_printf(&b, "%s/%s/resolve/%s/", h->base, s->repo, s->revision);
    for (const char *p = path; *p; p++) {
        if (strchr("/-._~", *p) || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
            (*p >= 'A' && *p <= 'Z'))
            buf_add_byte(&b, (unsigned char)*p);
        else
            buf_printf(&b, "%%%02X", (unsigned char)*p);
    }
    enum err_code rc = ERR_OK;
    if (buf_failed(&b))
        rc = err_set(e, ERR_LIMIT, "the address of '%s' is too long", path);
    else
        memcpy(out, buf_z(&b), b.n + 1);
    buf_deinit(&b);
    return rc;
}

/* Where a redirect leads, made absolute; checked before it is used. */
static enum err_code read_location(struct hub *h, const struct question *q, char url[HUB_URL_BYTES],
                                   struct err *e)
{
    char *to = NULL;
    (void)curl_easy_getinfo(h->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to || strlen(to) >= HUB_URL_BYTES)
        return err_set(e, ERR_IO, "%s: the server redirects without a usable address", q->what);
    TRY(hub_check_url(h, to, e));
    memcpy(url, to, strlen(to) + 1);
    return ERR_OK;
}

enum err_code hub_resolve(struct hub *h, const struct catalogue_source *source, const char *path,
                          struct hub_file *out, struct err *e)
{
    struct question q = {.source = source, .path = path};
    char origin[ORIGIN_BYTES];
    bool sized = false;
    *out = (struct hub_file){0};
    (void)snprintf(q.what, sizeof q.what, "%s: %s", source->repo, path);
    enum err_code rc = file_url(h, source, path, out->url, e);
    for (int hop = 0; rc == ERR_OK && hop < MAX_HOPS; hop++) {
        long status = 0;
        rc = url_origin(out->url, origin, e);
        out->elsewhere = strcmp(origin, h->origin) != 0;
        /* A storage host's link may be good for GET only. */
        q.probe = q.probe || out->elsewhere;
        if (rc == ERR_OK)
            rc = ask(h, &q, out->url, &status, e);
        if (rc != ERR_OK)
            return rc;
        if (!out->elsewhere && out->sum == HUB_SUM_NONE)
            read_hub_headers(h->easy, out, &sized);
        if (status < 300) {
            read_etag(h->easy, out);
            if (sized || read_size(h->easy, status, &out->size))
                return ERR_OK;
            if (q.probe)
                return err_set(e, ERR_IO, "%s: the server does not tell the file's size", q.what);
            q.probe = true;
            continue;
        }
        rc = read_location(h, &q, out->url, e);
        if (rc == ERR_OK && sized && url_origin(out->url, origin, e) == ERR_OK &&
            strcmp(origin, h->origin) != 0) {
            out->elsewhere = true;
            return ERR_OK;
        }
    }
    return rc != ERR_OK ? rc : err_set(e, ERR_IO, "%s: too many redirects", q.what);
}

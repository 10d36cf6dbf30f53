/* hub.h - asking a hub where a file is and what it is, before its bytes are fetched.
 *
 *     HEAD BASE/REPO/resolve/REVISION/PATH
 *
 * answers with the file itself (small ones) or a redirect to a storage host (large ones), and with
 *
 *     X-Repo-Commit   the commit that the revision means now
 *     X-Linked-Size   the size, X-Linked-ETag the SHA-256, of a file in large-file storage
 *     ETag            else: the name that git gives to the contents (40 digits)
 *     X-Error-Code    GatedRepo, RepoNotFound, EntryNotFound, RevisionNotFound
 *
 * Redirects are followed here, one by one, and never by libcurl: that is how the token stays with the hub. A
 * server without any of these headers (a plain mirror) is fine as long as it tells a size.
 *
 * One struct hub belongs to one thread. */
#ifndef VT_FETCH_HUB_H
#define VT_FETCH_HUB_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "fetch/catalogue.h"
#include "fetch/token.h"

enum { HUB_URL_BYTES = 4096, HUB_ETAG_BYTES = 200 };

typedef void (*hub_note_fn)(const char *text, void *user);

struct hub {
    char base[HUB_URL_BYTES / 8]; /* without a slash at the end */
    char origin[ORIGIN_BYTES];
    bool allow_http; /* the person named an http address */
    struct token token;
    int tries;               /* how often a request may fail in a row */
    const atomic_bool *stop; /* NULL: never */
    hub_note_fn note;        /* "trying again in 2 s: ..."; NULL: silence */
    void *user;
    CURL *easy;
    struct curl_slist *with_token, *without_token;
};

enum hub_sum { HUB_SUM_NONE, HUB_SUM_SHA256, HUB_SUM_GIT };

/* What a file is and where its bytes are now. */
struct hub_file {
    char url[HUB_URL_BYTES];
    bool elsewhere; /* not at the hub: a link that may expire */
    uint64_t size;
    enum hub_sum sum;
    char sum_hex[65];
    char etag[HUB_ETAG_BYTES]; /* without quotes */
    char commit[65];           /* "" unless the hub said it */
};

/* base: an address, checked. tries etc. may be changed afterwards. Caller: hub_deinit. */
ERR_MUST_CHECK enum err_code hub_init(struct hub *h, const char *base, struct err *e);
void hub_deinit(struct hub *h);

/* Asks, with retries. ERR_NOTFOUND when the repository has no such file, ERR_CANCELLED when *stop was set. */
ERR_MUST_CHECK enum err_code hub_resolve(struct hub *h, const struct catalogue_source *source,
                                         const char *path, struct hub_file *out, struct err *e);

/* Options that every request has: protocols, time-outs, headers with the token only for the hub's origin. */
ERR_MUST_CHECK enum err_code hub_prepare(struct hub *h, CURL *easy, const char *url, struct err *e);
/* May url be asked at all? Plain http only where the person named an http address. */
ERR_MUST_CHECK enum err_code hub_check_url(const struct hub *h, const char *url, struct err *e);
/* Seconds that the answer asks to wait, by Retry-After or RateLimit; 0 when it does not. */
double hub_wait_s(CURL *easy);
/* The value of an answer's header into out; "" without it. Works in callbacks, too. */
void hub_header(CURL *easy, const char *name, char *out, size_t out_size);
/* An ETag's value without W/ and quotes. */
void hub_etag(CURL *easy, const char *name, char out[HUB_ETAG_BYTES]);
/* "huggingface.co" of an address, for messages. */
const char *hub_host(const char *url, char out[256]);
/* The page where access to a source is asked for. */
void hub_page(const struct hub *h, const struct catalogue_source *s, char *out, size_t out_size);

#endif

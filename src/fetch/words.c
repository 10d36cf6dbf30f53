/* words.c - libcurl's codes and HTTP statuses as messages that say what to do, and whether to try again; see
 * words.h.
 *
 * The rule: what another attempt may change (a broken connection, a server error, "too many requests") is tried
 * again; what only the user can change (access, a token, a certificate, a wrong name) is not.
 */
#include "fetch/words.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum words_advice words_for_transfer(CURLcode code, const char *detail, const char *host,
                                     struct err *e)
{
    const char *why = detail && *detail ? detail : curl_easy_strerror(code);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        err_set_text(e, ERR_IO, "no address is known for %s: is this machine online? (%s)", host,
                     why);
        return WORDS_TRY_AGAIN;
    case CURLE_COULDNT_RESOLVE_PROXY:
        err_set_text(e, ERR_IO, "the proxy named by https_proxy or all_proxy is not found (%s)",
                     why);
        return WORDS_GIVE_UP;
    case CURLE_COULDNT_CONNECT:
        err_set_text(e, ERR_IO, "%s cannot be reached (%s)", host, why);
        return WORDS_TRY_AGAIN;
    case CURLE_OPERATION_TIMEDOUT:
        err_set_text(e, ERR_IO, "%s stopped answering (%s)", host, why);
        return WORDS_TRY_AGAIN;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        err_set_text(e, ERR_IO, "the connection to %s broke (%s)", host, why);
        return WORDS_TRY_AGAIN;
    case CURLE_SSL_CONNECT_ERROR:
        err_set_text(
            e, ERR_IO,
            "no secure (TLS) connection with %s: %s; is there a proxy in between, or is it "
            "plain http?",
            host, why);
        return WORDS_GIVE_UP;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        err_set_text(e, ERR_IO,
                     "the TLS certificate of %s is not trusted: %s; behind a company's proxy, name "
                     "its certificates with SSL_CERT_FILE; is the clock right?",
                     host, why);
        return WORDS_GIVE_UP;
    case CURLE_UNSUPPORTED_PROTOCOL:
        err_set_text(e, ERR_IO, "%s uses a protocol that is not allowed (%s)", host, why);
        return WORDS_GIVE_UP;
    case CURLE_OUT_OF_MEMORY:
        err_set_text(e, ERR_NOMEM, "no memory for a connection to %s", host);
        return WORDS_GIVE_UP;
    default:
        err_set_text(e, ERR_IO, "the transfer from %s failed (%s)", host, why);
        return WORDS_TRY_AGAIN;
    }
}

static bool code_is(const struct words_http *h, const char *code)
{
    return strcmp(h->code, code) == 0;
}

/* The hub's own reason, behind ours. */
static void add_reason(const struct words_http *h, struct err *e)
{
    size_t n = strlen(e->text);
    if (*h->message && n < sizeof e->text)
        (void)snprintf(e->text + n, sizeof e->text - n, " (the hub says: %.160s)", h->message);
}

static void words_for_refusal(const struct words_http *h, struct err *e)
{
    bool gated = code_is(h, "GatedRepo") || h->status == 403;
    if (h->status == 403 && h->had_token && strstr(h->message, "fine-grained"))
        err_set_text(e, ERR_IO,
                     "%s: your token may not read gated repositories (403): switch on \"access to "
                     "public gated repositories\" for it at %s/settings/tokens, then run the same "
                     "command again",
                     h->what, h->hub);
    else if (h->status == 403 && h->had_token && gated)
        err_set_text(
            e, ERR_IO,
            "%s: access is not granted (403): visit %s with the account of your token, agree "
            "to its terms, then run the same command again",
            h->what, h->page);
    else if (gated && h->had_token)
        err_set_text(e, ERR_IO,
                     "%s: this repository is gated (%ld), and the token is not valid (it may have "
                     "expired): make one at %s/settings/tokens, then `veetance-fetch login`; its "
                     "terms are at %s",
                     h->what, h->status, h->hub, h->page);
    else if (gated)
        err_set_text(e, ERR_IO,
                     "%s: this repository is gated (%ld): visit %s and agree to its terms, make a "
                     "token at %s/settings/tokens, then `veetance-fetch login`",
                     h->what, h->status, h->page, h->hub);
    else if (h->had_token)
        err_set_text(
            e, ERR_IO,
            "%s: the token is not accepted (401): it may have expired or lack the right to "
            "read; make one at %s/settings/tokens, then `veetance-fetch login`",
            h->what, h->hub);
    else
        err_set_text(
            e, ERR_IO,
            "%s: you must be signed in (401), or there is no such repository: make a token "
            "at %s/settings/tokens, then `veetance-fetch login`",
            h->what, h->hub);
    add_reason(h, e);
}

double words_wait_s(const char *rate_limit)
{
    const char *left = strstr(rate_limit, ";r="), *wait = strstr(rate_limit, ";t=");
    if (!left || !wait || strtol(left + 3, NULL, 10) != 0)
        return 0;
    long s = strtol(wait + 3, NULL, 10);
    return s > 0 ? (double)s : 0;
}

enum words_advice words_for_status(const struct words_http *h, struct err *e)
{
    const char *more = h->message;
    switch (h->status) {
    case 401:
    case 403:
        if (h->from_elsewhere)
            err_set_text(
                e, ERR_IO,
                "%s: the link that the hub gave is refused (%ld), also after asking for a new "
                "one",
                h->what, h->status);
        else
            words_for_refusal(h, e);
        return WORDS_GIVE_UP;
    case 404:
    case 410:
        err_set_text(e, ERR_NOTFOUND, "%s: %s (%ld)%s%.120s", h->what,
                     code_is(h, "RepoNotFound")       ? "the hub has no such repository"
                     : code_is(h, "RevisionNotFound") ? "the repository has no such revision"
                                                      : "the repository has no such file",
                     h->status, *more ? ": " : "", more);
        return WORDS_GIVE_UP;
    case 416:
        err_set_text(
            e, ERR_FORMAT,
            "%s: the server has no such part of the file (416): it is shorter than what the "
            "hub announced",
            h->what);
        return WORDS_GIVE_UP;
    case 429:
        err_set_text(
            e, ERR_BUSY,
            "%s: too many requests (429); the server asks to wait %.0f s, then run the same "
            "command again",
            h->what, h->retry_after_s > 0 ? h->retry_after_s : 60);
        return h->retry_after_s > 300 ? WORDS_GIVE_UP : WORDS_TRY_AGAIN;
    case 408:
    case 425:
        err_set_text(e, ERR_BUSY, "%s: the server asks to try again (%ld)", h->what, h->status);
        return WORDS_TRY_AGAIN;
    default:
        err_set_text(e, h->status >= 500 ? ERR_BUSY : ERR_IO, "%s: the server answers %ld%s%.120s",
                     h->what, h->status, *more ? ": " : "", more);
        return h->status >= 500 ? WORDS_TRY_AGAIN : WORDS_GIVE_UP;
    }
}

/* ---- trying again ---------------------------------------------------------------------------- */

/* splitmix64: spreading needs no more. */
static double random_unit(uint64_t *seed)
{
    if (*seed == 0)
        *seed = (uint64_t)clock_ns() ^ (uint64_t)(uintptr_t)seed;
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / (double)(UINT64_C(1) << 53);
}

double retry_next_s(struct retry *r, double asked_s)
{
    double base = 0.125;
    for (int i = 0; i < r->failures && base < 30; i++)
        base *= 2;
    if (base > 30)
        base = 30;
    r->failures++;
    double wait = base * (0.5 + 0.5 * random_unit(&r->seed));
    return asked_s > 0 ? asked_s + 0.25 * random_unit(&r->seed) : wait;
}

bool retry_sleep(double seconds, const atomic_bool *stop)
{
    double end = clock_s() + seconds;
    for (;;) {
        double left = end - clock_s();
        if (stop && atomic_load(stop))
            return false;
        if (left <= 0)
            return true;
        (void)poll(NULL, 0, left > 0.1 ? 100 : (int)(left * 1000) + 1);
    }
}

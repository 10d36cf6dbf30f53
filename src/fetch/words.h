/* words.h - what went wrong on the network, in words a person can act on, and whether trying again helps. */
#ifndef VT_FETCH_WORDS_H
#define VT_FETCH_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"

enum words_advice {
    WORDS_GIVE_UP,   /* the same request fails the same way */
    WORDS_TRY_AGAIN, /* later */
};

/* A request that got no whole answer. detail: libcurl's own text, may be "". host: who was asked. */
enum words_advice words_for_transfer(CURLcode code, const char *detail, const char *host,
                                     struct err *e);

struct words_http {
    long status;
    const char *code;    /* X-Error-Code, "" without one */
    const char *message; /* X-Error-Message, "" without one */
    const char *what;    /* "black-forest-labs/FLUX.2-klein-9B: vae/config.json" */
    const char *page;    /* where access is asked for */
    const char *hub;     /* "https://huggingface.co" */
    bool had_token;
    bool from_elsewhere; /* the hub had redirected us to another host */
    double retry_after_s;
};

/* Seconds to wait by the hub's RateLimit header, `"resolvers";r=0;t=172` (none left, for so long); 0 when it asks for
 * none. */
double words_wait_s(const char *rate_limit);

/* An answer that is not the file. */
enum words_advice words_for_status(const struct words_http *h, struct err *e);

/* ---- trying again ---------------------------------------------------------------------------- */

/* How long to wait before trying again: doubling from an eighth of a second to thirty, spread at random so
 * that many clients do not come back at once; what a server asks for (Retry-After) counts more. */

enum { RETRY_LONGEST_ASKED_S = 300 };

struct retry {
    int failures; /* in a row */
    uint64_t seed;
};

/* The seconds to wait after one more failure; asked_s: the server's wish, 0 for none. */
double retry_next_s(struct retry *r, double asked_s);

/* Sleeps, looking at *stop (NULL: never) ten times a second; false when it was set. */
bool retry_sleep(double seconds, const atomic_bool *stop);

#endif

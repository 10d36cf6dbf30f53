/* retry.h - how long to wait before trying again: doubling from an eighth of a second to thirty, spread at random so
 * that many clients do not come back at once; what a server asks for (Retry-After) counts more. */
#ifndef VT_FETCH_RETRY_H
#define VT_FETCH_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

#include "fetch/retry.h"

#include <poll.h>

#include "base/clock.h"

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

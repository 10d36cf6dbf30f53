/* forecast.h - what the network would say next, from what it said last: passes that would tell nothing new are left out.
 *
 * The velocity along a trajectory changes slowly. A forecast is the straight line in sigma through the last two values
 * that were really computed. Each value that is computed also tells how wrong the forecast of it would have been; while
 * that stays under a tolerance, one more value after another is left out before the next is computed. So nothing is
 * assumed of a model: where its velocity bends, every pass runs. (The multistep methods for ODEs do the same, Hairer,
 * Noersett, Wanner, "Solving Ordinary Differential Equations I", III.5; TeaCache and FBCache decide by the first block.)
 */
#ifndef VT_SAMPLE_FORECAST_H
#define VT_SAMPLE_FORECAST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct forecast_rule {
    double tolerance; /* of a forecast: |forecast - value| / scale; 0: nothing is left out */
    int most;         /* values left out in a row */
};

struct forecast {
    struct forecast_rule rule;
    size_t n;
    float *last, *before;      /* [n] each: the last two values that were computed */
    double at_last, at_before; /* their sigmas */
    int known;                 /* of the two */
    int allowed, left_out;     /* in a row: may be, and are */
};

/* Memory only where the rule leaves something out. */
ERR_MUST_CHECK enum err_code forecast_init(struct forecast *f, struct forecast_rule rule, size_t n,
                                           struct err *e);
void forecast_free(struct forecast *f);

/* Whether the next value may be left out; forecast_make makes it then. */
bool forecast_serves(const struct forecast *f);
void forecast_make(struct forecast *f, double sigma, float *out);

/* A value that was computed: [n] of value - less (less may be NULL), whose error counts against the length of `scale`
 * [n]. Sigmas fall from call to call. */
void forecast_learn(struct forecast *f, double sigma, const float *value, const float *less,
                    const float *scale);

#endif

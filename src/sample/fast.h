/* fast.h - a run that leaves out what it can predict: whole steps, and the negative pass of guidance.
 *
 * Two things are forecast (forecast.h): the velocity, which saves a step all its passes, and the push of guidance
 * (positive less negative), which saves the negative pass of a step whose positive one runs. In each step, a run asks
 *
 *     if (!fast_step(f, i, velocity)) {
 *         run the positive pass
 *         if (guided && !fast_negative(f, i, pos, neg)) {
 *             run the negative pass
 *             fast_learn_push(f, i, pos, neg)
 *         }
 *         combine them to the velocity
 *         fast_learn(f, i, velocity)
 *     }
 *
 * The first three steps and the last always run whole: FAST_WHOLE_STEPS. Level 0 leaves nothing out. */
#ifndef VT_SAMPLE_FAST_H
#define VT_SAMPLE_FAST_H

#include "sample/forecast.h"

enum { FAST_LEVELS = 3, FAST_WHOLE_STEPS = 4 };

struct fast_run {
    int level;           /* 0 to FAST_LEVELS */
    const float *sigmas; /* of the steps; the caller's, until fast_free */
    int end;             /* behind the last step */
    size_t n;            /* numbers of a velocity */
    bool guided;
};

struct fast {
    struct fast_run run;
    struct forecast velocity, push;
    int passes, left_out; /* that all steps so far have, and how many of them were not run */
};

/* fast_free also after a failure. */
ERR_MUST_CHECK enum err_code fast_init(struct fast *f, const struct fast_run *run, struct err *e);
void fast_free(struct fast *f);

/* Whether step i needs no pass: then velocity [n] is filled in. */
bool fast_step(struct fast *f, int i, float *velocity);

/* Whether step i, whose positive pass gave pos [n], needs no negative one: then neg [n] is filled in. */
bool fast_negative(struct fast *f, int i, const float *pos, float *neg);

/* What was computed in step i: both passes [n]; and the velocity [n] that came of them. */
void fast_learn_push(struct fast *f, int i, const float *pos, const float *neg);
void fast_learn(struct fast *f, int i, const float *velocity);

#endif

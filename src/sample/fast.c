/* fast.c - see fast.h. */
#include "sample/fast.h"

/* docs/layers.md says what they leave out and cost. The push's error counts as a part of the velocity it goes into, but
 * guidance multiplies it: its tolerance is the smaller one. */
static const struct {
    struct forecast_rule velocity, push;
} levels[FAST_LEVELS + 1] = {
    {{0, 0}, {0, 0}},
    {{0.01, 3}, {0.004, 6}},
    {{0.03, 8}, {0.012, 12}},
    {{0.1, 12}, {0.04, 16}},
};

enum err_code fast_init(struct fast *f, const struct fast_run *run, struct err *e)
{
    *f = (struct fast){.run = *run};
    TRY(forecast_init(&f->velocity, levels[run->level].velocity, run->n, e));
    return run->guided ? forecast_init(&f->push, levels[run->level].push, run->n, e) : ERR_OK;
}

void fast_free(struct fast *f)
{
    forecast_free(&f->velocity);
    forecast_free(&f->push);
}

static bool serves(const struct fast *f, const struct forecast *what, int i)
{
    return i + 1 < f->run.end && forecast_serves(what);
}

bool fast_step(struct fast *f, int i, float *velocity)
{
    int passes = f->run.guided ? 2 : 1;
    f->passes += passes;
    if (!serves(f, &f->velocity, i))
        return false;
    forecast_make(&f->velocity, (double)f->run.sigmas[i], velocity);
    f->left_out += passes;
    return true;
}

bool fast_negative(struct fast *f, int i, const float *pos, float *neg)
{
    if (!serves(f, &f->push, i))
        return false;
    forecast_make(&f->push, (double)f->run.sigmas[i], neg);
    for (size_t k = 0; k < f->run.n; k++)
        neg[k] = pos[k] - neg[k];
    f->left_out++;
    return true;
}

void fast_learn_push(struct fast *f, int i, const float *pos, const float *neg)
{
    forecast_learn(&f->push, (double)f->run.sigmas[i], pos, neg, pos);
}

void fast_learn(struct fast *f, int i, const float *velocity)
{
    forecast_learn(&f->velocity, (double)f->run.sigmas[i], velocity, NULL, velocity);
}

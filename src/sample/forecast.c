/* forecast.c - see forecast.h. */
#include "sample/forecast.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum err_code forecast_init(struct forecast *f, struct forecast_rule rule, size_t n, struct err *e)
{
    memset(f, 0, sizeof *f);
    f->rule = rule;
    f->n = n;
    if (rule.tolerance <= 0)
        return ERR_OK;
    f->last = mem_try_array(n, sizeof(float));
    f->before = mem_try_array(n, sizeof(float));
    if (!f->last || !f->before)
        return err_set(e, ERR_NOMEM, "no memory to forecast %zu values", n);
    return ERR_OK;
}

void forecast_free(struct forecast *f)
{
    mem_free(f->last);
    mem_free(f->before);
    f->last = f->before = NULL;
}

bool forecast_serves(const struct forecast *f)
{
    return f->left_out < f->allowed;
}

/* How far sigma lies beyond the last value, in steps from the one before to it. */
static float reach(const struct forecast *f, double sigma)
{
    return (float)((sigma - f->at_last) / (f->at_last - f->at_before));
}

void forecast_make(struct forecast *f, double sigma, float *out)
{
    float r = reach(f, sigma);
    for (size_t i = 0; i < f->n; i++)
        out[i] = f->last[i] + r * (f->last[i] - f->before[i]);
    f->left_out++;
}

static float value_at(const float *value, const float *less, size_t i)
{
    return less ? value[i] - less[i] : value[i];
}

/* How wrong the forecast of this value would have been. */
static double error_of(const struct forecast *f, double sigma, const float *value,
                       const float *less, const float *scale)
{
    float r = reach(f, sigma);
    double wrong = 0, length = 0;
    for (size_t i = 0; i < f->n; i++) {
        float d = f->last[i] + r * (f->last[i] - f->before[i]) - value_at(value, less, i);
        wrong += (double)d * (double)d;
        length += (double)scale[i] * (double)scale[i];
    }
    return length == 0 ? 0 : sqrt(wrong / length); /* zeros all through: a rehearsal's */
}

void forecast_learn(struct forecast *f, double sigma, const float *value, const float *less,
                    const float *scale)
{
    if (!f->last)
        return;
    if (f->known == 2) {
        bool good = error_of(f, sigma, value, less, scale) <= f->rule.tolerance;
        f->allowed = !good ? 0 : f->allowed < f->rule.most ? f->allowed + 1 : f->rule.most;
    }
    float *oldest = f->before;
    f->before = f->last;
    f->at_before = f->at_last;
    for (size_t i = 0; i < f->n; i++)
        oldest[i] = value_at(value, less, i);
    f->last = oldest;
    f->at_last = sigma;
    f->known = f->known < 2 ? f->known + 1 : 2;
    f->left_out = 0;
}

/* schedule.c - noise levels in the reference's float32.
 *
 * The reference makes the even grid in float64, rounds it once to float32 and goes on in float32
 * arrays with scalars that are float64 until they meet the array. Every intermediate below is
 * therefore a float variable of its own: one rounding each, and no compiler may fuse two of them.
 */
#include "sample/schedule.h"

#include <math.h>

struct schedule_config schedule_config_defaults(void)
{
    return (struct schedule_config){
        .num_train_timesteps = 1000,
        .shift = 1.0,
        .use_dynamic_shifting = false,
        .base_shift = 0.5,
        .max_shift = 1.15,
        .base_image_seq_len = 256,
        .max_image_seq_len = 4096,
        .shift_terminal = 0.0,
        .time_shift_type = SCHEDULE_SHIFT_EXPONENTIAL,
    };
}

static float grid_level(enum schedule_grid grid, int i, int n)
{
    if (grid == SCHEDULE_GRID_LAYERED) {
        double step = -1.0 / n;
        double offset = i * step;
        return (float)(offset + 1.0);
    }
    double stop = 1.0 / n;
    if (n == 1 || i == n - 1)
        return (float)stop; /* the end point is exact; for one step it is also the start */
    double step = (stop - 1.0) / (n - 1);
    double offset = i * step;
    return (float)(offset + 1.0);
}

static float shift_dynamic(float level, float weight)
{
    float inverse = 1.0f / level;
    float odds = inverse - 1.0f;
    float sum = weight + odds;
    return weight / sum;
}

static float shift_static(float level, double shift)
{
    float factor = (float)shift;
    float factor_less_one = (float)(shift - 1.0);
    float above = factor * level;
    float scaled = factor_less_one * level;
    float below = 1.0f + scaled;
    return above / below;
}

/* Stretches the levels so that the last one becomes `terminal`. */
static void stretch_to_terminal(float *sigmas, int n, double terminal)
{
    float last = 1.0f - sigmas[n - 1];
    float factor = last / (float)(1.0 - terminal);
    for (int i = 0; i < n; i++) {
        float z = 1.0f - sigmas[i];
        float stretched = z / factor;
        sigmas[i] = 1.0f - stretched;
    }
}

static enum err_code check_request(const struct schedule_config *cfg,
                                   const struct schedule_request *rq, struct err *e)
{
    if (rq->steps < 1 || rq->steps > SCHEDULE_MAX_STEPS)
        return err_set(e, ERR_ARG, "%d steps; expected 1 to %d", rq->steps, SCHEDULE_MAX_STEPS);
    if (cfg->shift_terminal != 0.0 && rq->steps == 1)
        return err_set(e, ERR_ARG, "1 step; this model's scheduler (shift_terminal %g) needs 2",
                       cfg->shift_terminal);
    if (cfg->num_train_timesteps < 1)
        return err_set(e, ERR_FORMAT, "scheduler: num_train_timesteps is %d; expected 1 or more",
                       cfg->num_train_timesteps);
    return ERR_OK;
}

enum err_code schedule_build(const struct schedule_config *cfg, const struct schedule_request *rq,
                             float *sigmas, float *timesteps, struct err *e)
{
    TRY(check_request(cfg, rq, e));
    int n = rq->steps;
    bool exponential = cfg->time_shift_type == SCHEDULE_SHIFT_EXPONENTIAL;
    float weight = (float)(exponential ? exp(rq->mu) : rq->mu);
    for (int i = 0; i < n; i++) {
        float level = grid_level(rq->grid, i, n);
        sigmas[i] = cfg->use_dynamic_shifting ? shift_dynamic(level, weight)
                                              : shift_static(level, cfg->shift);
    }
    if (cfg->shift_terminal != 0.0)
        stretch_to_terminal(sigmas, n, cfg->shift_terminal);
    for (int i = 0; i < n; i++) {
        if (!(sigmas[i] > 0.0f && sigmas[i] <= 1.0f))
            return err_set(e, ERR_FORMAT,
                           "scheduler: noise level %d of %d is %g; expected above 0, at most 1", i,
                           n, (double)sigmas[i]);
        timesteps[i] = sigmas[i] * (float)cfg->num_train_timesteps;
    }
    sigmas[n] = 0.0f;
    return ERR_OK;
}

double schedule_mu_klein(int64_t tokens, int steps)
{
    const double slope_10 = 8.73809524e-05, base_10 = 1.89833333; /* fitted at 10 steps */
    const double slope_200 = 0.00016927, base_200 = 0.45666666;   /* fitted at 200 steps */
    double offset_200 = slope_200 * (double)tokens;
    double mu_200 = offset_200 + base_200;
    if (tokens > 4300)
        return mu_200;
    double offset_10 = slope_10 * (double)tokens;
    double mu_10 = offset_10 + base_10;
    double slope = (mu_200 - mu_10) / 190.0;
    double rise_200 = 200.0 * slope;
    double base = mu_200 - rise_200;
    double rise = slope * steps;
    return rise + base;
}

double schedule_mu_layered(int64_t condition_tokens)
{
    return sqrt((double)condition_tokens / 256.0);
}

double schedule_mu_linear(const struct schedule_config *cfg, int64_t tokens)
{
    double span = (double)cfg->max_image_seq_len - (double)cfg->base_image_seq_len;
    double slope = (cfg->max_shift - cfg->base_shift) / span;
    double rise_base = slope * cfg->base_image_seq_len;
    double base = cfg->base_shift - rise_base;
    double rise = (double)tokens * slope;
    return rise + base;
}

void schedule_step(float *x, const float *v, size_t n, float sigma, float sigma_next)
{
    float dt = sigma_next - sigma;
    for (size_t i = 0; i < n; i++) {
        float move = dt * v[i];
        x[i] += move;
    }
}

void schedule_scale_noise(float *out, const float *x, const float *noise, size_t n, float sigma)
{
    float rest = 1.0f - sigma;
    for (size_t i = 0; i < n; i++) {
        float noisy = sigma * noise[i];
        float clean = rest * x[i];
        out[i] = noisy + clean;
    }
}

int schedule_start_step(int steps, double strength)
{
    double wanted = fmin(steps * strength, steps);
    return (int)fmax(steps - wanted, 0.0);
}

/* schedule.h - the noise levels of a run: flow matching with Euler steps.
 *
 * A run of n steps goes through n + 1 noise levels `sigmas`, from 1 (pure noise) down to a final 0
 * (the image). The evenly spaced levels are shifted towards noise, more for larger images
 * (`mu`), and step i moves the latents by (sigma[i+1] - sigma[i]) * v, where v is the network's output.
 *
 *     struct schedule_request rq = {SCHEDULE_GRID_KLEIN, steps, schedule_mu_klein(tokens, steps)};
 *     if ((rc = schedule_build(&cfg, &rq, sigmas, timesteps, e)) != ERR_OK) ...
 *     for (int i = 0; i < steps; i++) {
 *         ... v = network(x, schedule_network_time(timesteps[i])) ...
 *         schedule_step(x, v, n, sigmas[i], sigmas[i + 1]);
 *     }
 *
 * All arithmetic is float32 in the reference's order of operations, so the levels are the same to the
 * last bit. Pure functions, no state.
 */
#ifndef VT_SAMPLE_SCHEDULE_H
#define VT_SAMPLE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SCHEDULE_MAX_STEPS = 1000 };

enum schedule_shift {
    SCHEDULE_SHIFT_EXPONENTIAL, /* s = e^mu / (e^mu + (1/s - 1)) */
    SCHEDULE_SHIFT_LINEAR,      /* s = mu / (mu + (1/s - 1)) */
};

/* scheduler_config.json under its own names. base_shift .. max_image_seq_len are what other pipelines
 * derive mu from (schedule_mu_linear); klein and layered have formulas of their own. */
struct schedule_config {
    int num_train_timesteps;
    double shift; /* used only without dynamic shifting */
    bool use_dynamic_shifting;
    double base_shift;
    double max_shift;
    int base_image_seq_len;
    int max_image_seq_len;
    double shift_terminal; /* where the last level is stretched to; 0 = none */
    enum schedule_shift time_shift_type;
};

/* The reference's defaults for keys that a scheduler_config.json lacks. */
struct schedule_config schedule_config_defaults(void);

/* The evenly spaced levels before the shift. */
enum schedule_grid {
    SCHEDULE_GRID_KLEIN,   /* n levels from 1 to 1/n */
    SCHEDULE_GRID_LAYERED, /* n + 1 levels from 1 to 0, without the last */
};

struct schedule_request {
    enum schedule_grid grid;
    int steps;
    double mu; /* ignored without dynamic shifting */
};

/* sigmas: steps + 1 floats (the last is 0), timesteps: steps floats (sigma * num_train_timesteps).
 * ERR_ARG for a step count outside 1..SCHEDULE_MAX_STEPS, and where the reference would compute NaN
 * (one step with shift_terminal); ERR_FORMAT for a config that gives levels outside (0, 1]. */
ERR_MUST_CHECK enum err_code schedule_build(const struct schedule_config *cfg,
                                            const struct schedule_request *rq, float *sigmas,
                                            float *timesteps, struct err *e);

/* mu of klein: fitted by its makers to the number of tokens of the generated image and the steps. */
double schedule_mu_klein(int64_t tokens, int steps);
/* mu of layered: by the number of tokens of the condition image alone. */
double schedule_mu_layered(int64_t condition_tokens);
/* mu on the line from (base_image_seq_len, base_shift) to (max_image_seq_len, max_shift). */
double schedule_mu_linear(const struct schedule_config *cfg, int64_t tokens);

/* What the transformers take as time: timestep / 1000 in float32, which may differ from sigma in the
 * last bit. */
static inline float schedule_network_time(float timestep)
{
    return timestep / 1000.0f;
}

/* x += (sigma_next - sigma) * v, n elements. */
void schedule_step(float *x, const float *v, size_t n, float sigma, float sigma_next);

/* out = sigma * noise + (1 - sigma) * x, n elements: x as it would look at that noise level. out may
 * be x or noise. */
void schedule_scale_noise(float *out, const float *x, const float *noise, size_t n, float sigma);

/* First step of a run that starts from an image: 0 for strength 1, later for less. A result equal
 * to steps means that nothing is left to do (the reference refuses that). strength in [0, 1]. */
int schedule_start_step(int steps, double strength);

#endif

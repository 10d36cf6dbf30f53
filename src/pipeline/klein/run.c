/* run.c - a request to an image, step by step: prompts to embeddings, noise or a noised image to latents, the steps
 * of the transformer, and the decoder (decode.c). A run's numbers lie in struct klein_state. */
#include "pipeline/klein/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/floats.h"
#include "base/mem.h"
#include "pipeline/trace.h"
#include "sample/guidance.h"
#include "sample/rng.h"
#include "sample/schedule.h"

/* Asked before any network runs: on a large model that would cost minutes. */
static enum err_code check_strength(const struct klein_request *rq, struct err *e)
{
    if (!rq->inpaint || schedule_start_step(rq->steps, rq->strength) < rq->steps)
        return ERR_OK;
    return err_set(e, ERR_ARG, "strength %g leaves no step of %d to do; give a larger one",
                   rq->strength, rq->steps);
}

static void state_free(struct klein_state *s)
{
    flux2_pass_free(s->pass);
    flux2_kv_free(s->kv);
    klein_canvas_free(&s->canvas);
    klein_condition_free(&s->cond);
    mem_free(s->sigmas);
    mem_free(s->timesteps);
    mem_free(s->noise);
    mem_free(s->latents);
    mem_free(s->input);
    mem_free(s->velocity);
    mem_free(s->velocity_neg);
    mem_free(s->ids);
    fast_free(&s->fast);
}

/* Once a request. */
static enum err_code tell_cut(const struct klein_state *s, struct err *e)
{
    struct prompt_cut cut;
    if (!s->run->callbacks || s->run->image > 0)
        return ERR_OK;
    TRY(klein_prompt_cut(s->k->tokenizer, s->rq->prompt, (size_t)s->rq->max_tokens, &cut, e));
    report_prompt_cut(s->run->callbacks, &cut);
    return ERR_OK;
}

static enum err_code embed_prompts(struct klein_state *s, struct err *e)
{
    struct klein *k = s->k;
    int n = s->rq->max_tokens;
    bool guided = s->rq->guidance > 1.0 && !k->dir->is_distilled;
    TRY(tell_cut(s, e));
    TRY(klein_embed(k, s->rq->prompt, (struct report_part){0, 1 + guided}, s->rq, s->run, &s->pos,
                    e));
    if (guided)
        TRY(klein_embed(k, STR_LIT(""), (struct report_part){1, 2}, s->rq, s->run, &s->neg, e));
    int64_t dims[] = {1, n, k->joint_dim};
    trace_add_f32(s->run->trace, "prompt_embeds", s->pos, dims, 3);
    if (s->neg)
        trace_add_f32(s->run->trace, "negative_prompt_embeds", s->neg, dims, 3);
    return ERR_OK;
}

static enum err_code allocate(struct klein_state *s, struct err *e)
{
    size_t steps = (size_t)s->rq->steps, all = (size_t)(s->tokens + s->cond.n);
    size_t own = (size_t)(s->tokens * s->channels), full = all * (size_t)s->channels;
    s->sigmas = mem_try_array(steps + 1, sizeof(float));
    s->timesteps = mem_try_array(steps, sizeof(float));
    s->noise = mem_try_array(own, sizeof(float));
    s->latents = mem_try_array(own, sizeof(float));
    s->input = mem_try_array(full, sizeof(float));
    s->velocity = mem_try_array(full, sizeof(float));
    s->velocity_neg = s->neg ? mem_try_array(full, sizeof(float)) : NULL;
    s->ids = mem_try_array(all, sizeof *s->ids);
    if (!s->sigmas || !s->timesteps || !s->noise || !s->latents || !s->input || !s->velocity ||
        (s->neg && !s->velocity_neg) || !s->ids)
        return err_set(e, ERR_NOMEM, "no memory for %lld tokens", (long long)all);
    return ERR_OK;
}

/* A rehearsal takes the memory of a run, and makes no values. */
static bool is_dry(const struct klein_state *s)
{
    return nn_device_is_dry(s->k->on.transformer);
}

/* Noise [channels, rows, cols] of the seed, as tokens. */
static enum err_code draw_noise(struct klein_state *s, struct err *e)
{
    struct rng r;
    if (is_dry(s))
        return ERR_OK;
    float *planes = mem_try_array((size_t)(s->tokens * s->channels), sizeof *planes);
    if (!planes)
        return err_set(e, ERR_NOMEM, "no memory for noise");
    rng_seed(&r, s->rq->seed);
    rng_normal_f32(&r, planes, (size_t)(s->tokens * s->channels));
    for (int64_t t = 0; t < s->tokens; t++)
        for (int64_t c = 0; c < s->channels; c++)
            s->noise[t * s->channels + c] = planes[c * s->tokens + t];
    mem_free(planes);
    return ERR_OK;
}

static enum err_code build_schedule(struct klein_state *s, struct err *e)
{
    struct schedule_request rq = {SCHEDULE_GRID_KLEIN, s->rq->steps,
                                  schedule_mu_klein(s->tokens, s->rq->steps)};
    TRY(schedule_build(&s->k->dir->schedule, &rq, s->sigmas, s->timesteps, e));
    s->first_step = s->rq->inpaint ? schedule_start_step(s->rq->steps, s->rq->strength) : 0;
    trace_add_f32(s->run->trace, "sigmas", s->sigmas, (int64_t[]){s->rq->steps + 1}, 1);
    trace_add_f32(s->run->trace, "timesteps", s->timesteps, (int64_t[]){s->rq->steps}, 1);
    return ERR_OK;
}

enum err_code klein_pass_make(struct klein_state *s, bool trace, struct flux2_pass **out,
                              struct err *e)
{
    for (int64_t i = 0; i < s->tokens; i++)
        s->ids[i] =
            (struct flux2_id){.axis = {0, (int32_t)(i / s->cols), (int32_t)(i % s->cols), 0}};
    if (s->cond.n)
        memcpy(s->ids + s->tokens, s->cond.ids, (size_t)s->cond.n * sizeof *s->ids);
    struct flux2_pass_spec spec = {
        .n_text = s->rq->max_tokens,
        .n_img = s->tokens + (s->mode == FLUX2_KV_CACHED ? 0 : s->cond.n),
        .img_ids = s->ids,
        .trace = trace,
        .mode = s->mode,
        .n_ref = s->cond.n,
        .kv = s->kv,
    };
    return flux2_pass_new(s->k->transformer, &spec, out, e);
}

/* ---- steps ------------------------------------------------------------------------------------------- */

/* Runs the step again with every block's output kept, to name the first one that holds NaN. */
static enum err_code explain_nan(struct klein_state *s, int step, struct err *e)
{
    struct flux2_pass *p;
    char where[NN_MID_NAME_BYTES] = "";
    enum err_code rc = nn_params_check_finite(flux2_transformer_params(s->k->transformer), e);
    if (rc == ERR_OK)
        rc = loras_check_finite(&s->k->loras, e);
    if (rc != ERR_OK)
        return err_note(e, "transformer, step %d", step + 1);
    if (klein_pass_make(s, true, &p, NULL) == ERR_OK) {
        float time = schedule_network_time(s->timesteps[step]);
        const struct nn_mid *bad = NULL;
        if (flux2_pass_run(p, s->input, s->pos, time, s->velocity, s->run->cancel, NULL) == ERR_OK)
            bad = nn_graph_first_bad_mid(flux2_pass_graph(p));
        if (bad)
            (void)snprintf(where, sizeof where, " first in %s", bad->name + strlen("mid."));
        flux2_pass_free(p);
    }
    return err_set(
        e, ERR_NUMERIC,
        "step %d of %d gave NaN or infinity%s: no image is made (try another precision of the "
        "weights or another device)",
        step + 1, s->rq->steps, where);
}

static enum err_code predict_negative(struct klein_state *s, int i, int step, struct err *e)
{
    if (fast_negative(&s->fast, step, s->velocity, s->velocity_neg))
        return ERR_OK;
    TRY(flux2_pass_run(s->pass, s->input, s->neg, schedule_network_time(s->timesteps[step]),
                       s->velocity_neg, s->run->cancel, e));
    fast_learn_push(&s->fast, step, s->velocity, s->velocity_neg);
    if (i == 0)
        klein_trace_packed(s, "noise_pred_0_uncond", s->velocity_neg, s->tokens + s->cond.n);
    return ERR_OK;
}

static enum err_code predict(struct klein_state *s, int i, int step, struct err *e)
{
    float time = schedule_network_time(s->timesteps[step]);
    size_t own = (size_t)(s->tokens * s->channels);
    memcpy(s->input, s->latents, own * sizeof(float));
    if (s->cond.n)
        memcpy(s->input + own, s->cond.latents, (size_t)(s->cond.n * s->channels) * sizeof(float));
    if (i == 0 && s->run->trace && s->run->trace_blocks)
        TRY(klein_trace_blocks(s, step, e));
    TRY(flux2_pass_run(s->pass, s->input, s->pos, time, s->velocity, s->run->cancel, e));
    if (i == 0)
        klein_trace_packed(s, "noise_pred_0_cond", s->velocity,
                           s->tokens + (s->mode == FLUX2_PLAIN ? s->cond.n : 0));
    if (!s->neg)
        return ERR_OK;
    TRY(predict_negative(s, i, step, e));
    guidance_combine(s->velocity, s->velocity, s->velocity_neg, (float)s->rq->guidance, own);
    return ERR_OK;
}

/* Known parts of the image, noised to the level that the latents now have. */
static void blend_known(struct klein_state *s, int step)
{
    size_t n = (size_t)(s->tokens * s->channels);
    const float *known = s->canvas.latents;
    if (!s->canvas.token_mask)
        return;
    if (step + 1 < s->rq->steps) {
        schedule_scale_noise(s->velocity, s->canvas.latents, s->noise, n, s->sigmas[step + 1]);
        known = s->velocity;
    }
    guidance_blend_mask(s->latents, known, s->canvas.token_mask, (size_t)s->tokens,
                        (size_t)s->channels);
}

/* Checkpoints trained for it compute references once, in the first step. Never used on others: there every
 * token sees the references anew in every step. */
static enum err_code choose_mode(struct klein_state *s, struct err *e)
{
    if (!s->k->dir->reference_cache || s->cond.n == 0 || s->rq->inpaint || s->neg)
        return ERR_OK;
    s->mode = FLUX2_KV_EXTRACT;
    return flux2_kv_new(s->k->transformer, s->cond.n, &s->kv, e);
}

static enum err_code use_cache(struct klein_state *s, struct err *e)
{
    flux2_pass_free(s->pass);
    s->pass = NULL;
    s->mode = FLUX2_KV_CACHED;
    return klein_pass_make(s, false, &s->pass, e);
}

static enum err_code one_step(void *user, int i, struct err *e)
{
    struct klein_state *s = user;
    int step = s->first_step + i;
    char name[40];
    if (i > 0 && s->mode == FLUX2_KV_EXTRACT)
        TRY(use_cache(s, e));
    if (!fast_step(&s->fast, step, s->velocity)) {
        TRY(predict(s, i, step, e));
        fast_learn(&s->fast, step, s->velocity);
    }
    if (!is_dry(s))
        schedule_step(s->latents, s->velocity, (size_t)(s->tokens * s->channels), s->sigmas[step],
                      s->sigmas[step + 1]);
    if (!is_dry(s) && !floats_finite(s->latents, s->tokens * s->channels))
        return explain_nan(s, step, e);
    klein_preview_show(s->k, s->run,
                       &(struct preview_at){.latents = s->latents,
                                            .velocity = s->velocity,
                                            .rows = s->rows,
                                            .cols = s->cols,
                                            .sigma = s->sigmas[step + 1]},
                       i + 1);
    if (s->rq->inpaint)
        blend_known(s, step);
    (void)snprintf(name, sizeof name, "latents_step_%d", i);
    klein_trace_packed(s, name, s->latents, s->tokens);
    return ERR_OK;
}

static enum err_code denoise(struct klein_state *s, struct err *e)
{
    const struct report_steps steps = {.callbacks = s->run->callbacks,
                                       .image = s->run->image,
                                       .image_count = s->run->image_count,
                                       .count = s->rq->steps - s->first_step,
                                       .step = one_step,
                                       .user = s};
    const struct fast_run fast = {.level = s->rq->fast,
                                  .sigmas = s->sigmas,
                                  .end = s->rq->steps,
                                  .n = (size_t)(s->tokens * s->channels),
                                  .guided = s->neg != NULL};
    TRY(fast_init(&s->fast, &fast, e));
    TRY(loras_engage(&s->k->loras, s->k->on.transformer, e));
    TRY(klein_engage(s->k, flux2_transformer_params(s->k->transformer), s->run, e));
    TRY(choose_mode(s, e));
    TRY(klein_pass_make(s, false, &s->pass, e));
    if (flux2_pass_compute_bytes(s->pass) > s->run->stats->compute_bytes)
        s->run->stats->compute_bytes = flux2_pass_compute_bytes(s->pass);
    enum err_code rc = report_steps_run(&steps, &s->run->stats->steps_seconds, e);
    s->run->stats->passes += s->fast.passes;
    s->run->stats->passes_left_out += s->fast.left_out;
    loras_leave(s->k->on.transformer);
    flux2_pass_free(s->pass); /* the decoder counts on their room */
    flux2_kv_free(s->kv);
    s->pass = NULL;
    s->kv = NULL;
    return rc;
}

/* ---- all together ------------------------------------------------------------------------------------ */

static enum err_code prepare(struct klein_state *s, struct err *e)
{
    TRY(embed_prompts(s, e));
    if (s->rq->inpaint)
        TRY(klein_canvas_make(s->k, s->rq, s->run, &s->size, &s->canvas, e));
    TRY(klein_condition_make(s->k, s->rq, &s->canvas, s->run, &s->cond, e));
    klein_preview_prepare(s->k, s->run);
    TRY(allocate(s, e));
    TRY(build_schedule(s, e));
    TRY(draw_noise(s, e));
    size_t n = (size_t)(s->tokens * s->channels);
    if (s->rq->inpaint)
        schedule_scale_noise(s->latents, s->canvas.latents, s->noise, n, s->sigmas[s->first_step]);
    else
        memcpy(s->latents, s->noise, n * sizeof(float));
    klein_trace_start(s);
    return ERR_OK;
}

enum err_code klein_generate(struct klein *k, const struct klein_request *rq,
                             const struct klein_run *run, struct image *out, struct err *e)
{
    struct klein_state s = {.k = k, .rq = rq, .run = run};
    memset(out, 0, sizeof *out);
    TRY(check_strength(rq, e));
    TRY(klein_size_make(k, rq, run, &s.size, e));
    s.w = s.size.work.w;
    s.h = s.size.work.h;
    s.rows = s.h / klein_size_unit(k);
    s.cols = s.w / klein_size_unit(k);
    s.tokens = s.rows * s.cols;
    s.channels = flux2_transformer_config(k->transformer)->in_channels;
    enum err_code rc;
    TRY_GOTO(prepare(&s, e), done);
    TRY_GOTO(denoise(&s, e), done);
    TRY_GOTO(klein_decode(&s, out, e), done);
    TRY_GOTO(klein_size_finish(&s.size, out, e), done);
    TRY_GOTO(klein_finish(rq, &s.canvas, run, out, e), done);
    if (rq->inpaint)
        TRY_GOTO(klein_canvas_restore(&s.canvas, rq->feather, out, e), done);
    if (rq->whole)
        rc = klein_canvas_place(rq, out, e);
done:
    if (rc != ERR_OK)
        image_free(out);
    state_free(&s);
    return rc;
}

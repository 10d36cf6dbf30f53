/* run.c - a decomposition from its request to decoded layers; its state is struct state.
 *
 * Order: size and room on the host are checked before anything runs; source, prompts (or a caption) and latents
 * are prepared with one component engaged at a time; the modulation becomes tables before the transformer is
 * engaged, because it is a third of the network's weights; passes are released before the decoder needs memory.
 * The noisy frames come first in all token arrays, the condition's behind them. Frame 0 is the model's composite.
 */
#include "pipeline/layered/layered.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/floats.h"
#include "base/mem.h"
#include "image/composite.h"
#include "image/resize.h"
#include "memory/budget.h"
#include "pipeline/layered/internal.h"
#include "sample/fast.h"
#include "sample/guidance.h"
#include "sample/rng.h"
#include "sample/schedule.h"
#include "sample/size.h"

struct state {
    struct layered *l;
    const struct layered_request *rq;
    const struct layered_run *run;
    struct layered_result *out;
    struct layered_text pos, neg; /* neg.data is NULL without guidance */
    struct qwen_image_layout layout;
    int64_t tokens, cond_tokens, channels; /* noisy tokens, condition tokens */
    float *sigmas, *timesteps, *times;
    /* [tokens, channels]; the last three with condition rows */
    float *latents, *input, *velocity, *velocity_neg;
    struct qwen_image_tables *tables;
    struct qwen_image_pass *pass, *pass_neg;
    struct fast fast;
};

static void state_free(struct state *s)
{
    qwen_image_pass_free(s->pass);
    qwen_image_pass_free(s->pass_neg);
    qwen_image_tables_free(s->tables);
    mem_free(s->pos.data);
    mem_free(s->neg.data);
    mem_free(s->sigmas);
    mem_free(s->timesteps);
    mem_free(s->times);
    mem_free(s->latents);
    mem_free(s->input);
    mem_free(s->velocity);
    mem_free(s->velocity_neg);
    fast_free(&s->fast);
}

static void trace_packed(const struct state *s, const char *name, const float *x, int64_t rows)
{
    trace_add_f32(s->run->trace, name, x, (int64_t[]){1, rows, s->channels}, 3);
}

/* ---- request and sizes ------------------------------------------------------------------------------- */

static enum err_code check_request(const struct layered_request *rq, struct err *e)
{
    if (rq->layers < 1 || rq->layers > LAYERED_MAX_LAYERS)
        return err_set(e, ERR_ARG, "%d layers are asked for; it should be 1 to %d", rq->layers,
                       LAYERED_MAX_LAYERS);
    if (rq->steps < 1 || rq->steps > SCHEDULE_MAX_STEPS)
        return err_set(e, ERR_ARG, "the number of steps is %d; it should be 1 to %d", rq->steps,
                       SCHEDULE_MAX_STEPS);
    if (rq->max_tokens < 1 || rq->max_tokens > 4096)
        return err_set(e, ERR_ARG, "the number of prompt tokens is %d; it should be 1 to 4096",
                       rq->max_tokens);
    if (!(rq->guidance >= 0 && rq->guidance <= 100))
        return err_set(e, ERR_ARG, "guidance is %g; it should be 0 to 100", rq->guidance);
    return ERR_OK;
}

enum err_code layered_size(const struct image *image, int resolution, int *w, int *h, struct err *e)
{
    struct size_px s;
    if (resolution < LAYERED_SIDE_UNIT || resolution > LAYERED_MAX_RESOLUTION ||
        resolution % LAYERED_SIDE_UNIT != 0)
        return err_set(e, ERR_ARG, "the resolution is %d; it should be a multiple of %d, %d to %d",
                       resolution, LAYERED_SIDE_UNIT, LAYERED_SIDE_UNIT, LAYERED_MAX_RESOLUTION);
    if (!image->p || image->w < 1 || image->h < 1)
        return err_set(e, ERR_ARG, "the image has no pixels");
    TRY(size_layered((struct size_px){image->w, image->h}, resolution, &s, e));
    *w = s.w;
    *h = s.h;
    return ERR_OK;
}

/* The source as RGBA at the working size: what the model sees. */
static enum err_code resample_source(struct state *s, struct err *e)
{
    struct image rgba = {0};
    enum err_code rc;
    TRY_GOTO(image_convert(s->rq->image, 4, &rgba, e), done);
    TRY_GOTO(image_resize(&rgba, s->out->w, s->out->h, IMAGE_LANCZOS, &s->out->image, e), done);
    if (s->rq->matte)
        image_replace_hidden(&s->out->image, s->rq->matte);
done:
    image_free(&rgba);
    return rc;
}

/* ---- preparing --------------------------------------------------------------------------------------- */

static bool is_blank(struct str s)
{
    return s.n == 0 || str_eq(s, STR_LIT(" "));
}

/* The captioner does not know alpha. */
static enum err_code caption(struct state *s, int parts, struct err *e)
{
    struct image ground = {0};
    const struct image *image = &s->out->image;
    enum err_code rc;
    TRY_GOTO(s->rq->matte ? image_on_ground(image, s->rq->matte, &ground, e) : ERR_OK, done);
    rc = layered_caption(s->l, ground.p ? &ground : image, s->rq->language, s->run, parts,
                         &s->out->caption, e);
done:
    image_free(&ground);
    return rc;
}

static enum err_code embed_prompts(struct state *s, struct err *e)
{
    bool guided = s->rq->guided && s->rq->guidance > 1.0;
    int n = s->rq->max_tokens, captions = is_blank(s->rq->prompt), parts = captions + 1 + guided;
    struct layered_prompt prompt = {s->rq->prompt, n, {captions, parts}};
    const struct layered_prompt negative = {s->rq->negative, n, {captions + 1, parts}};
    if (captions) {
        TRY(caption(s, parts, e));
        for (int i = 0; i < n && nn_device_is_dry(s->l->on.transformer);
             i++) /* as long as it may get */
            buf_add_z(&s->out->caption, " a");
        prompt.text = (struct str){s->out->caption.p, s->out->caption.n};
    }
    TRY(layered_embed(s->l, &prompt, s->run, &s->pos, e));
    if (guided)
        TRY(layered_embed(s->l, &negative, s->run, &s->neg, e));
    trace_add_f32(s->run->trace, "prompt_embeds", s->pos.data,
                  (int64_t[]){1, s->pos.n, s->l->joint_dim}, 3);
    if (s->neg.data)
        trace_add_f32(s->run->trace, "negative_prompt_embeds", s->neg.data,
                      (int64_t[]){1, s->neg.n, s->l->joint_dim}, 3);
    return ERR_OK;
}

static enum err_code allocate(struct state *s, struct err *e)
{
    size_t steps = (size_t)s->rq->steps, c = (size_t)s->channels;
    size_t all = (size_t)(s->tokens + s->cond_tokens), row = c * sizeof(float);
    s->sigmas = mem_try_array(steps + 1, sizeof(float));
    s->timesteps = mem_try_array(steps, sizeof(float));
    s->times = mem_try_array(steps, sizeof(float));
    s->latents = mem_try_array((size_t)s->tokens, row);
    s->input = mem_try_array(all, row);
    s->velocity = mem_try_array(all, row);
    s->velocity_neg = s->neg.data ? mem_try_array(all, row) : NULL;
    if (!s->sigmas || !s->timesteps || !s->times || !s->latents || !s->input || !s->velocity ||
        (s->neg.data && !s->velocity_neg))
        return err_set(e, ERR_NOMEM, "no memory for %zu tokens", all);
    return ERR_OK;
}

static enum err_code build_schedule(struct state *s, struct err *e)
{
    int n = s->rq->steps;
    struct schedule_request rq = {SCHEDULE_GRID_LAYERED, n, schedule_mu_layered(s->cond_tokens)};
    TRY(schedule_build(&s->l->dir->schedule, &rq, s->sigmas, s->timesteps, e));
    for (int i = 0; i < n; i++)
        s->times[i] = schedule_network_time(s->timesteps[i]);
    trace_add_f32(s->run->trace, "sigmas", s->sigmas, (int64_t[]){n + 1}, 1);
    trace_add_f32(s->run->trace, "timesteps", s->timesteps, (int64_t[]){n}, 1);
    return ERR_OK;
}

/* A rehearsal takes the memory of a run, and makes no values. */
static bool is_dry(const struct state *s)
{
    return nn_device_is_dry(s->l->on.transformer);
}

/* Noise [frames, C, h, w] of the seed, in one draw, as tokens frame by frame. */
static enum err_code draw_noise(struct state *s, struct err *e)
{
    struct rng r;
    if (is_dry(s))
        return ERR_OK;
    int64_t h = 2 * s->layout.rows, w = 2 * s->layout.cols, c = s->channels / 4;
    size_t frame = (size_t)(c * h * w), n = frame * (size_t)s->layout.frames;
    float *planes = mem_try_array(n, sizeof *planes);
    if (!planes)
        return err_set(e, ERR_NOMEM, "no memory for noise");
    rng_seed(&r, s->rq->seed);
    rng_normal_f32(&r, planes, n);
    for (int64_t f = 0; f < s->layout.frames; f++)
        qwen_image_pack(planes + (size_t)f * frame, c, h, w, s->latents + (size_t)f * frame);
    mem_free(planes);
    return ERR_OK;
}

static enum err_code prepare(struct state *s, struct err *e)
{
    size_t own;
    TRY(resample_source(s, e));
    TRY(embed_prompts(s, e));
    TRY(allocate(s, e));
    own = (size_t)(s->tokens * s->channels);
    enum err_code rc = layered_encode_image(s->l, &s->out->image, s->run, s->input + own, e);
    image_narrow(&s->out->image); /* the model has seen it */
    TRY(rc);
    layered_preview_prepare(s->l, s->run);
    TRY(build_schedule(s, e));
    TRY(draw_noise(s, e));
    trace_packed(s, "initial_latents", s->latents, s->tokens);
    trace_packed(s, "image_latents", s->input + own, s->cond_tokens);
    return ERR_OK;
}

/* ---- passes ------------------------------------------------------------------------------------------ */

static enum err_code make_pass(struct state *s, const struct layered_text *text, bool trace,
                               struct qwen_image_pass **out, struct err *e)
{
    struct qwen_image_layout layout = s->layout;
    struct qwen_image_pass_options options = {.tables = s->tables, .trace = trace};
    layout.n_text = text->n;
    return qwen_image_pass_new(s->l->transformer, &layout, &options, out, e);
}

static void count_tables(struct state *s)
{
    struct qwen_image_transformer *m = s->l->transformer;
    s->out->table_bytes = qwen_image_tables_bytes(s->tables);
    for (int64_t i = 0; i < qwen_image_transformer_config(m)->n_blocks; i++)
        s->out->table_weight_bytes += nn_params_stored_bytes(qwen_image_modulation_params(m, i));
}

/* Modulation first: its weights are gone when the others come. */
static enum err_code engage_transformer(struct state *s, struct err *e)
{
    struct layered *l = s->l;
    TRY(loras_engage(&l->loras, l->on.transformer, e));
    if (!s->rq->in_place_modulation) {
        double start = clock_s();
        report_stage(s->run->callbacks, VT_STAGE_LOAD, 0, 1);
        TRY(qwen_image_tables_build(l->transformer, s->times, s->rq->steps, 0, s->run->cancel,
                                    &s->tables, e));
        s->out->table_seconds = clock_s() - start;
        count_tables(s);
    }
    TRY(layered_engage(l, qwen_image_transformer_params(l->transformer), s->run, e));
    return s->rq->in_place_modulation ? layered_engage_modulation(l, s->run, e) : ERR_OK;
}

static enum err_code make_passes(struct state *s, struct err *e)
{
    TRY(make_pass(s, &s->pos, false, &s->pass, e));
    if (s->neg.data)
        TRY(make_pass(s, &s->neg, false, &s->pass_neg, e));
    size_t bytes = qwen_image_pass_compute_bytes(s->pass);
    if (s->pass_neg)
        bytes += qwen_image_pass_compute_bytes(s->pass_neg);
    if (bytes > s->run->stats->compute_bytes)
        s->run->stats->compute_bytes = bytes;
    return ERR_OK;
}

/* ---- steps ------------------------------------------------------------------------------------------- */

/* Runs the step again with every block's output kept, to name the first one that holds NaN. */
static enum err_code explain_nan(struct state *s, int step, struct err *e)
{
    struct qwen_image_pass *p;
    char where[NN_MID_NAME_BYTES] = "";
    enum err_code rc = nn_params_check_finite(qwen_image_transformer_params(s->l->transformer), e);
    if (rc == ERR_OK)
        rc = loras_check_finite(&s->l->loras, e);
    if (rc != ERR_OK)
        return err_note(e, "transformer, step %d", step + 1);
    if (make_pass(s, &s->pos, true, &p, NULL) == ERR_OK) {
        const struct nn_mid *bad = NULL;
        if (qwen_image_pass_run(p, s->input, s->pos.data, s->times[step], s->velocity,
                                s->run->cancel, NULL) == ERR_OK)
            bad = nn_graph_first_bad_mid(qwen_image_pass_graph(p));
        if (bad)
            (void)snprintf(where, sizeof where, " first in %s", bad->name + strlen("mid."));
        qwen_image_pass_free(p);
    }
    return err_set(
        e, ERR_NUMERIC,
        "step %d of %d gave NaN or infinity%s: no layer is made (try another precision of the "
        "weights or another device)",
        step + 1, s->rq->steps, where);
}

/* The traced blocks of the first step's conditional pass. */
static enum err_code trace_blocks(struct state *s, struct err *e)
{
    struct qwen_image_pass *p;
    enum err_code rc = make_pass(s, &s->pos, true, &p, e);
    if (rc != ERR_OK)
        return rc;
    rc = qwen_image_pass_run(p, s->input, s->pos.data, s->times[0], s->velocity, s->run->cancel, e);
    const struct nn_graph *g = qwen_image_pass_graph(p);
    for (size_t i = 0; rc == ERR_OK && i < g->n_mids; i++) {
        const struct ggml_tensor *t = g->mids[i].t;
        float *f = mem_try_array((size_t)ggml_nelements(t), sizeof *f);
        if (!f) {
            rc = err_set(e, ERR_NOMEM, "no memory for a trace");
            break;
        }
        nn_graph_get(g, t, f);
        int64_t dims[] = {1, t->ne[1], t->ne[0]};
        bool vector = t->ne[1] == 1; /* time embedding: [1, dim] */
        trace_add_f32(s->run->trace, g->mids[i].name, f, vector ? dims + 1 : dims, vector ? 2 : 3);
        mem_free(f);
    }
    qwen_image_pass_free(p);
    return rc;
}

static enum err_code predict_negative(struct state *s, int step, struct err *e)
{
    if (fast_negative(&s->fast, step, s->velocity, s->velocity_neg))
        return ERR_OK;
    TRY(qwen_image_pass_run(s->pass_neg, s->input, s->neg.data, s->times[step], s->velocity_neg,
                            s->run->cancel, e));
    fast_learn_push(&s->fast, step, s->velocity, s->velocity_neg);
    if (step == 0)
        trace_packed(s, "noise_pred_0_uncond", s->velocity_neg, s->tokens + s->cond_tokens);
    return ERR_OK;
}

static enum err_code predict(struct state *s, int step, struct err *e)
{
    int64_t all = s->tokens + s->cond_tokens;
    size_t own = (size_t)(s->tokens * s->channels);
    memcpy(s->input, s->latents, own * sizeof(float));
    if (step == 0 && s->run->trace && s->run->trace_blocks)
        TRY(trace_blocks(s, e));
    TRY(qwen_image_pass_run(s->pass, s->input, s->pos.data, s->times[step], s->velocity,
                            s->run->cancel, e));
    if (step == 0)
        trace_packed(s, "noise_pred_0_cond", s->velocity, all);
    if (!s->pass_neg)
        return ERR_OK;
    TRY(predict_negative(s, step, e));
    guidance_combine(s->velocity_neg, s->velocity, s->velocity_neg, (float)s->rq->guidance, own);
    if (s->rq->cfg_normalize && !is_dry(s)) /* zeros have no length */
        guidance_match_norm(s->velocity_neg, s->velocity, (size_t)s->tokens, (size_t)s->channels);
    memcpy(s->velocity, s->velocity_neg, own * sizeof(float));
    return ERR_OK;
}

/* Frame 0 is the whole image: the layers come behind it. */
static void show_preview(const struct state *s, int step)
{
    size_t frame = (size_t)(s->cond_tokens * s->channels);
    const struct preview_at bottom = {.latents = s->latents + frame,
                                      .velocity = s->velocity + frame,
                                      .rows = s->layout.rows,
                                      .cols = s->layout.cols,
                                      .sigma = s->sigmas[step + 1]};
    layered_preview_show(s->l, s->run, &bottom, s->rq->layers, step + 1);
}

static enum err_code one_step(void *user, int i, struct err *e)
{
    struct state *s = user;
    char name[40];
    if (!fast_step(&s->fast, i, s->velocity)) {
        TRY(predict(s, i, e));
        fast_learn(&s->fast, i, s->velocity);
    }
    if (!is_dry(s))
        schedule_step(s->latents, s->velocity, (size_t)(s->tokens * s->channels), s->sigmas[i],
                      s->sigmas[i + 1]);
    if (!is_dry(s) && !floats_finite(s->latents, s->tokens * s->channels))
        return explain_nan(s, i, e);
    show_preview(s, i);
    (void)snprintf(name, sizeof name, "latents_step_%d", i);
    trace_packed(s, name, s->latents, s->tokens);
    return ERR_OK;
}

static enum err_code denoise(struct state *s, struct err *e)
{
    const struct report_steps steps = {.callbacks = s->run->callbacks,
                                       .image_count = 1,
                                       .count = s->rq->steps,
                                       .step = one_step,
                                       .user = s};
    const struct fast_run fast = {.level = s->rq->fast,
                                  .sigmas = s->sigmas,
                                  .end = s->rq->steps,
                                  .n = (size_t)(s->tokens * s->channels),
                                  .guided = s->neg.data != NULL};
    TRY(engage_transformer(s, e));
    TRY(make_passes(s, e));
    TRY(fast_init(&s->fast, &fast, e));
    enum err_code rc = report_steps_run(&steps, &s->run->stats->steps_seconds, e);
    s->run->stats->passes += s->fast.passes;
    s->run->stats->passes_left_out += s->fast.left_out;
    return rc;
}

/* Compute memory goes before the decoder's comes. */
static void release_passes(struct state *s)
{
    qwen_image_pass_free(s->pass);
    qwen_image_pass_free(s->pass_neg);
    s->pass = s->pass_neg = NULL;
    loras_leave(s->l->on.transformer);
    layered_release_modulation(s->l);
}

/* ---- all together ------------------------------------------------------------------------------------ */

enum err_code layered_decompose(struct layered *l, const struct layered_request *rq,
                                const struct layered_run *run, struct layered_result *out,
                                struct err *e)
{
    struct state s = {.l = l, .rq = rq, .run = run, .out = out};
    memset(out, 0, sizeof *out);
    TRY(check_request(rq, e));
    TRY(layered_size(rq->image, rq->resolution, &out->w, &out->h, e));
    TRY(layered_check_room(rq->layers, out->w, out->h, host_available_bytes(), e));
    out->layers = rq->layers;
    s.layout.frames = rq->layers + 1;
    s.layout.rows = s.layout.cond_rows = out->h / layered_unit(l);
    s.layout.cols = s.layout.cond_cols = out->w / layered_unit(l);
    s.cond_tokens = s.layout.rows * s.layout.cols;
    s.tokens = s.layout.frames * s.cond_tokens;
    s.channels = qwen_image_transformer_config(l->transformer)->in_channels;
    enum err_code rc = prepare(&s, e);
    if (rc == ERR_OK)
        rc = denoise(&s, e);
    release_passes(&s);
    if (rc == ERR_OK)
        rc = layered_decode_frames(l, s.latents, run, out, e);
    if (rc != ERR_OK)
        layered_result_free(out);
    state_free(&s);
    return rc;
}

enum err_code layered_rehearse(struct layered *l, const struct layered_request *rq, bool previews,
                               struct err *e)
{
    struct vt_stats stats = {0};
    struct layered_run run = {.stats = &stats, .previews = previews};
    struct layered_result out;
    l->preview.rehearsed = false;
    TRY(layered_decompose(l, rq, &run, &out, e));
    layered_result_free(&out);
    return ERR_OK;
}

void layered_result_free(struct layered_result *r)
{
    if (!r)
        return;
    image_free(&r->image);
    buf_deinit(&r->caption);
    mem_free(r->planes);
    mem_free(r->frame);
    memset(r, 0, sizeof *r);
}

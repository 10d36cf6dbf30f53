#include "pipeline/klein/klein.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/floats.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "pipeline/klein/internal.h"
#include "pipeline/tokenizer_gguf.h"
#include "sample/guidance.h"
#include "sample/rng.h"
#include "sample/schedule.h"

/* ---- opening ---------------------------------------------------------------------------------------- */

static enum err_code open_text(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->text_encoder;
    struct qwen3_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = component_open(part->weights, COMPONENT_QWEN3, &k->text_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "text encoder");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = qwen3_config_read(yyjson_doc_get_root(doc), what, k->text_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = qwen3_new(k->text_component, k->on.text, nn_precision_for(k->text_component), &cfg,
                       KLEIN_TEXT_LAYERS, &k->text, e);
    if (rc == ERR_OK && cfg.vocab < tokenizer_vocab_size(k->tokenizer))
        rc = err_set(
            e, ERR_FORMAT,
            "the tokenizer has %d tokens, the text encoder only %lld embeddings: they belong to "
            "different models",
            tokenizer_vocab_size(k->tokenizer), (long long)cfg.vocab);
    return rc == ERR_OK ? rc : err_note(e, "text encoder");
}

static enum err_code open_transformer(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->transformer;
    struct flux2_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc =
        component_open(part->weights, COMPONENT_FLUX2_TRANSFORMER, &k->transformer_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "transformer");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = flux2_config_read(yyjson_doc_get_root(doc), what, k->transformer_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = flux2_transformer_new(k->transformer_component, k->on.transformer,
                                   nn_precision_for(k->transformer_component), &cfg,
                                   &k->transformer, e);
    k->joint_dim = cfg.joint_dim;
    return rc == ERR_OK ? rc : err_note(e, "transformer");
}

static enum err_code open_vae(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->vae;
    struct flux2_vae_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = component_open(part->weights, COMPONENT_FLUX2_VAE, &k->vae_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "VAE");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = flux2_vae_config_read(yyjson_doc_get_root(doc), what, k->vae_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = flux2_vae_new(k->vae_component, k->on.vae, nn_precision_for(k->vae_component), &cfg,
                           VAE_ENCODER | VAE_DECODER, &k->vae, e);
    return rc == ERR_OK ? rc : err_note(e, "VAE");
}

/* Components that are each sound may still not belong together. */
static enum err_code check_fit(const struct klein *k, struct err *e)
{
    const struct flux2_config *t = flux2_transformer_config(k->transformer);
    int64_t hidden = qwen3_config(k->text)->hidden;
    int64_t latent = flux2_vae_config(k->vae)->latent_channels;
    if (3 * hidden != t->joint_dim)
        return err_set(
            e, ERR_FORMAT,
            "the text encoder's width is %lld (its embeddings %lld), the transformer needs %lld "
            "(%lld): they belong to different models",
            (long long)hidden, 3 * (long long)hidden, (long long)t->joint_dim / 3,
            (long long)t->joint_dim);
    if (4 * latent != t->in_channels || t->out_channels != t->in_channels)
        return err_set(e, ERR_FORMAT,
                       "the VAE has %lld latent channels, the transformer works on %lld (4 x %lld)",
                       (long long)latent, (long long)t->in_channels,
                       (long long)(t->in_channels / 4));
    return ERR_OK;
}

enum err_code klein_open(const struct model_dir *dir, struct devices on, struct klein **out,
                         struct err *e)
{
    *out = NULL;
    if (dir->pipeline != MODEL_PIPELINE_KLEIN)
        return err_set(e, ERR_ARG,
                       "the model '%s' takes images apart into layers; use `veetance layers`",
                       dir->name);
    struct klein *k = mem_try_alloc(sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "no memory for a model");
    k->dir = dir;
    k->on = on;
    enum err_code rc = tokenizer_from_path(dir->tokenizer, &k->tokenizer, e);
    if (rc == ERR_OK)
        rc = open_text(k, e);
    if (rc == ERR_OK)
        rc = open_transformer(k, e);
    if (rc == ERR_OK)
        rc = open_vae(k, e);
    if (rc == ERR_OK)
        rc = check_fit(k, e);
    if (rc != ERR_OK) {
        klein_free(k);
        return err_note(e, "model '%s'", dir->name);
    }
    *out = k;
    return ERR_OK;
}

void klein_free(struct klein *k)
{
    if (!k)
        return;
    klein_embeddings_free(k);
    qwen3_free(k->text);
    flux2_transformer_free(k->transformer);
    flux2_vae_free(k->vae);
    component_close(k->text_component);
    component_close(k->transformer_component);
    component_close(k->vae_component);
    tokenizer_free(k->tokenizer);
    preview_deinit(&k->preview);
    mem_free(k);
}

int klein_size_unit(const struct klein *k)
{
    return 2 * flux2_vae_scale(flux2_vae_config(k->vae));
}

static enum err_code engage(struct klein *k, struct nn_params *ps, struct err *e)
{
    if (ps == qwen3_params(k->text))
        return governor_engage(k->on.text, "text_encoder", ps, e);
    if (ps == flux2_transformer_params(k->transformer))
        return governor_engage(k->on.transformer, "transformer", ps, e);
    bool encodes = ps == vae_params(flux2_vae_net(k->vae), VAE_ENCODER);
    return governor_engage(k->on.vae, encodes ? "vae_encoder" : "vae_decoder", ps, e);
}

enum err_code klein_engage(struct klein *k, struct nn_params *ps, const struct klein_run *run,
                           struct err *e)
{
    if (!nn_params_engaged(ps))
        report_stage(run->callbacks, VT_STAGE_LOAD, run->image, run->image_count);
    int64_t start = clock_ns();
    enum err_code rc = engage(k, ps, e);
    struct vt_stats *s = run->stats;
    s->load_seconds += (double)(clock_ns() - start) * 1e-9;
    if (nn_params_device_bytes(ps) > s->device_weight_bytes)
        s->device_weight_bytes = nn_params_device_bytes(ps);
    if (nn_params_mapped_bytes(ps) > s->mapped_weight_bytes)
        s->mapped_weight_bytes = nn_params_mapped_bytes(ps);
    return rc;
}

/* ---- a run ------------------------------------------------------------------------------------------- */

/* Asked before any network runs: on a large model that would cost minutes. */
static enum err_code check_strength(const struct klein_request *rq, struct err *e)
{
    if (!rq->inpaint || schedule_start_step(rq->steps, rq->strength) < rq->steps)
        return ERR_OK;
    return err_set(e, ERR_ARG, "strength %g leaves no step of %d to do; give a larger one",
                   rq->strength, rq->steps);
}

struct state {
    struct klein *k;
    const struct klein_request *rq;
    const struct klein_run *run;
    struct klein_size size;
    int w, h;           /* pixels of the working size */
    int64_t rows, cols; /* token grid */
    int64_t tokens, channels;
    const float *pos, *neg; /* prompt embeddings; neg is NULL without guidance */
    struct klein_canvas canvas;
    struct klein_condition cond;
    float *sigmas, *timesteps;
    int first_step;
    float *noise, *latents, *input, *velocity,
        *velocity_neg; /* the last three with condition rows */
    struct flux2_id *ids;
    struct flux2_pass *pass;
    enum flux2_mode mode; /* of the pass */
    struct flux2_kv *kv;  /* NULL unless the model was trained for a reference cache */
};

static void state_free(struct state *s)
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
}

static void trace_packed(const struct state *s, const char *name, const float *x, int64_t rows)
{
    trace_add_f32(s->run->trace, name, x, (int64_t[]){1, rows, s->channels}, 3);
}

/* Once a request. */
static enum err_code tell_cut(const struct state *s, struct err *e)
{
    struct prompt_cut cut;
    if (!s->run->callbacks || s->run->image > 0)
        return ERR_OK;
    enum err_code rc =
        klein_prompt_cut(s->k->tokenizer, s->rq->prompt, (size_t)s->rq->max_tokens, &cut, e);
    if (rc == ERR_OK)
        report_prompt_cut(s->run->callbacks, &cut);
    return rc;
}

static enum err_code embed_prompts(struct state *s, struct err *e)
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

static enum err_code allocate(struct state *s, struct err *e)
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

/* Noise [channels, rows, cols] of the seed, as tokens. */
static enum err_code draw_noise(struct state *s, struct err *e)
{
    struct rng r;
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

static enum err_code build_schedule(struct state *s, struct err *e)
{
    struct schedule_request rq = {SCHEDULE_GRID_KLEIN, s->rq->steps,
                                  schedule_mu_klein(s->tokens, s->rq->steps)};
    TRY(schedule_build(&s->k->dir->schedule, &rq, s->sigmas, s->timesteps, e));
    s->first_step = s->rq->inpaint ? schedule_start_step(s->rq->steps, s->rq->strength) : 0;
    trace_add_f32(s->run->trace, "sigmas", s->sigmas, (int64_t[]){s->rq->steps + 1}, 1);
    trace_add_f32(s->run->trace, "timesteps", s->timesteps, (int64_t[]){s->rq->steps}, 1);
    return ERR_OK;
}

static void trace_start(const struct state *s)
{
    struct trace *t = s->run->trace;
    trace_packed(s, "initial_latents", s->latents, s->tokens);
    if (s->cond.n) {
        int64_t *ids = t ? mem_try_array((size_t)s->cond.n * FLUX2_AXES, sizeof *ids) : NULL;
        trace_packed(s, "condition_latents", s->cond.latents, s->cond.n);
        for (int64_t i = 0; ids && i < s->cond.n * FLUX2_AXES; i++)
            ids[i] = s->cond.ids[i / FLUX2_AXES].axis[i % FLUX2_AXES];
        if (ids)
            trace_add_i64(t, "condition_ids", ids, (int64_t[]){1, s->cond.n, FLUX2_AXES}, 3);
        mem_free(ids);
    }
    if (!s->rq->inpaint)
        return;
    trace_packed(s, "image_latents", s->canvas.latents, s->tokens);
    trace_packed(s, "noise", s->noise, s->tokens);
    if (s->canvas.token_mask)
        trace_add_f32(t, "mask", s->canvas.token_mask, (int64_t[]){1, s->tokens, 1}, 3);
}

static enum err_code make_pass(struct state *s, bool trace, struct flux2_pass **out, struct err *e)
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
static enum err_code explain_nan(struct state *s, int step, struct err *e)
{
    struct flux2_pass *p;
    char where[NN_MID_NAME_BYTES] = "";
    enum err_code rc = nn_params_check_finite(flux2_transformer_params(s->k->transformer), e);
    if (rc != ERR_OK)
        return err_note(e, "transformer, step %d", step + 1);
    if (make_pass(s, true, &p, NULL) == ERR_OK) {
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
        "step %d of %d gave NaN or infinity%s: no picture is made (try another precision of the "
        "weights or another device)",
        step + 1, s->rq->steps, where);
}

/* The traced blocks of the first step's conditional pass. */
static enum err_code trace_blocks(struct state *s, int step, struct err *e)
{
    struct flux2_pass *p;
    enum err_code rc = make_pass(s, true, &p, e);
    if (rc != ERR_OK)
        return rc;
    rc = flux2_pass_run(p, s->input, s->pos, schedule_network_time(s->timesteps[step]), s->velocity,
                        s->run->cancel, e);
    const struct nn_graph *g = flux2_pass_graph(p);
    for (size_t i = 0; rc == ERR_OK && i < g->n_mids; i++) {
        const struct ggml_tensor *t = g->mids[i].t;
        float *f = mem_try_array((size_t)ggml_nelements(t), sizeof *f);
        if (!f)
            rc = err_set(e, ERR_NOMEM, "no memory for a trace");
        if (f)
            nn_graph_get(g, t, f);
        int64_t dims[] = {1, t->ne[1], t->ne[0]};
        bool vector = t->ne[1] == 1; /* time embedding and modulation: [1, dim] */
        if (f)
            trace_add_f32(s->run->trace, g->mids[i].name, f, vector ? dims + 1 : dims,
                          vector ? 2 : 3);
        mem_free(f);
    }
    flux2_pass_free(p);
    return rc;
}

static enum err_code predict(struct state *s, int i, int step, struct err *e)
{
    float time = schedule_network_time(s->timesteps[step]);
    size_t own = (size_t)(s->tokens * s->channels);
    memcpy(s->input, s->latents, own * sizeof(float));
    if (s->cond.n)
        memcpy(s->input + own, s->cond.latents, (size_t)(s->cond.n * s->channels) * sizeof(float));
    if (i == 0 && s->run->trace && s->run->trace_blocks)
        TRY(trace_blocks(s, step, e));
    TRY(flux2_pass_run(s->pass, s->input, s->pos, time, s->velocity, s->run->cancel, e));
    if (i == 0)
        trace_packed(s, "noise_pred_0_cond", s->velocity,
                     s->tokens + (s->mode == FLUX2_PLAIN ? s->cond.n : 0));
    if (!s->neg)
        return ERR_OK;
    TRY(flux2_pass_run(s->pass, s->input, s->neg, time, s->velocity_neg, s->run->cancel, e));
    if (i == 0)
        trace_packed(s, "noise_pred_0_uncond", s->velocity_neg, s->tokens + s->cond.n);
    guidance_combine(s->velocity, s->velocity, s->velocity_neg, (float)s->rq->guidance, own);
    return ERR_OK;
}

/* Known parts of the picture, noised to the level that the latents now have. */
static void blend_known(struct state *s, int step)
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
static enum err_code choose_mode(struct state *s, struct err *e)
{
    if (!s->k->dir->reference_cache || s->cond.n == 0 || s->rq->inpaint || s->neg)
        return ERR_OK;
    s->mode = FLUX2_KV_EXTRACT;
    return flux2_kv_new(s->k->transformer, s->cond.n, &s->kv, e);
}

static enum err_code use_cache(struct state *s, struct err *e)
{
    flux2_pass_free(s->pass);
    s->pass = NULL;
    s->mode = FLUX2_KV_CACHED;
    return make_pass(s, false, &s->pass, e);
}

static enum err_code one_step(void *user, int i, struct err *e)
{
    struct state *s = user;
    int step = s->first_step + i;
    char name[40];
    if (i > 0 && s->mode == FLUX2_KV_EXTRACT)
        TRY(use_cache(s, e));
    TRY(predict(s, i, step, e));
    schedule_step(s->latents, s->velocity, (size_t)(s->tokens * s->channels), s->sigmas[step],
                  s->sigmas[step + 1]);
    if (!floats_finite(s->latents, s->tokens * s->channels))
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
    trace_packed(s, name, s->latents, s->tokens);
    return ERR_OK;
}

static enum err_code denoise(struct state *s, struct err *e)
{
    const struct report_steps steps = {.callbacks = s->run->callbacks,
                                       .image = s->run->image,
                                       .image_count = s->run->image_count,
                                       .count = s->rq->steps - s->first_step,
                                       .step = one_step,
                                       .user = s};
    enum err_code rc;
    TRY_GOTO(klein_engage(s->k, flux2_transformer_params(s->k->transformer), s->run, e), done);
    TRY_GOTO(choose_mode(s, e), done);
    rc = make_pass(s, false, &s->pass, e);
done:
    if (rc != ERR_OK)
        return rc;
    if (flux2_pass_compute_bytes(s->pass) > s->run->stats->compute_bytes)
        s->run->stats->compute_bytes = flux2_pass_compute_bytes(s->pass);
    rc = report_steps_run(&steps, &s->run->stats->steps_seconds, e);
    flux2_pass_free(s->pass); /* the decoder counts on their room */
    flux2_kv_free(s->kv);
    s->pass = NULL;
    s->kv = NULL;
    return rc;
}

/* ---- decoding ---------------------------------------------------------------------------------------- */

/* [3, h, w] about -1 to 1 -> 8-bit RGB, halves to even as numpy rounds. */
static void to_pixels(const float *planes, struct image *out)
{
    size_t plane = (size_t)out->w * (size_t)out->h;
    for (int y = 0; y < out->h; y++) {
        unsigned char *row = image_row(out, y);
        for (int x = 0; x < out->w; x++)
            for (int c = 0; c < 3; c++) {
                float v = planes[(size_t)c * plane + (size_t)y * (size_t)out->w + (size_t)x];
                v = fminf(fmaxf(v / 2.0f + 0.5f, 0.0f), 1.0f);
                row[3 * x + c] = (unsigned char)rintf(v * 255.0f);
            }
    }
}

/* A picture of one single value is what a broken decoder makes; real ones never do. */
static enum err_code check_decoded(const struct state *s, const float *x, int64_t n, struct err *e)
{
    float lo = x[0], hi = x[0];
    if (!floats_finite(x, n)) {
        enum err_code rc =
            nn_params_check_finite(vae_params(flux2_vae_net(s->k->vae), VAE_DECODER), e);
        return rc != ERR_OK
                   ? err_note(e, "VAE")
                   : err_set(e, ERR_NUMERIC,
                             "the VAE decoder's output holds NaN or infinity: no picture is made");
    }
    for (int64_t i = 0; i < n; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    if (hi - lo < 1e-6f && !nn_device_is_dry(s->k->on.vae))
        return err_set(e, ERR_NUMERIC, "the VAE decoder made a picture of the single value %g",
                       (double)lo);
    return ERR_OK;
}

static void trace_vae_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                          void *user)
{
    trace_add_f32(user, name, data, dims, n_dims);
}

static enum err_code decode(struct state *s, struct image *out, struct err *e)
{
    struct klein *k = s->k;
    int64_t c = flux2_vae_config(k->vae)->latent_channels, h = 2 * s->rows, w = 2 * s->cols;
    int64_t n = 3 * (int64_t)s->w * s->h;
    float *latents = mem_try_array((size_t)(c * h * w), sizeof *latents);
    float *planes = mem_try_array((size_t)n, sizeof *planes);
    enum err_code rc =
        latents && planes ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the picture");
    if (rc == ERR_OK)
        rc = klein_engage(k, vae_params(flux2_vae_net(k->vae), VAE_DECODER), s->run, e);
    if (rc == ERR_OK && latents && planes) {
        struct report_graphs report = {.callbacks = s->run->callbacks,
                                       .at = {.stage = VT_STAGE_DECODE,
                                              .image = s->run->image,
                                              .image_count = s->run->image_count},
                                       .part = {0, 1}};
        double start = clock_s();
        struct vae_call vr = {.cancel = s->run->cancel,
                              .user = s->run->trace,
                              .limits.compute = governor_compute_room(k->on.vae)};
        if (s->run->trace && s->run->trace_blocks)
            vr.mid = trace_vae_mid;
        flux2_vae_unpack(k->vae, s->latents, h, w, latents);
        trace_add_f32(s->run->trace, "vae_input", latents, (int64_t[]){1, c, h, w}, 4);
        report_graphs_begin(&report, k->on.vae);
        rc = vae_decode(flux2_vae_net(k->vae), latents, h, w, planes, &vr, e);
        report_graphs_end(k->on.vae);
        s->run->stats->decode_seconds += clock_s() - start;
    }
    if (rc == ERR_OK && planes)
        rc = check_decoded(s, planes, n, e);
    if (rc == ERR_OK)
        rc = image_new(out, s->w, s->h, 3, e);
    if (rc == ERR_OK && planes) {
        trace_add_f32(s->run->trace, "decoded", planes, (int64_t[]){1, 3, s->h, s->w}, 4);
        to_pixels(planes, out);
    }
    mem_free(latents);
    mem_free(planes);
    return rc;
}

/* ---- all together ------------------------------------------------------------------------------------ */

static enum err_code prepare(struct state *s, struct err *e)
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
    trace_start(s);
    return ERR_OK;
}

enum err_code klein_generate(struct klein *k, const struct klein_request *rq,
                             const struct klein_run *run, struct image *out, struct err *e)
{
    struct state s = {.k = k, .rq = rq, .run = run};
    memset(out, 0, sizeof *out);
    enum err_code rc = check_strength(rq, e);
    if (rc == ERR_OK)
        rc = klein_size_make(k, rq, run, &s.size, e);
    if (rc != ERR_OK)
        return rc;
    s.w = s.size.work.w;
    s.h = s.size.work.h;
    s.rows = s.h / klein_size_unit(k);
    s.cols = s.w / klein_size_unit(k);
    s.tokens = s.rows * s.cols;
    s.channels = flux2_transformer_config(k->transformer)->in_channels;
    rc = prepare(&s, e);
    if (rc == ERR_OK)
        rc = denoise(&s, e);
    if (rc == ERR_OK)
        rc = decode(&s, out, e);
    if (rc == ERR_OK)
        rc = klein_size_finish(&s.size, out, e);
    if (rc == ERR_OK && rq->inpaint)
        rc = klein_canvas_restore(&s.canvas, rq->feather, out, e);
    if (rc != ERR_OK)
        image_free(out);
    state_free(&s);
    return rc;
}

/* decode.c - the end of a run: latents to an image of the working size; traces; previews.
 *
 * Latents are unpacked and denormalised, decoded in whatever bands the budget allows, and checked before they become
 * 8 bits: NaN, or one single value everywhere, is what a broken checkpoint gives. A preview is made by a small
 * linear map from latents to colours, fitted to this model's own encoder, so that it costs next to nothing a step.
 */
#include "pipeline/klein/internal.h"

#include <math.h>

#include "base/clock.h"
#include "base/floats.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "pipeline/trace.h"
#include "sample/schedule.h"

/* A broken decoder makes an image of one single value; a working one never does. */
static enum err_code check_decoded(const struct klein_state *s, const float *x, int64_t n,
                                   struct err *e)
{
    int64_t same = 1;
    if (!floats_finite(x, n)) {
        enum err_code rc =
            nn_params_check_finite(vae_params(flux2_vae_net(s->k->vae), VAE_DECODER), e);
        return rc != ERR_OK
                   ? err_note(e, "VAE")
                   : err_set(e, ERR_NUMERIC,
                             "the VAE decoder's output holds NaN or infinity: no image is made");
    }
    while (same < n && fabsf(x[same] - x[0]) < 1e-6f)
        same++;
    if (same == n)
        return err_set(e, ERR_NUMERIC, "the VAE decoder made an image of the single value %g",
                       (double)x[0]);
    return ERR_OK;
}

enum err_code klein_decode(struct klein_state *s, struct image *out, struct err *e)
{
    struct klein *k = s->k;
    int64_t c = flux2_vae_config(k->vae)->latent_channels, h = 2 * s->rows, w = 2 * s->cols;
    int64_t n = 3 * (int64_t)s->w * s->h;
    float *latents = mem_try_array((size_t)(c * h * w), sizeof *latents);
    float *planes = mem_try_array((size_t)n, sizeof *planes);
    enum err_code rc = ERR_OK;
    if (!latents || !planes) {
        rc = err_set(e, ERR_NOMEM, "no memory for the image");
        goto done;
    }
    TRY_GOTO(klein_engage(k, vae_params(flux2_vae_net(k->vae), VAE_DECODER), s->run, e), done);
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
        vr.mid = klein_trace_vae_mid;
    flux2_vae_unpack(k->vae, s->latents, h, w, latents);
    trace_add_f32(s->run->trace, "vae_input", latents, (int64_t[]){1, c, h, w}, 4);
    report_graphs_begin(&report, k->on.vae);
    rc = vae_decode(flux2_vae_net(k->vae), latents, h, w, planes, &vr, e);
    report_graphs_end(k->on.vae);
    s->run->stats->decode_seconds += clock_s() - start;
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(image_new(out, s->w, s->h, 3, e), done);
    if (nn_device_is_dry(k->on.vae))
        goto done;
    TRY_GOTO(check_decoded(s, planes, n, e), done);
    trace_add_f32(s->run->trace, "decoded", planes, (int64_t[]){1, 3, s->h, s->w}, 4);
    image_from_planes(out, planes);
done:
    mem_free(latents);
    mem_free(planes);
    return rc;
}

/* ---- traces ---------------------------------------------------------------------------------- */

/* What a run computes on the way, under the names of the reference cases. */

void klein_trace_packed(const struct klein_state *s, const char *name, const float *x, int64_t rows)
{
    trace_add_f32(s->run->trace, name, x, (int64_t[]){1, rows, s->channels}, 3);
}

void klein_trace_start(const struct klein_state *s)
{
    struct trace *t = s->run->trace;
    klein_trace_packed(s, "initial_latents", s->latents, s->tokens);
    if (s->cond.n) {
        int64_t *ids = t ? mem_try_array((size_t)s->cond.n * FLUX2_AXES, sizeof *ids) : NULL;
        klein_trace_packed(s, "condition_latents", s->cond.latents, s->cond.n);
        for (int64_t i = 0; ids && i < s->cond.n * FLUX2_AXES; i++)
            ids[i] = s->cond.ids[i / FLUX2_AXES].axis[i % FLUX2_AXES];
        if (ids)
            trace_add_i64(t, "condition_ids", ids, (int64_t[]){1, s->cond.n, FLUX2_AXES}, 3);
        mem_free(ids);
    }
    if (!s->rq->inpaint)
        return;
    klein_trace_packed(s, "image_latents", s->canvas.latents, s->tokens);
    klein_trace_packed(s, "noise", s->noise, s->tokens);
    if (s->canvas.token_mask)
        trace_add_f32(t, "mask", s->canvas.token_mask, (int64_t[]){1, s->tokens, 1}, 3);
}

/* The traced blocks of the first step's conditional pass. */
enum err_code klein_trace_blocks(struct klein_state *s, int step, struct err *e)
{
    struct flux2_pass *p;
    enum err_code rc = klein_pass_make(s, true, &p, e);
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

void klein_trace_vae_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                         void *user)
{
    trace_add_f32(user, name, data, dims, n_dims);
}

/* ---- previews -------------------------------------------------------------------------------- */

/* Images on the way, for who asked for them. */

struct encoding {
    struct klein *k;
    const struct klein_run *run;
};

/* Told to nobody: it is no image of the request. */
static enum err_code encode(void *user, const struct image *pattern, float *tokens, struct err *e)
{
    const struct encoding *n = user;
    struct vt_stats stats = {0};
    struct klein_run quiet = {.cancel = n->run->cancel, .stats = &stats};
    return klein_encode_image(n->k, pattern, (struct report_part){0, 1}, &quiet, tokens, e);
}

void klein_preview_prepare(struct klein *k, const struct klein_run *run)
{
    struct encoding n = {k, run};
    const struct preview_encoder encoder = {.encode = encode,
                                            .user = &n,
                                            .dry = nn_device_is_dry(k->on.vae),
                                            .unit = klein_size_unit(k),
                                            .channels = flux2_vae_config(k->vae)->latent_channels,
                                            .colours = 3};
    if (run->previews)
        preview_prepare(&k->preview, &encoder);
}

void klein_preview_show(struct klein *k, const struct klein_run *run, const struct preview_at *at,
                        int step)
{
    struct image im;
    struct err e = {0};
    if (!k->preview.maps || !run->callbacks || !run->callbacks->preview)
        return;
    if (preview_draw(&k->preview, at, &im, &e) == ERR_OK)
        report_preview(run->callbacks, &im, step, 1);
    err_clear(&e); /* an image without a preview is as good */
    image_free(&im);
}

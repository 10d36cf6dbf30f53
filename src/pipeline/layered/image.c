/* image.c - what goes into a run and comes out: prompts to embeddings, an image to latents, latents to layers.
 *
 * Each step engages its component, runs it and checks its output for NaN, naming the weight that holds one if
 * there is such a weight. Latents are decoded one frame at a time, so the decoder's memory does not grow with the
 * number of layers; the decoded frames stay on the host as floats until all are there, which layered_check_room
 * has planned for.
 */
#include <string.h>

#include "base/clock.h"
#include "base/floats.h"
#include "base/mem.h"
#include "image/composite.h"
#include "memory/budget.h"
#include "memory/governor.h"
#include "pipeline/layered/internal.h"
#include "text/chat.h"

/* Output with NaN in it: from a weight that holds one, if there is such a weight. */
static enum err_code refuse_nan(const struct nn_params *ps, const char *part, struct err *e)
{
    enum err_code rc = nn_params_check_finite(ps, e);
    return rc != ERR_OK ? err_note(e, "%s", part)
                        : err_set(e, ERR_NUMERIC,
                                  "the %s's output holds NaN or infinity: no layer "
                                  "is made",
                                  part);
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* The last hidden states of ids; the template's own first tokens are left away. */
static enum err_code encode_ids(struct layered *l, const struct tokens *ids,
                                struct report_part part, const struct layered_run *run,
                                struct layered_text *out, struct err *e)
{
    struct report_graphs report = {.callbacks = run->callbacks,
                                   .at = {.stage = VT_STAGE_TEXT, .image_count = 1},
                                   .part = part};
    size_t width = (size_t)l->joint_dim;
    int64_t last = qwen_vl_config(l->text)->layers;
    struct qwen_vl_prompt prompt = {.ids = ids->ids, .n = (int64_t)ids->n};
    if (ids->n <= CHAT_LAYERED_PREFIX_TOKENS)
        return err_set(e, ERR_FORMAT,
                       "the prompt's template has %zu tokens, more than %d are wanted: this is no "
                       "tokenizer of a layered model",
                       ids->n, CHAT_LAYERED_PREFIX_TOKENS);
    float *states = mem_try_array(ids->n, width * sizeof *states);
    if (!states)
        return err_set(e, ERR_NOMEM, "no memory for %zu prompt tokens", ids->n);
    enum err_code rc = layered_engage(l, qwen_vl_params(l->text), run, e);
    int64_t start = clock_ns();
    if (rc == ERR_OK) {
        report_graphs_begin(&report, l->on.text);
        rc = qwen_vl_encode(l->text, &prompt, &last, 1, states, run->cancel, e);
        report_graphs_end(l->on.text);
    }
    run->stats->text_seconds += (double)(clock_ns() - start) * 1e-9;
    out->n = (int64_t)ids->n - CHAT_LAYERED_PREFIX_TOKENS;
    memmove(states, states + CHAT_LAYERED_PREFIX_TOKENS * width,
            (size_t)out->n * width * sizeof *states);
    out->data = states;
    if (rc == ERR_OK && !floats_finite(states, out->n * l->joint_dim))
        rc = refuse_nan(qwen_vl_params(l->text), "text encoder", e);
    return rc;
}

enum err_code layered_embed(struct layered *l, const struct layered_prompt *prompt,
                            const struct layered_run *run, struct layered_text *out, struct err *e)
{
    struct tokens ids = {0};
    struct prompt_cut cut;
    size_t max = (size_t)prompt->max_tokens;
    enum err_code rc;
    TRY_GOTO(layered_prompt_cut(l->tokenizer, prompt->text, max, &cut, e), done);
    report_prompt_cut(run->callbacks, &cut);
    TRY_GOTO(layered_encode(l->tokenizer, prompt->text, max, &ids, e), done);
    rc = encode_ids(l, &ids, prompt->part, run, out, e);
done:
    tokens_deinit(&ids);
    return rc;
}

/* ---- image to latents ------------------------------------------------------------------------------ */

static void trace_vae_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                          void *user)
{
    trace_add_f32(user, name, data, dims, n_dims);
}

static struct vae_call vae_run(const struct layered *l, const struct layered_run *run, bool traced)
{
    return (struct vae_call){
        .cancel = run->cancel,
        .mid = traced && run->trace && run->trace_blocks ? trace_vae_mid : NULL,
        .user = run->trace,
        .limits.compute = governor_compute_room(l->on.vae),
    };
}

enum err_code layered_encode_image(struct layered *l, const struct image *image,
                                   const struct layered_run *run, float *tokens, struct err *e)
{
    const struct qwen_image_vae_config *c = qwen_image_vae_config(l->vae);
    int s = qwen_image_vae_scale(c);
    int64_t h = image->h / s, w = image->w / s, n = c->latent_channels * h * w;
    float *planes = mem_try_array(4 * (size_t)image->w * (size_t)image->h, sizeof *planes);
    float *moments = mem_try_array(2 * (size_t)n, sizeof *moments);
    enum err_code rc = ERR_OK;
    if (!planes || !moments) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image");
        goto done;
    }
    TRY_GOTO(layered_engage(l, vae_params(qwen_image_vae_net(l->vae), VAE_ENCODER), run, e), done);
    struct report_graphs report = {.callbacks = run->callbacks,
                                   .at = {.stage = VT_STAGE_ENCODE, .image_count = 1},
                                   .part = {0, 1}};
    int64_t start = clock_ns();
    report_graphs_begin(&report, l->on.vae);
    struct vae_call vr = vae_run(l, run, true);
    image_planes(image, planes);
    rc = vae_encode(qwen_image_vae_net(l->vae), planes, image->h, image->w, moments, &vr, e);
    report_graphs_end(l->on.vae);
    run->stats->encode_seconds += (double)(clock_ns() - start) * 1e-9;
    if (rc != ERR_OK)
        goto done;
    if (!floats_finite(moments, n)) {
        rc = refuse_nan(vae_params(qwen_image_vae_net(l->vae), VAE_ENCODER), "VAE encoder", e);
        goto done;
    }
    qwen_image_vae_normalize(c, moments, h * w);
    qwen_image_pack(moments, c->latent_channels, h, w, tokens);
done:
    mem_free(planes);
    mem_free(moments);
    return rc;
}

/* ---- latents to layers ------------------------------------------------------------------------------- */

struct frames {
    int64_t channels, h, w; /* of one frame's latents */
    size_t latent, plane;   /* floats of one frame: latents, pixels */
    float *latents;         /* [layers + 1, channels, h, w] */
};

/* One frame at a time: memory does not grow with the number of layers. */
static enum err_code decode_one(struct layered *l, const struct frames *f, int frame,
                                const struct layered_run *run, struct layered_result *out,
                                struct err *e)
{
    float *planes = frame == 0 ? out->frame : out->planes + (size_t)(frame - 1) * f->plane;
    struct vae_call vr = vae_run(l, run, frame == 1);
    int frames = out->layers + 1;
    struct report_graphs report = {
        .callbacks = run->callbacks,
        .at = {.stage = VT_STAGE_DECODE, .image_count = 1, .step = frame, .step_count = frames},
        .part = {frame, frames}};
    report_graphs_begin(&report, l->on.vae);
    enum err_code rc =
        vae_decode(qwen_image_vae_net(l->vae), f->latents + (size_t)frame * f->latent, f->h, f->w,
                   planes, &vr, e);
    report_graphs_end(l->on.vae);
    bool dry = nn_device_is_dry(l->on.vae);
    if (rc == ERR_OK && !dry && !floats_finite(planes, (int64_t)f->plane))
        rc = refuse_nan(vae_params(qwen_image_vae_net(l->vae), VAE_DECODER), "VAE decoder", e);
    return rc;
}

static enum err_code decode_all(struct layered *l, const struct frames *f,
                                const struct layered_run *run, struct layered_result *out,
                                struct err *e)
{
    int64_t n = out->layers;
    enum err_code rc =
        layered_engage(l, vae_params(qwen_image_vae_net(l->vae), VAE_DECODER), run, e);
    int64_t start = clock_ns();
    trace_add_f32(run->trace, "vae_input", f->latents + f->latent,
                  (int64_t[]){n, f->channels, 1, f->h, f->w}, 5);
    for (int i = 0; rc == ERR_OK && i <= n; i++)
        rc = decode_one(l, f, i, run, out, e);
    run->stats->decode_seconds += (double)(clock_ns() - start) * 1e-9;
    if (rc != ERR_OK)
        return rc;
    trace_add_f32(run->trace, "decoded", out->planes, (int64_t[]){n, 4, 1, out->h, out->w}, 5);
    trace_add_f32(run->trace, "decoded_frame_0", out->frame, (int64_t[]){1, 4, 1, out->h, out->w},
                  5);
    return ERR_OK;
}

enum err_code layered_check_room(int layers, int w, int h, uint64_t available, struct err *e)
{
    uint64_t pixels = (uint64_t)w * (uint64_t)h, frames = (uint64_t)layers + 1;
    uint64_t bytes = frames * pixels * 4 * (sizeof(float) + 1); /* and as 8 bits */
    if (available == 0 || bytes <= available)
        return ERR_OK;
    return err_set(e, ERR_NOMEM,
                   "%d layers of %d x %d take %s of this machine's memory, and %s are free: fewer "
                   "layers, or a smaller --resolution",
                   layers, w, h, budget_text(bytes).z, budget_text(available).z);
}

enum err_code layered_decode_frames(struct layered *l, const float *latents,
                                    const struct layered_run *run, struct layered_result *out,
                                    struct err *e)
{
    const struct qwen_image_vae_config *c = qwen_image_vae_config(l->vae);
    int s = qwen_image_vae_scale(c);
    size_t layers = (size_t)out->layers;
    struct frames f = {.channels = c->latent_channels, .h = out->h / s, .w = out->w / s};
    f.latent = (size_t)(f.channels * f.h * f.w);
    f.plane = 4 * (size_t)out->w * (size_t)out->h;
    f.latents = mem_try_array(layers + 1, f.latent * sizeof(float));
    out->frame = mem_try_array(f.plane, sizeof(float));
    out->planes = mem_try_array(layers, f.plane * sizeof(float));
    enum err_code rc = ERR_OK;
    if (!f.latents || !out->frame || !out->planes) {
        rc = err_set(e, ERR_NOMEM, "no memory for %d layers of %d x %d", out->layers, out->w,
                     out->h);
        goto done;
    }
    for (size_t i = 0; i <= layers; i++) {
        float *dst = f.latents + i * f.latent;
        qwen_image_unpack(latents + i * f.latent, f.channels, f.h, f.w, dst);
        qwen_image_vae_denormalize(c, dst, f.h * f.w);
    }
    rc = decode_all(l, &f, run, out, e);
done:
    mem_free(f.latents);
    return rc;
}

enum err_code layered_to_image(const float *planes, int w, int h, struct image *out, struct err *e)
{
    TRY(image_new(out, w, h, 4, e));
    image_from_planes(out, planes);
    return ERR_OK;
}

/* ---- previews -------------------------------------------------------------------------------- */

/* Layers on the way, for who asked for them: all of them side by side as one sheet, so that
 * a client has one image that grows in its place. */

struct encoding {
    struct layered *l;
    const struct layered_run *run;
};

/* Told to nobody, and no part of a trace: it is no image of the request. */
static enum err_code encode(void *user, const struct image *pattern, float *tokens, struct err *e)
{
    const struct encoding *n = user;
    struct vt_stats stats = {0};
    struct layered_run quiet = {.cancel = n->run->cancel, .stats = &stats};
    return layered_encode_image(n->l, pattern, &quiet, tokens, e);
}

void layered_preview_prepare(struct layered *l, const struct layered_run *run)
{
    struct encoding n = {l, run};
    const struct preview_encoder encoder = {.encode = encode,
                                            .user = &n,
                                            .dry = nn_device_is_dry(l->on.vae),
                                            .unit = layered_unit(l),
                                            .channels =
                                                qwen_image_vae_config(l->vae)->latent_channels,
                                            .colours = 4};
    if (run->previews)
        preview_prepare(&l->preview, &encoder);
}

static enum err_code draw_sheet(const struct layered *l, const struct preview_at *first, int layers,
                                struct image *out, struct err *e)
{
    struct image tiles[LAYERED_MAX_LAYERS] = {{0}};
    const struct image *list[LAYERED_MAX_LAYERS];
    struct image_sheet_params params = image_sheet_defaults();
    int64_t floats = first->rows * first->cols * PREVIEW_PLACES * l->preview.channels;
    enum err_code rc = ERR_OK;
    params.columns = layers;
    params.gap = 0;
    for (int i = 0; i < layers; i++) {
        struct preview_at at = *first;
        at.latents += i * floats;
        at.velocity += i * floats;
        list[i] = &tiles[i];
        TRY_GOTO(preview_draw(&l->preview, &at, &tiles[i], e), done);
    }
    rc = image_sheet(list, (size_t)layers, &params, out, e);
done:
    for (int i = 0; i < layers; i++)
        image_free(&tiles[i]);
    return rc;
}

void layered_preview_show(const struct layered *l, const struct layered_run *run,
                          const struct preview_at *first, int layers, int step)
{
    struct image sheet = {0};
    struct err e = {0};
    if (!l->preview.maps || !run->callbacks || !run->callbacks->preview)
        return;
    if (draw_sheet(l, first, layers, &sheet, &e) == ERR_OK)
        report_preview(run->callbacks, &sheet, step, layers);
    err_clear(&e); /* layers without a preview are as good */
    image_free(&sheet);
}

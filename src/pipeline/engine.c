/* engine.c - veetance.h on top of the pipelines: the engine, requests for images, and their results.
 *
 * One model is open at a time; another one, or another kind of work, closes it first. A request goes through the
 * same steps whatever it asks for: check everything that needs no model, open the model, fill in defaults (the
 * model's, then ours), make the inputs, plan on a dry device, and run only what the plan allows. vt_plan_* stops
 * before the run, so a plan is that of the run. A result owns its images and a copy of the request with every
 * default filled in.
 *
 * Calls on one engine come from one thread; only vt_engine_cancel may come from another.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "pipeline/ahead.h"
#include "pipeline/placement.h"
#include "pipeline/engine_inputs.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/isolated.h"
#include "pipeline/lend.h"
#include "pipeline/lora_tags.h"
#include "pipeline/loras.h"
#include "pipeline/report.h"
#include "sample/fast.h"
#include "veetance.h"

enum { MAX_PROMPT_BYTES = 4 << 20 };

_Static_assert((int)VT_ERR_INTERNAL == (int)ERR_INTERNAL &&
                   (int)VT_ERR_ENGINE_STUCK == (int)ERR_ENGINE_STUCK &&
                   (int)VT_ERR_NUMERIC == (int)ERR_NUMERIC && (int)VT_ERR_LIMIT == (int)ERR_LIMIT &&
                   (int)VT_ERR_CANCELLED == (int)ERR_CANCELLED,
               "vt_status and err_code are the same list");

enum vt_status engine_finish(enum err_code rc, const struct err *e, struct vt_error *out)
{
    if (out) {
        out->status = (enum vt_status)rc;
        (void)snprintf(out->text, sizeof out->text, "%s", rc == ERR_OK ? "" : e->text);
    }
    return (enum vt_status)rc;
}

const char *vt_status_name(enum vt_status status)
{
    return err_code_name((enum err_code)status);
}

const char *vt_version(void)
{
    return VT_VERSION;
}

/* ---- devices and the engine ------------------------------------------------------------------------- */

enum vt_status vt_devices(struct vt_device *out, size_t max, size_t *n, struct vt_error *err)
{
    struct nn_device_info list[64];
    struct err e = {0};
    size_t count = 0;
    enum err_code rc = nn_device_list(list, sizeof list / sizeof list[0], &count, &e);
    *n = 0;
    for (size_t i = 0; rc == ERR_OK && i < count && i < max; i++, (*n)++) {
        struct vt_device *d = &out[i];
        memset(d, 0, sizeof *d);
        memcpy(d->name, list[i].name, sizeof d->name);
        memcpy(d->description, list[i].description, sizeof d->description);
        d->is_cpu = list[i].is_cpu;
        d->total_bytes = list[i].total_bytes;
        d->free_bytes = list[i].free_bytes;
    }
    return engine_finish(rc, &e, err);
}

static enum err_code check_options(const struct vt_engine_options *o, struct err *e)
{
    TRY(placement_check(o->place, e));
    return o->weights ? convert_cache_check(o->weights, e) : ERR_OK;
}

static enum err_code open_here(struct vt_engine *g, const struct vt_engine_options *o,
                               struct err *e)
{
    g->ahead = ahead_begin(o->model);
    TRY(placement_open(
        &(struct placement_options){
            .device = o->device, .place = o->place, .budget = o->budget, .threads = o->threads},
        &g->placement, e));
    for (size_t i = 0; i < g->placement.governors.n; i++) {
        nn_device_set_cancel(g->placement.all[i], &g->cancel);
        nn_device_set_patience(g->placement.all[i], o->patience);
    }
    nn_device_info(g->placement.devices.transformer, &g->info);
    g->threads = o->threads;
    (void)snprintf(g->weights, sizeof g->weights, "%s", o->weights ? o->weights : "");
    return ERR_OK;
}

enum vt_status vt_engine_open(const struct vt_engine_options *options, struct vt_engine **out,
                              struct vt_error *err)
{
    static const struct vt_engine_options defaults = {0};
    const struct vt_engine_options *o = options ? options : &defaults;
    struct err e = {0};
    *out = NULL;
    struct vt_engine *g = mem_alloc(sizeof *g);
    enum err_code rc;
    TRY_GOTO(check_options(o, &e), done);
    rc = o->isolated ? isolated_open(o, &g->isolated, &e) : open_here(g, o, &e);
done:
    if (rc != ERR_OK) {
        ahead_end(g->ahead);
        mem_free(g);
        g = NULL;
    }
    *out = g;
    return engine_finish(rc, &e, err);
}

void engine_close_model(struct vt_engine *g)
{
    klein_free(g->klein);
    g->klein = NULL;
    layered_free(g->layered);
    g->layered = NULL;
    caption_close(g->captioner);
    g->captioner = NULL;
    mem_free(g->dir);
    g->dir = NULL;
    g->model[0] = 0;
}

void vt_engine_close(struct vt_engine *engine)
{
    if (!engine)
        return;
    engine_jobs_close(engine);
    if (engine->isolated) {
        isolated_close(engine->isolated);
    } else {
        ahead_end(engine->ahead);
        engine_close_model(engine);
        placement_close(&engine->placement);
    }
    mem_free(engine);
}

void vt_engine_cancel(struct vt_engine *engine)
{
    if (engine->isolated)
        isolated_cancel(engine->isolated);
    else
        atomic_store(&engine->cancel, true);
}

const char *vt_engine_device(const struct vt_engine *engine)
{
    return engine->isolated ? isolated_device(engine->isolated) : engine->info.name;
}

const char *vt_engine_last_words(const struct vt_engine *engine)
{
    return engine->isolated ? isolated_last_words(engine->isolated) : "";
}

const char *vt_engine_model(const struct vt_engine *engine)
{
    return engine->isolated ? isolated_model(engine->isolated) : engine->model;
}

struct convert_cache_run engine_conversion(struct vt_engine *g, const struct vt_callbacks *cb)
{
    return (struct convert_cache_run){.type = g->weights[0] ? g->weights : NULL,
                                      .threads = g->threads,
                                      .cancel = &g->cancel,
                                      .callbacks = cb};
}

enum err_code engine_open_model(struct vt_engine *g, const char *model,
                                enum model_pipeline pipeline, const struct vt_callbacks *cb,
                                struct err *e)
{
    if (g->dir && g->dir->pipeline == pipeline && model && strcmp(g->model, model) == 0)
        return ERR_OK;
    engine_close_model(g);
    const struct convert_cache_run conversion = engine_conversion(g, cb);
    struct devices on = g->placement.devices;
    g->dir = mem_alloc(sizeof *g->dir);
    enum err_code rc;
    TRY_GOTO(model_dir_open(model, g->dir, e), done);
    TRY_GOTO(convert_cache_model(g->dir, &conversion, e), done);
    rc = pipeline == MODEL_PIPELINE_LAYERED ? layered_open(g->dir, on, g->ahead, &g->layered, e)
                                            : klein_open(g->dir, on, g->ahead, &g->klein, e);
done:
    ahead_end(g->ahead);
    g->ahead = NULL;
    if (rc != ERR_OK)
        engine_close_model(g);
    else
        (void)snprintf(g->model, sizeof g->model, "%s", model);
    return rc;
}

/* ---- requests --------------------------------------------------------------------------------------- */

struct vt_request vt_request_defaults(void)
{
    return (struct vt_request){
        .prompt = "",
        .width = VT_DEFAULT,
        .height = VT_DEFAULT,
        .steps = VT_DEFAULT,
        .seed = VT_SEED_RANDOM,
        .guidance = VT_DEFAULT,
        .count = 1,
        .max_tokens = VT_DEFAULT,
        .strength = VT_DEFAULT,
        .crop_padding = 32,
    };
}

void engine_note_fast(const struct vt_callbacks *cb, int fast, int steps)
{
    if (fast > 0 && steps <= FAST_WHOLE_STEPS)
        report_note(
            cb,
            "fast %d has no effect: of a run, the first three steps and the last are always "
            "computed, and it has %d",
            fast, steps);
}

enum err_code engine_check_range(const char *what, int64_t v, int64_t lo, int64_t hi, struct err *e)
{
    if (v >= lo && v <= hi)
        return ERR_OK;
    return err_set(e, ERR_ARG, "%s is %lld; it should be %lld to %lld", what, (long long)v,
                   (long long)lo, (long long)hi);
}

static enum err_code check_optional(const char *what, int64_t v, int64_t lo, int64_t hi,
                                    struct err *e)
{
    return v == VT_DEFAULT ? ERR_OK : engine_check_range(what, v, lo, hi, e);
}

enum err_code engine_check_text(const char *what, const char *text, struct err *e)
{
    struct str s = str_from(text ? text : "");
    size_t at;
    if (s.n > MAX_PROMPT_BYTES)
        return err_set(e, ERR_LIMIT, "the %s has %zu bytes, the limit is %d", what, s.n,
                       MAX_PROMPT_BYTES);
    if (!str_is_utf8(s, &at))
        return err_set(e, ERR_ARG, "the %s is not valid UTF-8 (at byte %zu)", what, at);
    return ERR_OK;
}

enum err_code engine_check_prompt(const char *text, struct err *e)
{
    enum err_code rc = engine_check_text("prompt", text, e);
    const char *lora = rc == ERR_OK && text ? lora_tag_find(text) : NULL;
    if (!lora)
        return rc;
    return err_set(
        e, ERR_ARG,
        "the prompt asks for a LoRA ('%.*s'), which is no word for the model; name it among "
        "the LoRAs (--lora, \"loras\")",
        (int)(strcspn(lora, ">\n") < 60 ? strcspn(lora, ">\n") + 1 : 60), lora);
}

enum err_code engine_check_image(const struct vt_image *im, const char *what, struct err *e)
{
    if (!im->pixels && im->file) /* where it is read its sides are checked, too */
        return ERR_OK;
    if (!im->pixels || im->channels < 1 || im->channels > 4)
        return err_set(e, ERR_ARG, "%s has no pixels", what);
    if (im->width < 1 || im->height < 1)
        return err_set(e, ERR_ARG, "%s is %d x %d pixels", what, im->width, im->height);
    if (im->bits != 0 && im->bits != 8 && im->bits != 16)
        return err_set(e, ERR_ARG, "%s has samples of %d bits; it should be 8 or 16", what,
                       im->bits);
    enum err_code rc = image_check_size((uint64_t)im->width, (uint64_t)im->height, NULL, e);
    return rc == ERR_OK ? rc : err_note(e, "%s", what);
}

enum err_code engine_check_images(const struct vt_request *rq, struct err *e)
{
    char what[32];
    struct matte matte;
    if (rq->image_count < 0 || rq->image_count > VT_MAX_IMAGES)
        return err_set(e, ERR_ARG, "%d images are given; at most %d can be used", rq->image_count,
                       VT_MAX_IMAGES);
    for (int i = 0; i < rq->image_count; i++) {
        (void)snprintf(what, sizeof what, "image %d", i + 1);
        TRY(engine_check_image(&rq->images[i], what, e));
    }
    if (rq->mask.pixels)
        TRY(engine_check_image(&rq->mask, "the mask", e));
    TRY(matte_parse(rq->matte, &matte, e));
    for (int i = 0; i < 4; i++) {
        if (rq->extend[i] < 0 || rq->extend[i] > 8192)
            return err_set(e, ERR_ARG, "extend takes 0 to 8192 pixels a side, not %d",
                           rq->extend[i]);
    }
    return ERR_OK;
}

static enum err_code check_mask(const struct vt_request *rq, struct err *e)
{
    TRY(engine_check_range("feather", rq->feather, 0, 1024, e));
    TRY(engine_check_range("mask_grow", rq->mask_grow, -1024, 1024, e));
    TRY(engine_check_range("mask_feather", rq->mask_feather, 0, 512, e));
    TRY(engine_check_range("crop_padding", rq->crop_padding, 0, 1024, e));
    if (rq->crop_to_mask && rq->matte && strcmp(rq->matte, "none") == 0)
        return err_set(e, ERR_ARG,
                       "crop_to_mask keeps every pixel outside the mask; with the matte 'none' "
                       "kept parts are resampled, as the reference implementation does it");
    return ERR_OK;
}

static enum err_code check_transparent(const struct vt_request *rq, struct err *e)
{
    bool in_place = rq->mask.pixels || rq->mask_from_alpha || rq->strength >= 0;
    for (int i = 0; i < 4; i++)
        in_place = in_place || rq->extend[i];
    if (!rq->transparent || !in_place)
        return ERR_OK;
    return err_set(e, ERR_ARG,
                   "transparent makes a whole image; it goes with no mask, strength or extension");
}

enum err_code engine_check_count(const struct vt_request *rq, struct err *e)
{
    return engine_check_range("the count", rq->count, 1, VT_MAX_COUNT, e);
}

static enum err_code check_request(const struct vt_request *rq, struct err *e)
{
    TRY(engine_check_prompt(rq->prompt, e));
    TRY(loras_check(&rq->loras, e));
    TRY(check_optional("the width", rq->width, 64, 2048, e));
    TRY(check_optional("the height", rq->height, 64, 2048, e));
    TRY(check_optional("the number of steps", rq->steps, 1, SCHEDULE_MAX_STEPS, e));
    TRY(engine_check_range("fast", rq->fast, 0, VT_MAX_FAST, e));
    TRY(engine_check_count(rq, e));
    TRY(check_optional("the number of prompt tokens", rq->max_tokens, 1, 4096, e));
    TRY(check_mask(rq, e));
    TRY(check_transparent(rq, e));
    if (rq->seed > INT64_MAX - VT_MAX_COUNT)
        return err_set(e, ERR_ARG, "the seed is %lld; the largest is %lld", (long long)rq->seed,
                       (long long)(INT64_MAX - VT_MAX_COUNT));
    if (isnan(rq->guidance) || rq->guidance > 100)
        return err_set(e, ERR_ARG, "guidance is %g; it should be 0 to 100", rq->guidance);
    if (isnan(rq->strength) || rq->strength > 1)
        return err_set(e, ERR_ARG, "strength is %g; it should be 0 to 1", rq->strength);
    return engine_check_images(rq, e);
}

int64_t engine_random_seed(void)
{
    uint32_t s = 0;
    if (getrandom(&s, sizeof s, 0) != (ssize_t)sizeof s)
        s = (uint32_t)clock_ns();
    return s;
}

/* Fills every default that does not depend on the images. */
static void fill_defaults(const struct model_dir *dir, const struct vt_callbacks *cb,
                          struct vt_request *rq)
{
    const struct model_defaults *d = &dir->defaults;
    bool inpaint = rq->mask.pixels || rq->mask_from_alpha || rq->strength >= 0;
    if (rq->steps == VT_DEFAULT)
        rq->steps = d->steps ? (int)d->steps : dir->is_distilled ? 4 : 50;
    if (rq->max_tokens == VT_DEFAULT)
        rq->max_tokens = d->max_tokens ? (int)d->max_tokens : 512;
    if (rq->guidance < 0)
        rq->guidance = d->guidance >= 0    ? d->guidance
                       : dir->is_distilled ? 1.0
                       : inpaint           ? 8.0
                                           : 4.0;
    else if (dir->is_distilled && rq->guidance > 1.0)
        report_note(cb, "guidance %g has no effect: '%s' is a distilled model", rq->guidance,
                    dir->name);
    engine_note_fast(cb, rq->fast, rq->steps);
    if (rq->seed < 0)
        rq->seed = engine_random_seed();
}

/* ---- running ----------------------------------------------------------------------------------------- */

/* "t.safetensors" for one image; the seed goes before the ending for several. */
static void trace_name(const struct vt_request *rq, int i, char *out, size_t size)
{
    const char *p = rq->trace_path, *dot = strrchr(p, '.'), *slash = strrchr(p, '/');
    if (rq->count == 1 || !dot || (slash && dot < slash))
        dot = p + strlen(p);
    if (rq->count == 1)
        (void)snprintf(out, size, "%s", p);
    else
        (void)snprintf(out, size, "%.*s-%lld%s", (int)(dot - p), p, (long long)(rq->seed + i), dot);
}

static enum err_code make_image(struct vt_engine *g, struct vt_result *r,
                                const struct engine_inputs *in, const struct klein_run *run,
                                struct err *e)
{
    const struct vt_request *rq = &r->request;
    struct klein_request kr = {
        .prompt = str_from(rq->prompt ? rq->prompt : ""),
        .width = rq->width > 0 ? rq->width : 0,
        .height = rq->height > 0 ? rq->height : 0,
        .steps = rq->steps,
        .max_tokens = rq->max_tokens,
        .seed = (uint64_t)(rq->seed + run->image),
        .guidance = rq->guidance,
        .fast = rq->fast,
        .images = in->images,
        .n_images = rq->image_count,
        .inpaint = in->inpaint,
        .original = in->inpaint ? &in->original : NULL,
        .as_reference = in->as_reference,
        .mask = in->has_mask ? &in->mask : NULL,
        .whole = in->cropped ? &in->whole : NULL,
        .region = in->region,
        .strength = rq->strength,
        .feather = rq->feather + 2 * rq->mask_feather,
        .match_colours = rq->match_colours != 0,
        .align = rq->align != 0,
        .cache_dir = rq->cache_dir,
    };
    struct image *out = &r->images[run->image];
    return rq->transparent ? klein_transparent(g->klein, &kr, run, out, e)
                           : klein_generate(g->klein, &kr, run, out, e);
}

static struct klein_run run_of(const struct vt_engine *g, struct vt_result *r, int i,
                               struct trace *trace)
{
    return (struct klein_run){.cancel = &g->cancel,
                              .image = i,
                              .image_count = r->request.count,
                              .trace = trace,
                              .trace_blocks = r->request.trace_blocks != 0,
                              .stats = &r->stats};
}

static enum err_code run_one(struct vt_engine *g, struct vt_result *r,
                             const struct engine_inputs *in, int i, const struct vt_callbacks *cb,
                             struct err *e)
{
    struct trace *trace = NULL;
    char path[MODEL_PATH_BYTES];
    enum err_code rc;
    TRY_GOTO(r->request.trace_path ? trace_new(&trace, e) : ERR_OK, done);
    struct klein_run run = run_of(g, r, i, trace);
    run.callbacks = cb;
    run.previews = cb && cb->preview;
    TRY_GOTO(make_image(g, r, in, &run, e), done);
    if (trace) {
        trace_name(&r->request, i, path, sizeof path);
        TRY_GOTO(trace_write(trace, path, e), done);
    }
done:
    trace_free(trace);
    return rc;
}

struct rehearsal {
    struct vt_engine *g;
    const struct vt_request *request;
    const struct engine_inputs *in;
    bool previews;
};

/* The first two images of the request, on a device that is dry: the second finds what the first left, and the
 * others take the same. A traced run keeps more, and its decoder cannot work in bands. */
static enum err_code rehearse(void *user, struct err *e)
{
    const struct rehearsal *h = user;
    struct image images[2] = {{0}};
    struct vt_result scratch = {.images = images, .request = *h->request};
    struct trace *trace = NULL;
    enum err_code rc = h->request->trace_path ? trace_new_dry(&trace, e) : ERR_OK;
    klein_forget_dry(h->g->klein);
    for (int i = 0; rc == ERR_OK && i < 2 && i < h->request->count; i++) {
        struct klein_run run = run_of(h->g, &scratch, i, trace);
        run.previews = h->previews;
        rc = make_image(h->g, &scratch, h->in, &run, e);
    }
    trace_free(trace);
    image_free(&images[0]);
    image_free(&images[1]);
    return rc;
}

static enum err_code run_images(struct vt_engine *g, struct vt_result *r,
                                const struct engine_inputs *in, const struct vt_callbacks *cb,
                                struct err *e)
{
    enum err_code rc = ERR_OK;
    engine_begin_run(g);
    for (int i = 0; rc == ERR_OK && i < r->request.count; i++) {
        rc = run_one(g, r, in, i, cb, e);
        if (rc != ERR_OK)
            break;
        r->count = i + 1;
        if (cb && cb->image)
            cb->image(r, i, cb->user);
    }
    engine_end_run(g, &r->stats);
    return rc;
}

/* What shapes a mask, where there is none. */
static void note_unused(const struct vt_request *rq, const struct engine_inputs *in,
                        const struct vt_callbacks *cb)
{
    const struct {
        const char *name;
        int value;
    } given[] = {{"feather", rq->feather},
                 {"mask_grow", rq->mask_grow},
                 {"mask_feather", rq->mask_feather},
                 {"mask_invert", rq->mask_invert},
                 {"crop_to_mask", rq->crop_to_mask}};
    for (size_t i = 0; !in->has_mask && i < sizeof given / sizeof given[0]; i++)
        if (given[i].value)
            report_note(cb, "%s has no effect without a mask", given[i].name);
}

/* Plans, and with plan == NULL also runs. */
static enum err_code run_all(struct vt_engine *g, struct vt_result *r,
                             const struct vt_callbacks *cb, struct vt_plan *plan, struct err *e)
{
    struct engine_inputs in;
    struct vt_request *rq = &r->request;
    enum err_code rc = engine_inputs_make(rq, cb, &in, e);
    if (in.inpaint && rq->strength < 0)
        rq->strength = rq->extend[0] || rq->extend[1] || rq->extend[2] || rq->extend[3] ? 1.0 : 0.8;
    if (rc != ERR_OK)
        goto done;
    note_unused(rq, &in, cb);
    struct rehearsal h = {g, rq, &in, plan ? rq->previews != 0 : cb && cb->preview};
    TRY_GOTO(engine_plan(g, rehearse, &h, plan, e), done);
    if (!plan)
        rc = run_images(g, r, &in, cb, e);
done:
    engine_inputs_deinit(&in);
    return rc;
}

enum err_code engine_result_new(const struct vt_request *rq, struct vt_result **out, struct err *e)
{
    struct vt_result *r = mem_try_alloc(sizeof *r);
    if (r)
        r->images = mem_try_array((size_t)rq->count, sizeof *r->images);
    if (!r || !r->images) {
        mem_free(r);
        return err_set(e, ERR_NOMEM, "no memory for %d images", rq->count);
    }
    r->request = *rq;
    *out = r;
    return ERR_OK;
}

/* The request checked, its model open, its defaults filled in. */
static enum err_code start(struct vt_engine *g, const struct vt_request *rq,
                           const struct vt_callbacks *cb, struct vt_result **out, struct err *e)
{
    struct vt_result *r = NULL;
    atomic_store(&g->cancel, false);
    TRY(check_request(rq, e));
    TRY(compute_choose(g->placement.devices, rq->compute, cb, e));
    TRY(engine_open_model(g, rq->model, MODEL_PIPELINE_KLEIN, cb, e));
    TRY(klein_use_loras(g->klein, &rq->loras, e));
    TRY(engine_result_new(rq, &r, e));
    fill_defaults(g->dir, cb, &r->request);
    (void)snprintf(r->model, sizeof r->model, "%s", g->dir->name);
    r->request.model = r->model;
    *out = r;
    return ERR_OK;
}

/* A copy of the request whose images have their pixels, also those that come as files. */
static enum err_code read_files(const struct vt_request *rq, struct engine_files *f,
                                struct vt_request *copy, struct err *e)
{
    *copy = *rq;
    for (int i = 0; i < rq->image_count && i < VT_MAX_IMAGES; i++)
        TRY(engine_file_open(f, &copy->images[i], e));
    return engine_file_open(f, &copy->mask, e);
}

static enum err_code run(struct vt_engine *g, const struct vt_request *rq,
                         const struct vt_callbacks *cb, struct vt_result **out, struct err *e)
{
    struct vt_result *r = NULL;
    struct vt_request copy;
    struct engine_files files = {.n = 0};
    double began = clock_s();
    enum err_code rc;
    TRY_GOTO(read_files(rq, &files, &copy, e), done);
    TRY_GOTO(start(g, &copy, cb, &r, e), done);
    TRY_GOTO(run_all(g, r, cb, NULL, e), done);
    memcpy(r->request.images, rq->images, sizeof rq->images);
    r->request.mask = rq->mask;
    r->request.width = r->images[0].w;
    r->request.height = r->images[0].h;
    r->stats.total_seconds = clock_s() - began;
    *out = r;
    r = NULL;
done:
    vt_result_free(r);
    engine_files_deinit(&files);
    return rc;
}

static enum err_code plan_here(struct vt_engine *g, const struct vt_request *rq,
                               struct vt_plan *out, struct err *e)
{
    struct vt_result *r = NULL;
    struct vt_request copy;
    struct engine_files files = {.n = 0};
    enum err_code rc;
    TRY_GOTO(read_files(rq, &files, &copy, e), done);
    TRY_GOTO(start(g, &copy, NULL, &r, e), done);
    rc = run_all(g, r, NULL, out, e);
done:
    vt_result_free(r);
    engine_files_deinit(&files);
    return rc;
}

enum vt_status vt_plan_picture(struct vt_engine *engine, const struct vt_request *request,
                               struct vt_plan *out, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK)
        rc = engine->isolated ? isolated_plan_images(engine->isolated, request, out, &e)
                              : plan_here(engine, request, out, &e);
    return engine_finish(rc, &e, err);
}

static enum err_code run_anywhere(struct vt_engine *g, bool edit, const struct vt_request *rq,
                                  const struct vt_callbacks *cb, struct vt_result **out,
                                  struct err *e)
{
    TRY(engine_check_free(g, e));
    return g->isolated ? isolated_images(g->isolated, edit, rq, cb, out, e)
                       : run(g, rq, cb, out, e);
}

enum vt_status vt_generate(struct vt_engine *engine, const struct vt_request *request,
                           const struct vt_callbacks *callbacks, struct vt_result **out,
                           struct vt_error *err)
{
    struct err e = {0};
    *out = NULL;
    enum err_code rc = request->image_count == 0
                           ? run_anywhere(engine, false, request, callbacks, out, &e)
                           : err_set(&e, ERR_ARG, "generating takes no images; editing does");
    return engine_finish(rc, &e, err);
}

enum vt_status vt_edit(struct vt_engine *engine, const struct vt_request *request,
                       const struct vt_callbacks *callbacks, struct vt_result **out,
                       struct vt_error *err)
{
    struct err e = {0};
    *out = NULL;
    enum err_code rc = request->image_count > 0
                           ? run_anywhere(engine, true, request, callbacks, out, &e)
                           : err_set(&e, ERR_ARG, "editing needs at least one image");
    return engine_finish(rc, &e, err);
}

/* ---- results ----------------------------------------------------------------------------------------- */

void vt_result_free(struct vt_result *result)
{
    if (!result)
        return;
    for (int i = 0; i < result->request.count; i++)
        image_free(&result->images[i]);
    mem_free(result->images);
    mem_free(result);
}

int vt_result_count(const struct vt_result *result)
{
    return result->count;
}

struct vt_image vt_result_image(const struct vt_result *result, int i)
{
    const struct image *im = &result->images[i];
    return lend_image(im);
}

int64_t vt_result_seed(const struct vt_result *result, int i)
{
    return result->request.seed + i;
}

const struct vt_stats *vt_result_stats(const struct vt_result *result)
{
    return &result->stats;
}

const struct vt_request *vt_result_request(const struct vt_result *result)
{
    return &result->request;
}

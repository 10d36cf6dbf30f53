/* engine_layers.c - vt_layers: an image taken apart, through the public library.
 *
 * The steps are those of engine.c. After the run the decomposition becomes a stack (layered/stack.c), and the
 * report compares it with the source and with the model's own composite, so that a client can tell a bad result.
 * The prompt in the report is the caption where none was given.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/placement.h"
#include "pipeline/engine_inputs.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/isolated.h"
#include "pipeline/layered/stack.h"
#include "pipeline/lend.h"
#include "pipeline/loras.h"
#include "sample/schedule.h"

enum { DEFAULT_LAYERS = 4, DEFAULT_STEPS = 50, DEFAULT_RESOLUTION = 640, DEFAULT_TOKENS = 512 };
enum { CAPTION_MAX_BYTES = 16 << 20 };

struct vt_layers_request vt_layers_request_defaults(void)
{
    return (struct vt_layers_request){
        .layers = VT_DEFAULT,
        .steps = VT_DEFAULT,
        .resolution = VT_DEFAULT,
        .seed = VT_SEED_RANDOM,
        .guidance = VT_DEFAULT,
    };
}

/* ---- checks ------------------------------------------------------------------------------------------ */

static enum err_code optional(const char *what, int64_t v, int64_t lo, int64_t hi, struct err *e)
{
    return v == VT_DEFAULT ? ERR_OK : engine_check_range(what, v, lo, hi, e);
}

static enum err_code check(const struct vt_layers_request *rq, struct err *e)
{
    TRY(engine_check_image(&rq->image, "the image", e));
    TRY(engine_check_prompt(rq->prompt, e));
    TRY(loras_check(&rq->loras, e));
    TRY(engine_check_text("negative prompt", rq->negative_prompt, e));
    TRY(optional("the number of layers", rq->layers, 1, LAYERED_MAX_LAYERS, e));
    TRY(optional("the number of steps", rq->steps, 1, SCHEDULE_MAX_STEPS, e));
    TRY(engine_check_range("fast", rq->fast, 0, VT_MAX_FAST, e));
    TRY(optional("the resolution", rq->resolution, LAYERED_SIDE_UNIT, LAYERED_MAX_RESOLUTION, e));
    if (rq->resolution > 0 && rq->resolution % LAYERED_SIDE_UNIT)
        return err_set(e, ERR_ARG, "the resolution is %d; it should be a multiple of %d",
                       rq->resolution, LAYERED_SIDE_UNIT);
    if (isnan(rq->guidance) || rq->guidance > 100)
        return err_set(e, ERR_ARG, "guidance is %g; it should be 0 to 100", rq->guidance);
    return engine_check_language(rq->language, e);
}

enum err_code engine_check_language(const char *language, struct err *e)
{
    if (!language || strcmp(language, "en") == 0 || strcmp(language, "zh") == 0)
        return ERR_OK;
    return err_set(e, ERR_ARG, "the language is '%.40s'; it should be en or zh", language);
}

enum chat_language engine_language(const char *language)
{
    return language && strcmp(language, "zh") == 0 ? CHAT_CHINESE : CHAT_ENGLISH;
}

/* ---- the request ------------------------------------------------------------------------ */

static int pick(int asked, int64_t of_model, int otherwise)
{
    return asked >= 0 ? asked : of_model > 0 ? (int)of_model : otherwise;
}

static void fill(struct vt_layers_result *r, const struct model_dir *dir,
                 const struct vt_layers_request *rq, const struct image *image)
{
    const struct model_defaults *d = &dir->defaults;
    (void)snprintf(r->model, sizeof r->model, "%s", dir->name);
    buf_add_z(&r->prompt, rq->prompt ? rq->prompt : d->prompt);
    r->used = (struct layered_request){
        .image = image,
        .matte = r->matte.none ? NULL : r->matte.rgb,
        .prompt = buf_str(&r->prompt),
        .language = engine_language(rq->language),
        .negative = str_from(rq->negative_prompt ? rq->negative_prompt : " "),
        .guided = true,
        .guidance = rq->guidance >= 0  ? rq->guidance
                    : d->guidance >= 0 ? d->guidance
                                       : 4.0,
        .cfg_normalize = rq->cfg_normalize != 0,
        .layers = pick(rq->layers, d->layers, DEFAULT_LAYERS),
        .steps = pick(rq->steps, d->steps, DEFAULT_STEPS),
        .max_tokens = pick(-1, d->max_tokens, DEFAULT_TOKENS),
        .resolution = pick(rq->resolution, d->resolution, DEFAULT_RESOLUTION),
        .seed = (uint64_t)(rq->seed >= 0 ? rq->seed : engine_random_seed()),
        .fast = rq->fast,
        .in_place_modulation = rq->no_modulation_tables != 0,
    };
}

/* ---- running ------------------------------------------------------------------------------------------ */

static struct vt_difference difference(const struct image_difference *d)
{
    return (struct vt_difference){.psnr_db = d->psnr_db, .mean = d->mean, .worst = d->max};
}

static void fill_report(struct vt_layers_result *r, const struct layered_result *lr)
{
    const struct layered_request *q = &r->used;
    r->report = (struct vt_layers_report){
        .width = r->made.stack.w,
        .height = r->made.stack.h,
        .working_width = lr->w,
        .working_height = lr->h,
        .layers_asked = q->layers,
        .layers_dropped = (int)r->made.dropped,
        .layers_merged = (int)r->made.merged,
        .steps = q->steps,
        .resolution = q->resolution,
        .seed = (int64_t)q->seed,
        .guidance = q->guidance,
        .model = r->model,
        .captioned = lr->caption.n > 0,
        .source = difference(&r->made.source),
        .composite = difference(&r->made.frame),
        .table_bytes = lr->table_bytes,
        .table_weight_bytes = lr->table_weight_bytes,
        .table_seconds = lr->table_seconds,
    };
    if (lr->caption.n) {
        buf_clear(&r->prompt);
        buf_add_str(&r->prompt, buf_str(&lr->caption));
    }
    r->report.prompt = buf_z(&r->prompt);
}

static enum err_code decompose(struct vt_engine *g, struct vt_layers_result *r,
                               const struct vt_layers_request *rq, const struct vt_callbacks *cb,
                               struct err *e)
{
    struct layered_result lr = {0};
    struct layered_run run = {
        .cancel = &g->cancel, .callbacks = cb, .previews = cb && cb->preview, .stats = &r->stats};
    struct image eight = {0}; /* bits, as layers have */
    const bool deep = r->used.image->deep;
    struct layered_stack_options options = {.source = deep ? &eight : r->used.image,
                                            .full_size = rq->full_size != 0,
                                            .keep_empty = rq->keep_empty != 0,
                                            .merge_duplicates = rq->merge_duplicates != 0};
    enum err_code rc = deep ? image_narrowed(r->used.image, &eight, e) : ERR_OK;
    if (rc == ERR_OK && rq->trace_path)
        rc = trace_new(&run.trace, e);
    engine_begin_run(g);
    if (rc == ERR_OK)
        rc = layered_decompose(g->layered, &r->used, &run, &lr, e);
    engine_end_run(g, &r->stats);
    if (rc == ERR_OK && run.trace)
        rc = trace_write(run.trace, rq->trace_path, e);
    trace_free(run.trace);
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(layered_stack_make(&lr, &options, &r->made, e), done);
    fill_report(r, &lr);
done:
    layered_result_free(&lr);
    image_free(&eight);
    return rc;
}

struct rehearsal {
    struct layered *l;
    const struct layered_request *rq;
    bool previews;
};

static enum err_code rehearse(void *user, struct err *e)
{
    const struct rehearsal *h = user;
    return layered_rehearse(h->l, h->rq, h->previews, e);
}

/* Checked, opened, filled in and planned; with plan == NULL also run. */
static enum err_code run_on_pixels(struct vt_engine *g, const struct vt_layers_request *rq,
                                   const struct vt_callbacks *cb, struct vt_plan *plan,
                                   struct vt_layers_result *r, struct err *e)
{
    struct image image = borrow_image(&rq->image);
    int w, h;
    double start = clock_s();
    atomic_store(&g->cancel, false);
    enum err_code rc;
    TRY_GOTO(check(rq, e), done);
    TRY_GOTO(matte_parse(rq->matte, &r->matte, e), done);
    TRY_GOTO(compute_choose(g->placement.devices, rq->compute, cb, e), done);
    TRY_GOTO(engine_open_model(g, rq->model, MODEL_PIPELINE_LAYERED, cb, e), done);
    TRY_GOTO(layered_use_loras(g->layered, &rq->loras, e), done);
    fill(r, g->dir, rq, &image);
    engine_note_fast(cb, r->used.fast, r->used.steps);
    TRY_GOTO(layered_size(&image, r->used.resolution, &w, &h, e), done);
    struct rehearsal dry = {g->layered, &r->used, plan ? rq->previews != 0 : cb && cb->preview};
    TRY_GOTO(engine_plan(g, rehearse, &dry, plan, e), done);
    if (!plan)
        rc = decompose(g, r, rq, cb, e);
done:
    r->stats.total_seconds = clock_s() - start;
    return rc;
}

static enum err_code run(struct vt_engine *g, const struct vt_layers_request *rq,
                         const struct vt_callbacks *cb, struct vt_plan *plan,
                         struct vt_layers_result *r, struct err *e)
{
    struct vt_layers_request copy = *rq;
    struct engine_files files = {.n = 0};
    enum err_code rc = engine_file_open(&files, &copy.image, e);
    if (rc == ERR_OK)
        rc = run_on_pixels(g, &copy, cb, plan, r, e);
    engine_files_deinit(&files);
    return rc;
}

struct vt_layers_result *engine_layers_result_new(void)
{
    struct vt_layers_result *r = mem_alloc(sizeof *r);
    buf_init(&r->prompt, CAPTION_MAX_BYTES);
    return r;
}

static enum err_code layers_here(struct vt_engine *g, const struct vt_layers_request *rq,
                                 const struct vt_callbacks *cb, struct vt_layers_result **out,
                                 struct err *e)
{
    struct vt_layers_result *r = engine_layers_result_new();
    enum err_code rc = run(g, rq, cb, NULL, r, e);
    if (rc != ERR_OK) {
        vt_layers_result_free(r);
        r = NULL;
    }
    *out = r;
    return rc;
}

enum vt_status vt_layers(struct vt_engine *engine, const struct vt_layers_request *request,
                         const struct vt_callbacks *callbacks, struct vt_layers_result **out,
                         struct vt_error *err)
{
    struct err e = {0};
    *out = NULL;
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK)
        rc = engine->isolated ? isolated_layers(engine->isolated, request, callbacks, out, &e)
                              : layers_here(engine, request, callbacks, out, &e);
    return engine_finish(rc, &e, err);
}

static enum err_code plan_here(struct vt_engine *g, const struct vt_layers_request *rq,
                               struct vt_plan *out, struct err *e)
{
    struct vt_layers_result *r = engine_layers_result_new();
    enum err_code rc = run(g, rq, NULL, out, r, e);
    vt_layers_result_free(r);
    return rc;
}

enum vt_status vt_plan_layers(struct vt_engine *engine, const struct vt_layers_request *request,
                              struct vt_plan *out, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK)
        rc = engine->isolated ? isolated_plan_layers(engine->isolated, request, out, &e)
                              : plan_here(engine, request, out, &e);
    return engine_finish(rc, &e, err);
}

void vt_layers_result_free(struct vt_layers_result *result)
{
    if (!result)
        return;
    layered_stack_deinit(&result->made);
    buf_deinit(&result->prompt);
    mem_free(result);
}

const struct layer_stack *engine_layers_stack(const struct vt_layers_result *result)
{
    return &result->made.stack;
}

struct image_about *engine_layers_about(struct vt_layers_result *result)
{
    return &result->made.stack.about;
}

int vt_layers_count(const struct vt_layers_result *result)
{
    return (int)result->made.stack.n;
}

struct vt_layer vt_layers_layer(const struct vt_layers_result *result, int i)
{
    const struct layer *l = &result->made.stack.layers[i];
    return (struct vt_layer){lend_image(&l->image), l->x, l->y, l->id, l->name};
}

struct vt_image vt_layers_composite(const struct vt_layers_result *result)
{
    return lend_image(&result->made.composite);
}

const struct vt_layers_report *vt_layers_report(const struct vt_layers_result *result)
{
    return &result->report;
}

const struct vt_stats *vt_layers_stats(const struct vt_layers_result *result)
{
    return &result->stats;
}

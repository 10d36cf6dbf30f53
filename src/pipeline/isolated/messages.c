#include "pipeline/isolated/messages.h"

#include <limits.h>

#include "image/composite.h"
#include "pipeline/params_table.h"

/* Texts of requests have bounds of their own, which the engine tells in words. */
enum { TEXT_MAX = WIRE_MAX_BYTES, SIDE_MAX = 1000000, LOG_SENTENCE_MAX = 4096 };

static void any_int(struct code *c, int *v)
{
    code_int(c, v, INT_MIN, INT_MAX);
}

static void count(struct code *c, int *v, int max)
{
    code_int(c, v, 0, max);
}

/* ---- the engine ------------------------------------------------------------------------------------------ */

static void code_paths(struct code *c, struct grant_list *l)
{
    count(c, &l->n, GRANTS_MAX);
    for (int i = 0; i < l->n && !c->bad; i++)
        code_text(c, &l->paths[i], MODEL_PATH_BYTES);
}

void iso_code_open(struct code *c, struct iso_open *o)
{
    code_chars(c, o->version, sizeof o->version);
    code_text(c, &o->options.device, TEXT_MAX);
    code_text(c, &o->options.place, TEXT_MAX);
    code_text(c, &o->options.budget, TEXT_MAX);
    code_text(c, &o->options.weights, TEXT_MAX);
    any_int(c, &o->options.threads);
    code_double(c, &o->options.patience);
    code_paths(c, &o->grants.read);
    code_paths(c, &o->grants.write);
    code_flag(c, &o->confined);
    code_flag(c, &o->network);
    code_flag(c, &o->verbose);
}

void iso_code_error(struct code *c, struct vt_error *e)
{
    int status = (int)e->status;
    code_int(c, &status, VT_OK, VT_ERR_INTERNAL);
    e->status = (enum vt_status)status;
    code_chars(c, e->text, sizeof e->text);
}

void iso_code_memory(struct code *c, struct vt_memory *m)
{
    code_u64(c, &m->budget);
    code_u64(c, &m->current);
    code_u64(c, &m->peak);
    code_u64(c, &m->host_anonymous);
    code_u64(c, &m->host_mapped);
    code_u64(c, &m->host_pinned);
}

void iso_code_state(struct code *c, struct iso_state *s)
{
    code_chars(c, s->device, sizeof s->device);
    code_flag(c, &s->has_model);
    code_flag(c, &s->is_asked_model);
    iso_code_memory(c, &s->memory);
}

void iso_code_path(struct code *c, const char **path)
{
    code_text(c, path, TEXT_MAX);
}

/* ---- requests -------------------------------------------------------------------------------------------- */

static void code_images(struct code *c, struct vt_request *rq)
{
    any_int(c, &rq->image_count);
    for (int i = 0; i < rq->image_count && i < VT_MAX_IMAGES; i++)
        code_image(c, &rq->images[i]);
}

static void code_loras(struct code *c, struct vt_loras *l)
{
    any_int(c, &l->count);
    for (int i = 0; i < l->count && i < VT_MAX_LORAS; i++) {
        code_text(c, &l->of[i].name, TEXT_MAX);
        code_text(c, &l->of[i].path, TEXT_MAX);
        code_double(c, &l->of[i].strength);
    }
}

static void code_param(struct code *c, const struct param *p, void *request)
{
    void *at = (unsigned char *)request + p->offset;
    switch (p->type) {
    case PARAM_TEXT:
    case PARAM_CHOICE:
    case PARAM_MATTE:
        code_text(c, at, TEXT_MAX);
        return;
    case PARAM_INT:
    case PARAM_SWITCH:
        any_int(c, at);
        return;
    case PARAM_LONG:
        code_i64(c, at, INT64_MIN, INT64_MAX);
        return;
    case PARAM_NUMBER:
        code_double(c, at);
        return;
    case PARAM_SIDES:
        for (int i = 0; i < 4; i++)
            any_int(c, (int *)at + i);
        return;
    case PARAM_LORAS:
        code_loras(c, at);
        return;
    case PARAM_IMAGE:
    case PARAM_NEEDED_IMAGE:
        code_image(c, at);
        return;
    case PARAM_IMAGES:
    default:
        code_images(c, request);
    }
}

static void code_params(struct code *c, const struct param *table, void *request)
{
    for (const struct param *p = table; p->name; p++)
        code_param(c, p, request);
}

void iso_code_request(struct code *c, struct vt_request *rq)
{
    code_params(c, params_edit, rq);
    code_text(c, &rq->trace_path, TEXT_MAX);
    any_int(c, &rq->trace_blocks);
    code_text(c, &rq->cache_dir, TEXT_MAX);
    any_int(c, &rq->previews);
}

void iso_code_layers_request(struct code *c, struct vt_layers_request *rq)
{
    code_params(c, params_layers, rq);
    code_text(c, &rq->trace_path, TEXT_MAX);
    any_int(c, &rq->previews);
}

void iso_code_caption_request(struct code *c, struct vt_caption_request *rq)
{
    code_params(c, params_caption, rq);
}

/* ---- while it runs --------------------------------------------------------------------------------------- */

void iso_code_progress(struct code *c, struct iso_progress *m)
{
    struct vt_progress *p = &m->progress;
    int stage = (int)p->stage;
    code_int(c, &stage, VT_STAGE_LOAD, VT_STAGE_DECODE);
    p->stage = (enum vt_stage)stage;
    count(c, &p->image, INT_MAX);
    count(c, &p->image_count, INT_MAX);
    count(c, &p->step, INT_MAX);
    count(c, &p->step_count, INT_MAX);
    code_double(c, &p->done);
    code_double(c, &p->step_seconds);
    code_double(c, &p->seconds_left);
    iso_code_memory(c, &m->memory);
}

/* One with pixels, of 8 bits. */
static void code_result(struct code *c, struct vt_image *im)
{
    code_image(c, im);
    if (c->reading && (!im->pixels || (im->bits != 0 && im->bits != 8)))
        c->bad = true;
}

void iso_code_preview(struct code *c, struct vt_preview *p)
{
    count(c, &p->tiles, INT_MAX);
    count(c, &p->step, INT_MAX);
    code_result(c, &p->image);
}

void iso_code_used(struct code *c, struct iso_used *u)
{
    code_int(c, &u->width, -1, SIDE_MAX);
    code_int(c, &u->height, -1, SIDE_MAX);
    code_int(c, &u->steps, 0, INT_MAX);
    code_int(c, &u->count, 1, VT_MAX_COUNT);
    code_int(c, &u->max_tokens, 0, INT_MAX);
    code_i64(c, &u->seed, 0, INT64_MAX - VT_MAX_COUNT);
    code_double(c, &u->guidance);
    code_double(c, &u->strength);
    code_chars(c, u->model, sizeof u->model);
}

void iso_code_image(struct code *c, struct iso_image *im)
{
    code_int(c, &im->index, 0, VT_MAX_COUNT - 1);
    iso_code_used(c, &im->used);
    code_result(c, &im->image);
}

/* ---- results --------------------------------------------------------------------------------------------- */

static void code_devices(struct code *c, struct vt_device_memory *d, int *n)
{
    count(c, n, VT_MAX_DEVICES);
    for (int i = 0; i < *n; i++) {
        code_chars(c, d[i].name, sizeof d[i].name);
        code_u64(c, &d[i].budget);
        code_u64(c, &d[i].current);
        code_u64(c, &d[i].peak);
    }
}

void iso_code_stats(struct code *c, struct vt_stats *s)
{
    double *const seconds[] = {&s->load_seconds,  &s->text_seconds,   &s->encode_seconds,
                               &s->steps_seconds, &s->decode_seconds, &s->total_seconds};
    uint64_t *const bytes[] = {
        &s->device_weight_bytes, &s->mapped_weight_bytes, &s->compute_bytes,
        &s->anonymous_bytes,     &s->file_bytes,          &s->pinned_bytes,
        &s->budget_bytes,        &s->device_peak_bytes,   &s->device_current_bytes};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
        code_double(c, seconds[i]);
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        code_u64(c, bytes[i]);
    code_int(c, &s->passes, 0, INT_MAX);
    code_int(c, &s->passes_left_out, 0, INT_MAX);
    code_devices(c, s->devices, &s->device_count);
}

static void code_stage(struct code *c, struct vt_plan_stage *s)
{
    code_chars(c, s->component, sizeof s->component);
    code_chars(c, s->precision, sizeof s->precision);
    code_chars(c, s->device, sizeof s->device);
    code_u64(c, &s->resident_bytes);
    code_u64(c, &s->streamed_bytes);
    code_u64(c, &s->compute_bytes);
    code_u64(c, &s->peak_bytes);
    code_chars(c, s->widened_from, sizeof s->widened_from);
    code_chars(c, s->widened_to, sizeof s->widened_to);
    code_u64(c, &s->widened_bytes);
}

void iso_code_plan(struct code *c, struct vt_plan *p)
{
    int verdict = (int)p->verdict;
    code_int(c, &verdict, VT_RESIDENT, VT_REFUSED);
    p->verdict = (enum vt_verdict)verdict;
    code_u64(c, &p->budget_bytes);
    code_u64(c, &p->peak_bytes);
    code_devices(c, p->devices, &p->device_count);
    code_u64(c, &p->swap_bytes);
    count(c, &p->stage_count, VT_MAX_STAGES);
    for (int i = 0; i < p->stage_count; i++)
        code_stage(c, &p->stages[i]);
    count(c, &p->advice_count, VT_MAX_ADVICE);
    for (int i = 0; i < p->advice_count; i++)
        code_chars(c, p->advice[i], sizeof p->advice[i]);
}

static void code_difference(struct code *c, struct vt_difference *d)
{
    code_double(c, &d->psnr_db);
    code_double(c, &d->mean);
    any_int(c, &d->worst);
}

static void code_report(struct code *c, struct vt_layers_report *r)
{
    int *const counts[] = {&r->width,          &r->height,       &r->working_width,
                           &r->working_height, &r->layers_asked, &r->layers_dropped,
                           &r->layers_merged,  &r->steps,        &r->resolution};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        count(c, counts[i], INT_MAX);
    code_i64(c, &r->seed, 0, INT64_MAX);
    code_double(c, &r->guidance);
    code_text(c, &r->model, 256);
    code_text(c, &r->prompt, TEXT_MAX);
    code_flag(c, &r->captioned);
    code_difference(c, &r->source);
    code_difference(c, &r->composite);
    code_u64(c, &r->table_bytes);
    code_u64(c, &r->table_weight_bytes);
    code_double(c, &r->table_seconds);
    if (c->reading && (!r->model || !r->prompt))
        c->bad = true;
}

static void code_layer(struct code *c, struct iso_layer *l)
{
    code_chars(c, l->id, sizeof l->id);
    code_chars(c, l->name, sizeof l->name);
    any_int(c, &l->x);
    any_int(c, &l->y);
    code_int(c, &l->blend, 0, BLEND_MODES - 1);
    code_flag(c, &l->visible);
    code_double(c, &l->opacity);
    code_result(c, &l->image);
}

void iso_code_layers(struct code *c, struct iso_layers *l)
{
    code_report(c, &l->report);
    code_int(c, &l->width, 1, SIDE_MAX);
    code_int(c, &l->height, 1, SIDE_MAX);
    code_u64(c, &l->dropped);
    code_u64(c, &l->merged);
    count(c, &l->count, ISO_MAX_LAYERS);
    for (int i = 0; i < l->count && !c->bad; i++)
        code_layer(c, &l->layers[i]);
    code_result(c, &l->composite);
    iso_code_stats(c, &l->stats);
}

void iso_code_caption(struct code *c, struct iso_caption *r)
{
    code_text(c, &r->text, TEXT_MAX);
    count(c, &r->tokens, INT_MAX);
    code_flag(c, &r->complete);
    iso_code_stats(c, &r->stats);
    if (c->reading && !r->text)
        c->bad = true;
}

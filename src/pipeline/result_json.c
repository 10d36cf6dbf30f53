/* result_json.c - members of JSON about results, plans and what a run took.
 *
 * The command line and the server write through here, so that one client reads both.
 */
#include "pipeline/result_json.h"

#include <math.h>

#include "base/json_text.h"

/* ---- images, captions, layers ------------------------------------------------------------------------- */

void result_json_request(struct buf *b, const struct vt_request *q)
{
    json_put_z(b, "model", q->model);
    json_put_z(b, "prompt", q->prompt ? q->prompt : "");
    json_put_int(b, "steps", q->steps);
    json_put_number(b, "guidance", q->guidance);
    json_put_int(b, "max_tokens", q->max_tokens);
    result_json_loras(b, &q->loras);
}

void result_json_loras(struct buf *b, const struct vt_loras *loras)
{
    if (loras->count == 0)
        return;
    json_array(b, "loras");
    for (int i = 0; i < loras->count; i++) {
        json_object(b, NULL);
        json_put_z(b, "name", loras->of[i].name);
        json_put_number(b, "strength", loras->of[i].strength);
        json_end_object(b);
    }
    json_end_array(b);
}

void result_json_caption(struct buf *b, const struct vt_caption_result *r, const char *language)
{
    json_put_z(b, "caption", vt_caption_text(r));
    json_put_z(b, "language", language ? language : "en");
    json_put_int(b, "tokens", vt_caption_tokens(r));
    json_put_bool(b, "complete", vt_caption_complete(r));
}

/* An exact match has no finite PSNR: null. */
static void put_difference(struct buf *b, const char *key, const struct vt_difference *d)
{
    json_object(b, key);
    json_put_fixed(b, "psnr_db", d->psnr_db, 4);
    json_put_int(b, "worst", d->worst);
    json_put_fixed(b, "mean", d->mean, 5);
    json_end_object(b);
}

void result_json_layers(struct buf *b, const struct vt_layers_report *r)
{
    json_put_int(b, "dropped_empty", r->layers_dropped);
    json_put_int(b, "merged", r->layers_merged);
    json_object(b, "recomposed");
    put_difference(b, "source", &r->source);
    put_difference(b, "model_composite", &r->composite);
    json_end_object(b);
    json_put_z(b, "model", r->model);
    json_put_z(b, r->captioned ? "caption" : "prompt", r->prompt);
    json_put_int(b, "seed", r->seed);
    json_put_int(b, "steps", r->steps);
    json_put_number(b, "guidance", r->guidance);
    json_put_int(b, "resolution", r->resolution);
    json_put_int(b, "working_width", r->working_width);
    json_put_int(b, "working_height", r->working_height);
}

void result_json_place(struct buf *b, int x, int y, int width, int height)
{
    json_put_int(b, "x", x);
    json_put_int(b, "y", y);
    json_put_int(b, "width", width);
    json_put_int(b, "height", height);
}

void result_json_doubts(struct buf *b, const struct layers_doubt *doubts, size_t n)
{
    json_array(b, "warnings");
    for (size_t i = 0; i < n; i++) {
        json_object(b, NULL);
        json_put_z(b, "code", doubts[i].code);
        json_put_z(b, "detail", doubts[i].text);
        if (isfinite(doubts[i].value))
            json_put_fixed(b, "value", doubts[i].value, 4);
        json_end_object(b);
    }
    json_end_array(b);
    json_put_bool(b, "doubtful", n > 0);
}

/* ---- what a run took ---------------------------------------------------------------------------------- */

void result_json_passes(struct buf *b, const struct vt_stats *s)
{
    json_object(b, "passes");
    json_put_int(b, "computed", s->passes - s->passes_left_out);
    json_put_int(b, "left_out", s->passes_left_out);
    json_end_object(b);
}

void result_json_seconds(struct buf *b, const struct vt_stats *s,
                         const struct vt_layers_report *tables)
{
    json_object(b, "seconds");
    json_put_fixed(b, "load", s->load_seconds, 4);
    json_put_fixed(b, "text", s->text_seconds, 4);
    json_put_fixed(b, "encode", s->encode_seconds, 4);
    if (tables)
        json_put_fixed(b, "tables", tables->table_seconds, 4);
    json_put_fixed(b, "steps", s->steps_seconds, 4);
    json_put_fixed(b, "decode", s->decode_seconds, 4);
    json_put_fixed(b, "total", s->total_seconds, 4);
    json_end_object(b);
}

void result_json_memory(struct buf *b, const struct vt_stats *s,
                        const struct vt_layers_report *tables)
{
    json_object(b, "memory");
    json_object(b, "device");
    json_put_uint(b, "budget_bytes", s->budget_bytes);
    json_put_uint(b, "peak_bytes", s->device_peak_bytes);
    json_put_uint(b, "current_bytes", s->device_current_bytes);
    json_put_uint(b, "weight_bytes", s->device_weight_bytes);
    json_put_uint(b, "compute_bytes", s->compute_bytes);
    json_end_object(b);
    json_array(b, "devices");
    for (int i = 0; i < s->device_count; i++) {
        const struct vt_device_memory *d = &s->devices[i];
        json_object(b, NULL);
        json_put_z(b, "name", d->name);
        json_put_uint(b, "budget_bytes", d->budget);
        json_put_uint(b, "peak_bytes", d->peak);
        json_put_uint(b, "current_bytes", d->current);
        json_end_object(b);
    }
    json_end_array(b);
    json_object(b, "host");
    json_put_uint(b, "anonymous_bytes", s->anonymous_bytes);
    json_put_uint(b, "mapped_bytes", s->file_bytes);
    json_put_uint(b, "pinned_bytes", s->pinned_bytes);
    if (tables) {
        json_put_uint(b, "table_bytes", tables->table_bytes);
        json_put_uint(b, "table_weight_bytes", tables->table_weight_bytes);
    }
    json_end_object(b);
    json_end_object(b);
}

void result_json_notes(struct buf *b, const struct buf *text)
{
    json_array(b, "notes");
    json_put_raw(b, NULL, buf_str(text));
    json_end_array(b);
}

/* ---- plans -------------------------------------------------------------------------------------------- */

static void put_stage(struct buf *b, const struct vt_plan_stage *s)
{
    json_object(b, NULL);
    json_put_z(b, "component", s->component);
    json_put_z(b, "precision", s->precision);
    json_put_z(b, "device", s->device);
    json_put_uint(b, "resident_bytes", s->resident_bytes);
    json_put_uint(b, "streamed_bytes", s->streamed_bytes);
    json_put_uint(b, "compute_bytes", s->compute_bytes);
    json_put_uint(b, "peak_bytes", s->peak_bytes);
    if (s->widened_bytes) {
        json_object(b, "widened");
        json_put_z(b, "from", s->widened_from);
        json_put_z(b, "to", s->widened_to);
        json_put_uint(b, "bytes", s->widened_bytes);
        json_end_object(b);
    }
    json_end_object(b);
}

void result_json_plan(struct buf *b, const struct vt_plan *p)
{
    json_object(b, NULL);
    json_put_z(b, "verdict", vt_verdict_name(p->verdict));
    json_put_uint(b, "budget_bytes", p->budget_bytes);
    json_put_uint(b, "peak_bytes", p->peak_bytes);
    json_array(b, "stages");
    for (int i = 0; i < p->stage_count; i++)
        put_stage(b, &p->stages[i]);
    json_end_array(b);
    json_array(b, "devices");
    for (int i = 0; i < p->device_count; i++) {
        const struct vt_device_memory *d = &p->devices[i];
        json_object(b, NULL);
        json_put_z(b, "name", d->name);
        json_put_uint(b, "budget_bytes", d->budget);
        json_put_uint(b, "peak_bytes", d->peak);
        json_end_object(b);
    }
    json_end_array(b);
    json_put_uint(b, "swap_bytes", p->swap_bytes);
    json_array(b, "advice");
    for (int i = 0; i < p->advice_count; i++)
        json_put_z(b, NULL, p->advice[i]);
    json_end_array(b);
    json_end_object(b);
}

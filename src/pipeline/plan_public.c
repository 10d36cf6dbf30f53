#include "pipeline/plan_public.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"

typedef unsigned long long ull;

_Static_assert((int)VT_REFUSED == (int)MEMORY_REFUSED && (int)VT_MAX_STAGES == MEMORY_MAX_STAGES &&
                   (int)VT_MAX_ADVICE == MEMORY_MAX_ADVICE &&
                   (int)VT_MAX_DEVICES == MEMORY_MAX_DEVICES,
               "vt_plan and memory_plan hold the same");

const char *vt_verdict_name(enum vt_verdict verdict)
{
    return memory_verdict_name((enum memory_verdict)verdict);
}

void plan_public(const struct memory_plan *p, struct vt_plan *out)
{
    memset(out, 0, sizeof *out);
    out->verdict = (enum vt_verdict)p->verdict;
    out->budget_bytes = p->budget_bytes;
    out->peak_bytes = p->peak_bytes;
    out->swap_bytes = p->swap_bytes;
    out->stage_count = (int)p->n_stages;
    out->advice_count = (int)p->n_advice;
    out->device_count = (int)p->n_devices;
    for (size_t i = 0; i < p->n_devices; i++) {
        struct vt_device_memory *d = &out->devices[i];
        (void)snprintf(d->name, sizeof d->name, "%s", p->devices[i].name);
        d->budget = p->devices[i].budget_bytes;
        d->peak = p->devices[i].peak_bytes;
    }
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct memory_plan_stage *s = &p->stages[i];
        struct vt_plan_stage *t = &out->stages[i];
        (void)snprintf(t->component, sizeof t->component, "%s", s->component);
        (void)snprintf(t->precision, sizeof t->precision, "%s", s->precision);
        (void)snprintf(t->device, sizeof t->device, "%s", s->device);
        t->resident_bytes = s->resident_bytes;
        t->streamed_bytes = s->streamed_bytes;
        t->compute_bytes = s->compute_bytes;
        t->peak_bytes = s->peak_bytes;
        (void)snprintf(t->widened_from, sizeof t->widened_from, "%s", s->widened_from);
        (void)snprintf(t->widened_to, sizeof t->widened_to, "%s", s->widened_to);
        t->widened_bytes = s->widened_bytes;
    }
    for (size_t i = 0; i < p->n_advice; i++)
        (void)snprintf(out->advice[i], sizeof out->advice[i], "%s", p->advice[i]);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void add_stage(struct buf *b, const struct vt_plan_stage *s)
{
    buf_printf(b, "{\"component\":\"%s\",\"precision\":\"%s\",\"device\":", s->component,
               s->precision);
    json_add_z(b, s->device);
    buf_printf(b,
               ",\"resident_bytes\":%llu,\"streamed_bytes\":%llu,\"compute_bytes\":%llu,"
               "\"peak_bytes\":%llu",
               (ull)s->resident_bytes, (ull)s->streamed_bytes, (ull)s->compute_bytes,
               (ull)s->peak_bytes);
    if (s->widened_bytes)
        buf_printf(b, ",\"widened\":{\"from\":\"%s\",\"to\":\"%s\",\"bytes\":%llu}",
                   s->widened_from, s->widened_to, (ull)s->widened_bytes);
    buf_add_byte(b, '}');
}

void plan_public_json(struct buf *b, const struct vt_plan *p)
{
    buf_printf(b, "{\"verdict\":\"%s\",\"budget_bytes\":%llu,\"peak_bytes\":%llu,\"stages\":[",
               vt_verdict_name(p->verdict), (ull)p->budget_bytes, (ull)p->peak_bytes);
    for (int i = 0; i < p->stage_count; i++) {
        buf_add_z(b, i ? "," : "");
        add_stage(b, &p->stages[i]);
    }
    buf_add_z(b, "],\"devices\":[");
    for (int i = 0; i < p->device_count; i++) {
        const struct vt_device_memory *d = &p->devices[i];
        buf_add_z(b, i ? ",{\"name\":" : "{\"name\":");
        json_add_z(b, d->name);
        buf_printf(b, ",\"budget_bytes\":%llu,\"peak_bytes\":%llu}", (ull)d->budget, (ull)d->peak);
    }
    buf_printf(b, "],\"swap_bytes\":%llu,\"advice\":[", (ull)p->swap_bytes);
    for (int i = 0; i < p->advice_count; i++) {
        buf_add_z(b, i ? "," : "");
        json_add_z(b, p->advice[i]);
    }
    buf_add_z(b, "]}");
}

void stats_public_json(struct buf *b, const struct vt_stats *s, const char *host)
{
    buf_printf(b,
               "{\"device\":{\"budget_bytes\":%llu,\"peak_bytes\":%llu,\"current_bytes\":%llu,"
               "\"weight_bytes\":%llu,\"compute_bytes\":%llu},\"devices\":[",
               (ull)s->budget_bytes, (ull)s->device_peak_bytes, (ull)s->device_current_bytes,
               (ull)s->device_weight_bytes, (ull)s->compute_bytes);
    for (int i = 0; i < s->device_count; i++) {
        const struct vt_device_memory *d = &s->devices[i];
        buf_add_z(b, i ? ",{\"name\":" : "{\"name\":");
        json_add_z(b, d->name);
        buf_printf(b, ",\"budget_bytes\":%llu,\"peak_bytes\":%llu,\"current_bytes\":%llu}",
                   (ull)d->budget, (ull)d->peak, (ull)d->current);
    }
    buf_printf(b,
               "],\"host\":{\"anonymous_bytes\":%llu,\"mapped_bytes\":%llu,"
               "\"pinned_bytes\":%llu%s}}",
               (ull)s->anonymous_bytes, (ull)s->file_bytes, (ull)s->pinned_bytes, host ? host : "");
}

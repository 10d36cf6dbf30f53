#include "pipeline/plan_public.h"

#include <stdio.h>
#include <string.h>

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

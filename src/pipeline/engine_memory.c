/* engine_memory.c - budget, plans and what was taken. */
#include <stdio.h>
#include <string.h>

#include "pipeline/engine_internal.h"
#include "pipeline/procmem.h"

_Static_assert((int)VT_REFUSED == (int)MEMORY_REFUSED &&
                   (int)VT_MAX_STAGES == GOVERNOR_MAX_STAGES &&
                   (int)VT_MAX_ADVICE == MEMORY_MAX_ADVICE,
               "vt_plan and memory_plan hold the same");

void vt_engine_memory(const struct vt_engine *engine, struct vt_memory *out)
{
    struct governor_usage u;
    governor_usage(engine->governor, &u);
    *out = (struct vt_memory){.budget = u.budget, .current = u.current, .peak = u.peak};
    procmem_read(&out->host_anonymous, &out->host_mapped);
}

enum vt_status vt_engine_set_budget(struct vt_engine *engine, uint64_t bytes, struct vt_error *err)
{
    struct err e = {0};
    return engine_finish(governor_set_budget(engine->governor, bytes, &e), &e, err);
}

enum vt_status vt_engine_parse_budget(const struct vt_engine *engine, const char *text,
                                      uint64_t *bytes, struct vt_error *err)
{
    struct err e = {0};
    return engine_finish(budget_parse(text, engine->device, bytes, &e), &e, err);
}

void vt_engine_release(struct vt_engine *engine)
{
    governor_release_all(engine->device);
}

const char *vt_verdict_name(enum vt_verdict verdict)
{
    return memory_verdict_name((enum memory_verdict)verdict);
}

static void copy_plan(const struct memory_plan *p, struct vt_plan *out)
{
    memset(out, 0, sizeof *out);
    out->verdict = (enum vt_verdict)p->verdict;
    out->budget_bytes = p->budget_bytes;
    out->peak_bytes = p->peak_bytes;
    out->swap_bytes = p->swap_bytes;
    out->stage_count = (int)p->n_stages;
    out->advice_count = (int)p->n_advice;
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct memory_plan_stage *s = &p->stages[i];
        struct vt_plan_stage *t = &out->stages[i];
        (void)snprintf(t->component, sizeof t->component, "%s", s->component);
        (void)snprintf(t->precision, sizeof t->precision, "%s", s->precision);
        t->resident_bytes = s->resident_bytes;
        t->streamed_bytes = s->streamed_bytes;
        t->compute_bytes = s->compute_bytes;
        t->peak_bytes = s->peak_bytes;
    }
    for (size_t i = 0; i < p->n_advice; i++)
        (void)snprintf(out->advice[i], sizeof out->advice[i], "%s", p->advice[i]);
}

enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                          struct vt_plan *out, struct err *e)
{
    struct memory_plan plan;
    enum err_code rc = memory_plan_make(g->governor, request, user, &plan, e);
    if (rc == ERR_OK && out)
        copy_plan(&plan, out);
    return rc == ERR_OK && !out ? memory_plan_check(&plan, e) : rc;
}

void engine_begin_run(struct vt_engine *g)
{
    governor_begin(g->governor, false);
}

void engine_end_run(struct vt_engine *g, struct vt_stats *stats)
{
    struct governor_usage u;
    governor_usage(g->governor, &u);
    governor_idle(g->device);
    stats->budget_bytes = u.budget;
    stats->device_peak_bytes = u.peak;
    stats->device_current_bytes = u.current;
    procmem_read(&stats->anonymous_bytes, &stats->file_bytes);
}

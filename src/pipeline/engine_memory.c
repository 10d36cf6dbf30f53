/* engine_memory.c - budget, plans and what was taken, in the terms of veetance.h.
 *
 * engine_plan runs a request dry on every device before it runs for real: the same code with nothing computed. Its
 * verdict is told to whoever asked for a plan, and refuses the run where even streaming would not fit. Peaks are
 * counted from engine_begin_run to engine_end_run.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "memory/budget.h"
#include "memory/plan.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/isolated.h"

_Static_assert((int)VT_REFUSED == (int)MEMORY_REFUSED && (int)VT_MAX_STAGES == MEMORY_MAX_STAGES &&
                   (int)VT_MAX_ADVICE == MEMORY_MAX_ADVICE &&
                   (int)VT_MAX_DEVICES == MEMORY_MAX_DEVICES,
               "vt_plan and memory_plan hold the same");

const char *vt_verdict_name(enum vt_verdict verdict)
{
    return memory_verdict_name((enum memory_verdict)verdict);
}

static void plan_public(const struct memory_plan *p, struct vt_plan *out)
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

static uint64_t pinned(const struct vt_engine *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < g->placement.governors.n; i++)
        n += nn_device_locked_bytes(g->placement.all[i]);
    return n;
}

static struct vt_device_memory device_memory(const struct vt_engine *g, size_t i)
{
    struct governor_usage u;
    struct nn_device_info info;
    struct vt_device_memory m;
    governor_usage(g->placement.governors.of[i], &u);
    nn_device_info(g->placement.all[i], &info);
    m = (struct vt_device_memory){.budget = u.budget, .current = u.current, .peak = u.peak};
    (void)snprintf(m.name, sizeof m.name, "%s", info.name);
    return m;
}

void vt_engine_memory(const struct vt_engine *engine, struct vt_memory *out)
{
    if (engine->isolated) {
        isolated_memory(engine->isolated, out);
        return;
    }
    struct vt_device_memory m = device_memory(engine, 0);
    *out = (struct vt_memory){.budget = m.budget, .current = m.current, .peak = m.peak};
    procmem_read(&out->host_anonymous, &out->host_mapped);
    out->host_pinned = pinned(engine);
}

enum vt_status vt_engine_set_budget(struct vt_engine *engine, uint64_t bytes, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc;
    TRY_GOTO(engine_check_free(engine, &e), done);
    if (engine->isolated)
        rc = isolated_set_budget(engine->isolated, bytes, &e);
    for (size_t i = 0; i < engine->placement.governors.n; i++)
        TRY_GOTO(governor_set_budget(engine->placement.governors.of[i], bytes, &e), done);
done:
    return engine_finish(rc, &e, err);
}

enum vt_status vt_engine_parse_budget(const struct vt_engine *engine, const char *text,
                                      uint64_t *bytes, struct vt_error *err)
{
    struct err e = {0};
    *bytes = UINT64_MAX;
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK && engine->isolated)
        rc = isolated_parse_budget(engine->isolated, text, bytes, &e);
    for (size_t i = 0; rc == ERR_OK && i < engine->placement.governors.n; i++) {
        uint64_t of_this = 0;
        rc = budget_parse(text, engine->placement.all[i], &of_this, &e);
        *bytes = of_this < *bytes ? of_this : *bytes;
    }
    return engine_finish(rc, &e, err);
}

void vt_engine_release(struct vt_engine *engine)
{
    if (engine_check_free(engine, NULL) != ERR_OK)
        return;
    if (engine->isolated)
        isolated_release(engine->isolated);
    for (size_t i = 0; i < engine->placement.governors.n; i++)
        governor_release_all(engine->placement.all[i]);
}

enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                          struct vt_plan *out, struct err *e)
{
    struct memory_plan plan;
    double start = clock_s();
    enum err_code rc = memory_plan_make(&g->placement.governors, request, user, &plan, e);
    log_debug("memory: planned in %.1f ms", (clock_s() - start) * 1e3);
    if (rc == ERR_OK && out)
        plan_public(&plan, out);
    return rc == ERR_OK && !out ? memory_plan_check(&plan, e) : rc;
}

void engine_begin_run(struct vt_engine *g)
{
    for (size_t i = 0; i < g->placement.governors.n; i++)
        governor_begin(g->placement.governors.of[i], false);
}

void engine_end_run(struct vt_engine *g, struct vt_stats *stats)
{
    stats->device_count = (int)g->placement.governors.n;
    for (size_t i = 0; i < g->placement.governors.n; i++) {
        stats->devices[i] = device_memory(g, i);
        governor_idle(g->placement.all[i]);
    }
    stats->budget_bytes = stats->devices[0].budget;
    stats->device_peak_bytes = stats->devices[0].peak;
    stats->device_current_bytes = stats->devices[0].current;
    procmem_read(&stats->anonymous_bytes, &stats->file_bytes);
    stats->pinned_bytes = pinned(g);
}

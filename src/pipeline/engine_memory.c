/* engine_memory.c - budget, plans and what was taken. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "memory/budget.h"
#include "pipeline/engine_internal.h"
#include "pipeline/plan_public.h"
#include "pipeline/procmem.h"

_Static_assert((int)VT_MAX_DEVICES == (int)MEMORY_MAX_DEVICES, "as many devices in both");

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
    struct vt_device_memory m = device_memory(engine, 0);
    *out = (struct vt_memory){.budget = m.budget, .current = m.current, .peak = m.peak};
    procmem_read(&out->host_anonymous, &out->host_mapped);
    out->host_pinned = pinned(engine);
}

enum vt_status vt_engine_set_budget(struct vt_engine *engine, uint64_t bytes, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < engine->placement.governors.n; i++)
        TRY_GOTO(governor_set_budget(engine->placement.governors.of[i], bytes, &e), done);
done:
    return engine_finish(rc, &e, err);
}

enum vt_status vt_engine_parse_budget(const struct vt_engine *engine, const char *text,
                                      uint64_t *bytes, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = ERR_OK;
    *bytes = UINT64_MAX;
    for (size_t i = 0; rc == ERR_OK && i < engine->placement.governors.n; i++) {
        uint64_t of_this = 0;
        rc = budget_parse(text, engine->placement.all[i], &of_this, &e);
        *bytes = of_this < *bytes ? of_this : *bytes;
    }
    return engine_finish(rc, &e, err);
}

void vt_engine_release(struct vt_engine *engine)
{
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

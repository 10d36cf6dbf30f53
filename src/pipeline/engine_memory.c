/* engine_memory.c - budget, plans and what was taken. */
#include "pipeline/engine_internal.h"
#include "pipeline/plan_public.h"
#include "pipeline/procmem.h"

void vt_engine_memory(const struct vt_engine *engine, struct vt_memory *out)
{
    struct governor_usage u;
    governor_usage(engine->governor, &u);
    *out = (struct vt_memory){.budget = u.budget, .current = u.current, .peak = u.peak};
    procmem_read(&out->host_anonymous, &out->host_mapped);
    out->host_pinned = nn_device_pinned_bytes(engine->device);
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

enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                          struct vt_plan *out, struct err *e)
{
    struct memory_plan plan;
    enum err_code rc = memory_plan_make(g->governor, request, user, &plan, e);
    if (rc == ERR_OK && out)
        plan_public(&plan, out);
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
    stats->pinned_bytes = nn_device_pinned_bytes(g->device);
}

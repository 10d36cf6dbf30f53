#include "memory/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory/budget.h"

enum { SLOTS = 2, MAX_PASSES = 4 };

/* ---- placing ----------------------------------------------------------------------------------------- */

static uint64_t placed(const struct governor_stage *s, struct nn_placement want)
{
    uint64_t resident = UINT64_MAX, streamed;
    if (nn_params_placed_bytes(s->params, want, &resident, &streamed, NULL) != ERR_OK)
        return UINT64_MAX;
    return resident;
}

/* As many blocks as fit stay; the rest flow through two slots, or through one where even that is much. False
 * when nothing helps. */
static bool place_streamed(struct governor *g, const struct governor_stage *s, uint64_t room)
{
    uint64_t now = placed(s, s->placement), beside = s->weights > now ? s->weights - now : 0;
    room = room > beside ? room - beside : 0;
    struct nn_params_sizes sizes;
    if (nn_params_sizes(s->params, &sizes, NULL) != ERR_OK || sizes.blocks < 2)
        return false;
    struct nn_placement want = {.resident = 0, .slots = SLOTS};
    if (placed(s, want) > room)
        want.slots = 1;
    if (placed(s, want) > room)
        return false;
    int lo = 0, hi = sizes.blocks - want.slots; /* lo fits, behind hi nothing would flow */
    while (lo < hi) {
        int mid = lo + (hi - lo + 1) / 2;
        if (placed(s, (struct nn_placement){mid, want.slots}) <= room)
            lo = mid;
        else
            hi = mid - 1;
    }
    want.resident = lo;
    governor_place(g, s->component, want);
    return true;
}

/* Tries to place anew every component that does not fit; false when none could be. */
static bool place_anew(struct governor *g)
{
    const struct governor_stage *stages;
    size_t n = governor_stages(g, &stages);
    uint64_t budget = governor_budget(g);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const struct governor_stage *s = &stages[i];
        if (s->weights + s->compute <= budget || s->compute >= budget || !s->params)
            continue;
        any |= place_streamed(g, s, budget - s->compute);
    }
    return any;
}

/* ---- what comes out ---------------------------------------------------------------------------------- */

static void fill_stage(const struct governor_stage *s, struct memory_plan_stage *out)
{
    (void)snprintf(out->component, sizeof out->component, "%s", s->component);
    (void)snprintf(out->precision, sizeof out->precision, "%s", s->precision);
    out->resident_bytes = s->weights;
    out->streamed_bytes = s->streamed;
    out->compute_bytes = s->compute;
    out->peak_bytes = s->peak;
}

static void fill(const struct governor *g, struct memory_plan *out)
{
    struct governor_usage u;
    const struct governor_stage *stages;
    governor_usage(g, &u);
    out->n_stages = governor_stages(g, &stages);
    out->budget_bytes = u.budget;
    out->peak_bytes = u.peak;
    out->verdict = governor_over_budget(g) ? MEMORY_REFUSED : MEMORY_RESIDENT;
    for (size_t i = 0; i < out->n_stages; i++) {
        fill_stage(&stages[i], &out->stages[i]);
        if (stages[i].streamed > 0 && out->verdict == MEMORY_RESIDENT)
            out->verdict = MEMORY_STREAMED;
    }
}

/* The least that each component can do with, and the largest of these. */
static void find_least(const struct governor *g, struct memory_plan *out)
{
    const struct governor_stage *stages;
    size_t n = governor_stages(g, &stages);
    for (size_t i = 0; i < n; i++) {
        uint64_t weights = stages[i].weights;
        struct nn_params_sizes sizes;
        if (stages[i].params && nn_params_sizes(stages[i].params, &sizes, NULL) == ERR_OK &&
            sizes.blocks >= 2) {
            uint64_t one = placed(&stages[i], (struct nn_placement){.resident = 0, .slots = 1});
            weights = one < weights ? one : weights;
        }
        if (weights + stages[i].compute > out->least_bytes)
            out->least_bytes = weights + stages[i].compute;
    }
}

__attribute__((format(printf, 2, 3))) static void advise(struct memory_plan *p, const char *fmt,
                                                         ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (p->n_advice < MEMORY_MAX_ADVICE)
        (void)vsnprintf(p->advice[p->n_advice++], MEMORY_ADVICE_BYTES, fmt, ap);
    va_end(ap);
}

static void fill_advice(struct memory_plan *p)
{
    uint64_t weights = 0, compute = 0, whole = 0;
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct memory_plan_stage *s = &p->stages[i];
        weights = s->resident_bytes > weights ? s->resident_bytes : weights;
        compute = s->compute_bytes > compute ? s->compute_bytes : compute;
        if (s->streamed_bytes > 0 && s->resident_bytes + s->streamed_bytes > whole)
            whole = s->resident_bytes + s->streamed_bytes + s->compute_bytes;
    }
    if (p->verdict == MEMORY_REFUSED) {
        advise(p, "a budget of %s or more (--budget) would do", budget_text(p->least_bytes).z);
        if (compute > weights)
            advise(p, "a smaller picture: computing takes up to %s", budget_text(compute).z);
        else
            advise(p, "smaller weights (--weights q8_0 or q5_0): they take up to %s",
                   budget_text(weights).z);
    } else if (p->verdict == MEMORY_STREAMED) {
        advise(p, "with a budget of %s nothing would have to be streamed", budget_text(whole).z);
        advise(p, "--weights q8_0 halves what is streamed in bf16");
    }
}

/* ---- planning ---------------------------------------------------------------------------------------- */

static enum err_code rehearse(struct governor *g, memory_request_fn request, void *user,
                              struct memory_plan *out, struct err *e)
{
    struct governor_usage before, after;
    governor_begin(g, true);
    governor_usage(g, &before);
    enum err_code rc = request(user, e);
    governor_usage(g, &after);
    if (rc == ERR_OK) {
        fill(g, out);
        out->swap_bytes = after.moved - before.moved;
    }
    governor_end_dry(g);
    return rc;
}

enum err_code memory_plan_make(struct governor *g, memory_request_fn request, void *user,
                               struct memory_plan *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    governor_place_all_resident(g);
    for (int i = 0; i < MAX_PASSES; i++) {
        memset(out, 0, sizeof *out);
        rc = rehearse(g, request, user, out, e);
        if (rc != ERR_OK || out->verdict != MEMORY_REFUSED || !place_anew(g))
            break;
    }
    if (rc != ERR_OK)
        return rc;
    find_least(g, out);
    fill_advice(out);
    return ERR_OK;
}

enum err_code memory_plan_check(const struct memory_plan *p, struct err *e)
{
    if (p->verdict != MEMORY_REFUSED)
        return ERR_OK;
    const struct memory_plan_stage *worst = &p->stages[0];
    for (size_t i = 1; i < p->n_stages; i++)
        if (p->stages[i].peak_bytes > worst->peak_bytes)
            worst = &p->stages[i];
    return err_set(
        e, ERR_NOMEM,
        "the budget of %s does not suffice: the %s needs %s (weights %s, computing %s); %s%s%s",
        budget_text(p->budget_bytes).z, worst->component, budget_text(worst->peak_bytes).z,
        budget_text(worst->resident_bytes).z, budget_text(worst->compute_bytes).z,
        p->n_advice > 0 ? p->advice[0] : "", p->n_advice > 1 ? "; " : "",
        p->n_advice > 1 ? p->advice[1] : "");
}

const char *memory_verdict_name(enum memory_verdict v)
{
    static const char *const names[] = {"resident", "streamed", "refused"};
    return names[v];
}

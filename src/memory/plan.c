/* plan.c - finds how a request fits into the budgets, by running it dry.
 *
 * Order: place everything resident, rehearse the request on dry devices, and where a device came out over its
 * budget stream the component that did not fit, with as many of its blocks resident as there is room for; rehearse
 * again. A few passes do, as each only takes memory away from weights. What is still too much is refused, with the
 * least budget that would do, found from one slot a component.
 *
 * The placements stay with the governors when this returns: the run that follows uses them.
 */
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

/* Makes as many blocks resident as fit and streams the rest through two slots, or one where two are too much. False
 * when even that does not fit. */
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
    int lo = 0, hi = sizes.blocks - want.slots; /* lo fits; above hi nothing would be streamed */
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

static void fill_stage(const struct governor_stage *s, const char *device,
                       struct memory_plan_stage *out)
{
    (void)snprintf(out->component, sizeof out->component, "%s", s->component);
    (void)snprintf(out->precision, sizeof out->precision, "%s", s->precision);
    (void)snprintf(out->device, sizeof out->device, "%s", device);
    out->resident_bytes = s->weights;
    out->streamed_bytes = s->streamed;
    out->compute_bytes = s->compute;
    out->peak_bytes = s->peak;
    if (!s->params)
        return;
    struct nn_widened w;
    nn_params_widened(s->params, &w);
    (void)snprintf(out->widened_from, sizeof out->widened_from, "%s", w.from);
    (void)snprintf(out->widened_to, sizeof out->widened_to, "%s", w.to);
    out->widened_bytes = w.bytes;
}

/* One device's part of the plan. */
static void fill(const struct governor *g, struct memory_plan *out)
{
    struct nn_device_info info;
    struct governor_usage u;
    const struct governor_stage *stages;
    size_t n = governor_stages(g, &stages);
    struct memory_plan_device *d = &out->devices[out->n_devices++];
    nn_device_info(governor_device(g), &info);
    governor_usage(g, &u);
    (void)snprintf(d->name, sizeof d->name, "%s", info.name);
    d->budget_bytes = u.budget;
    d->peak_bytes = u.peak;
    if (governor_over_budget(g))
        out->verdict = MEMORY_REFUSED;
    for (size_t i = 0; i < n && out->n_stages < MEMORY_MAX_STAGES; i++) {
        fill_stage(&stages[i], info.name, &out->stages[out->n_stages++]);
        if (stages[i].streamed > 0 && out->verdict == MEMORY_RESIDENT)
            out->verdict = MEMORY_STREAMED;
    }
}

static void fill_all(const struct memory_governors *all, struct memory_plan *out)
{
    for (size_t i = 0; i < all->n; i++)
        fill(all->of[i], out);
    out->budget_bytes = out->devices[0].budget_bytes;
    out->peak_bytes = out->devices[0].peak_bytes;
}

/* The least budget that each component can run in, and the largest of these. */
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
            uint64_t now = placed(&stages[i], stages[i].placement);
            one += weights > now ? weights - now : 0; /* what others hold beside it */
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
        uint64_t all = s->resident_bytes + s->streamed_bytes + s->compute_bytes;
        if (s->streamed_bytes > 0 && all > whole)
            whole = all;
    }
    if (p->verdict == MEMORY_REFUSED) {
        advise(p, "a budget of %s or more (--budget) would be enough",
               budget_text(p->least_bytes).z);
        if (compute > weights)
            advise(p, "a smaller image: computing takes up to %s", budget_text(compute).z);
        else
            advise(p, "smaller weights (--weights q8_0 or q5_0): they take up to %s",
                   budget_text(weights).z);
    } else if (p->verdict == MEMORY_STREAMED) {
        advise(p, "with a budget of %s nothing would have to be streamed", budget_text(whole).z);
        advise(p, "--weights q8_0 halves what is streamed in bf16");
    }
}

/* ---- planning ---------------------------------------------------------------------------------------- */

static uint64_t moved(const struct memory_governors *all)
{
    struct governor_usage u;
    uint64_t n = 0;
    for (size_t i = 0; i < all->n; i++) {
        governor_usage(all->of[i], &u);
        n += u.moved;
    }
    return n;
}

static enum err_code rehearse(const struct memory_governors *all, memory_request_fn request,
                              void *user, struct memory_plan *out, struct err *e)
{
    for (size_t i = 0; i < all->n; i++)
        governor_begin(all->of[i], true);
    uint64_t before = moved(all);
    enum err_code rc;
    TRY_GOTO(request(user, e), done);
    fill_all(all, out);
    out->swap_bytes = moved(all) - before;
done:
    for (size_t i = 0; i < all->n; i++)
        governor_end_dry(all->of[i]);
    return rc;
}

/* As place_anew, on every device that is short of memory. */
static bool place_all_anew(const struct memory_governors *all)
{
    bool any = false;
    for (size_t i = 0; i < all->n; i++)
        if (governor_over_budget(all->of[i]))
            any |= place_anew(all->of[i]);
    return any;
}

enum err_code memory_plan_make(const struct memory_governors *all, memory_request_fn request,
                               void *user, struct memory_plan *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < all->n; i++)
        governor_place_all_resident(all->of[i]);
    for (int i = 0; i < MAX_PASSES; i++) {
        memset(out, 0, sizeof *out);
        rc = rehearse(all, request, user, out, e);
        if (rc != ERR_OK || out->verdict != MEMORY_REFUSED || !place_all_anew(all))
            break;
    }
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < all->n; i++)
        find_least(all->of[i], out);
    fill_advice(out);
    return ERR_OK;
}

static uint64_t budget_of(const struct memory_plan *p, const char *device)
{
    for (size_t i = 0; i < p->n_devices; i++)
        if (strcmp(p->devices[i].name, device) == 0)
            return p->devices[i].budget_bytes;
    return p->budget_bytes;
}

enum err_code memory_plan_check(const struct memory_plan *p, struct err *e)
{
    if (p->verdict != MEMORY_REFUSED)
        return ERR_OK;
    const struct memory_plan_stage *worst = &p->stages[0];
    uint64_t budget = 0, most = 0;
    for (size_t i = 0; i < p->n_stages; i++) {
        const struct memory_plan_stage *s = &p->stages[i];
        uint64_t of = budget_of(p, s->device), over = s->peak_bytes > of ? s->peak_bytes - of : 0;
        if (i == 0 || over > most) {
            worst = s;
            budget = of;
            most = over;
        }
    }
    return err_set(
        e, ERR_NOMEM,
        "the budget of %s does not suffice: the %s needs %s (weights %s, computing %s); %s%s%s",
        budget_text(budget).z, worst->component, budget_text(worst->peak_bytes).z,
        budget_text(worst->resident_bytes).z, budget_text(worst->compute_bytes).z,
        p->n_advice > 0 ? p->advice[0] : "", p->n_advice > 1 ? "; " : "",
        p->n_advice > 1 ? p->advice[1] : "");
}

const char *memory_verdict_name(enum memory_verdict v)
{
    static const char *const names[] = {"resident", "streamed", "refused"};
    return names[v];
}

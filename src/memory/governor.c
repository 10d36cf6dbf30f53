/* governor.c - the ledger of a device's memory, and who is evicted when it is full.
 *
 * Three parts. The ledger counts bytes by kind and the peak; it evicts idle components, least recently used first,
 * before it refuses. Entries remember which parameter sets were ever engaged here, and whether the current step of
 * the request uses them (in_use: never evicted). Stages collect what each component took in this request, for the
 * plan.
 *
 * A dry run must leave no trace: governor_begin(dry) saves the ledger and governor_end_dry puts it back. While dry
 * nothing is refused; `over` is set instead, so that the plan sees the true need. The device calls back (take,
 * give, gone, ran); the governor owns its entries, not the parameter sets. One thread, that of the device.
 */
#include "memory/governor.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "memory/budget.h"

enum { MAX_PLACEMENTS = GOVERNOR_MAX_STAGES };

struct entry { /* a parameter set that was engaged once */
    struct nn_params *ps;
    char component[GOVERNOR_NAME_BYTES];
    bool in_use;
    bool stays;    /* in use, when others are engaged */
    uint64_t used; /* for least recently used */
    struct entry *next;
};

struct placement {
    char component[GOVERNOR_NAME_BYTES];
    struct nn_placement want;
};

struct ledger {
    uint64_t weights, compute, peak;
};

struct governor {
    struct nn_device *device;
    uint64_t budget;
    struct ledger now, before_dry;
    uint64_t moved, moved_before_dry;
    struct entry *entries;
    uint64_t clock;
    struct placement placements[MAX_PLACEMENTS];
    size_t n_placements;
    struct governor_stage stages[GOVERNOR_MAX_STAGES];
    size_t n_stages;
    struct governor_stage *stage; /* of the component in use */
    bool over;
    uint64_t fail_at;
};

static uint64_t held(const struct governor *g)
{
    return g->now.weights + g->now.compute;
}

/* ---- the ledger -------------------------------------------------------------------------------------- */

static struct entry *oldest_idle(const struct governor *g)
{
    struct entry *old = NULL;
    for (struct entry *y = g->entries; y; y = y->next)
        if (!y->in_use && nn_params_engaged(y->ps) && nn_params_device_bytes(y->ps) > 0 &&
            (!old || y->used < old->used))
            old = y;
    return old;
}

/* Evicts idle components until `bytes` more fit. */
static void make_room(struct governor *g, uint64_t bytes)
{
    struct entry *y;
    while (held(g) + bytes > g->budget && (y = oldest_idle(g)) != NULL) {
        log_debug("memory: %s is evicted (%s)", y->component,
                  budget_text(nn_params_device_bytes(y->ps)).z);
        nn_params_release(y->ps);
    }
}

static uint64_t weights_in_use(const struct governor *g)
{
    uint64_t n = 0;
    for (const struct entry *y = g->entries; y; y = y->next)
        if (y->in_use && nn_params_engaged(y->ps))
            n += nn_params_device_bytes(y->ps);
    return n;
}

static void note_peak(struct governor *g)
{
    uint64_t all = held(g);
    if (all > g->now.peak)
        g->now.peak = all;
    if (!g->stage)
        return;
    if (all > g->stage->peak)
        g->stage->peak = all;
    if (g->now.compute > g->stage->compute)
        g->stage->compute = g->now.compute;
}

static enum err_code refuse(const struct governor *g, uint64_t bytes, const char *what,
                            struct err *e)
{
    return err_set(e, ERR_NOMEM,
                   "%s needs %s more, %s of the budget of %s are in use; a larger --budget, a "
                   "smaller image or --weights q8_0 would help",
                   what, budget_text(bytes).z, budget_text(held(g)).z, budget_text(g->budget).z);
}

static enum err_code take(void *user, enum nn_memory_kind kind, uint64_t bytes, const char *what,
                          struct err *e)
{
    struct governor *g = user;
    if (g->fail_at > 0 && --g->fail_at == 0)
        return err_set(e, ERR_NOMEM, "the device refuses %llu bytes for %s",
                       (unsigned long long)bytes, what);
    make_room(g, bytes);
    if (held(g) + bytes > g->budget) {
        if (!nn_device_is_dry(g->device))
            return refuse(g, bytes, what, e);
        g->over = true;
    }
    if (kind == NN_MEMORY_WEIGHTS) {
        g->now.weights += bytes;
        g->moved += bytes;
    } else {
        g->now.compute += bytes;
    }
    note_peak(g);
    return ERR_OK;
}

static void give(void *user, enum nn_memory_kind kind, uint64_t bytes)
{
    struct governor *g = user;
    uint64_t *n = kind == NN_MEMORY_WEIGHTS ? &g->now.weights : &g->now.compute;
    *n -= bytes < *n ? bytes : *n;
}

static void gone(void *user, const struct nn_params *ps)
{
    struct governor *g = user;
    for (struct entry **y = &g->entries; *y; y = &(*y)->next)
        if ((*y)->ps == ps) {
            struct entry *dead = *y;
            *y = dead->next;
            mem_free(dead);
            break;
        }
    for (size_t i = 0; i < g->n_stages; i++)
        if (g->stages[i].params == ps)
            g->stages[i].params = NULL;
}

static void ran(void *user, uint64_t streamed)
{
    struct governor *g = user;
    g->moved += streamed;
}

/* ---- life -------------------------------------------------------------------------------------------- */

/* From what is free plus what this program holds already. */
static uint64_t default_budget(const struct governor *g)
{
    struct nn_device_info info;
    nn_device_info(g->device, &info);
    uint64_t free_bytes = info.is_cpu ? host_available_bytes() : info.free_bytes;
    if (free_bytes == 0) /* a device that does not report it */
        return UINT64_MAX / 2;
    uint64_t gib = 1ull << 30;
    free_bytes += held(g);
    return free_bytes > 2 * gib ? free_bytes - gib : free_bytes / 2;
}

/* The budget for our own use: the device takes a share of it for itself. */
static enum err_code own_share(const struct governor *g, uint64_t budget, uint64_t *out,
                               struct err *e)
{
    struct nn_device_info info;
    uint64_t own = nn_device_overhead(g->device);
    *out = budget ? budget - own : default_budget(g);
    if (budget == 0 || budget > own)
        return ERR_OK;
    nn_device_info(g->device, &info);
    return err_set(e, ERR_NOMEM, "%s uses %s for itself: a budget of %s leaves nothing", info.name,
                   budget_text(own).z, budget_text(budget).z);
}

enum err_code governor_new(struct nn_device *d, uint64_t budget, struct governor **out,
                           struct err *e)
{
    *out = NULL;
    struct governor *g = mem_try_alloc(sizeof *g);
    if (!g)
        return err_set(e, ERR_NOMEM, "no memory for a governor");
    g->device = d;
    enum err_code rc = own_share(g, budget, &g->budget, e);
    if (rc != ERR_OK) {
        mem_free(g);
        return rc;
    }
    nn_device_set_accountant(
        d,
        &(struct nn_accountant){.take = take, .give = give, .gone = gone, .ran = ran, .user = g});
    *out = g;
    return ERR_OK;
}

void governor_free(struct governor *g)
{
    if (!g)
        return;
    nn_device_set_accountant(g->device, NULL);
    while (g->entries) {
        struct entry *next = g->entries->next;
        mem_free(g->entries);
        g->entries = next;
    }
    mem_free(g);
}

struct governor *governor_of(const struct nn_device *d)
{
    const struct nn_accountant *a = nn_device_accountant(d);
    return a && a->take == take ? a->user : NULL;
}

enum err_code governor_set_budget(struct governor *g, uint64_t bytes, struct err *e)
{
    TRY(own_share(g, bytes, &g->budget, e));
    make_room(g, 0);
    return held(g) <= g->budget ? ERR_OK : refuse(g, 0, "what is running", e);
}

uint64_t governor_budget(const struct governor *g)
{
    return g->budget;
}

const struct nn_device *governor_device(const struct governor *g)
{
    return g->device;
}

void governor_usage(const struct governor *g, struct governor_usage *out)
{
    *out = (struct governor_usage){.budget = g->budget,
                                   .current = held(g),
                                   .peak = g->now.peak,
                                   .weights = g->now.weights,
                                   .compute = g->now.compute,
                                   .moved = g->moved};
}

/* ---- engaging ---------------------------------------------------------------------------------------- */

static struct entry *entry_for(struct governor *g, const char *component, struct nn_params *ps)
{
    struct entry *y = g->entries;
    while (y && y->ps != ps)
        y = y->next;
    if (!y) {
        y = mem_try_alloc(sizeof *y);
        if (!y)
            return NULL;
        y->ps = ps;
        y->next = g->entries;
        g->entries = y;
    }
    (void)snprintf(y->component, sizeof y->component, "%s", component);
    return y;
}

static struct nn_placement placement_of(const struct governor *g, const char *component)
{
    for (size_t i = 0; i < g->n_placements; i++)
        if (strcmp(g->placements[i].component, component) == 0)
            return g->placements[i].want;
    return (struct nn_placement){0};
}

/* Finds or adds the stage of a component; measure_stage and note_peak then fill it in. */
static void enter_stage(struct governor *g, const char *component, struct nn_params *ps)
{
    struct governor_stage *s = NULL;
    for (size_t i = 0; i < g->n_stages && !s; i++)
        if (strcmp(g->stages[i].component, component) == 0)
            s = &g->stages[i];
    if (!s && g->n_stages < GOVERNOR_MAX_STAGES) {
        s = &g->stages[g->n_stages++];
        *s = (struct governor_stage){.params = ps, .precision = nn_params_dtype_name(ps)};
        (void)snprintf(s->component, sizeof s->component, "%s", component);
    }
    g->stage = s;
}

static void measure_stage(struct governor *g, struct nn_params *ps)
{
    uint64_t resident, streamed;
    struct governor_stage *s = g->stage;
    if (!s)
        return;
    uint64_t weights = weights_in_use(g);
    s->weights = weights > s->weights ? weights : s->weights;
    if (s->params == ps) {
        s->placement = nn_params_placement(ps);
        if (nn_params_placed_bytes(ps, s->placement, &resident, &streamed, NULL) == ERR_OK)
            s->streamed = streamed;
    }
    note_peak(g);
}

static bool same_place(struct nn_placement a, struct nn_placement b)
{
    return (a.slots == 0 && b.slots == 0) || (a.slots == b.slots && a.resident == b.resident);
}

static enum err_code engage(struct nn_device *d, const char *component, struct nn_params *ps,
                            bool alone, struct err *e)
{
    struct governor *g = governor_of(d);
    if (!g)
        return nn_params_engage(ps, e);
    struct nn_placement want = placement_of(g, component);
    struct entry *y = entry_for(g, component, ps);
    if (!y)
        return err_set(e, ERR_NOMEM, "no memory for a governor's entry");
    for (struct entry *o = g->entries; alone && o; o = o->next)
        o->in_use = o->stays;
    y->in_use = true;
    y->used = ++g->clock;
    enter_stage(g, component, ps);
    if (nn_params_engaged(ps) && !same_place(nn_params_placement(ps), want))
        nn_params_release(ps);
    nn_params_place(ps, want);
    enum err_code rc = nn_params_engage(ps, e);
    if (rc != ERR_OK) {
        y->in_use = false;
        return err_note(e, "%s", component);
    }
    nn_device_set_streaming(d, want.slots > 0 ? ps : NULL);
    measure_stage(g, ps);
    return ERR_OK;
}

enum err_code governor_engage(struct nn_device *d, const char *component, struct nn_params *ps,
                              struct err *e)
{
    return engage(d, component, ps, true, e);
}

enum err_code governor_engage_to_stay(struct nn_device *d, const char *component,
                                      struct nn_params *ps, struct err *e)
{
    struct governor *g = governor_of(d);
    TRY(engage(d, component, ps, true, e));
    for (struct entry *y = g ? g->entries : NULL; y; y = y->next)
        y->stays = y->stays || y->ps == ps;
    return ERR_OK;
}

void governor_leave(struct nn_device *d)
{
    struct governor *g = governor_of(d);
    for (struct entry *y = g ? g->entries : NULL; y; y = y->next) {
        y->in_use = y->in_use && !y->stays;
        y->stays = false;
    }
}

enum err_code governor_engage_also(struct nn_device *d, const char *component, struct nn_params *ps,
                                   struct err *e)
{
    return engage(d, component, ps, false, e);
}

void governor_idle(struct nn_device *d)
{
    struct governor *g = governor_of(d);
    for (struct entry *y = g ? g->entries : NULL; y; y = y->next)
        y->in_use = y->stays = false;
    if (g)
        g->stage = NULL;
}

void governor_release_outdated(struct nn_device *d)
{
    struct governor *g = governor_of(d);
    for (struct entry *y = g ? g->entries : NULL; y; y = y->next)
        if (nn_params_outdated(y->ps))
            nn_params_release(y->ps);
}

void governor_release_all(struct nn_device *d)
{
    struct governor *g = governor_of(d);
    governor_idle(d);
    for (struct entry *y = g ? g->entries : NULL; y; y = y->next)
        nn_params_release(y->ps);
}

void governor_place(struct governor *g, const char *component, struct nn_placement want)
{
    size_t i = 0;
    while (i < g->n_placements && strcmp(g->placements[i].component, component) != 0)
        i++;
    if (i == MAX_PLACEMENTS)
        return;
    if (i == g->n_placements)
        (void)snprintf(g->placements[g->n_placements++].component, GOVERNOR_NAME_BYTES, "%s",
                       component);
    g->placements[i].want = want;
}

void governor_place_all_resident(struct governor *g)
{
    g->n_placements = 0;
}

uint64_t governor_compute_room(const struct nn_device *d)
{
    const struct governor *g = governor_of(d);
    if (!g || g->budget >= UINT64_MAX / 2)
        return 0;
    uint64_t weights = weights_in_use(g);
    return g->budget > weights ? g->budget - weights : 1;
}

/* ---- measuring --------------------------------------------------------------------------------------- */

void governor_begin(struct governor *g, bool dry)
{
    if (nn_device_renew(g->device))
        governor_release_all(g->device);
    governor_idle(g->device);
    g->n_stages = 0;
    g->over = false;
    if (dry) {
        g->before_dry = g->now;
        g->moved_before_dry = g->moved;
        for (struct entry *y = g->entries; y; y = y->next)
            nn_params_begin_dry(y->ps);
        nn_device_set_dry(g->device, true);
    }
    g->now.peak = held(g);
}

void governor_end_dry(struct governor *g)
{
    governor_idle(g->device);
    for (struct entry *y = g->entries; y; y = y->next)
        nn_params_release(y->ps);
    nn_device_set_dry(g->device, false);
    g->now = g->before_dry;
    g->moved = g->moved_before_dry;
}

bool governor_over_budget(const struct governor *g)
{
    return g->over;
}

size_t governor_stages(const struct governor *g, const struct governor_stage **out)
{
    *out = g->stages;
    return g->n_stages;
}

void governor_fail_at(struct governor *g, uint64_t n)
{
    g->fail_at = n;
}

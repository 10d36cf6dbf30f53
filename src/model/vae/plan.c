/* plan.c - chooses stages, slots and bands so that a half fits into its limit of memory.
 *
 * Order: shapes, stages (cut_stages), which slot each map lies in (place_maps), the graph of a modest band for
 * each stage (choose_modest), where the slots lie (choose_places), then bands as large as the rest allows
 * (choose_bands). Maps on the device and larger bands want the same memory: maps come first, beside modest bands,
 * and bands then take what is left.
 *
 * Nothing is allocated; sizes come from measuring graphs, which needs the parameters' tensors to exist but not
 * their contents. The plan owns its arrays and borrows half and device.
 */
#include "model/vae/plan.h"

#include <string.h>

#include "base/mem.h"

/* With more memory than this for a band's graph nothing gets faster: a GPU is busy already, a CPU's caches overflow, and
 * allocating fresh memory costs more than using it. With fewer rows than this the rows that are computed twice
 * become noticeable. */
#define MIB ((size_t)1 << 20)
enum { COMFORT_MIB_CPU = 31, COMFORT_MIB_GPU = 256 };
enum { COMFORT_ROWS = 8, ATTENTION_MIN_TOKENS = 64 };

/* ---- stages ---------------------------------------------------------------------------------------- */

static bool is_downsampling(const struct vae_op *op)
{
    return op->kind == VAE_CONV && op->stride == 2;
}

/* Does a stage begin at operation i? */
static bool cut_before(const struct vae_half *h, int i)
{
    const struct vae_op *op = &h->ops[i];
    if (i == 0 || op->kind == VAE_KEEP || op->kind == VAE_UPSAMPLE || is_downsampling(op))
        return true;
    return op->kind == VAE_NORM && h->norm == VAE_GROUP_NORM && h->ops[i - 1].kind != VAE_KEEP;
}

static void describe_stage(const struct vae_half *h, struct vae_stage *s, int *keep)
{
    bool kept_here = false;
    s->norm = s->keep = -1;
    s->kept.slot = VAE_NONE;
    for (int i = s->first; i < s->last; i++) {
        const struct vae_op *op = &h->ops[i];
        if (op->kind == VAE_NORM && h->norm == VAE_GROUP_NORM)
            s->norm = i;
        s->attends |= op->kind == VAE_ATTEND;
        s->even |= op->kind == VAE_UPSAMPLE;
        if (op->kind == VAE_KEEP) {
            *keep = i;
            kept_here = true;
        }
        if (op->kind == VAE_ADD && !kept_here)
            s->keep = *keep;
    }
}

static enum err_code cut_stages(struct vae_plan *p, struct err *e)
{
    const struct vae_half *h = p->half;
    int keep = -1;
    p->stages = mem_try_array((size_t)h->n, sizeof *p->stages);
    p->slots = mem_try_array((size_t)h->n + 1, sizeof *p->slots);
    if (!p->stages || !p->slots)
        return err_set(e, ERR_NOMEM, "no memory to plan the VAE");
    for (int i = 0; i < h->n; i++) {
        if (cut_before(h, i))
            p->stages[p->n_stages++].first = i;
        p->stages[p->n_stages - 1].last = i + 1;
    }
    for (int j = 0; j < p->n_stages; j++) {
        describe_stage(h, &p->stages[j], &keep);
        if (j > 0)
            p->stages[j - 1].gathers = p->stages[j].norm >= 0;
    }
    return ERR_OK;
}

/* ---- slots ----------------------------------------------------------------------------------------- */

static size_t row_bytes(struct vae_shape s)
{
    return (size_t)(s.w * s.channels) * sizeof(float);
}

/* How many rows above a row of the result the stage reads, at most. */
static int64_t reach(const struct vae_plan *p, const struct vae_stage *s)
{
    int64_t last = p->shapes[s->last].h - 1;
    struct vae_rows in, kept;
    vae_walk_steps(p->half, p->shapes, s->first, s->last, (struct vae_rows){last, last + 1},
                   p->steps, &in, &kept);
    return last - in.lo;
}

/* Where a stage's result goes: over an input that is no longer needed, or to a slot of its own. */
static struct vae_map place_result(struct vae_plan *p, int j)
{
    struct vae_stage *s = &p->stages[j];
    struct vae_shape out = p->shapes[s->last];
    bool plain =
        s->in.slot >= 0 && !s->attends && !s->even && !is_downsampling(&p->half->ops[s->first]);
    /* A later stage adds the input, so it must not be overwritten. */
    bool in_stays = j + 1 < p->n_stages && p->stages[j + 1].keep >= 0;
    if (plain && s->kept.slot >= 0 && p->slots[s->kept.slot].row_bytes == row_bytes(out))
        return s->kept;
    if (plain && !in_stays && p->slots[s->in.slot].row_bytes == row_bytes(out)) {
        struct vae_map m = {s->in.slot, s->in.up + reach(p, s)};
        struct vae_slot *slot = &p->slots[m.slot];
        slot->lead = m.up > slot->lead ? m.up : slot->lead;
        return m;
    }
    p->slots[p->n_slots] =
        (struct vae_slot){.row_bytes = row_bytes(out), .rows = out.h, .first = j, .last = j};
    return (struct vae_map){p->n_slots++, 0};
}

static void place_maps(struct vae_plan *p)
{
    struct vae_map at = {VAE_CALLER, 0}, kept = {VAE_NONE, 0};
    for (int j = 0; j < p->n_stages; j++) {
        struct vae_stage *s = &p->stages[j];
        s->in = at;
        if (p->half->ops[s->first].kind == VAE_KEEP)
            kept = at;
        if (s->keep >= 0)
            s->kept = kept;
        at = j + 1 == p->n_stages ? (struct vae_map){VAE_CALLER, 0} : place_result(p, j);
        s->out = at;
        if (s->in.slot >= 0)
            p->slots[s->in.slot].last = j;
        if (s->kept.slot >= 0)
            p->slots[s->kept.slot].last = j;
        if (at.slot >= 0)
            p->slots[at.slot].last = j;
    }
}

size_t vae_slot_bytes(const struct vae_slot *s)
{
    return (size_t)(s->rows + s->lead) * s->row_bytes;
}

/* ---- bands ----------------------------------------------------------------------------------------- */

int64_t vae_stage_bands(const struct vae_stage *s, int64_t height, int64_t band)
{
    if (s->attends) /* of equal size: see smallest_band */
        return height / band;
    return (height + band - 1) / band;
}

struct vae_rows vae_stage_band(const struct vae_stage *s, int64_t height, int64_t band, int64_t i)
{
    if (s->attends) {
        int64_t n = vae_stage_bands(s, height, band);
        return (struct vae_rows){height * i / n, height * (i + 1) / n};
    }
    int64_t lo = i * band, hi = lo + band;
    return (struct vae_rows){lo, hi < height ? hi : height};
}

/* ggml's attention has another kernel, which rounds differently, for a handful of queries. */
static int64_t smallest_band(const struct vae_stage *s, struct vae_shape out)
{
    int64_t n = 1;
    if (s->even)
        n = 2;
    if (s->attends)
        n = (ATTENTION_MIN_TOKENS + out.w - 1) / out.w;
    return n < out.h ? n : out.h;
}

static enum err_code measure_one(const struct vae_plan *p, const struct vae_stage *s,
                                 const struct vae_step *steps, struct vae_rows in,
                                 struct vae_rows kept, size_t *bytes, struct err *e)
{
    struct vae_band_graph b;
    size_t n = 0;
    vae_band_graph_build(p, s, steps, in, kept, &b);
    enum err_code rc = nn_graph_measure(&b.g, &n, e);
    nn_graph_deinit(&b.g);
    *bytes = n > *bytes ? n : *bytes;
    return rc;
}

/* The largest graph of a stage in bands of so many rows. */
static enum err_code measure_stage(const struct vae_plan *p, const struct vae_stage *s,
                                   int64_t band, size_t *bytes, struct err *e)
{
    int64_t height = p->shapes[s->last].h, n = vae_stage_bands(s, height, band);
    size_t size = (size_t)(s->last - s->first) * sizeof *p->steps;
    struct vae_step *now = p->steps, *before = p->steps + p->half->n;
    enum err_code rc = ERR_OK;
    *bytes = 0;
    for (int64_t i = 0; rc == ERR_OK && i < n; i++) {
        struct vae_rows in, kept;
        vae_walk_steps(p->half, p->shapes, s->first, s->last, vae_stage_band(s, height, band, i),
                       now, &in, &kept);
        if (i == 0 || memcmp(now, before, size) != 0)
            rc = measure_one(p, s, now, in, kept, bytes, e);
        memcpy(before, now, size);
    }
    return rc;
}

/* A reasonable band: a few rows, or all rows of an attention, whose keys and values are computed again for each
 * band. */
static int64_t modest_band(const struct vae_plan *p, const struct vae_stage *s)
{
    int64_t height = p->shapes[s->last].h, least = smallest_band(s, p->shapes[s->last]);
    int64_t band = s->attends || height < COMFORT_ROWS ? height : COMFORT_ROWS;
    return band > least ? band : least;
}

/* A modest band, or the smallest where the limit asks for it; s->compute_bytes > limit when neither fits. */
static enum err_code choose_modest(const struct vae_plan *p, struct vae_stage *s, size_t limit,
                                   struct err *e)
{
    s->band = modest_band(p, s);
    TRY(measure_stage(p, s, s->band, &s->compute_bytes, e));
    if (s->compute_bytes > limit) {
        s->band = smallest_band(s, p->shapes[s->last]);
        TRY(measure_stage(p, s, s->band, &s->compute_bytes, e));
    }
    return ERR_OK;
}

/* From a band that fits into `room` to the largest that does. */
static enum err_code grow_band(const struct vae_plan *p, struct vae_stage *s, size_t room,
                               struct err *e)
{
    int64_t unit = s->even ? 2 : 1, lo = s->band, hi = p->shapes[s->last].h, height = hi;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && lo < hi) { /* lo fits; nothing above hi does */
        size_t bytes;
        int64_t mid = lo + (hi - lo + 1) / 2;
        mid = mid < height ? (mid + unit - 1) / unit * unit : height;
        if (mid > hi)
            break;
        rc = measure_stage(p, s, mid, &bytes, e);
        if (rc == ERR_OK && bytes <= room) {
            lo = s->band = mid;
            s->compute_bytes = bytes;
        } else {
            hi = mid - unit > lo ? mid - unit : lo;
        }
    }
    return rc;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The bytes of slots at one place that stage j needs. */
static size_t live_bytes(const struct vae_plan *p, int j, enum vae_place place)
{
    size_t n = 0;
    for (int i = 0; i < p->n_slots; i++)
        if (p->slots[i].place == place && p->slots[i].first <= j && j <= p->slots[i].last)
            n += vae_slot_bytes(&p->slots[i]);
    return n;
}

/* The smallest slot not tried yet; NULL: none. */
static struct vae_slot *next_slot(const struct vae_plan *p)
{
    struct vae_slot *best = NULL;
    for (int i = 0; i < p->n_slots; i++)
        if (!p->slots[i].tried && (!best || vae_slot_bytes(&p->slots[i]) < vae_slot_bytes(best)))
            best = &p->slots[i];
    return best;
}

/* Slots to the device, the smallest first, where they leave room for the graphs of every stage that needs them. */
static void choose_places(struct vae_plan *p, size_t limit, enum vae_place elsewhere)
{
    for (int i = 0; i < p->n_slots; i++) {
        p->slots[i].place = elsewhere;
        p->slots[i].tried = false;
    }
    for (struct vae_slot *slot; (slot = next_slot(p)) != NULL;) {
        bool fits = true;
        slot->tried = true;
        slot->place = VAE_ON_DEVICE;
        for (int j = slot->first; j <= slot->last; j++)
            fits &= live_bytes(p, j, VAE_ON_DEVICE) + p->stages[j].compute_bytes <= limit;
        if (!fits)
            slot->place = elsewhere;
    }
}

static enum err_code choose_bands(struct vae_plan *p, size_t limit, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t comfort = (nn_device_is_cpu(p->device) ? COMFORT_MIB_CPU : COMFORT_MIB_GPU) * MIB;
    p->need = (struct vae_need){.banded = true, .stages = p->n_stages};
    for (int j = 0; rc == ERR_OK && j < p->n_stages; j++) {
        struct vae_stage *s = &p->stages[j];
        struct vae_need *n = &p->need;
        size_t live = live_bytes(p, j, VAE_ON_DEVICE), room = limit - live;
        /* s->compute_bytes is what choose_modest found. */
        size_t want = s->attends ? room : max_size(comfort, s->compute_bytes);
        rc = grow_band(p, s, want < room ? want : room, e);
        n->compute_bytes = max_size(n->compute_bytes, s->compute_bytes);
        n->device_bytes = max_size(n->device_bytes, s->compute_bytes + live);
        n->spill_device_bytes = max_size(n->spill_device_bytes, live);
        n->spill_host_bytes = max_size(n->spill_host_bytes, live_bytes(p, j, VAE_IN_HOST_MEMORY));
        n->spill_file_bytes = max_size(n->spill_file_bytes, live_bytes(p, j, VAE_IN_FILE));
    }
    return rc;
}

/* ---- the plan -------------------------------------------------------------------------------------- */

static enum err_code plan_init(struct vae_plan *p, const struct vae_half *half,
                               struct nn_device *device, bool exact, struct vae_shape in,
                               struct err *e)
{
    memset(p, 0, sizeof *p);
    p->half = half;
    p->device = device;
    p->exact = exact;
    p->shapes = mem_try_array((size_t)half->n + 1, sizeof *p->shapes);
    p->steps = mem_try_array((size_t)half->n, 2 * sizeof *p->steps);
    if (!p->shapes || !p->steps)
        return err_set(e, ERR_NOMEM, "no memory to plan the VAE");
    if (half->n == 0 || !half->ops[0].conv.w->t)
        return err_set(e, ERR_INTERNAL, "the VAE's half is not engaged");
    vae_half_shapes(half, in.h, in.w, p->shapes);
    TRY(cut_stages(p, e));
    place_maps(p);
    return ERR_OK;
}

static enum err_code measure_whole(const struct vae_plan *p, size_t *bytes, struct err *e)
{
    struct nn_graph g;
    struct ggml_tensor *x, *y;
    vae_whole_graph_build(p, false, &g, &x, &y);
    enum err_code rc = nn_graph_measure(&g, bytes, e);
    nn_graph_deinit(&g);
    return rc;
}

static enum err_code smallest(struct vae_plan *p, size_t *bytes, struct err *e)
{
    size_t whole;
    *bytes = 0;
    TRY(measure_whole(p, &whole, e));
    for (int j = 0; j < p->n_stages; j++) {
        size_t modest = 0;
        TRY(choose_modest(p, &p->stages[j], SIZE_MAX, e));
        modest = p->stages[j].compute_bytes;
        TRY(choose_modest(p, &p->stages[j], 0, e));
        *bytes = max_size(*bytes, p->stages[j].compute_bytes < modest ? p->stages[j].compute_bytes
                                                                      : modest);
    }
    if (whole < *bytes)
        *bytes = whole;
    return ERR_OK;
}

static enum err_code refuse(struct vae_plan *p, size_t limit, struct err *e)
{
    const struct vae_shape *a = &p->shapes[0], *b = &p->shapes[p->half->n];
    const struct vae_shape *image = a->h > b->h ? a : b;
    size_t least;
    TRY(smallest(p, &least, e));
    return err_set(
        e, ERR_NOMEM,
        "the VAE needs at least %zu MiB for an image of %lld x %lld; %zu MiB are available",
        (least + MIB - 1) / MIB, (long long)image->w, (long long)image->h, limit / MIB);
}

static enum err_code plan_bands(struct vae_plan *p, size_t limit, enum vae_place elsewhere,
                                struct err *e)
{
    for (int j = 0; j < p->n_stages; j++) {
        enum err_code rc = choose_modest(p, &p->stages[j], limit, e);
        if (rc != ERR_OK)
            return rc;
        if (p->stages[j].compute_bytes > limit)
            return refuse(p, limit, e);
    }
    choose_places(p, limit, elsewhere);
    return choose_bands(p, limit, e);
}

static enum err_code plan_limited(struct vae_plan *p, const struct vae_limits *limits,
                                  struct err *e)
{
    TRY(plan_bands(p, limits->compute,
                   nn_device_is_cpu(p->device) ? VAE_IN_FILE : VAE_IN_HOST_MEMORY, e));
    if (limits->host && p->need.spill_host_bytes > limits->host)
        TRY(plan_bands(p, limits->compute, VAE_IN_FILE, e));
    return ERR_OK;
}

enum err_code vae_plan_make(const struct vae_half *half, struct nn_device *device, bool exact,
                            struct vae_shape in, struct vae_limits limits, struct vae_plan *out,
                            struct err *e)
{
    size_t whole = 0;
    enum err_code rc;
    TRY_GOTO(plan_init(out, half, device, exact, in, e), done);
    TRY_GOTO(measure_whole(out, &whole, e), done);
    if (limits.compute && whole > limits.compute)
        rc = plan_limited(out, &limits, e);
    else
        out->need = (struct vae_need){.device_bytes = whole, .compute_bytes = whole};
done:
    if (rc != ERR_OK)
        vae_plan_deinit(out);
    return rc;
}

void vae_plan_deinit(struct vae_plan *p)
{
    mem_free(p->shapes);
    mem_free(p->stages);
    mem_free(p->slots);
    mem_free(p->steps);
    memset(p, 0, sizeof *p);
}

enum err_code vae_plan_smallest(const struct vae_half *half, struct nn_device *device, bool exact,
                                struct vae_shape in, size_t *bytes, struct err *e)
{
    struct vae_plan p;
    enum err_code rc;
    TRY_GOTO(plan_init(&p, half, device, exact, in, e), done);
    rc = smallest(&p, bytes, e);
done:
    vae_plan_deinit(&p);
    return rc;
}

/* run.c - runs a half whole, or band by band as its plan says.
 *
 * Stages in order; for each: open the slots that begin with it, run its bands from top to bottom, close those that
 * have ended. Top to bottom matters twice: a result may be written over rows of its own input that were read
 * already (plan.h), and sums for a norm are added in the order of the rows. A stage's sums are complete only after
 * its last band, so the next stage gets them as `before`.
 *
 * A graph is used again for the next band while the band has the same shape; only those at the edges differ.
 * Everything belongs to this call and the device's thread.
 */
#include "model/vae/run.h"

#include <string.h>

#include "base/mem.h"
#include "model/vae/spill.h"

/* ---- whole ----------------------------------------------------------------------------------------- */

static enum err_code report_mids(const struct nn_graph *g, const struct vae_run *run, struct err *e)
{
    for (size_t i = 0; i < g->n_mids; i++) {
        const struct ggml_tensor *t = g->mids[i].t;
        float *data = mem_try_array((size_t)ggml_nelements(t), sizeof *data);
        if (!data)
            return err_set(e, ERR_NOMEM, "no memory for a trace");
        nn_graph_get(g, t, data);
        int64_t dims[4] = {t->ne[3], t->ne[2], t->ne[1], t->ne[0]};
        run->mid(g->mids[i].name, data, dims, 4, run->user);
        mem_free(data);
    }
    return ERR_OK;
}

static enum err_code run_whole(const struct vae_run *run, const struct vae_plan *p, struct err *e)
{
    struct nn_graph g;
    struct ggml_tensor *x, *y;
    vae_whole_graph_build(p, run->mid != NULL, &g, &x, &y);
    enum err_code rc;
    TRY_GOTO(nn_graph_prepare(&g, e), done);
    nn_graph_set(&g, x, run->in);
    TRY_GOTO(nn_graph_run(&g, run->cancel, e), done);
    nn_graph_get(&g, y, run->out);
    if (run->mid)
        TRY_GOTO(report_mids(&g, run, e), done);
done:
    nn_graph_deinit(&g);
    return rc;
}

/* ---- bands ----------------------------------------------------------------------------------------- */

struct bands {
    const struct vae_run *run;
    const struct vae_plan *plan;
    struct vae_spill *spills;   /* [plan->n_slots] */
    struct nn_moments_sum sums; /* of the map between two stages */
    bool has_sums;
    struct vae_band_graph
        graph; /* of the band before this one, used again while the steps are equal */
    bool has_graph;
    float *rows; /* a band of the caller's image, rows first */
    size_t rows_room;
    double work, done; /* of all bands, and of those that have ended: for progress */
};

static enum err_code make_room(struct bands *b, const struct ggml_tensor *t, struct err *e)
{
    size_t n = (size_t)ggml_nelements(t);
    if (n <= b->rows_room)
        return ERR_OK;
    mem_free(b->rows);
    b->rows = mem_try_array(n, sizeof *b->rows);
    b->rows_room = b->rows ? n : 0;
    return b->rows ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a band of the image");
}

/* The caller's planes [channels, height, width], rows from lo on, to [rows, channels, width]. */
static enum err_code load_planes(struct bands *b, int64_t lo, struct ggml_tensor *t, struct err *e)
{
    size_t w = (size_t)t->ne[0], height = (size_t)b->run->h;
    TRY(make_room(b, t, e));
    for (int64_t r = 0; r < t->ne[2]; r++)
        for (int64_t c = 0; c < t->ne[1]; c++)
            memcpy(b->rows + (size_t)(r * t->ne[1] + c) * w,
                   b->run->in + ((size_t)c * height + (size_t)(lo + r)) * w, w * sizeof(float));
    nn_graph_set(&b->graph.g, t, b->rows);
    return ERR_OK;
}

static enum err_code save_planes(struct bands *b, int64_t lo, const struct ggml_tensor *t,
                                 struct err *e)
{
    size_t w = (size_t)t->ne[0], height = (size_t)b->plan->shapes[b->plan->half->n].h;
    TRY(make_room(b, t, e));
    nn_graph_get(&b->graph.g, t, b->rows);
    for (int64_t r = 0; r < t->ne[2]; r++)
        for (int64_t c = 0; c < t->ne[1]; c++)
            memcpy(b->run->out + ((size_t)c * height + (size_t)(lo + r)) * w,
                   b->rows + (size_t)(r * t->ne[1] + c) * w, w * sizeof(float));
    return ERR_OK;
}

static size_t place_of(const struct bands *b, struct vae_map m, int64_t row)
{
    const struct vae_slot *s = &b->plan->slots[m.slot];
    return (size_t)(row + s->lead - m.up) * s->row_bytes;
}

static enum err_code load(struct bands *b, struct vae_map m, int64_t row, struct ggml_tensor *t,
                          struct err *e)
{
    if (m.slot == VAE_CALLER)
        return load_planes(b, row, t, e);
    return vae_spill_load(&b->spills[m.slot], place_of(b, m, row), &b->graph.g, t, e);
}

static enum err_code save(struct bands *b, struct vae_map m, int64_t row, struct ggml_tensor *t,
                          struct err *e)
{
    if (m.slot == VAE_CALLER)
        return save_planes(b, row, t, e);
    return vae_spill_save(&b->spills[m.slot], place_of(b, m, row), &b->graph.g, t, e);
}

/* Where rows from `row` on of a map lie, of shape s; nowhere while the device is dry. */
static struct nn_rows rows_of(const struct bands *b, struct vae_map m, int64_t row,
                              struct vae_shape s, const float *caller)
{
    if (m.slot == VAE_CALLER)
        return (struct nn_rows){(float *)(uintptr_t)(caller + row * s.w), s.w, s.h * s.w};
    unsigned char *p = vae_spill_memory(&b->spills[m.slot]);
    return (struct nn_rows){p ? (float *)(void *)(p + place_of(b, m, row)) : NULL, s.w * s.channels,
                            s.w};
}

struct band {
    struct vae_rows out, in, kept;
};

static enum err_code load_band(struct bands *b, const struct vae_stage *s, const struct band *at,
                               struct err *e)
{
    const struct vae_shape *shapes = b->plan->shapes;
    struct vae_band_graph *g = &b->graph;
    if (g->direct) {
        g->in_rows = rows_of(b, s->in, at->in.lo, shapes[s->first], b->run->in);
        if (s->keep >= 0)
            g->kept_rows = rows_of(b, s->kept, at->kept.lo, shapes[s->keep], NULL);
        g->out_rows = rows_of(b, s->out, at->out.lo, shapes[s->last], b->run->out);
        return ERR_OK;
    }
    TRY(load(b, s->in, at->in.lo, g->in, e));
    return g->kept ? load(b, s->kept, at->kept.lo, g->kept, e) : ERR_OK;
}

static void drop_graph(struct bands *b)
{
    if (b->has_graph)
        nn_graph_deinit(&b->graph.g);
    b->has_graph = false;
}

static enum err_code new_graph(struct bands *b, const struct vae_stage *s,
                               const struct vae_step *steps, const struct band *at, struct err *e)
{
    drop_graph(b);
    vae_band_graph_build(b->plan, s, steps, at->in, at->kept, &b->graph);
    b->has_graph = true;
    return nn_graph_prepare(&b->graph.g, e);
}

/* Sums in, one run, sums out. */
static enum err_code compute(struct bands *b, const struct vae_stage *s,
                             const struct nn_moments_sum *before, int64_t pixels, struct err *e)
{
    struct vae_band_graph *g = &b->graph;
    if (g->sums) {
        struct nn_group_norm n = vae_group_norm(b->plan->half, &g->g, &b->plan->half->ops[s->norm]);
        nn_moments_give(before, &g->g, g->sums, &n);
    }
    if (g->carry)
        nn_moments_give(&b->sums, &g->g, g->carry, NULL);
    TRY(nn_graph_run(&g->g, b->run->cancel, e));
    if (g->gathered)
        nn_moments_take(&b->sums, &g->g, g->gathered, pixels);
    return ERR_OK;
}

static double stage_work(const struct vae_plan *p, const struct vae_stage *s)
{
    return vae_half_work(p->half, p->shapes, s->first, s->last);
}

/* Runs one band, with the span of progress that it is of the whole. */
static enum err_code run_band(struct bands *b, const struct vae_stage *s, const struct band *at,
                              const struct nn_moments_sum *before, struct err *e)
{
    const struct vae_shape *shape = &b->plan->shapes[s->last];
    struct nn_device *d = b->run->device;
    struct nn_span whole = nn_device_span(d);
    int64_t rows = at->out.hi - at->out.lo;
    double work = stage_work(b->plan, s) * (double)rows / (double)shape->h;
    nn_device_set_span(d, nn_span_part(whole, b->done / b->work, work / b->work));
    b->done += work;
    enum err_code rc;
    TRY_GOTO(load_band(b, s, at, e), done);
    TRY_GOTO(compute(b, s, before, rows * shape->w, e), done);
    if (!b->graph.direct)
        TRY_GOTO(save(b, s->out, at->out.lo, b->graph.out, e), done);
done:
    nn_device_set_span(d, whole);
    return rc;
}

static enum err_code run_bands(struct bands *b, const struct vae_stage *s,
                               const struct nn_moments_sum *before, struct err *e)
{
    const struct vae_plan *p = b->plan;
    int64_t height = p->shapes[s->last].h, n = vae_stage_bands(s, height, s->band);
    size_t size = (size_t)(s->last - s->first) * sizeof *p->steps;
    struct vae_step *now = p->steps, *last = p->steps + p->half->n;
    enum err_code rc = ERR_OK;
    for (int64_t i = 0; rc == ERR_OK && i < n; i++) {
        struct band at = {.out = vae_stage_band(s, height, s->band, i)};
        vae_walk_steps(p->half, p->shapes, s->first, s->last, at.out, now, &at.in, &at.kept);
        if (i == 0 || memcmp(now, last, size) != 0)
            rc = new_graph(b, s, now, &at, e);
        memcpy(last, now, size);
        if (rc == ERR_OK)
            rc = run_band(b, s, &at, before, e);
    }
    drop_graph(b);
    return rc;
}

/* Reuses the memory of a slot that has ended and is as large as the new one: fresh pages cost as much as the arithmetic
 * on them. */
static void take_over(struct bands *b, int to, int stage)
{
    const struct vae_slot *slots = b->plan->slots;
    for (int i = 0; i < b->plan->n_slots; i++)
        if (slots[i].last < stage && slots[i].place == slots[to].place && b->spills[i].bytes > 0 &&
            b->spills[i].bytes == vae_slot_bytes(&slots[to])) {
            b->spills[to] = b->spills[i];
            b->spills[i] = (struct vae_spill){0};
            return;
        }
}

/* Slots that begin with this stage; the memory of those that have ended goes first. */
static enum err_code open_slots(struct bands *b, int stage, struct err *e)
{
    const struct vae_plan *p = b->plan;
    for (int i = 0; i < p->n_slots; i++)
        if (p->slots[i].first == stage)
            take_over(b, i, stage);
    for (int i = 0; i < p->n_slots; i++)
        if (p->slots[i].last < stage)
            vae_spill_close(&b->spills[i]);
    for (int i = 0; i < p->n_slots; i++) {
        if (p->slots[i].first == stage && b->spills[i].bytes == 0)
            TRY(vae_spill_open(&b->spills[i], b->run->device, p->slots[i].place,
                               vae_slot_bytes(&p->slots[i]), e));
    }
    return ERR_OK;
}

static enum err_code run_stage(struct bands *b, int j, struct err *e)
{
    const struct vae_stage *s = &b->plan->stages[j];
    struct nn_moments_sum before = b->sums;
    b->sums = (struct nn_moments_sum){0};
    enum err_code rc = ERR_OK;
    if (s->gathers)
        TRY_GOTO(nn_moments_sum_init(&b->sums, b->plan->shapes[s->last].channels, e), done);
    TRY_GOTO(open_slots(b, j, e), done);
    rc = run_bands(b, s, &before, e);
done:
    nn_moments_sum_deinit(&before);
    return rc;
}

static enum err_code run_banded(const struct vae_run *run, const struct vae_plan *p, struct err *e)
{
    struct bands b = {.run = run, .plan = p};
    b.spills = mem_try_array((size_t)p->n_slots, sizeof *b.spills);
    enum err_code rc = b.spills ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the VAE's records");
    for (int j = 0; j < p->n_stages; j++)
        b.work += stage_work(p, &p->stages[j]);
    for (int j = 0; rc == ERR_OK && j < p->n_stages; j++)
        rc = run_stage(&b, j, e);
    for (int i = 0; b.spills && i < p->n_slots; i++)
        vae_spill_close(&b.spills[i]);
    nn_moments_sum_deinit(&b.sums);
    mem_free(b.spills);
    mem_free(b.rows);
    return rc;
}

/* ---- both ------------------------------------------------------------------------------------------ */

static enum err_code make_plan(const struct vae_run *r, struct vae_limits limits,
                               struct vae_plan *p, struct err *e)
{
    struct vae_shape in = {r->half->in_channels, r->h, r->w};
    return vae_plan_make(r->half, r->device, r->exact, in, limits, p, e);
}

enum err_code vae_half_run(const struct vae_run *r, struct err *e)
{
    struct vae_plan p;
    struct vae_limits limits = r->limits;
    if (r->mid)
        limits.compute = 0;
    enum err_code rc = make_plan(r, limits, &p, e);
    /* A dry run should find the least that is needed, not fail because there is too little. */
    if (rc == ERR_NOMEM && nn_device_is_dry(r->device)) {
        rc = vae_half_smallest(r, &limits.compute, e);
        if (rc == ERR_OK)
            rc = make_plan(r, limits, &p, e);
    }
    if (rc != ERR_OK)
        return rc;
    rc = p.need.banded ? run_banded(r, &p, e) : run_whole(r, &p, e);
    vae_plan_deinit(&p);
    return rc;
}

enum err_code vae_half_need(const struct vae_run *r, struct vae_need *need, struct err *e)
{
    struct vae_plan p;
    TRY(make_plan(r, r->limits, &p, e));
    *need = p.need;
    vae_plan_deinit(&p);
    return ERR_OK;
}

enum err_code vae_half_smallest(const struct vae_run *r, size_t *bytes, struct err *e)
{
    struct vae_shape in = {r->half->in_channels, r->h, r->w};
    return vae_plan_smallest(r->half, r->device, r->exact, in, bytes, e);
}

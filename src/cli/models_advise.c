/* models_advise.c - every model of the store planned within a budget: an image of 1024 x 1024, or four layers of 640 x 640.
 *
 * What fits into the budget with its transformer goes first, and of those the larger, which is stored more exactly. On
 * the CPU weights are used in the mapped file and count for nothing in a plan; when they do not fit beside the rest,
 * the system reads them from the drive again in every step. */
#include "cli/models_advise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "veetance.h"

enum { SIDE = 1024, LAYERS_SIDE = 640, LAYERS = 4 };

struct advised {
    const struct models_model *x;
    uint64_t bytes, streamed; /* on disk; through memory in one pass */
    uint64_t mapped;          /* of the transformer, used in its file */
    struct vt_plan plan;
    char why[480]; /* it has no plan; "": it has */
};

static enum vt_status plan(struct vt_engine *engine, const struct models_model *x, const char *path,
                           struct vt_plan *out, struct vt_error *e)
{
    if (strcmp(x->pipeline, "layered") != 0) {
        struct vt_request rq = vt_request_defaults();
        rq.model = path;
        rq.prompt = "a lighthouse at dusk";
        rq.width = rq.height = SIDE;
        return vt_plan_picture(engine, &rq, out, e);
    }
    struct vt_layers_request rq = vt_layers_request_defaults();
    uint8_t *pixels = mem_try_array((size_t)LAYERS_SIDE * LAYERS_SIDE, 3);
    rq.model = path;
    rq.prompt = "a poster";
    rq.layers = LAYERS;
    rq.resolution = LAYERS_SIDE;
    rq.image = (struct vt_image){LAYERS_SIDE, LAYERS_SIDE, 3, pixels, 8, NULL};
    enum vt_status rc = pixels ? vt_plan_layers(engine, &rq, out, e) : VT_ERR_NOMEM;
    mem_free(pixels);
    return rc;
}

static void advise_one(struct vt_engine *engine, struct models *m, struct advised *a)
{
    char path[MODELS_PATH_BYTES];
    struct err e = {0};
    struct vt_error ve = {0};
    a->bytes = models_model_bytes(m, a->x);
    if (models_resolve_in(m, a->x->name, path, &e) != ERR_OK)
        (void)snprintf(a->why, sizeof a->why, "%s", e.text);
    else if (plan(engine, a->x, path, &a->plan, &ve) != VT_OK)
        (void)snprintf(a->why, sizeof a->why, "%s", ve.text);
    uint64_t held = 0;
    for (int i = 0; i < a->plan.stage_count; i++) {
        const struct vt_plan_stage *s = &a->plan.stages[i];
        a->streamed += s->streamed_bytes;
        if (strcmp(s->component, "transformer") == 0)
            held = s->resident_bytes + s->streamed_bytes;
    }
    const struct models_component *t = models_component(m, a->x->parts[MODELS_TRANSFORMER]);
    uint64_t weights = t ? models_component_bytes(t) : 0;
    a->mapped = held < weights / 2 ? weights - held : 0;
}

/* Memory with the transformer's weights in it. */
static uint64_t needed(const struct advised *a)
{
    return a->plan.peak_bytes + a->mapped;
}

static const char *verdict(const struct advised *a)
{
    if (a->plan.verdict == VT_RESIDENT && needed(a) > a->plan.budget_bytes)
        return "reads from the drive";
    return vt_verdict_name(a->plan.verdict);
}

static bool fits(const struct advised *a)
{
    return !a->why[0] && a->plan.verdict == VT_RESIDENT && needed(a) <= a->plan.budget_bytes;
}

/* Pipelines apart, then what fits, what has a plan, what is not refused, then the larger. */
static int best_first(const void *p, const void *q)
{
    const struct advised *a = p, *b = q;
    int r = strcmp(a->x->pipeline, b->x->pipeline);
    if (r == 0)
        r = (int)fits(b) - (int)fits(a);
    if (r == 0)
        r = (a->why[0] != 0) - (b->why[0] != 0);
    if (r == 0)
        r = (a->plan.verdict == VT_REFUSED) - (b->plan.verdict == VT_REFUSED);
    if (r == 0 && !fits(a)) /* the less there is to bring, the better */
        r = needed(a) + a->streamed < needed(b) + b->streamed ? -1 : 1;
    if (r == 0)
        r = a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
    return r ? r : strcmp(a->x->name, b->x->name);
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0 * 1024.0);
}

static void print_table(const struct advised *list, size_t n)
{
    printf("%-32s %-8s %9s %9s %12s  %s\n", "model", "pipeline", "disk GiB", "needs GiB",
           "streamed GiB", "verdict");
    for (size_t i = 0; i < n; i++) {
        const struct advised *a = &list[i];
        if (a->why[0])
            printf("%-32s %-8s %9.1f %9s %12s  %s\n", a->x->name, a->x->pipeline, gib(a->bytes),
                   "-", "-", a->why);
        else
            printf("%-32s %-8s %9.1f %9.1f %12.1f  %s\n", a->x->name, a->x->pipeline, gib(a->bytes),
                   gib(needed(a)), gib(a->streamed), verdict(a));
    }
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(list[i].x->pipeline, list[i - 1].x->pipeline) != 0;
        if (first && !list[i].why[0] && list[i].plan.verdict != VT_REFUSED)
            printf("- for %s: %s\n",
                   strcmp(list[i].x->pipeline, "klein") == 0 ? "images and edits" : "layers",
                   list[i].x->name);
    }
    if (n == 0)
        printf("No model is ready: `veetance models scan DIR` finds those that are there, "
               "`veetance-fetch list` names what can be downloaded.\n");
}

static void print_json(const struct advised *list, size_t n)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    json_object(&b, NULL);
    json_array(&b, "models");
    for (size_t i = 0; i < n; i++) {
        const struct advised *a = &list[i];
        json_object(&b, NULL);
        json_put_z(&b, "name", a->x->name);
        json_put_z(&b, "pipeline", a->x->pipeline);
        json_put_uint(&b, "bytes", a->bytes);
        if (a->why[0]) {
            json_put_z(&b, "error", a->why);
        } else {
            json_put_z(&b, "verdict", vt_verdict_name(a->plan.verdict));
            json_put_bool(&b, "fits", fits(a));
            json_put_uint(&b, "peak_bytes", a->plan.peak_bytes);
            json_put_uint(&b, "mapped_bytes", a->mapped);
            json_put_uint(&b, "streamed_bytes", a->streamed);
        }
        json_end_object(&b);
    }
    json_end_array(&b);
    json_end_object(&b);
    cli_print_json(&b);
}

int models_advise(struct models *m, const char *budget, bool json)
{
    const struct vt_engine_options options = {.budget = budget};
    struct vt_engine *engine = NULL;
    struct vt_error ve = {0};
    size_t n = 0;
    if (vt_engine_open(&options, &engine, &ve) != VT_OK)
        return cli_fail(&ve);
    struct advised *list = mem_try_array(m->n_models, sizeof *list);
    for (size_t i = 0; list && i < m->n_models; i++) {
        if (models_model_state(m, &m->models[i], NULL) != MODELS_READY)
            continue;
        list[n].x = &m->models[i];
        advise_one(engine, m, &list[n++]);
    }
    vt_engine_close(engine);
    if (n > 1)
        qsort(list, n, sizeof *list, best_first);
    if (json)
        print_json(list, n);
    else
        print_table(list, n);
    mem_free(list);
    return CLI_OK;
}

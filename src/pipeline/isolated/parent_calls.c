/* parent_calls.c - the functions of veetance.h over an engine's process: what each sends, and results rebuilt of what
 * comes back. Counts and places in what comes are checked here against what was asked for. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/call.h"
#include "pipeline/lend.h"

/* ---- what is known without asking ------------------------------------------------------------------------- */

const char *isolated_device(const struct isolated *g)
{
    return g->state.device;
}

const char *isolated_model(const struct isolated *g)
{
    return g->model;
}

const char *isolated_last_words(const struct isolated *g)
{
    return g->last_words;
}

void isolated_memory(const struct isolated *g, struct vt_memory *out)
{
    *out = g->state.memory;
}

/* ---- small questions -------------------------------------------------------------------------------------- */

static void write_u64(struct code *c, void *user)
{
    code_u64(c, user);
}

static void write_text(struct code *c, void *user)
{
    iso_code_path(c, user);
}

enum err_code isolated_set_budget(struct isolated *g, uint64_t bytes, struct err *e)
{
    const struct call call = {.type = ISO_SET_BUDGET, .write = write_u64, .user = &bytes};
    TRY(call_make(g, &call, e));
    g->budget = bytes;
    g->has_budget = true;
    return ERR_OK;
}

struct budget {
    const char *text;
    uint64_t bytes;
};

static void write_budget(struct code *c, void *user)
{
    struct budget *b = user;
    iso_code_path(c, &b->text);
}

static void read_budget(struct code *c, void *user)
{
    struct budget *b = user;
    code_u64(c, &b->bytes);
}

enum err_code isolated_parse_budget(struct isolated *g, const char *text, uint64_t *bytes,
                                    struct err *e)
{
    struct budget b = {.text = text};
    const struct call call = {
        .type = ISO_PARSE_BUDGET, .write = write_budget, .read = read_budget, .user = &b};
    enum err_code rc = call_make(g, &call, e);
    *bytes = b.bytes;
    return rc;
}

enum err_code isolated_load(struct isolated *g, const char *model, struct err *e)
{
    const struct call call = {
        .type = ISO_LOAD, .model = model, .write = write_text, .user = &model};
    return call_make(g, &call, e);
}

/* Whoever has no process holds nothing. One that dies of it holds nothing either. */
static void let_go(struct isolated *g, uint32_t type)
{
    struct err e = {0};
    if (g->process && call_make(g, &(struct call){.type = type}, &e) != ERR_OK)
        err_clear(&e);
}

void isolated_unload(struct isolated *g)
{
    let_go(g, ISO_UNLOAD);
}

void isolated_release(struct isolated *g)
{
    let_go(g, ISO_RELEASE);
}

/* ---- images ----------------------------------------------------------------------------------------------- */

struct images {
    struct vt_request request; /* a copy: writing takes no const */
    const struct vt_callbacks *cb;
    struct vt_result *result;
    struct iso_used used;
    struct vt_plan *plan;
};

static void write_request(struct code *c, void *user)
{
    iso_code_request(c, &((struct images *)user)->request);
}

static void take_used(struct vt_result *r, const struct iso_used *u)
{
    struct vt_request *q = &r->request;
    memcpy(r->model, u->model, sizeof r->model);
    q->model = r->model;
    q->width = u->width;
    q->height = u->height;
    q->steps = u->steps;
    q->max_tokens = u->max_tokens;
    q->seed = u->seed;
    q->guidance = u->guidance;
    q->strength = u->strength;
}

static enum err_code copy_image(const struct vt_image *im, struct image *out, struct err *e)
{
    const struct image view = borrow_image(im);
    return image_copy(&view, out, e);
}

/* The images come in their order, each once. */
static enum err_code read_image(struct code *c, void *user, struct err *e)
{
    struct images *m = user;
    struct iso_image im = {0};
    struct vt_result *r = m->result;
    iso_code_image(c, &im);
    TRY(code_end(c, e));
    if (im.index != r->count || im.index >= r->request.count || im.used.count != r->request.count)
        return err_set(e, ERR_FORMAT, "image %d of %d came after %d", im.index, r->request.count,
                       r->count);
    TRY(copy_image(&im.image, &r->images[im.index], e));
    take_used(r, &im.used);
    r->count++;
    if (m->cb && m->cb->image)
        m->cb->image(r, im.index, m->cb->user);
    return ERR_OK;
}

static void read_images_end(struct code *c, void *user)
{
    struct images *m = user;
    iso_code_used(c, &m->used);
    iso_code_stats(c, &m->result->stats);
    if (m->result->count != m->result->request.count)
        c->bad = true;
}

enum err_code isolated_images(struct isolated *g, bool edit, const struct vt_request *rq,
                              const struct vt_callbacks *cb, struct vt_result **out, struct err *e)
{
    struct images m = {.request = *rq, .cb = cb};
    const struct call call = {.type = edit ? ISO_EDIT : ISO_GENERATE,
                              .model = rq->model,
                              .loras = &rq->loras,
                              .trace_path = rq->trace_path,
                              .cache_dir = rq->cache_dir,
                              .callbacks = cb,
                              .write = write_request,
                              .read = read_images_end,
                              .image = read_image,
                              .user = &m};
    *out = NULL;
    m.request.previews = cb && cb->preview;
    TRY(engine_check_count(rq, e));
    TRY(engine_check_images(rq, e)); /* what is none cannot be sent */
    TRY(engine_result_new(rq, &m.result, e));
    enum err_code rc = call_make(g, &call, e);
    if (rc != ERR_OK) {
        vt_result_free(m.result);
        return rc;
    }
    take_used(m.result, &m.used);
    *out = m.result;
    return ERR_OK;
}

static void read_image_plan(struct code *c, void *user)
{
    iso_code_plan(c, ((struct images *)user)->plan);
}

enum err_code isolated_plan_images(struct isolated *g, const struct vt_request *rq,
                                   struct vt_plan *out, struct err *e)
{
    struct images m = {.request = *rq, .plan = out};
    const struct call call = {.type = ISO_PLAN_IMAGE,
                              .model = rq->model,
                              .loras = &rq->loras,
                              .trace_path = rq->trace_path,
                              .cache_dir = rq->cache_dir,
                              .write = write_request,
                              .read = read_image_plan,
                              .user = &m};
    memset(out, 0, sizeof *out);
    TRY(engine_check_images(rq, e));
    return call_make(g, &call, e);
}

/* ---- layers ----------------------------------------------------------------------------------------------- */

struct layers {
    struct vt_layers_request request;
    struct vt_layers_result *result;
    struct vt_plan *plan;
    enum err_code rc; /* of rebuilding it */
    struct err err;
};

static void write_layers(struct code *c, void *user)
{
    iso_code_layers_request(c, &((struct layers *)user)->request);
}

static enum err_code add_layer(struct layer_stack *s, const struct iso_layer *l, struct err *e)
{
    struct image image = {0};
    TRY(copy_image(&l->image, &image, e));
    struct layer one = layer_from_image(&image);
    layer_set_name(&one, str_from(l->name));
    if (l->id[0] && !layer_set_id(&one, str_from(l->id)))
        one.id[0] = 0;
    one.x = l->x;
    one.y = l->y;
    one.opacity = l->opacity;
    one.blend = (enum blend_mode)l->blend;
    one.visible = l->visible != 0;
    return layer_stack_add(s, &one, e);
}

static enum err_code rebuild(const struct iso_layers *l, struct vt_layers_result *r, struct err *e)
{
    const struct layers_limits limits = layers_limits_defaults();
    TRY(layers_check_canvas(&limits, l->width, l->height, e));
    layer_stack_init(&r->made.stack, l->width, l->height);
    for (int i = 0; i < l->count; i++)
        TRY(add_layer(&r->made.stack, &l->layers[i], e));
    TRY(copy_image(&l->composite, &r->made.composite, e));
    r->made.dropped = l->dropped;
    r->made.merged = l->merged;
    r->stats = l->stats;
    r->report = l->report;
    (void)snprintf(r->model, sizeof r->model, "%s", l->report.model);
    buf_add_z(&r->prompt, l->report.prompt);
    r->report.model = r->model;
    r->report.prompt = buf_z(&r->prompt);
    return buf_failed(&r->prompt) ? err_set(e, ERR_NOMEM, "no memory for the layers") : ERR_OK;
}

static void read_layers(struct code *c, void *user)
{
    struct layers *m = user;
    struct iso_layers *l = mem_alloc(sizeof *l);
    iso_code_layers(c, l);
    if (!c->bad)
        m->rc = rebuild(l, m->result, &m->err);
    mem_free(l);
}

enum err_code isolated_layers(struct isolated *g, const struct vt_layers_request *rq,
                              const struct vt_callbacks *cb, struct vt_layers_result **out,
                              struct err *e)
{
    *out = NULL;
    TRY(engine_check_image(&rq->image, "the image", e));
    struct layers m = {.request = *rq, .result = engine_layers_result_new()};
    const struct call call = {.type = ISO_LAYERS,
                              .model = rq->model,
                              .loras = &rq->loras,
                              .trace_path = rq->trace_path,
                              .callbacks = cb,
                              .write = write_layers,
                              .read = read_layers,
                              .user = &m};
    m.request.previews = cb && cb->preview;
    enum err_code rc = call_make(g, &call, e);
    if (rc == ERR_OK && m.rc != ERR_OK) {
        rc = m.rc;
        if (e)
            *e = m.err;
    }
    if (rc != ERR_OK) {
        vt_layers_result_free(m.result);
        m.result = NULL;
    }
    *out = m.result;
    return rc;
}

static void read_layers_plan(struct code *c, void *user)
{
    iso_code_plan(c, ((struct layers *)user)->plan);
}

enum err_code isolated_plan_layers(struct isolated *g, const struct vt_layers_request *rq,
                                   struct vt_plan *out, struct err *e)
{
    struct layers m = {.request = *rq, .plan = out};
    const struct call call = {.type = ISO_PLAN_LAYERS,
                              .model = rq->model,
                              .loras = &rq->loras,
                              .trace_path = rq->trace_path,
                              .write = write_layers,
                              .read = read_layers_plan,
                              .user = &m};
    memset(out, 0, sizeof *out);
    TRY(engine_check_image(&rq->image, "the image", e));
    return call_make(g, &call, e);
}

/* ---- captions --------------------------------------------------------------------------------------------- */

struct caption {
    struct vt_caption_request request;
    struct vt_caption_result *result;
};

static void write_caption(struct code *c, void *user)
{
    iso_code_caption_request(c, &((struct caption *)user)->request);
}

static void read_caption(struct code *c, void *user)
{
    struct vt_caption_result *r = ((struct caption *)user)->result;
    struct iso_caption got = {0};
    iso_code_caption(c, &got);
    if (c->bad)
        return;
    buf_add_z(&r->text, got.text);
    r->tokens = got.tokens;
    r->complete = got.complete != 0;
    r->stats = got.stats;
}

enum err_code isolated_caption(struct isolated *g, const struct vt_caption_request *rq,
                               const struct vt_callbacks *cb, struct vt_caption_result **out,
                               struct err *e)
{
    *out = NULL;
    TRY(engine_check_image(&rq->image, "the image", e));
    struct caption m = {.request = *rq, .result = mem_alloc(sizeof *m.result)};
    const struct call call = {.type = ISO_CAPTION,
                              .model = rq->model,
                              .callbacks = cb,
                              .write = write_caption,
                              .read = read_caption,
                              .user = &m};
    buf_init(&m.result->text, WIRE_MAX_BYTES);
    enum err_code rc = call_make(g, &call, e);
    if (rc == ERR_OK && buf_failed(&m.result->text))
        rc = err_set(e, ERR_NOMEM, "no memory for the caption");
    if (rc != ERR_OK) {
        vt_caption_result_free(m.result);
        m.result = NULL;
    }
    *out = m.result;
    return rc;
}

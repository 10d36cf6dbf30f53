/* serve.c - what the engine's process does: it answers one parent with the engine of veetance.h.
 *
 *     main    confined, then the engine opened, then one request after the other
 *     ear     reads the socket: a request is handed to main, a cancel goes to the engine at once; when the parent is
 *             gone, the process ends
 *     pulse   while a request runs, twice a second: that the process lives
 *
 * The two threads start when the rights are given up, which reaches only later threads. A library that gives up (ggml
 * ends the process when a worker vanishes) has its words sent before it does. What the parent sends is read as carefully
 * as if it were a stranger's. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "child/process.h"
#include "nn/device.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/isolated.h"
#include "pipeline/isolated/messages.h"

enum { PULSE_NS = 500 * 1000 * 1000 };

struct served {
    const struct isolated_host *host;
    struct vt_engine *engine;
    const char *asked_model; /* of the request that runs */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct wire_message next; /* from the ear to main */
    bool has_next, is_busy;
    atomic_bool cancel; /* the request that runs */
};

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* A parent that is gone is the ear's business. */
static void send(uint32_t type, struct code *c, bool wait)
{
    struct err e = {0};
    enum err_code rc = code_send(c, PROCESS_SOCKET, type, wait, &e);
    if (rc != ERR_OK && rc != ERR_NOTFOUND && rc != ERR_BUSY)
        log_error("%s", e.text);
    code_deinit(c);
}

static void on_progress(const struct vt_progress *p, void *user)
{
    struct served *s = user;
    struct iso_progress m = {.progress = *p};
    struct code c;
    if (atomic_load(&s->cancel))
        vt_engine_cancel(s->engine); /* it came before the engine began, who forgot it then */
    vt_engine_memory(s->engine, &m.memory);
    code_to(&c);
    iso_code_progress(&c, &m);
    send(ISO_PROGRESS, &c, true);
}

static void on_note(const char *text, void *user)
{
    struct code c;
    (void)user;
    code_to(&c);
    code_text(&c, &text, WIRE_PACKET_BYTES);
    send(ISO_NOTE, &c, true);
}

static void on_preview(const struct vt_preview *preview, void *user)
{
    struct vt_preview p = *preview;
    struct code c;
    (void)user;
    code_to(&c);
    iso_code_preview(&c, &p);
    send(ISO_PREVIEW, &c, true);
}

static struct iso_used used_of(const struct vt_result *r)
{
    const struct vt_request *q = vt_result_request(r);
    struct iso_used u = {.width = q->width,
                         .height = q->height,
                         .steps = q->steps,
                         .count = q->count,
                         .max_tokens = q->max_tokens,
                         .seed = q->seed,
                         .guidance = q->guidance,
                         .strength = q->strength};
    (void)snprintf(u.model, sizeof u.model, "%s", q->model);
    return u;
}

static void on_image(const struct vt_result *result, int i, void *user)
{
    struct iso_image m = {.index = i, .used = used_of(result), .image = vt_result_image(result, i)};
    struct code c;
    (void)user;
    code_to(&c);
    iso_code_image(&c, &m);
    send(ISO_IMAGE, &c, true);
}

static struct vt_callbacks callbacks(struct served *s, bool previews)
{
    return (struct vt_callbacks){.progress = on_progress,
                                 .note = on_note,
                                 .preview = previews ? on_preview : NULL,
                                 .image = on_image,
                                 .user = s};
}

static void put_head(struct served *s, struct code *c, struct vt_error *err)
{
    struct iso_state state = {0};
    iso_code_error(c, err);
    if (s->engine) {
        const char *model = vt_engine_model(s->engine);
        (void)snprintf(state.device, sizeof state.device, "%s", vt_engine_device(s->engine));
        state.has_model = *model != 0;
        state.is_asked_model = s->asked_model && strcmp(model, s->asked_model) == 0;
        vt_engine_memory(s->engine, &state.memory);
    }
    iso_code_state(c, &state);
}

static uint64_t processor_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void send_pulse(void)
{
    struct code c;
    uint64_t ns = processor_ns();
    code_to(&c);
    code_u64(&c, &ns);
    send(ISO_PULSE, &c, false);
}

/* ---- answering: each puts what a good answer holds behind the head ------------------------------------------ */

static enum vt_status refuse(struct code *in, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = code_end(in, &e);
    if (rc != ERR_OK) {
        err->status = (enum vt_status)rc;
        (void)snprintf(err->text, sizeof err->text, "%s", e.text);
    }
    return (enum vt_status)rc;
}

/* The images that came as files are decoded, here where it can do no harm. */
static enum vt_status read_files(struct code *in, struct engine_files *f, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < in->n_files; i++)
        rc = engine_file_read(f, in->files[i].fd, in->files[i].image, &e);
    return engine_finish(rc, &e, err);
}

/* A request that was read: is it sound, and its images with it? */
static enum vt_status begin(struct served *s, const char *model, struct code *in,
                            struct engine_files *files, struct vt_error *err)
{
    enum vt_status st = refuse(in, err);
    s->asked_model = model;
    return st == VT_OK ? read_files(in, files, err) : st;
}

static void images(struct served *s, uint32_t type, struct code *in, struct code *out,
                   struct vt_error *err)
{
    struct vt_request rq = vt_request_defaults();
    struct engine_files files = {.n = 0};
    struct vt_result *r = NULL;
    struct vt_plan plan;
    iso_code_request(in, &rq);
    enum vt_status st = begin(s, rq.model, in, &files, err);
    const struct vt_callbacks cb = callbacks(s, rq.previews != 0);
    if (st == VT_OK)
        st = type == ISO_PLAN_IMAGE ? vt_plan_picture(s->engine, &rq, &plan, err)
             : type == ISO_EDIT     ? vt_edit(s->engine, &rq, &cb, &r, err)
                                    : vt_generate(s->engine, &rq, &cb, &r, err);
    put_head(s, out, err);
    if (st == VT_OK && type == ISO_PLAN_IMAGE)
        iso_code_plan(out, &plan);
    if (r) {
        struct iso_used used = used_of(r);
        struct vt_stats stats = *vt_result_stats(r);
        iso_code_used(out, &used);
        iso_code_stats(out, &stats);
    }
    vt_result_free(r);
    engine_files_deinit(&files);
}

static void put_layers(const struct vt_layers_result *r, struct code *out)
{
    const struct layer_stack *stack = engine_layers_stack(r);
    struct iso_layers *l = mem_alloc(sizeof *l);
    l->report = *vt_layers_report(r);
    l->width = stack->w;
    l->height = stack->h;
    l->count = (int)stack->n;
    l->dropped = r->made.dropped;
    l->merged = r->made.merged;
    l->composite = vt_layers_composite(r);
    l->stats = *vt_layers_stats(r);
    for (int i = 0; i < l->count && i < ISO_MAX_LAYERS; i++) {
        const struct layer *from = &stack->layers[i];
        struct iso_layer *to = &l->layers[i];
        memcpy(to->id, from->id, sizeof to->id);
        memcpy(to->name, from->name, sizeof to->name);
        to->x = from->x;
        to->y = from->y;
        to->blend = (int)from->blend;
        to->visible = from->visible;
        to->opacity = from->opacity;
        to->image = vt_layers_layer(r, i).image;
    }
    iso_code_layers(out, l);
    mem_free(l);
}

_Static_assert(ISO_MAX_LAYERS >= LAYERED_MAX_LAYERS + 1 &&
                   sizeof((struct iso_layer *)0)->id == LAYER_ID_SIZE &&
                   sizeof((struct iso_layer *)0)->name == LAYER_NAME_SIZE,
               "every layer can be sent");

static void layers(struct served *s, uint32_t type, struct code *in, struct code *out,
                   struct vt_error *err)
{
    struct vt_layers_request rq = vt_layers_request_defaults();
    struct engine_files files = {.n = 0};
    struct vt_layers_result *r = NULL;
    struct vt_plan plan;
    iso_code_layers_request(in, &rq);
    enum vt_status st = begin(s, rq.model, in, &files, err);
    const struct vt_callbacks cb = callbacks(s, rq.previews != 0);
    if (st == VT_OK)
        st = type == ISO_PLAN_LAYERS ? vt_plan_layers(s->engine, &rq, &plan, err)
                                     : vt_layers(s->engine, &rq, &cb, &r, err);
    put_head(s, out, err);
    if (st == VT_OK && type == ISO_PLAN_LAYERS)
        iso_code_plan(out, &plan);
    if (r)
        put_layers(r, out);
    vt_layers_result_free(r);
    engine_files_deinit(&files);
}

static void caption(struct served *s, struct code *in, struct code *out, struct vt_error *err)
{
    struct vt_caption_request rq = vt_caption_request_defaults();
    struct engine_files files = {.n = 0};
    struct vt_caption_result *r = NULL;
    iso_code_caption_request(in, &rq);
    if (begin(s, rq.model, in, &files, err) == VT_OK) {
        const struct vt_callbacks cb = callbacks(s, false);
        (void)vt_caption(s->engine, &rq, &cb, &r, err); /* its status is in err, too */
    }
    put_head(s, out, err);
    if (r) {
        struct iso_caption got = {.text = vt_caption_text(r),
                                  .tokens = vt_caption_tokens(r),
                                  .complete = vt_caption_complete(r),
                                  .stats = *vt_caption_stats(r)};
        iso_code_caption(out, &got);
    }
    vt_caption_result_free(r);
    engine_files_deinit(&files);
}

static void small(struct served *s, uint32_t type, struct code *in, struct code *out,
                  struct vt_error *err)
{
    const char *text = NULL;
    uint64_t bytes = 0;
    if (type == ISO_LOAD || type == ISO_PARSE_BUDGET)
        iso_code_path(in, &text);
    else if (type == ISO_SET_BUDGET)
        code_u64(in, &bytes);
    enum vt_status st = refuse(in, err);
    if (st == VT_OK && type == ISO_LOAD) {
        s->asked_model = text;
        st = vt_engine_load(s->engine, text, err);
    } else if (st == VT_OK && type == ISO_PARSE_BUDGET) {
        st = vt_engine_parse_budget(s->engine, text ? text : "", &bytes, err);
    } else if (st == VT_OK && type == ISO_SET_BUDGET) {
        st = vt_engine_set_budget(s->engine, bytes, err);
    } else if (st == VT_OK && type == ISO_UNLOAD) {
        vt_engine_unload(s->engine);
    } else if (st == VT_OK && type == ISO_RELEASE) {
        vt_engine_release(s->engine);
    }
    put_head(s, out, err);
    if (st == VT_OK && type == ISO_PARSE_BUDGET)
        code_u64(out, &bytes);
}

static void answer(struct served *s, struct wire_message *m)
{
    struct vt_error err = {0};
    struct code in, out;
    code_from(&in, m);
    code_to(&out);
    s->asked_model = NULL;
    send_pulse(); /* what happens from here on may be the request's fault */
    switch (m->type) {
    case ISO_GENERATE:
    case ISO_EDIT:
    case ISO_PLAN_IMAGE:
        images(s, m->type, &in, &out, &err);
        break;
    case ISO_LAYERS:
    case ISO_PLAN_LAYERS:
        layers(s, m->type, &in, &out, &err);
        break;
    case ISO_CAPTION:
        caption(s, &in, &out, &err);
        break;
    default:
        small(s, m->type, &in, &out, &err);
    }
    code_deinit(&in);
    struct err e = {0};
    if (code_end(&out, &e) != ERR_OK) { /* a result that cannot be sent is told as a failure */
        (void)engine_finish(e.code, &e, &err);
        code_deinit(&out);
        code_to(&out);
        put_head(s, &out, &err);
    }
    pthread_mutex_lock(&s->lock);
    s->is_busy = false; /* no pulse comes behind the reply */
    pthread_mutex_unlock(&s->lock);
    send(ISO_REPLY, &out, true);
}

/* ---- the other threads -------------------------------------------------------------------------------------- */

static void *listen_to_parent(void *served)
{
    struct served *s = served;
    struct wire_message m;
    struct err e = {0};
    while (wire_receive(PROCESS_SOCKET, &m, &e) == ERR_OK) {
        if (m.type == ISO_CANCEL) {
            atomic_store(&s->cancel, true);
            vt_engine_cancel(s->engine);
            wire_message_deinit(&m);
            continue;
        }
        pthread_mutex_lock(&s->lock);
        while (s->has_next)
            pthread_cond_wait(&s->changed, &s->lock);
        s->next = m;
        s->has_next = true;
        atomic_store(&s->cancel, false);
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    s->host->leave(e.code == ERR_NOTFOUND ? 0 : 1); /* whatever runs is for nobody */
    return NULL;
}

static void *beat(void *served)
{
    struct served *s = served;
    const struct timespec pause = {0, PULSE_NS};
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->is_busy)
            pthread_cond_wait(&s->changed, &s->lock);
        send_pulse();
        pthread_mutex_unlock(&s->lock);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static enum err_code start_thread(void *(*run)(void *), struct served *s, struct err *e)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run, s) != 0)
        return err_set(e, ERR_NOMEM, "no thread for the engine's process");
    (void)pthread_detach(t);
    return ERR_OK;
}

static void on_abort(const char *why)
{
    char text[400];
    struct code c;
    (void)snprintf(text, sizeof text, "%s", why);
    code_to(&c);
    code_chars(&c, text, sizeof text);
    send(ISO_GAVE_UP, &c, true);
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static enum err_code prepare(struct served *s, struct iso_open *o, struct err *e)
{
    if (strcmp(o->version, vt_version()) != 0)
        return err_set(e, ERR_ARG, "the program is veetance %s, its engine is started by %.20s",
                       vt_version(), o->version);
    if (o->verbose)
        s->host->say_more();
    if (o->confined)
        TRY(s->host->confine(&o->grants, o->network != 0, e));
    nn_device_on_abort(on_abort);
    struct vt_error err;
    if (vt_engine_open(&o->options, &s->engine, &err) != VT_OK)
        return err_set(e, (enum err_code)err.status, "%s", err.text);
    TRY(start_thread(listen_to_parent, s, e));
    return start_thread(beat, s, e);
}

/* The first message opens the engine, and is answered like every other. */
static enum err_code open_as_told(struct served *s, struct err *e)
{
    struct wire_message m;
    struct code in, out;
    TRY(wire_receive(PROCESS_SOCKET, &m, e));
    struct iso_open *o = mem_alloc(sizeof *o);
    code_from(&in, &m);
    iso_code_open(&in, o);
    enum err_code rc = m.type == ISO_OPEN ? code_end(&in, e)
                                          : err_set(e, ERR_FORMAT,
                                                    "the first message opens no "
                                                    "engine");
    if (rc == ERR_OK)
        rc = prepare(s, o, e);
    struct vt_error err;
    (void)engine_finish(rc, e, &err);
    code_to(&out);
    put_head(s, &out, &err);
    send(ISO_REPLY, &out, true);
    code_deinit(&in);
    mem_free(o);
    wire_message_deinit(&m);
    return rc;
}

enum err_code isolated_serve(const struct isolated_host *host, struct err *e)
{
    struct served s = {
        .host = host, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    TRY(open_as_told(&s, e));
    for (;;) {
        pthread_mutex_lock(&s.lock);
        while (!s.has_next)
            pthread_cond_wait(&s.changed, &s.lock);
        struct wire_message m = s.next;
        s.has_next = false;
        s.is_busy = true;
        pthread_cond_broadcast(&s.changed);
        pthread_mutex_unlock(&s.lock);
        answer(&s, &m);
        wire_message_deinit(&m);
    }
    return ERR_OK;
}

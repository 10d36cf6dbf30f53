#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "http/base64.h"
#include "image/save.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

/* ---- while it runs ------------------------------------------------------------------------------------ */

const char *queue_stage_name(enum vt_stage stage)
{
    static const char *const names[] = {"load", "text", "encode", "steps", "decode"};
    return names[stage];
}

static void progress_json(const struct live *j, struct buf *b)
{
    const struct vt_progress *p = &j->progress;
    buf_printf(b, "{\"id\":\"%s\",\"state\":\"running\",\"elapsed\":%.3f", j->id,
               clock_s() - j->started);
    if (j->has_progress) {
        buf_printf(b,
                   ",\"stage\":\"%s\",\"done\":%.4f,\"step\":%d,\"steps\":%d,\"image\":%d,"
                   "\"images\":%d",
                   queue_stage_name(p->stage), p->done, p->step, p->step_count, p->image,
                   p->image_count);
        if (p->seconds_left >= 0)
            buf_printf(b, ",\"seconds_left\":%.3f", p->seconds_left);
    }
    buf_add_byte(b, '}');
}

/* To who listens to that job, and to who listens to everything. */
static void tell_job(struct queue *q, const char *id, const char *name, struct str data,
                     unsigned flags)
{
    char full[48];
    (void)snprintf(full, sizeof full, "job.%s", name);
    events_publish(q->server->events, id, name, data, flags & ~(unsigned)EVENTS_KEEP);
    events_publish(q->server->events, QUEUE_ALL_EVENTS, full, data, flags & ~(unsigned)EVENTS_LAST);
}

void queue_see_memory(struct queue *q)
{
    struct vt_memory m;
    if (!q->engine)
        return;
    vt_engine_memory(q->engine, &m);
    pthread_mutex_lock(&q->lock);
    if (q->has_new_budget)
        m.budget = q->memory.budget; /* what the next job will have */
    q->memory = m;
    pthread_mutex_unlock(&q->lock);
}

static void on_progress(const struct vt_progress *p, void *user)
{
    struct queue *q = user;
    struct buf b;
    buf_init(&b, 4096);
    pthread_mutex_lock(&q->lock);
    struct live *j = q->running;
    bool new_stage = !j->has_progress || j->progress.stage != p->stage;
    j->progress = *p;
    j->has_progress = true;
    if (p->stage != VT_STAGE_LOAD && strcmp(q->open_model, j->model) != 0) {
        (void)snprintf(q->open_model, sizeof q->open_model, "%s", j->model);
        queue_tell_model(q);
    }
    if (atomic_load(&j->cancel) || q->at_once)
        vt_engine_cancel(q->engine);
    progress_json(j, &b);
    pthread_mutex_unlock(&q->lock);
    queue_see_memory(q);
    tell_job(q, j->id, new_stage ? "stage" : "step", buf_str(&b), 0);
    buf_deinit(&b);
}

static void on_note(const char *text, void *user)
{
    struct queue *q = user;
    if (q->running->notes.n)
        buf_add_byte(&q->running->notes, ',');
    json_add_z(&q->running->notes, text);
}

static void preview_json(const struct live *j, const struct vt_preview *p, struct buf *b)
{
    buf_printf(b,
               "{\"id\":\"%s\",\"step\":%d,\"width\":%d,\"height\":%d,\"tiles\":%d,"
               "\"type\":\"image/jpeg\",\"data\":\"",
               j->id, p->step, p->image.width, p->image.height, p->tiles);
    base64_add(b, buf_str(&j->preview));
    buf_add_z(b, "\"}");
}

static void on_preview(const struct vt_preview *p, void *user)
{
    struct queue *q = user;
    const struct vt_image *im = &p->image;
    struct image view = {.w = im->width,
                         .h = im->height,
                         .channels = im->channels,
                         .stride = (size_t)im->width * (size_t)im->channels,
                         .p = (unsigned char *)(uintptr_t)im->pixels};
    struct buf jpeg, b;
    struct err e = {0};
    buf_init(&jpeg, LIMIT_PREVIEW);
    buf_init(&b, LIMIT_PREVIEW_EVENT);
    if (image_jpeg_write(&view, 80, &jpeg, &e) == ERR_OK) {
        pthread_mutex_lock(&q->lock);
        struct live *j = q->running;
        buf_deinit(&j->preview);
        j->preview = jpeg;
        j->preview_step = p->step;
        preview_json(j, p, &b);
        pthread_mutex_unlock(&q->lock);
        tell_job(q, j->id, "preview", buf_str(&b), EVENTS_DROPPABLE | EVENTS_PREVIEW);
        q->watcher.preview(q->server, j->id, &j->progress, p->step,
                           &view); /* only this thread changes it */
    } else {
        err_clear(&e);
        buf_deinit(&jpeg);
    }
    buf_deinit(&b);
}

/* A finished image is kept, whatever becomes of the others. */
static void on_image(const struct vt_result *result, int i, void *user)
{
    struct queue *q = user;
    if (work_keep_image(q->server->store, result, i, q->running->result) != ERR_OK)
        vt_engine_cancel(q->engine);
}

struct vt_callbacks queue_callbacks(struct queue *q)
{
    return (struct vt_callbacks){.progress = on_progress,
                                 .note = on_note,
                                 .preview = on_preview,
                                 .image = on_image,
                                 .user = q};
}

/* ---- before and after --------------------------------------------------------------------------------- */

void queue_tell_positions(struct queue *q)
{
    char text[160];
    int position = 1;
    for (struct live *j = q->first; j; j = j->next, position++) {
        if (!events_anyone(q->server->events, j->id))
            continue;
        (void)snprintf(text, sizeof text, "{\"id\":\"%s\",\"state\":\"queued\",\"position\":%d}",
                       j->id, position);
        events_publish(q->server->events, j->id, "queued", str_from(text), 0);
    }
    queue_tell_line(q);
}

static void line_json(const struct queue *q, struct buf *b)
{
    buf_printf(b, "{\"waiting\":%d,\"running\":", q->length);
    if (q->running)
        buf_printf(b, "{\"id\":\"%s\",\"kind\":\"%s\"}}", q->running->id, q->running->kind);
    else
        buf_add_z(b, "null}");
}

static void model_json(const struct queue *q, struct buf *b)
{
    buf_add_z(b, "{\"open\":");
    if (q->open_model[0])
        json_add_z(b, q->open_model);
    else
        buf_add_z(b, "null");
    buf_add_byte(b, '}');
}

void queue_tell_line(struct queue *q)
{
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    line_json(q, &b);
    events_publish(q->server->events, QUEUE_ALL_EVENTS, "queue", buf_str(&b), EVENTS_KEEP);
    buf_deinit(&b);
}

void queue_tell_model(struct queue *q)
{
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    model_json(q, &b);
    events_publish(q->server->events, QUEUE_ALL_EVENTS, "models", buf_str(&b), EVENTS_KEEP);
    buf_deinit(&b);
}

void queue_tell_added(struct queue *q, const struct live *j)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "{\"id\":\"%s\",\"kind\":\"%s\",\"state\":\"queued\",\"position\":%d}", j->id,
                   j->kind, q->length);
    events_publish(q->server->events, QUEUE_ALL_EVENTS, "job.queued", str_from(text), EVENTS_KEEP);
    queue_tell_line(q);
}

/* How all stands now, for who has seen nothing yet. */
static void tell_all(struct queue *q, struct http_stream *s)
{
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    pthread_mutex_lock(&q->lock);
    line_json(q, &b);
    events_tell(s, NULL, "queue", buf_str(&b));
    buf_clear(&b);
    model_json(q, &b);
    events_tell(s, NULL, "models", buf_str(&b));
    if (q->running) {
        buf_clear(&b);
        progress_json(q->running, &b);
        events_tell(s, NULL, "job.stage", buf_str(&b));
    }
    pthread_mutex_unlock(&q->lock);
    buf_deinit(&b);
}

enum err_code queue_subscribe_all(struct http_request *rq, struct http_stream **out, struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    TRY(events_subscribe(q->server->events, rq, QUEUE_ALL_EVENTS, out, e));
    if (events_started(*out) == EVENTS_LOST)
        events_tell(*out, NULL, "reset", STR_LIT("{}"));
    if (events_started(*out) != EVENTS_RESUMED)
        tell_all(q, *out);
    return ERR_OK;
}

void queue_tell_end(struct queue *q, const struct live *j, enum job_state state,
                    const struct job_outcome *o)
{
    struct buf b;
    buf_init(&b, LIMIT_JOB_EVENT);
    buf_printf(&b, "{\"id\":\"%s\",\"state\":\"%s\"", j->id, job_state_name(state));
    if (o->result.n) {
        buf_add_z(&b, ",\"result\":");
        buf_add_str(&b, o->result);
    }
    if (o->error.n) {
        buf_add_z(&b, ",\"error\":");
        buf_add_str(&b, o->error);
    }
    buf_add_byte(&b, '}');
    tell_job(q, j->id, job_state_name(state), buf_str(&b), EVENTS_LAST | EVENTS_KEEP);
    buf_deinit(&b);
}

/* The end of a job that no longer waits or runs, as its last event was. */
static void tell_ended(struct queue *q, const char *id, struct http_stream *s)
{
    struct job_record rec = {0};
    struct err e = {0};
    struct buf b;
    buf_init(&b, LIMIT_JOB_EVENT);
    if (jobs_get(q->server->store, id, &rec, &e) == ERR_OK) {
        buf_printf(&b, "{\"id\":\"%s\",\"state\":\"%s\"", id, job_state_name(rec.state));
        if (rec.result[0])
            buf_printf(&b, ",\"result\":%s", rec.result);
        if (rec.error[0])
            buf_printf(&b, ",\"error\":%s", rec.error);
        buf_add_byte(&b, '}');
        char last[32];
        (void)snprintf(last, sizeof last, "end-%s", job_state_name(rec.state));
        events_tell(s, last, job_state_name(rec.state), buf_str(&b));
    }
    err_clear(&e);
    events_end(s);
    buf_deinit(&b);
    job_record_deinit(&rec);
}

enum err_code queue_subscribe(struct http_request *rq, const char *id, struct http_stream **out,
                              struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    struct queue_view v;
    struct buf b;
    TRY(events_subscribe(q->server->events, rq, id, out, e));
    buf_init(&b, 4096);
    queue_view(q, id, &v);
    if (!v.live) {
        tell_ended(q, id, *out);
    } else if (v.position) {
        buf_printf(&b, "{\"id\":\"%s\",\"state\":\"queued\",\"position\":%d}", id, v.position);
        events_tell(*out, NULL, "queued", buf_str(&b));
    } else {
        struct live shown = {.progress = v.progress,
                             .has_progress = v.has_progress,
                             .started = clock_s() - v.seconds};
        (void)snprintf(shown.id, sizeof shown.id, "%s", id);
        progress_json(&shown, &b);
        events_tell(*out, NULL, "stage", buf_str(&b));
    }
    buf_deinit(&b);
    return ERR_OK;
}

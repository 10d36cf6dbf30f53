#include <stdio.h>
#include <string.h>

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

void queue_put_progress(const struct queue_view *v, struct buf *b)
{
    const struct vt_progress *p = &v->progress;
    json_put_fixed(b, "elapsed", v->seconds, 3);
    if (!v->has_progress)
        return;
    json_put_z(b, "stage", queue_stage_name(p->stage));
    json_put_fixed(b, "done", p->done, 4);
    json_put_int(b, "step", p->step);
    json_put_int(b, "steps", p->step_count);
    json_put_int(b, "image", p->image);
    json_put_int(b, "images", p->image_count);
    if (p->seconds_left >= 0)
        json_put_fixed(b, "seconds_left", p->seconds_left, 3);
}

/* Every event of a job begins so. */
static void begin_event(struct buf *b, const char *id, const char *project, const char *layer)
{
    json_object(b, NULL);
    json_put_z(b, "id", id);
    json_put_z(b, "project", *project ? project : NULL);
    json_put_z(b, "layer", *layer ? layer : NULL);
}

static void progress_json(const char *id, const struct queue_view *v, struct buf *b)
{
    begin_event(b, id, v->project, v->layer);
    json_put_z(b, "state", job_state_name(JOB_RUNNING));
    queue_put_progress(v, b);
    json_end_object(b);
}

static void tell_all_of_job(struct queue *q, const char *name, struct str data, unsigned flags)
{
    char full[48];
    (void)snprintf(full, sizeof full, "job.%s", name);
    events_publish(q->server->events, QUEUE_ALL_EVENTS, full, data, flags & ~(unsigned)EVENTS_LAST);
}

/* To who listens to that job, and to who listens to everything. */
static void tell_job(struct queue *q, const char *id, const char *name, struct str data,
                     unsigned flags)
{
    events_publish(q->server->events, id, name, data, flags & ~(unsigned)EVENTS_KEEP);
    tell_all_of_job(q, name, data, flags);
}

void queue_see_memory(struct worker *w)
{
    struct vt_memory m;
    if (!w->engine)
        return;
    vt_engine_memory(w->engine, &m);
    pthread_mutex_lock(&w->queue->lock);
    if (w->has_new_budget)
        m.budget = w->memory.budget; /* what the next job will have */
    w->memory = m;
    pthread_mutex_unlock(&w->queue->lock);
}

static void on_progress(const struct vt_progress *p, void *user)
{
    struct worker *w = user;
    struct queue *q = w->queue;
    struct buf b;
    buf_init(&b, 4096);
    pthread_mutex_lock(&q->lock);
    struct live *j = w->running;
    bool new_stage = !j->has_progress || j->progress.stage != p->stage;
    j->progress = *p;
    j->has_progress = true;
    if (p->stage != VT_STAGE_LOAD && strcmp(w->open_model, j->model) != 0) {
        (void)snprintf(w->open_model, sizeof w->open_model, "%s", j->model);
        queue_tell_model(q);
    }
    if (atomic_load(&j->cancel) || q->at_once)
        vt_engine_cancel(w->engine);
    const struct queue_view v = line_view_running(j);
    progress_json(j->id, &v, &b);
    pthread_mutex_unlock(&q->lock);
    queue_see_memory(w);
    tell_job(q, j->id, new_stage ? "stage" : "step", buf_str(&b), 0);
    buf_deinit(&b);
}

static void on_note(const char *text, void *user)
{
    struct worker *w = user;
    json_put_z(&w->running->notes, NULL, text);
}

static void preview_json(const struct live *j, const struct vt_preview *p, struct buf *b)
{
    begin_event(b, j->id, j->project, j->layer);
    json_put_int(b, "step", p->step);
    json_put_int(b, "width", p->image.width);
    json_put_int(b, "height", p->image.height);
    json_put_int(b, "tiles", p->tiles);
    json_put_z(b, "type", "image/jpeg");
    json_string(b, "data");
    base64_add(b, buf_str(&j->preview));
    json_end_string(b);
    json_end_object(b);
}

static void on_preview(const struct vt_preview *p, void *user)
{
    struct worker *w = user;
    struct queue *q = w->queue;
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
        struct live *j = w->running;
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
    struct worker *w = user;
    if (work_keep_image(w->queue->server->store, result, i, w->running->result) != ERR_OK)
        vt_engine_cancel(w->engine);
}

struct vt_callbacks queue_callbacks(struct worker *w)
{
    return (struct vt_callbacks){.progress = on_progress,
                                 .note = on_note,
                                 .preview = on_preview,
                                 .image = on_image,
                                 .user = w};
}

/* ---- before and after --------------------------------------------------------------------------------- */

/* kind: NULL where the client knows it. */
static void queued_json(const char *id, const struct queue_view *v, const char *kind, struct buf *b)
{
    begin_event(b, id, v->project, v->layer);
    if (kind)
        json_put_z(b, "kind", kind);
    json_put_z(b, "state", job_state_name(JOB_QUEUED));
    json_put_int(b, "position", v->position);
    json_end_object(b);
}

static struct queue_view view_waiting(const struct live *j, int position)
{
    struct queue_view v = {.position = position};
    line_view(j, &v);
    return v;
}

void queue_tell_positions(struct queue *q)
{
    struct buf b;
    int position = 1;
    buf_init(&b, LIMIT_SMALL_EVENT);
    for (struct live *j = q->first; j; j = j->next, position++) {
        if (!events_anyone(q->server->events, j->id))
            continue;
        buf_clear(&b);
        const struct queue_view v = view_waiting(j, position);
        queued_json(j->id, &v, NULL, &b);
        events_publish(q->server->events, j->id, job_state_name(JOB_QUEUED), buf_str(&b), 0);
    }
    buf_deinit(&b);
    queue_tell_line(q);
}

static void line_json(const struct queue *q, struct buf *b)
{
    const struct live *running[QUEUE_MAX_ENGINES];
    int n = line_running(q, running);
    json_object(b, NULL);
    json_put_bool(b, "paused", q->paused);
    json_put_z(b, "running", n ? running[0]->id : NULL);
    json_array(b, "running_jobs");
    for (int i = 0; i < n; i++)
        json_put_z(b, NULL, running[i]->id);
    json_end_array(b);
    json_array(b, "queued");
    for (const struct live *j = q->first; j; j = j->next)
        json_put_z(b, NULL, j->id);
    json_end_array(b);
    json_end_object(b);
}

void queue_json(struct queue *q, struct buf *b)
{
    pthread_mutex_lock(&q->lock);
    line_json(q, b);
    pthread_mutex_unlock(&q->lock);
}

/* The open model of the engine before which none has the same; NULL. */
static const char *first_open(const struct queue *q, int i)
{
    const char *model = q->workers[i].open_model;
    for (int k = 0; k < i; k++)
        if (strcmp(q->workers[k].open_model, model) == 0)
            return NULL;
    return *model ? model : NULL;
}

static void model_json(const struct queue *q, struct buf *b)
{
    const char *first = NULL;
    for (int i = 0; i < q->n_workers && !first; i++)
        first = first_open(q, i);
    json_object(b, NULL);
    json_put_z(b, "open", first);
    json_array(b, "open_models");
    for (int i = 0; i < q->n_workers; i++)
        if (first_open(q, i))
            json_put_z(b, NULL, first_open(q, i));
    json_end_array(b);
    json_end_object(b);
}

void queue_tell_line(struct queue *q)
{
    struct buf b;
    buf_init(&b, LIMIT_QUEUE_EVENT);
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

void queue_tell_added(struct queue *q, const struct live *j, int position)
{
    struct buf b;
    const struct queue_view v = view_waiting(j, position);
    buf_init(&b, LIMIT_SMALL_EVENT);
    queued_json(j->id, &v, j->kind, &b);
    tell_all_of_job(q, job_state_name(JOB_QUEUED), buf_str(&b), EVENTS_KEEP);
    buf_deinit(&b);
    if (position < q->length)
        queue_tell_positions(q); /* it passed others */
    else
        queue_tell_line(q);
}

/* How all stands now, for who has seen nothing yet. */
static void tell_all(struct queue *q, struct http_stream *s)
{
    const struct live *running[QUEUE_MAX_ENGINES];
    struct buf b;
    buf_init(&b, LIMIT_QUEUE_EVENT);
    pthread_mutex_lock(&q->lock);
    int n = line_running(q, running);
    line_json(q, &b);
    events_tell(s, NULL, "queue", buf_str(&b));
    buf_clear(&b);
    model_json(q, &b);
    events_tell(s, NULL, "models", buf_str(&b));
    for (int i = 0; i < n; i++) {
        buf_clear(&b);
        const struct queue_view v = line_view_running(running[i]);
        progress_json(running[i]->id, &v, &b);
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

void queue_error_json(struct buf *b, const char *code, int status, const char *detail,
                      const char *log, bool refused)
{
    json_object(b, NULL);
    json_put_z(b, "code", code);
    json_put_int(b, "status", status);
    json_put_z(b, "detail", detail);
    if (log && *log)
        json_put_z(b, "log", log);
    if (refused)
        json_put_bool(b, "refused", true);
    json_end_object(b);
}

static void put_end(const struct job_outcome *o, struct buf *b)
{
    json_put_z(b, "state", job_state_name(o->state));
    if (o->result.n)
        json_put_raw(b, "result", o->result);
    if (o->error.n)
        json_put_raw(b, "error", o->error);
    json_end_object(b);
}

void queue_tell_end(struct queue *q, const struct live *j, const struct job_outcome *o)
{
    struct buf b;
    buf_init(&b, LIMIT_JOB_EVENT);
    begin_event(&b, j->id, j->project, j->layer);
    put_end(o, &b);
    tell_job(q, j->id, job_state_name(o->state), buf_str(&b), EVENTS_LAST | EVENTS_KEEP);
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
        begin_event(&b, id, rec.project, rec.layer);
        put_end(&(struct job_outcome){.state = rec.state,
                                      .result = str_from(rec.result),
                                      .error = str_from(rec.error)},
                &b);
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
        queued_json(id, &v, NULL, &b);
        events_tell(*out, NULL, job_state_name(JOB_QUEUED), buf_str(&b));
    } else {
        progress_json(id, &v, &b);
        events_tell(*out, NULL, "stage", buf_str(&b));
    }
    buf_deinit(&b);
    return ERR_OK;
}

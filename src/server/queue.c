#include "server/queue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/save.h"
#include "server/base64.h"
#include "server/face.h"
#include "server/server_internal.h"
#include "server/work.h"

enum {
    RETRY_SECONDS = 2,
    NOTES_MAX_BYTES = 1 << 16,
    PREVIEW_MAX_BYTES = 1 << 20,
    FIRST_LOAD = 10000
};

/* Who sleeps until a job has ended; in the request's arena. */
struct waiter {
    struct http_request *rq;
    struct waiter *next;
};

struct live {
    char id[STORE_ID_SIZE], kind[24];
    char *model;
    int passed;
    atomic_bool cancel;
    double started;
    struct vt_progress progress;
    bool has_progress;
    struct buf preview; /* JPEG */
    int preview_step;
    struct buf notes; /* JSON strings, commas between; the worker's alone */
    struct waiter *waiters;
    struct live *next;
};

struct queue {
    struct server *server;
    struct vt_engine_options engine_options;
    char device[64], budget[32];
    int max_length;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct live *first, *running;
    struct queue_order *orders;
    int length;
    bool stopping, at_once, ended, busy;
    struct vt_engine *engine; /* NULL until the first job */
    char open_model[256];
    struct vt_memory memory;
    double mean_seconds;
    uint64_t done, failed, cancelled;
};

/* ---- what a job tells -------------------------------------------------------------------------------- */

static const char *stage_name(enum vt_stage stage)
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
        buf_printf(b, ",\"stage\":\"%s\",\"step\":%d,\"steps\":%d,\"image\":%d,\"images\":%d",
                   stage_name(p->stage), p->step, p->step_count, p->image, p->image_count);
        if (p->seconds_left >= 0)
            buf_printf(b, ",\"seconds_left\":%.3f", p->seconds_left);
    }
    buf_add_byte(b, '}');
}

static void see_memory(struct queue *q)
{
    struct vt_memory m;
    if (!q->engine)
        return;
    vt_engine_memory(q->engine, &m);
    pthread_mutex_lock(&q->lock);
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
    if (atomic_load(&j->cancel) || q->at_once)
        vt_engine_cancel(q->engine);
    progress_json(j, &b);
    pthread_mutex_unlock(&q->lock);
    see_memory(q);
    events_publish(q->server->events, j->id, new_stage ? "stage" : "step", buf_str(&b), 0);
    buf_deinit(&b);
}

static void on_note(const char *text, void *user)
{
    struct queue *q = user;
    if (q->running->notes.n)
        buf_add_byte(&q->running->notes, ',');
    json_add_z(&q->running->notes, text);
}

static void preview_json(const struct live *j, const struct vt_image *im, struct buf *b)
{
    buf_printf(b,
               "{\"id\":\"%s\",\"step\":%d,\"width\":%d,\"height\":%d,\"type\":\"image/jpeg\","
               "\"data\":\"",
               j->id, j->preview_step, im->width, im->height);
    base64_add(b, buf_str(&j->preview));
    buf_add_z(b, "\"}");
}

static void on_preview(const struct vt_image *im, int step, void *user)
{
    struct queue *q = user;
    struct image view = {.w = im->width,
                         .h = im->height,
                         .channels = im->channels,
                         .stride = (size_t)im->width * (size_t)im->channels,
                         .p = (unsigned char *)(uintptr_t)im->pixels};
    struct buf jpeg, b;
    struct err e = {0};
    buf_init(&jpeg, PREVIEW_MAX_BYTES);
    buf_init(&b, 2 * PREVIEW_MAX_BYTES);
    if (image_jpeg_write(&view, 80, &jpeg, &e) == ERR_OK) {
        pthread_mutex_lock(&q->lock);
        struct live *j = q->running;
        buf_deinit(&j->preview);
        j->preview = jpeg;
        j->preview_step = step;
        preview_json(j, im, &b);
        pthread_mutex_unlock(&q->lock);
        events_publish(q->server->events, j->id, "preview", buf_str(&b), EVENTS_DROPPABLE);
        openai_tell_preview(q->server, j->id, step, j->progress.step_count,
                            buf_str(&j->preview)); /* only this thread changes them */
    } else {
        err_clear(&e);
        buf_deinit(&jpeg);
    }
    buf_deinit(&b);
}

/* The lock is held. */
static void tell_positions(struct queue *q)
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
}

/* ---- the line ---------------------------------------------------------------------------------------- */

static struct live *live_new(const char *id, const char *kind, const char *model)
{
    struct live *j = mem_try_alloc(sizeof *j);
    char *copy = mem_try_strndup(model, strlen(model));
    if (!j || !copy) {
        mem_free(j);
        mem_free(copy);
        return NULL;
    }
    (void)snprintf(j->id, sizeof j->id, "%s", id);
    (void)snprintf(j->kind, sizeof j->kind, "%s", kind);
    j->model = copy;
    buf_init(&j->notes, NOTES_MAX_BYTES);
    buf_init(&j->preview, PREVIEW_MAX_BYTES);
    return j;
}

static void live_free(struct live *j)
{
    if (!j)
        return;
    buf_deinit(&j->notes);
    buf_deinit(&j->preview);
    mem_free(j->model);
    mem_free(j);
}

/* The lock is held for all of these. */
static void append(struct queue *q, struct live *j)
{
    struct live **p = &q->first;
    while (*p)
        p = &(*p)->next;
    j->next = NULL;
    *p = j;
    q->length++;
    pthread_cond_signal(&q->wake);
}

static struct live *take(struct queue *q, struct live *j)
{
    for (struct live **p = &q->first; *p; p = &(*p)->next)
        if (*p == j) {
            *p = j->next;
            j->next = NULL;
            q->length--;
            return j;
        }
    return NULL;
}

static struct live *find_waiting(struct queue *q, const char *id)
{
    struct live *j = q->first;
    while (j && strcmp(j->id, id) != 0)
        j = j->next;
    return j;
}

static struct live *find(struct queue *q, const char *id)
{
    if (q->running && strcmp(q->running->id, id) == 0)
        return q->running;
    return find_waiting(q, id);
}

/* The first, or one with the open model that may pass those before it. */
static struct live *choose(struct queue *q)
{
    struct live *same = q->first;
    while (same && strcmp(same->model, q->open_model) != 0)
        same = same->next;
    if (!same || same == q->first || q->first->passed >= QUEUE_MAX_PASSED)
        return take(q, q->first);
    for (struct live *j = q->first; j != same; j = j->next)
        j->passed++;
    return take(q, same);
}

static void wake_waiters(struct live *j)
{
    for (struct waiter *w = j->waiters; w;) {
        struct waiter *next = w->next; /* the request may be gone at once */
        MHD_resume_connection(w->rq->connection);
        w = next;
    }
    j->waiters = NULL;
}

/* ---- running a job ----------------------------------------------------------------------------------- */

static enum err_code open_engine(struct queue *q, struct err *e)
{
    struct vt_engine *engine;
    struct vt_error err;
    if (q->engine)
        return ERR_OK;
    struct vt_engine_options o = q->engine_options;
    o.budget = q->budget[0] ? q->budget : NULL;
    if (vt_engine_open(&o, &engine, &err) != VT_OK)
        return err_set(e, (enum err_code)err.status, "%s", err.text);
    pthread_mutex_lock(&q->lock);
    q->engine = engine;
    (void)snprintf(q->device, sizeof q->device, "%s", vt_engine_device(engine));
    pthread_mutex_unlock(&q->lock);
    see_memory(q);
    return ERR_OK;
}

static enum err_code run_request(struct queue *q, struct live *j, const struct job_record *rec,
                                 struct work_result *r, struct err *e)
{
    const struct vt_callbacks cb = {
        .progress = on_progress, .note = on_note, .preview = on_preview, .user = q};
    yyjson_doc *doc = NULL;
    enum err_code rc = json_parse(str_from(rec->request), "the request", &doc, e);
    if (rc == ERR_OK)
        rc = open_engine(q, e);
    if (rc == ERR_OK && atomic_load(&j->cancel))
        rc = err_set(e, ERR_CANCELLED, "cancelled");
    if (rc == ERR_OK)
        rc = work_run(q->engine, q->server->store, j->kind, yyjson_doc_get_root(doc), &cb,
                      &j->notes, r, e);
    yyjson_doc_free(doc);
    return rc;
}

static void error_json(const struct err *e, struct buf *b)
{
    buf_printf(b, "{\"code\":\"%s\",\"status\":%d,\"detail\":", err_code_name(e->code),
               http_status_of(e));
    json_add_z(b, e->text);
    buf_add_byte(b, '}');
}

/* The disk may be full for a while; the job's end is worth waiting for. */
static void keep_outcome(struct queue *q, const char *id, struct job_outcome *o)
{
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    for (int n = 0;; n++) {
        enum err_code rc = jobs_finish(q->server->store, id, o, &e);
        if (rc == ERR_OK || rc == ERR_ARG || rc == ERR_NOTFOUND)
            break;
        if (n == 0) {
            log_error("job %s: %s", id, e.text);
            error_json(&e, &b);
            *o = (struct job_outcome){.state = JOB_FAILED, .error = buf_str(&b)};
            continue;
        }
        pthread_mutex_lock(&q->lock);
        bool stop = q->at_once;
        pthread_mutex_unlock(&q->lock);
        if (stop)
            break;
        struct timespec t = {RETRY_SECONDS, 0};
        (void)nanosleep(&t, NULL);
    }
    buf_deinit(&b);
}

static void announce(struct queue *q, const struct live *j, enum job_state state,
                     const struct job_outcome *o)
{
    struct buf b;
    buf_init(&b, 32 << 20);
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
    events_publish(q->server->events, j->id, job_state_name(state), buf_str(&b), EVENTS_LAST);
    buf_deinit(&b);
}

static void count(struct queue *q, enum job_state state, double seconds)
{
    q->done += state == JOB_DONE;
    q->failed += state == JOB_FAILED;
    q->cancelled += state == JOB_CANCELLED;
    if (state == JOB_DONE)
        q->mean_seconds = q->mean_seconds > 0 ? 0.7 * q->mean_seconds + 0.3 * seconds : seconds;
}

static void finish(struct queue *q, struct live *j, enum err_code rc, struct work_result *r,
                   const struct err *e)
{
    struct buf error;
    buf_init(&error, 1 << 16);
    struct job_outcome o = {.state = rc == ERR_OK          ? JOB_DONE
                                     : rc == ERR_CANCELLED ? JOB_CANCELLED
                                                           : JOB_FAILED};
    /* Ended by us, not by who asked: it can run again. */
    if (o.state == JOB_CANCELLED && !atomic_load(&j->cancel))
        o.state = JOB_INTERRUPTED;
    if (rc == ERR_OK) {
        o.result = buf_str(&r->json);
        o.assets = r->assets;
        o.n_assets = r->n_assets;
    } else {
        error_json(e, &error);
        o.error = buf_str(&error);
    }
    keep_outcome(q, j->id, &o);
    pthread_mutex_lock(&q->lock);
    announce(q, j, o.state,
             &o); /* under the lock: who subscribes now sees either this, or that it ended */
    count(q, o.state, clock_s() - j->started);
    q->running = NULL;
    wake_waiters(j);
    pthread_mutex_unlock(&q->lock);
    /* Reads files, so not under the lock: who subscribes from now on finds that the job has ended. */
    openai_tell_end(q->server, j->id, o.state, rc == ERR_OK ? buf_z(&r->json) : "", buf_z(&error));
    buf_deinit(&error);
}

static void run_job(struct queue *q, struct live *j)
{
    struct work_result *r = mem_alloc(sizeof *r);
    struct job_record rec = {0};
    struct err e = {0};
    work_result_init(r);
    enum err_code rc = jobs_get(q->server->store, j->id, &rec, &e);
    if (rc == ERR_OK)
        rc = run_request(q, j, &rec, r, &e);
    see_memory(q);
    pthread_mutex_lock(&q->lock);
    (void)snprintf(q->open_model, sizeof q->open_model, "%s", j->model);
    pthread_mutex_unlock(&q->lock);
    finish(q, j, rc, r, &e);
    job_record_deinit(&rec);
    work_result_deinit(r);
    mem_free(r);
    live_free(j);
}

/* False: it is no longer queued, or the store cannot write now and it waits again. */
static bool start(struct queue *q, struct live *j)
{
    struct err e = {0};
    enum err_code rc = jobs_start(q->server->store, j->id, &e);
    if (rc == ERR_OK)
        return true;
    pthread_mutex_lock(&q->lock);
    q->running = NULL;
    if (rc != ERR_ARG && rc != ERR_NOTFOUND && !q->stopping) {
        log_error("job %s cannot be started now: %s", j->id, e.text);
        j->next = q->first;
        q->first = j;
        q->length++;
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += RETRY_SECONDS;
        (void)pthread_cond_timedwait(&q->wake, &q->lock, &t);
        j = NULL;
    } else {
        wake_waiters(j);
    }
    pthread_mutex_unlock(&q->lock);
    live_free(j);
    return false;
}

/* ---- orders ------------------------------------------------------------------------------------------ */

static enum err_code carry_out(struct queue *q, struct queue_order *o, struct err *e)
{
    struct vt_error err = {0};
    uint64_t bytes = 0;
    enum vt_status st = VT_OK;
    enum err_code rc = o->task == QUEUE_UNLOAD && !q->engine ? ERR_OK : open_engine(q, e);
    if (rc != ERR_OK || !q->engine)
        return rc;
    switch (o->task) {
    case QUEUE_LOAD:
        st = vt_engine_load(q->engine, o->model, &err);
        break;
    case QUEUE_UNLOAD:
        vt_engine_unload(q->engine);
        vt_engine_release(q->engine);
        break;
    case QUEUE_BUDGET:
        if (o->budget[0])
            st = vt_engine_parse_budget(q->engine, o->budget, &bytes, &err);
        if (st == VT_OK)
            st = vt_engine_set_budget(q->engine, bytes, &err);
        break;
    case QUEUE_PLAN:
    default:
        return work_plan(q->engine, q->server->store, o->kind, o->body, &o->plan, e);
    }
    return st == VT_OK ? ERR_OK : err_set(e, (enum err_code)err.status, "%s", err.text);
}

static void run_order(struct queue *q, struct queue_order *o)
{
    enum err_code rc = carry_out(q, o, &o->err);
    o->err.code = rc;
    see_memory(q);
    pthread_mutex_lock(&q->lock);
    if (rc == ERR_OK && o->task == QUEUE_BUDGET)
        (void)snprintf(q->budget, sizeof q->budget, "%s", o->budget);
    if (o->task == QUEUE_UNLOAD || (o->task == QUEUE_LOAD && rc != ERR_OK))
        q->open_model[0] = 0;
    MHD_resume_connection(o->rq->connection);
    pthread_mutex_unlock(&q->lock);
}

bool queue_order(struct queue *q, struct queue_order *order)
{
    pthread_mutex_lock(&q->lock);
    struct queue_order **p = &q->orders;
    while (*p)
        p = &(*p)->next;
    order->next = NULL;
    order->rq->user = order;
    bool sleeps = !q->ended && !q->stopping;
    if (!sleeps) {
        (void)err_set(&order->err, ERR_DEVICE, "the server is about to end");
    } else {
        *p = order;
        MHD_suspend_connection(order->rq->connection);
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
    return sleeps;
}

/* ---- the worker -------------------------------------------------------------------------------------- */

static void *work(void *user)
{
    struct queue *q = user;
    pthread_mutex_lock(&q->lock);
    while (!q->stopping) {
        struct queue_order *order = q->orders;
        struct live *j = NULL;
        if (order)
            q->orders = order->next;
        else if (q->first)
            q->running = j = choose(q);
        if (j) {
            j->started = clock_s();
            tell_positions(q);
        }
        q->busy = order || j;
        if (!q->busy) {
            pthread_cond_wait(&q->wake, &q->lock);
            continue;
        }
        pthread_mutex_unlock(&q->lock);
        if (order)
            run_order(q, order);
        else if (start(q, j))
            run_job(q, j);
        pthread_mutex_lock(&q->lock);
        q->busy = false;
    }
    q->ended = true;
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* Who still waits hears that the server ends; the jobs stay in the store. */
static void let_go(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->orders) {
        struct queue_order *o = q->orders;
        q->orders = o->next;
        (void)err_set(&o->err, ERR_DEVICE, "the server is about to end");
        MHD_resume_connection(o->rq->connection);
    }
    while (q->first) {
        struct live *j = take(q, q->first);
        wake_waiters(j);
        live_free(j);
    }
    pthread_mutex_unlock(&q->lock);
}

static enum err_code take_up(struct queue *q, struct err *e)
{
    struct job_list l = {0};
    enum err_code rc = jobs_waiting(q->server->store, FIRST_LOAD, &l, e);
    for (size_t i = 0; rc == ERR_OK && i < l.n; i++) {
        struct live *j = live_new(l.items[i].id, l.items[i].kind, l.items[i].model);
        if (j)
            append(q, j);
        else
            rc = err_set(e, ERR_NOMEM, "no memory for the queue");
    }
    job_list_deinit(&l);
    return rc;
}

enum err_code queue_open(struct server *s, const struct server_options *o, struct queue **out,
                         struct err *e)
{
    struct queue *q = mem_alloc(sizeof *q);
    *out = q;
    q->server = s;
    const struct vt_engine_options *g = &o->engine;
    q->engine_options = *g;
    (void)snprintf(q->device, sizeof q->device, "%s", g->device ? g->device : "");
    (void)snprintf(q->budget, sizeof q->budget, "%s", g->budget ? g->budget : "");
    q->max_length = o->max_queue > 0 ? o->max_queue : QUEUE_DEFAULT_LENGTH;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    enum err_code rc = take_up(q, e);
    if (rc == ERR_OK && pthread_create(&q->thread, NULL, work, q) != 0)
        rc = err_set(e, ERR_NOMEM, "no thread for the engine");
    q->has_thread = rc == ERR_OK;
    return rc;
}

void queue_stop(struct queue *q, bool at_once)
{
    pthread_mutex_lock(&q->lock);
    q->stopping = true;
    q->at_once = q->at_once || at_once;
    if (q->at_once && q->engine)
        vt_engine_cancel(q->engine);
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

bool queue_is_idle(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool idle = !q->busy || q->ended;
    pthread_mutex_unlock(&q->lock);
    return idle;
}

void queue_join(struct queue *q)
{
    if (!q)
        return;
    if (q->has_thread)
        pthread_join(q->thread, NULL);
    q->has_thread = false;
    let_go(q);
}

void queue_close(struct queue *q)
{
    if (!q)
        return;
    let_go(q);
    vt_engine_close(q->engine);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    mem_free(q);
}

/* ---- for the routes ---------------------------------------------------------------------------------- */

enum err_code queue_add(struct http_request *rq, const struct job_new *job, struct job_record *out,
                        struct err *e)
{
    struct queue *q = rq->server->queue;
    pthread_mutex_lock(&q->lock);
    bool full = q->length >= q->max_length;
    pthread_mutex_unlock(&q->lock);
    if (full)
        return http_refuse(rq, 429, NULL, e, "%d jobs are waiting already", q->max_length);
    enum err_code rc = jobs_add(rq->server->store, job, out, e);
    if (rc != ERR_OK)
        return rc;
    struct live *j = live_new(out->id, out->kind, out->model);
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory for the queue");
    pthread_mutex_lock(&q->lock);
    append(q, j);
    pthread_mutex_unlock(&q->lock);
    return ERR_OK;
}

enum err_code queue_cancel(struct queue *q, const char *id, struct err *e)
{
    struct job_outcome o = {.state = JOB_CANCELLED};
    pthread_mutex_lock(&q->lock);
    struct live *j = find_waiting(q, id);
    bool runs = !j && q->running && strcmp(q->running->id, id) == 0;
    if (j)
        take(q, j);
    if (runs) {
        atomic_store(&q->running->cancel, true);
        if (q->engine)
            vt_engine_cancel(q->engine);
    }
    pthread_mutex_unlock(&q->lock);
    if (runs)
        return ERR_OK;
    if (!j)
        return err_set(e, ERR_BUSY, "the job has ended already");
    enum err_code rc = jobs_finish(q->server->store, id, &o, e);
    pthread_mutex_lock(&q->lock);
    if (rc == ERR_OK) {
        announce(q, j, JOB_CANCELLED, &o);
        wake_waiters(j);
        q->cancelled++;
        tell_positions(q);
    } else {
        append(q, j);
    }
    pthread_mutex_unlock(&q->lock);
    if (rc == ERR_OK) {
        openai_tell_end(q->server, id, JOB_CANCELLED, "", "");
        live_free(j);
    }
    return rc;
}

enum err_code queue_again(struct queue *q, const char *id, struct err *e)
{
    struct job_record rec = {0};
    enum err_code rc = jobs_again(q->server->store, id, e);
    if (rc == ERR_OK)
        rc = jobs_get(q->server->store, id, &rec, e);
    struct live *j = rc == ERR_OK ? live_new(id, rec.kind, rec.model) : NULL;
    if (rc == ERR_OK && !j)
        rc = err_set(e, ERR_NOMEM, "no memory for the queue");
    if (j) {
        pthread_mutex_lock(&q->lock);
        append(q, j);
        pthread_mutex_unlock(&q->lock);
    }
    job_record_deinit(&rec);
    return rc;
}

void queue_view(struct queue *q, const char *id, struct queue_view *out)
{
    int position = 1;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&q->lock);
    if (q->running && strcmp(q->running->id, id) == 0) {
        out->live = true;
        out->progress = q->running->progress;
        out->has_progress = q->running->has_progress;
        out->seconds = clock_s() - q->running->started;
    }
    for (struct live *j = q->first; j && !out->live; j = j->next, position++)
        if (strcmp(j->id, id) == 0) {
            out->live = true;
            out->position = position;
        }
    pthread_mutex_unlock(&q->lock);
}

bool queue_wait(struct queue *q, const char *id, struct http_request *rq)
{
    struct waiter *w = arena_alloc(&rq->arena, sizeof *w);
    pthread_mutex_lock(&q->lock);
    struct live *j = w && !q->ended ? find(q, id) : NULL;
    if (j) {
        w->rq = rq;
        w->next = j->waiters;
        j->waiters = w;
        MHD_suspend_connection(rq->connection);
    }
    pthread_mutex_unlock(&q->lock);
    return j != NULL;
}

/* The end of a job that no longer waits or runs, as its last event was. */
static void tell_ended(struct queue *q, const char *id, struct http_stream *s)
{
    struct job_record rec = {0};
    struct err e = {0};
    struct buf b;
    buf_init(&b, 32 << 20);
    if (jobs_get(q->server->store, id, &rec, &e) == ERR_OK) {
        buf_printf(&b, "{\"id\":\"%s\",\"state\":\"%s\"", id, job_state_name(rec.state));
        if (rec.result[0])
            buf_printf(&b, ",\"result\":%s", rec.result);
        if (rec.error[0])
            buf_printf(&b, ",\"error\":%s", rec.error);
        buf_add_byte(&b, '}');
        events_tell(s, job_state_name(rec.state), buf_str(&b));
    }
    err_clear(&e);
    events_end(s);
    buf_deinit(&b);
    job_record_deinit(&rec);
}

enum err_code queue_subscribe(struct http_request *rq, const char *id, struct http_stream **out,
                              struct err *e)
{
    struct queue *q = rq->server->queue;
    struct queue_view v;
    struct buf b;
    enum err_code rc = events_subscribe(q->server->events, rq, id, out, e);
    if (rc != ERR_OK)
        return rc;
    buf_init(&b, 4096);
    queue_view(q, id, &v);
    if (!v.live) {
        tell_ended(q, id, *out);
    } else if (v.position) {
        buf_printf(&b, "{\"id\":\"%s\",\"state\":\"queued\",\"position\":%d}", id, v.position);
        events_tell(*out, "queued", buf_str(&b));
    } else {
        struct live shown = {.progress = v.progress,
                             .has_progress = v.has_progress,
                             .started = clock_s() - v.seconds};
        (void)snprintf(shown.id, sizeof shown.id, "%s", id);
        progress_json(&shown, &b);
        events_tell(*out, "stage", buf_str(&b));
    }
    buf_deinit(&b);
    return ERR_OK;
}

bool queue_preview(struct queue *q, const char *id, struct buf *b, int *step)
{
    pthread_mutex_lock(&q->lock);
    struct live *j = find(q, id);
    bool there = j && j->preview.n;
    if (there) {
        buf_add_str(b, buf_str(&j->preview));
        *step = j->preview_step;
    }
    pthread_mutex_unlock(&q->lock);
    return there;
}

void queue_state(struct queue *q, struct queue_state *out)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&q->lock);
    out->waiting = q->length;
    out->running = q->running != NULL;
    if (q->running) {
        memcpy(out->running_id, q->running->id, sizeof out->running_id);
        memcpy(out->running_kind, q->running->kind, sizeof out->running_kind);
        if (q->running->has_progress)
            (void)snprintf(out->stage, sizeof out->stage, "%s",
                           stage_name(q->running->progress.stage));
    }
    memcpy(out->model, q->open_model, sizeof out->model);
    if (q->engine)
        memcpy(out->device, q->device, sizeof out->device);
    memcpy(out->budget, q->budget, sizeof out->budget);
    out->memory = q->memory;
    out->done = q->done;
    out->failed = q->failed;
    out->cancelled = q->cancelled;
    pthread_mutex_unlock(&q->lock);
}

double queue_seconds_left(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    double t = (q->mean_seconds > 0 ? q->mean_seconds : 5) * (q->length ? q->length : 1);
    if (q->length >= q->max_length)
        t = q->mean_seconds > 0 ? ceil(q->mean_seconds) : 5; /* until one place is free */
    pthread_mutex_unlock(&q->lock);
    return t;
}

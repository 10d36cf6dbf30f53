#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/jobs/work.h"

enum { RETRY_SECONDS = 2 };

/* ---- a job --------------------------------------------------------------------------------------------- */

static enum err_code open_engine(struct worker *w, struct err *e)
{
    struct vt_engine *engine;
    struct vt_error err;
    if (w->engine)
        return ERR_OK;
    struct vt_engine_options o = w->options;
    char budget[sizeof w->budget];
    pthread_mutex_lock(&w->queue->lock);
    memcpy(budget, w->budget, sizeof budget);
    pthread_mutex_unlock(&w->queue->lock);
    o.budget = budget[0] ? budget : NULL;
    if (vt_engine_open(&o, &engine, &err) != VT_OK)
        return err_set(e, (enum err_code)err.status, "%s", err.text);
    uint64_t device_bytes = queue_device_bytes(engine);
    pthread_mutex_lock(&w->queue->lock);
    w->engine = engine;
    (void)snprintf(w->device, sizeof w->device, "%s", vt_engine_device(engine));
    w->device_bytes = device_bytes;
    pthread_mutex_unlock(&w->queue->lock);
    queue_see_memory(w);
    return ERR_OK;
}

static enum err_code check_deadly(struct queue *q, const struct job_record *rec, struct err *e)
{
    pthread_mutex_lock(&q->lock);
    enum err_code rc = deadly_check(&q->deadly, rec->kind, rec->request, e);
    pthread_mutex_unlock(&q->lock);
    return rc;
}

static void note_deadly(struct queue *q, const struct job_record *rec, enum err_code rc)
{
    pthread_mutex_lock(&q->lock);
    deadly_note(&q->deadly, rec->kind, rec->request, rc);
    pthread_mutex_unlock(&q->lock);
}

static enum err_code run_request(struct worker *w, struct live *j, const struct job_record *rec,
                                 struct work_result *r, struct err *e)
{
    const struct vt_callbacks cb = queue_callbacks(w);
    yyjson_doc *doc = NULL;
    enum err_code rc;
    TRY_GOTO(json_parse(str_from(rec->request), "the request", &doc, e), done);
    TRY_GOTO(check_deadly(w->queue, rec, e), done);
    TRY_GOTO(open_engine(w, e), done);
    queue_take_budget(w);
    if (atomic_load(&j->cancel)) {
        rc = err_set(e, ERR_CANCELLED, "cancelled");
        goto done;
    }
    rc = work_run(w->engine, w->queue->server->store, j->kind, yyjson_doc_get_root(doc), &cb,
                  &j->notes, r, e);
    note_deadly(w->queue, rec, rc);
done:
    r->refused = err_is_engine_death(rc) && check_deadly(w->queue, rec, NULL) != ERR_OK;
    yyjson_doc_free(doc);
    return rc;
}

/* engine: whose log is told when it died of it; NULL: none. */
static void error_json(const struct err *e, const struct vt_engine *engine, bool refused,
                       struct buf *b)
{
    bool died = engine && err_is_engine_death(e->code);
    queue_error_json(b, err_code_name(e->code), server_status_of(e), e->text,
                     died ? vt_engine_last_words(engine) : NULL, refused);
}

/* Lets RETRY_SECONDS pass, or the time until *stop is set. The lock is held. */
static void pass_time(struct queue *q, const bool *stop)
{
    struct timespec t;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += RETRY_SECONDS;
    while (!*stop && rc == 0)
        rc = pthread_cond_timedwait(&q->wake, &q->lock, &t);
}

/* False: at once is to be stopped, and the job's end is not kept. */
static bool wait_to_retry(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    pass_time(q, &q->at_once);
    bool go_on = !q->at_once;
    pthread_mutex_unlock(&q->lock);
    return go_on;
}

static bool still_runs(struct queue *q, const char *id)
{
    struct job_record rec = {0};
    bool runs = jobs_get(q->server->store, id, &rec, NULL) == ERR_OK && rec.state == JOB_RUNNING;
    job_record_deinit(&rec);
    return runs;
}

/* A disk may be full for a while, a database locked: the job's end is worth waiting for. An end that the store
 * refuses (an image of the result is gone) becomes a failure. text holds that one's error. */
static void keep_outcome(struct queue *q, const char *id, struct job_outcome *o, struct buf *text)
{
    bool told = false, replaced = false;
    for (;;) {
        struct err e = {0};
        enum err_code rc = jobs_finish(q->server->store, id, o, &e);
        bool refused = rc == ERR_ARG || rc == ERR_NOTFOUND;
        if (rc == ERR_OK || (refused && (replaced || !still_runs(q, id))))
            return;
        if (!told)
            log_error("job %s: its end cannot be kept now: %s", id, e.text);
        told = true;
        if (refused) {
            buf_clear(text);
            error_json(&e, NULL, false, text);
            *o = (struct job_outcome){.state = JOB_FAILED, .error = buf_str(text)};
            replaced = true;
        } else if (!wait_to_retry(q)) {
            o->state = JOB_INTERRUPTED; /* what the store will say at the next start */
            o->result = o->error = (struct str){"", 0};
            return;
        }
    }
}

static void finish(struct worker *w, struct live *j, enum err_code rc, struct work_result *r,
                   const struct err *e)
{
    struct queue *q = w->queue;
    struct buf error;
    buf_init(&error, 1 << 16);
    struct job_outcome o = {.state = rc == ERR_OK          ? JOB_DONE
                                     : rc == ERR_CANCELLED ? JOB_CANCELLED
                                                           : JOB_FAILED};
    /* Ended by us, not by who asked: it can run again. */
    if (o.state == JOB_CANCELLED && !atomic_load(&j->cancel))
        o.state = JOB_INTERRUPTED;
    if (rc != ERR_OK && w->engine)
        work_keep_rest(w->engine, &j->notes, clock_s() - j->started, r);
    if (r->json.n) {
        o.result = buf_str(&r->json);
        o.assets = r->assets;
        o.n_assets = r->n_assets;
    }
    if (rc != ERR_OK) {
        pthread_mutex_lock(&q->lock);
        bool abandoned = o.state == JOB_CANCELLED && j->is_abandoned;
        pthread_mutex_unlock(&q->lock);
        if (abandoned)
            queue_abandoned_json(&error);
        else
            error_json(e, w->engine, r->refused, &error);
        o.error = buf_str(&error);
    }
    keep_outcome(q, j->id, &o, &error);
    pthread_mutex_lock(&q->lock);
    w->running = NULL;
    queue_end(q, j, &o); /* under the lock: who subscribes sees either this, or that it ended */
    queue_tell_line(q);
    pthread_mutex_unlock(&q->lock);
    /* Reads files, so not under the lock: who subscribes from now on finds that the job has ended. */
    q->watcher.end(q->server, j->id, o.state, o.state == JOB_DONE ? buf_z(&r->json) : "",
                   buf_z(&error));
    buf_deinit(&error);
}

/* What the engine had open before a job or an order. */
struct before {
    char model[MODEL_PATH_BYTES];
};

static void see_before(const struct worker *w, struct before *b)
{
    (void)snprintf(b->model, sizeof b->model, "%s", w->engine ? vt_engine_model(w->engine) : "");
}

/* The line prefers jobs of the open model, so this must be what is open, not what was asked for. `used`: what was
 * asked for went well. */
static void note_open_model(struct worker *w, const char *name, const struct before *b, bool used)
{
    const char *now = w->engine ? vt_engine_model(w->engine) : "";
    char was[sizeof w->open_model];
    pthread_mutex_lock(&w->queue->lock);
    memcpy(was, w->open_model, sizeof was);
    if (!*now)
        w->open_model[0] = 0;
    else if (used || strcmp(now, b->model) != 0)
        (void)snprintf(w->open_model, sizeof w->open_model, "%s", name);
    if (strcmp(was, w->open_model) != 0)
        queue_tell_model(w->queue);
    pthread_mutex_unlock(&w->queue->lock);
}

/* Its memory is for others now. The next job opens it anew. */
static void close_engine(struct worker *w)
{
    struct queue *q = w->queue;
    pthread_mutex_lock(&q->lock);
    struct vt_engine *engine = w->engine;
    w->engine = NULL;
    w->memory = (struct vt_memory){.budget = w->memory.budget};
    if (w->open_model[0]) {
        w->open_model[0] = 0;
        queue_tell_model(q);
    }
    pthread_mutex_unlock(&q->lock);
    vt_engine_close(engine);
}

/* Of several engines one that does not open gives its job back, where another may take it. */
static bool opens(struct worker *w)
{
    struct queue *q = w->queue;
    struct err e = {0};
    if (q->n_workers == 1 || open_engine(w, &e) == ERR_OK)
        return true;
    pthread_mutex_lock(&q->lock);
    bool rests = !q->stopping && line_note_device(w, &e);
    if (rests) {
        line_return(q, w);
        queue_tell_positions(q);
        pthread_cond_broadcast(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
    if (rests)
        log_warn("an engine gets no job for a while: %s", e.text);
    return !rests;
}

static void note_device(struct worker *w, enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK && rc != ERR_DEVICE && rc != ERR_ENGINE_LOST_WORKER)
        return;
    pthread_mutex_lock(&w->queue->lock);
    bool rests = line_note_device(w, rc == ERR_OK ? NULL : e);
    pthread_mutex_unlock(&w->queue->lock);
    if (rests)
        log_warn("an engine gets no job for a while: %s", e->text);
}

static void run_job(struct worker *w, struct live *j)
{
    struct work_result *r = mem_alloc(sizeof *r);
    struct job_record rec = {0};
    struct err e = {0};
    struct before before;
    work_result_init(r);
    r->job = j->id;
    r->kind = j->kind;
    r->model = j->model;
    j->result = r;
    see_before(w, &before);
    enum err_code rc = jobs_get(w->queue->server->store, j->id, &rec, &e);
    if (rc == ERR_OK)
        rc = run_request(w, j, &rec, r, &e);
    queue_see_memory(w);
    note_open_model(w, j->model, &before, rc == ERR_OK);
    note_device(w, rc, &e);
    finish(w, j, rc, r, &e);
    if (rc == ERR_ENGINE_LOST_WORKER) /* the next job finds out first whether it is there again */
        close_engine(w);
    job_record_deinit(&rec);
    work_result_deinit(r);
    mem_free(r);
    live_free(j);
}

/* False: it is no longer queued, or the store cannot write now and it waits again. */
static bool start(struct worker *w, struct live *j)
{
    struct queue *q = w->queue;
    struct err e = {0};
    enum err_code rc = jobs_start(q->server->store, j->id, &e);
    if (rc == ERR_OK)
        return true;
    pthread_mutex_lock(&q->lock);
    if (rc != ERR_ARG && rc != ERR_NOTFOUND && !q->stopping) {
        log_error("job %s cannot be started now: %s", j->id, e.text);
        line_return(q, w);
        pass_time(q, &q->stopping);
        j = NULL;
    } else {
        w->running = NULL;
        live_wake_waiters(j);
    }
    pthread_mutex_unlock(&q->lock);
    live_free(j);
    return false;
}

/* ---- an order ------------------------------------------------------------------------------------------ */

static enum err_code carry_out(struct worker *w, struct queue_order *o, struct err *e)
{
    struct vt_error err = {0};
    TRY(o->task == QUEUE_UNLOAD && !w->engine ? ERR_OK : open_engine(w, e));
    if (!w->engine)
        return ERR_OK;
    if (o->task == QUEUE_LOAD)
        return vt_engine_load(w->engine, o->path, &err) == VT_OK
                   ? ERR_OK
                   : err_set(e, (enum err_code)err.status, "%s", err.text);
    if (o->task != QUEUE_UNLOAD)
        return queue_ask(w, o, e);
    vt_engine_unload(w->engine);
    vt_engine_release(w->engine);
    return ERR_OK;
}

static void run_order(struct worker *w, struct queue_order *o)
{
    struct before before;
    struct err e = {0};
    see_before(w, &before);
    enum err_code rc = carry_out(w, o, &e);
    e.code = rc;
    queue_take_budget(w);
    queue_see_memory(w);
    note_open_model(w, o->model, &before, rc == ERR_OK && o->task == QUEUE_LOAD);
    queue_order_done(w->queue, o, &e);
}

/* ---- the threads --------------------------------------------------------------------------------------- */

/* To every free engine a job, as long as there are any. The lock is held. */
static void give_jobs(struct queue *q)
{
    bool given = false;
    while (!q->paused && line_choose(q))
        given = true;
    if (!given)
        return;
    queue_tell_positions(q);
    pthread_cond_broadcast(&q->wake);
}

bool queue_idle_end(const struct queue *q, double most, struct timespec *out)
{
    double seconds = most > 0 && q->idle_seconds > most ? most : q->idle_seconds;
    clock_gettime(CLOCK_REALTIME, out);
    out->tv_sec += (time_t)ceil(seconds);
    return q->idle_seconds > 0;
}

/* Until there may be something to do. The lock is held. idle: since the last work, across waits. */
static void wait_for_work(struct worker *w, struct timespec *idle, bool *waits)
{
    struct queue *q = w->queue;
    double rest = w->rests_until - clock_s();
    struct timespec end;
    if (rest > 0) {
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += (time_t)rest + 1;
        (void)pthread_cond_timedwait(&q->wake, &q->lock, &end);
        return;
    }
    if (!*waits)
        *waits = w->engine && queue_idle_end(q, 0, idle);
    if (!*waits) {
        pthread_cond_wait(&q->wake, &q->lock);
    } else if (pthread_cond_timedwait(&q->wake, &q->lock, idle) == ETIMEDOUT && w->engine &&
               !w->running && !q->stopping) {
        *waits = false;
        pthread_mutex_unlock(&q->lock);
        log_debug("an engine had nothing to do and is closed");
        close_engine(w);
        pthread_mutex_lock(&q->lock);
    }
}

void *queue_work(void *worker)
{
    struct timespec idle;
    bool waits = false;
    struct worker *w = worker;
    struct queue *q = w->queue;
    pthread_mutex_lock(&q->lock);
    while (!q->stopping) {
        struct queue_order *order = w->running ? NULL : queue_take_order(q, w);
        if (!order)
            give_jobs(q);
        struct live *j = w->running;
        w->busy = order || j;
        if (!w->busy) {
            wait_for_work(w, &idle, &waits);
            continue;
        }
        waits = false;
        pthread_mutex_unlock(&q->lock);
        if (order)
            run_order(w, order);
        else if (opens(w) && start(w, j))
            run_job(w, j);
        pthread_mutex_lock(&q->lock);
        w->busy = false;
    }
    if (w->running) /* it was given, and has not begun */
        line_return(q, w);
    q->at_work--;
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

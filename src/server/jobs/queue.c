#include "server/jobs/queue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

enum { FIRST_LOAD = 10000 };

/* ---- opening and ending --------------------------------------------------------------------------------- */

/* Who still waits hears that the server ends; the jobs stay in the store. */
static void let_go(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    queue_refuse_orders(q);
    while (q->first) {
        struct live *j = line_take(q, q->first);
        live_wake_waiters(j);
        live_free(j);
    }
    pthread_mutex_unlock(&q->lock);
}

static enum err_code take_up(struct queue *q, struct err *e)
{
    struct job_list l = {0};
    enum err_code rc = jobs_waiting(q->server->store, FIRST_LOAD, &l, e);
    for (size_t i = 0; rc == ERR_OK && i < l.n; i++) {
        struct live *j = live_new(&l.items[i]);
        if (j)
            (void)line_append(q, j);
        else
            rc = err_set(e, ERR_NOMEM, "no memory for the queue");
    }
    job_list_deinit(&l);
    return rc;
}

/* Some of it computes on another machine. */
static bool is_remote(const struct vt_engine_options *o)
{
    bool place = o->place && strcasestr(o->place, "=rpc:");
    return place || (o->device && strncasecmp(o->device, "rpc:", 4) == 0);
}

static void init_worker(struct queue *q, const struct vt_engine_options *o)
{
    struct worker *w = &q->workers[q->n_workers++];
    w->queue = q;
    w->options = *o;
    w->options.budget = NULL;
    w->is_remote = is_remote(o);
    (void)snprintf(w->device, sizeof w->device, "%s", o->device ? o->device : "");
    (void)snprintf(w->budget, sizeof w->budget, "%s", o->budget ? o->budget : "");
}

static enum err_code start_workers(struct queue *q, struct err *e)
{
    bool ok = true, plans = false;
    q->at_work = q->n_workers;
    for (int i = 0; ok && i < q->n_workers; i++) {
        struct worker *w = &q->workers[i];
        plans = plans || !w->is_remote;
        ok = w->has_thread = pthread_create(&w->thread, NULL, queue_work, w) == 0;
    }
    if (!ok)
        return err_set(e, ERR_NOMEM, "no thread for an engine");
    if (plans)
        q->has_planner = pthread_create(&q->planner_thread, NULL, queue_plan_work, q) == 0;
    return q->has_planner || !plans ? ERR_OK : err_set(e, ERR_NOMEM, "no thread for plans");
}

enum err_code queue_open(struct server *s, const struct server_options *o,
                         const struct queue_watcher *watcher, struct queue **out, struct err *e)
{
    struct queue *q = mem_alloc(sizeof *q);
    *out = q;
    q->server = s;
    q->watcher = *watcher;
    for (int i = 0; i < o->n_engines && i < QUEUE_MAX_ENGINES; i++)
        init_worker(q, &o->engines[i]);
    q->idle_seconds = o->idle_seconds;
    q->max_length = o->max_queue > 0 ? o->max_queue : QUEUE_DEFAULT_LENGTH;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->add_lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    pthread_cond_init(&q->asked, NULL);
    TRY(queue_read_pause(q, e));
    TRY(take_up(q, e));
    return start_workers(q, e);
}

/* The lock is held. */
static void cancel_all(struct queue *q)
{
    for (int i = 0; i < q->n_workers; i++)
        if (q->workers[i].engine)
            vt_engine_cancel(q->workers[i].engine);
}

void queue_stop(struct queue *q, bool at_once)
{
    pthread_mutex_lock(&q->lock);
    q->stopping = true;
    q->at_once = q->at_once || at_once;
    if (q->at_once)
        cancel_all(q);
    pthread_cond_broadcast(&q->wake);
    pthread_cond_signal(&q->asked);
    pthread_mutex_unlock(&q->lock);
}

bool queue_is_idle(struct queue *q)
{
    bool idle = true;
    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < q->n_workers; i++)
        idle = idle && !q->workers[i].busy;
    pthread_mutex_unlock(&q->lock);
    return idle;
}

void queue_join(struct queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < q->n_workers; i++) {
        if (q->workers[i].has_thread)
            pthread_join(q->workers[i].thread, NULL);
        q->workers[i].has_thread = false;
    }
    if (q->has_planner)
        pthread_join(q->planner_thread, NULL);
    q->has_planner = false;
    let_go(q);
}

void queue_close(struct queue *q)
{
    if (!q)
        return;
    let_go(q);
    for (int i = 0; i < q->n_workers; i++) {
        vt_engine_close(q->workers[i].engine);
        vt_engine_close(q->workers[i].planner);
    }
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->add_lock);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->asked);
    mem_free(q);
}

/* ---- for the routes ---------------------------------------------------------------------------------- */

static enum err_code check_room(struct http_request *rq, struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    pthread_mutex_lock(&q->lock);
    bool full = q->length >= q->max_length;
    pthread_mutex_unlock(&q->lock);
    return full ? http_refuse(rq, 429, NULL, e, "%d jobs are waiting already", q->max_length)
                : ERR_OK;
}

/* A job that the store has queued, into the line. */
static enum err_code enter(struct queue *q, const struct job_record *rec, struct err *e)
{
    struct live *j = live_new(rec);
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory for the queue");
    pthread_mutex_lock(&q->lock);
    queue_tell_added(q, j, line_append(q, j));
    pthread_mutex_unlock(&q->lock);
    return ERR_OK;
}

static enum err_code add(struct http_request *rq, const struct job_new *job, struct job_record *out,
                         struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    TRY(check_room(rq, e));
    TRY(jobs_add(server_of(rq)->store, job, out, e));
    return out->repeated ? ERR_OK : enter(q, out, e);
}

enum err_code queue_add(struct http_request *rq, const struct job_new *job, struct job_record *out,
                        struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    pthread_mutex_lock(&q->add_lock);
    enum err_code rc = add(rq, job, out, e);
    pthread_mutex_unlock(&q->add_lock);
    return rc;
}

void queue_settle(struct queue *q)
{
    pthread_mutex_lock(&q->add_lock);
    pthread_mutex_unlock(&q->add_lock);
}

void queue_abandoned_json(struct buf *b)
{
    queue_error_json(b, "client_gone", 499, "the client that waited for the result has gone", NULL,
                     false);
}

bool queue_was_abandoned(const struct job_record *rec)
{
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    queue_abandoned_json(&b);
    bool same = rec->state == JOB_CANCELLED && b.n && str_eq_z(buf_str(&b), rec->error);
    buf_deinit(&b);
    return same;
}

void queue_end(struct queue *q, struct live *j, const struct job_outcome *o)
{
    double seconds = clock_s() - j->started, mean = q->mean_seconds;
    if (o->state == JOB_DONE)
        q->mean_seconds = mean > 0 ? 0.7 * mean + 0.3 * seconds : seconds;
    q->outcomes[o->state]++;
    queue_tell_end(q, j, o);
    live_wake_waiters(j);
}

/* Cancels one that waits. The store is told without the lock, so the job keeps its place that long. why: JSON for its
 * error; "" when somebody asked for it. */
static enum err_code end_waiting(struct queue *q, const char *id, const char *why, struct err *e)
{
    const struct job_outcome o = {.state = JOB_CANCELLED, .error = str_from(why)};
    enum err_code rc = jobs_finish(q->server->store, id, &o, e);
    pthread_mutex_lock(&q->lock);
    struct live *j = line_find_ending(q, id); /* NULL: the server has ended meanwhile */
    if (j && rc == ERR_OK) {
        line_take(q, j);
        queue_end(q, j, &o);
        queue_tell_positions(q);
    } else if (j) {
        j->is_ending = false;
        pthread_cond_broadcast(&q->wake);
        j = NULL;
    }
    pthread_mutex_unlock(&q->lock);
    if (rc == ERR_OK)
        q->watcher.end(q->server, id, o.state, "", why);
    live_free(j);
    return rc;
}

/* abandoned: nobody asked for it. */
static enum err_code cancel(struct queue *q, const char *id, bool abandoned, struct err *e)
{
    pthread_mutex_lock(&q->lock);
    struct live *j = line_find_waiting(q, id);
    bool waits = j && !j->is_ending;
    struct worker *w = j ? NULL : line_worker_of(q, id);
    if (waits)
        j->is_ending = true;
    if (w) {
        w->running->is_abandoned = abandoned;
        atomic_store(&w->running->cancel, true);
        if (w->engine)
            vt_engine_cancel(w->engine);
    }
    pthread_mutex_unlock(&q->lock);
    if (w)
        return ERR_OK;
    if (!waits)
        return err_set(e, ERR_BUSY, "the job has ended already");
    struct buf why;
    buf_init(&why, LIMIT_SMALL_EVENT);
    if (abandoned)
        queue_abandoned_json(&why);
    enum err_code rc = end_waiting(q, id, buf_z(&why), e);
    buf_deinit(&why);
    return rc;
}

enum err_code queue_cancel(struct queue *q, const char *id, struct err *e)
{
    return cancel(q, id, false, e);
}

static enum err_code again(struct http_request *rq, const char *id, struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    struct job_record rec = {0};
    TRY(check_room(rq, e));
    TRY(jobs_again(q->server->store, id, e));
    enum err_code rc = jobs_get(q->server->store, id, &rec, e);
    if (rc == ERR_OK)
        rc = enter(q, &rec, e);
    job_record_deinit(&rec);
    return rc;
}

enum err_code queue_again(struct http_request *rq, const char *id, struct err *e)
{
    struct queue *q = server_of(rq)->queue;
    pthread_mutex_lock(&q->add_lock);
    enum err_code rc = again(rq, id, e);
    pthread_mutex_unlock(&q->add_lock);
    return rc;
}

void queue_view(struct queue *q, const char *id, struct queue_view *out)
{
    int position = 1;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&q->lock);
    const struct worker *w = line_worker_of(q, id);
    if (w)
        *out = line_view_running(w->running);
    for (struct live *j = q->first; j && !out->live; j = j->next, position++)
        if (strcmp(j->id, id) == 0) {
            line_view(j, out);
            out->position = position;
        }
    pthread_mutex_unlock(&q->lock);
}

bool queue_wait(struct queue *q, const char *id, struct http_request *rq)
{
    struct waiter *w = arena_alloc(http_arena(rq), sizeof *w);
    pthread_mutex_lock(&q->lock);
    struct live *j = w && q->at_work ? line_find(q, id) : NULL;
    if (j) {
        w->rq = rq;
        w->next = j->waiters;
        j->waiters = w;
        j->is_attended = j->is_attended || http_memo(rq)->owner;
        http_sleep(rq, true);
    }
    pthread_mutex_unlock(&q->lock);
    return j != NULL;
}

/* The lock is held. */
static bool remove_waiter(struct live *j, const struct http_request *rq)
{
    for (struct waiter **p = &j->waiters; *p; p = &(*p)->next)
        if ((*p)->rq == rq) {
            *p = (*p)->next;
            return true;
        }
    return false;
}

void queue_leave(struct queue *q, const char *id, struct http_request *rq)
{
    pthread_mutex_lock(&q->lock);
    struct live *j = line_find(q, id);
    bool last = j && remove_waiter(j, rq) && j->is_attended && !j->waiters && !q->stopping;
    pthread_mutex_unlock(&q->lock);
    if (last)
        queue_abandon(q, id);
}

void queue_abandon(struct queue *q, const char *id)
{
    struct err e = {0};
    if (http_core_is_draining(q->server->http))
        return; /* the job stays in the store for the next start */
    if (cancel(q, id, true, &e) != ERR_OK)
        err_clear(&e); /* it has ended meanwhile */
}

bool queue_preview(struct queue *q, const char *id, struct buf *b, int *step)
{
    pthread_mutex_lock(&q->lock);
    struct live *j = line_find(q, id);
    bool there = j && j->preview.n;
    if (there) {
        buf_add_str(b, buf_str(&j->preview));
        *step = j->preview_step;
    }
    pthread_mutex_unlock(&q->lock);
    return there;
}

/* The lock is held. */
static void see_engine(const struct worker *w, struct queue_engine *out)
{
    out->running = w->running != NULL;
    if (w->running) {
        memcpy(out->running_id, w->running->id, sizeof out->running_id);
        memcpy(out->running_kind, w->running->kind, sizeof out->running_kind);
        if (w->running->has_progress)
            (void)snprintf(out->stage, sizeof out->stage, "%s",
                           queue_stage_name(w->running->progress.stage));
    }
    memcpy(out->model, w->open_model, sizeof out->model);
    if (w->engine)
        memcpy(out->device, w->device, sizeof out->device);
    memcpy(out->budget, w->budget, sizeof out->budget);
    out->device_bytes = w->device_bytes;
    memcpy(out->failure, w->failure, sizeof out->failure);
    out->memory = w->memory;
}

void queue_state(struct queue *q, struct queue_state *out)
{
    const struct live *running[QUEUE_MAX_ENGINES];
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&q->lock);
    out->waiting = q->length;
    out->running = line_running(q, running);
    out->n_engines = q->n_workers;
    for (int i = 0; i < q->n_workers; i++) {
        see_engine(&q->workers[i], &out->engines[i]);
        if (out->running && q->workers[i].running == running[0])
            out->longest = &out->engines[i];
    }
    out->done = q->outcomes[JOB_DONE];
    out->failed = q->outcomes[JOB_FAILED];
    out->cancelled = q->outcomes[JOB_CANCELLED];
    pthread_mutex_unlock(&q->lock);
}

bool queue_state_is_open(const struct queue_state *s, const char *model)
{
    for (int i = 0; i < s->n_engines; i++)
        if (strcmp(s->engines[i].model, model) == 0)
            return true;
    return false;
}

double queue_seconds_left(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    double mean = q->mean_seconds > 0 ? q->mean_seconds : 5;
    double t = mean * (q->length ? q->length : 1) / q->n_workers;
    if (q->length >= q->max_length) /* until one place is free */
        t = ceil(mean / q->n_workers);
    pthread_mutex_unlock(&q->lock);
    return t;
}

#include "server/jobs/queue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

enum { FIRST_LOAD = 10000 };

/* ---- opening and ending --------------------------------------------------------------------------------- */

static void refuse_orders(struct queue_order **list)
{
    while (*list) {
        struct queue_order *o = *list;
        *list = o->next;
        (void)err_set(&o->err, ERR_DEVICE, "the server is about to end");
        if (o->rq)
            http_wake(o->rq);
        else
            mem_free(o);
    }
}

/* Who still waits hears that the server ends; the jobs stay in the store. */
static void let_go(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    refuse_orders(&q->orders);
    refuse_orders(&q->questions);
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

enum err_code queue_open(struct server *s, const struct server_options *o,
                         const struct queue_watcher *watcher, struct queue **out, struct err *e)
{
    struct queue *q = mem_alloc(sizeof *q);
    *out = q;
    q->server = s;
    q->watcher = *watcher;
    const struct vt_engine_options *g = &o->engine;
    q->engine_options = *g;
    (void)snprintf(q->device, sizeof q->device, "%s", g->device ? g->device : "");
    (void)snprintf(q->budget, sizeof q->budget, "%s", g->budget ? g->budget : "");
    q->max_length = o->max_queue > 0 ? o->max_queue : QUEUE_DEFAULT_LENGTH;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->add_lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    pthread_cond_init(&q->asked, NULL);
    enum err_code rc = queue_read_pause(q, e);
    if (rc == ERR_OK)
        rc = take_up(q, e);
    if (rc == ERR_OK && pthread_create(&q->thread, NULL, queue_work, q) != 0)
        rc = err_set(e, ERR_NOMEM, "no thread for the engine");
    q->has_thread = rc == ERR_OK;
    /* A compute server elsewhere serves one engine at a time. */
    if (rc == ERR_OK && !o->network_stays) {
        q->has_planner = pthread_create(&q->planner_thread, NULL, queue_plan_work, q) == 0;
        rc = q->has_planner ? ERR_OK : err_set(e, ERR_NOMEM, "no thread for plans");
    }
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
    pthread_cond_signal(&q->asked);
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
    vt_engine_close(q->engine);
    vt_engine_close(q->planner);
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
    queue_error_json(b, "client_gone", 499, "the client that waited for the result has gone");
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
        pthread_cond_signal(&q->wake);
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
    bool runs = !j && q->running && strcmp(q->running->id, id) == 0;
    if (waits)
        j->is_ending = true;
    if (runs) {
        q->running->is_abandoned = abandoned;
        atomic_store(&q->running->cancel, true);
        if (q->engine)
            vt_engine_cancel(q->engine);
    }
    pthread_mutex_unlock(&q->lock);
    if (runs)
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
    if (q->running && strcmp(q->running->id, id) == 0)
        *out = line_view_running(q);
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
    struct live *j = w && !q->ended ? line_find(q, id) : NULL;
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
                           queue_stage_name(q->running->progress.stage));
    }
    memcpy(out->model, q->open_model, sizeof out->model);
    if (q->engine)
        memcpy(out->device, q->device, sizeof out->device);
    memcpy(out->budget, q->budget, sizeof out->budget);
    out->device_bytes = q->device_bytes;
    out->memory = q->memory;
    out->done = q->outcomes[JOB_DONE];
    out->failed = q->outcomes[JOB_FAILED];
    out->cancelled = q->outcomes[JOB_CANCELLED];
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

/* The lock is held. */
static void append_order(struct queue *q, struct queue_order *o)
{
    bool asks = q->has_planner && (o->task == QUEUE_PLAN || o->task == QUEUE_BUDGET);
    struct queue_order **p = asks ? &q->questions : &q->orders;
    while (*p)
        p = &(*p)->next;
    o->next = NULL;
    *p = o;
    pthread_cond_signal(asks ? &q->asked : &q->wake);
}

bool queue_order(struct queue *q, struct queue_order *order)
{
    pthread_mutex_lock(&q->lock);
    http_memo(order->rq)->user = order;
    bool sleeps = !q->ended && !q->stopping;
    if (!sleeps) {
        (void)err_set(&order->err, ERR_DEVICE, "the server is about to end");
    } else {
        http_sleep(order->rq, false); /* the worker has the order, which lives in the request */
        append_order(q, order);
    }
    pthread_mutex_unlock(&q->lock);
    return sleeps;
}

/* For what nobody waits: only the last such wish counts, however often somebody asks. The lock is held. */
static bool leave_order(struct queue *q, const struct queue_order *what)
{
    struct queue_order *o = mem_try_alloc(sizeof *o);
    if (!o)
        return false;
    for (struct queue_order **p = &q->orders; *p;) {
        struct queue_order *old = *p;
        if (old->rq) {
            p = &old->next;
        } else {
            *p = old->next;
            mem_free(old);
        }
    }
    *o = *what;
    o->rq = NULL;
    append_order(q, o);
    return true;
}

enum queue_answer queue_leave_order(struct queue *q, const struct queue_order *what)
{
    enum queue_answer a = QUEUE_NOW;
    pthread_mutex_lock(&q->lock);
    const struct live *j = q->running;
    if (j && what->task == QUEUE_LOAD && strcmp(j->model, what->model) == 0 && j->has_progress &&
        j->progress.stage != VT_STAGE_LOAD)
        a = QUEUE_OPEN;
    else if (j && !q->stopping && leave_order(q, what))
        a = QUEUE_LATER;
    pthread_mutex_unlock(&q->lock);
    return a;
}

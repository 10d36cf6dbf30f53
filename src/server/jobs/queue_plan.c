/* queue_plan.c - what is asked of an engine without running anything: plans, and what a budget amounts to. Engines of its
 * own answer, one a device, on a thread of its own, since those of the jobs may be busy for an hour. They hold no
 * weights: they plan by running on devices that are dry. A worker on another machine serves one engine at a time, so
 * its questions are orders to the engine itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "memory/budget.h"
#include "server/jobs/queue_internal.h"
#include "server/jobs/work.h"

enum { PLANNER_IDLE_SECONDS = 30 };

static enum err_code from_vt(enum vt_status st, const struct vt_error *v, struct err *e)
{
    return st == VT_OK ? ERR_OK : err_set(e, (enum err_code)v->status, "%s", v->text);
}

/* Text to bytes; 0 for the device's default. */
static enum err_code budget_bytes(struct vt_engine *g, const char *text, uint64_t *bytes,
                                  struct err *e)
{
    struct vt_error v = {0};
    *bytes = 0;
    return *text ? from_vt(vt_engine_parse_budget(g, text, bytes, &v), &v, e) : ERR_OK;
}

uint64_t queue_device_bytes(struct vt_engine *g)
{
    struct err e = {0};
    uint64_t all = 0;
    return budget_bytes(g, "100%", &all, &e) == ERR_OK ? all : 0;
}

static enum err_code set_budget(struct vt_engine *g, uint64_t bytes, struct err *e)
{
    struct vt_error v = {0};
    return from_vt(vt_engine_set_budget(g, bytes, &v), &v, e);
}

/* For the jobs' engine, which takes it up before its next job. g: one of the same device. */
static enum err_code change_budget(struct worker *w, struct vt_engine *g, const char *text,
                                   struct err *e)
{
    struct vt_memory m;
    uint64_t bytes = 0;
    TRY(budget_bytes(g, text, &bytes, e));
    TRY(set_budget(g, bytes, e));
    vt_engine_memory(g, &m);
    pthread_mutex_lock(&w->queue->lock);
    (void)snprintf(w->budget, sizeof w->budget, "%s", text);
    w->new_budget = bytes;
    w->has_new_budget = true;
    w->memory.budget = m.budget;
    pthread_mutex_unlock(&w->queue->lock);
    return ERR_OK;
}

/* What the worker gets of an order's budgets. */
static enum err_code own_budget(const struct worker *w, const struct queue_order *o,
                                char out[sizeof w->budget], struct err *e)
{
    return budget_of_list(o->budget, (int)(w - w->queue->workers), w->queue->n_workers, out,
                          sizeof w->budget, e);
}

void queue_take_budget(struct worker *w)
{
    struct err e = {0};
    pthread_mutex_lock(&w->queue->lock);
    bool changed = w->has_new_budget && w->engine;
    uint64_t bytes = w->new_budget;
    w->has_new_budget = w->has_new_budget && !changed;
    pthread_mutex_unlock(&w->queue->lock);
    if (changed && set_budget(w->engine, bytes, &e) != ERR_OK)
        log_error("the budget cannot be changed: %s", e.text);
    if (changed)
        queue_see_memory(w);
}

static enum err_code ask(struct worker *w, struct vt_engine *g, struct queue_order *o,
                         struct err *e)
{
    char budget[sizeof w->budget];
    if (o->task == QUEUE_PLAN)
        return work_plan(g, w->queue->server->store, o->kind, o->body, &o->plan, e);
    TRY(own_budget(w, o, budget, e));
    return change_budget(w, g, budget, e);
}

enum err_code queue_ask(struct worker *w, struct queue_order *o, struct err *e)
{
    return ask(w, w->engine, o, e);
}

/* ---- the planner ---------------------------------------------------------------------------------------- */

/* Workers with devices of the same name share the first one's planner. */
static struct worker *planner_of(struct worker *w)
{
    struct worker *first = w->queue->workers;
    const char *name = w->options.device ? w->options.device : "";
    while (first->is_remote ||
           strcmp(first->options.device ? first->options.device : "", name) != 0)
        first++;
    return first;
}

static enum err_code open_planner(struct worker *w, struct vt_engine **out, struct err *e)
{
    struct worker *p = planner_of(w);
    struct vt_error v = {0};
    if (!p->planner)
        TRY(from_vt(vt_engine_open(&p->options, &p->planner, &v), &v, e));
    *out = p->planner;
    return ERR_OK;
}

/* Plans by the budget that the jobs have: what is free on the device now says nothing. */
static enum err_code same_budget(struct worker *w, struct vt_engine *planner, struct err *e)
{
    char text[sizeof w->budget];
    uint64_t bytes = 0;
    pthread_mutex_lock(&w->queue->lock);
    memcpy(text, w->budget, sizeof text);
    uint64_t theirs = w->engine ? w->memory.budget : 0;
    pthread_mutex_unlock(&w->queue->lock);
    TRY(budget_bytes(planner, text, &bytes, e));
    return set_budget(planner, bytes ? bytes : theirs, e);
}

static enum err_code answer_plan(struct queue_order *o, struct err *e)
{
    struct vt_engine *planner = NULL;
    TRY(open_planner(o->worker, &planner, e));
    TRY(same_budget(o->worker, planner, e));
    return ask(o->worker, planner, o, e);
}

/* All are read before one is changed. */
static enum err_code answer_budget(struct queue *q, struct queue_order *o, struct err *e)
{
    struct vt_engine *planners[QUEUE_MAX_ENGINES] = {0};
    for (int i = 0; i < q->n_workers; i++) {
        struct worker *w = &q->workers[i];
        char text[sizeof w->budget];
        uint64_t bytes;
        if (w->is_remote)
            continue;
        TRY(open_planner(w, &planners[i], e));
        TRY(own_budget(w, o, text, e));
        TRY(budget_bytes(planners[i], text, &bytes, e));
    }
    for (int i = 0; i < q->n_workers; i++)
        if (planners[i])
            TRY(ask(&q->workers[i], planners[i], o, e));
    return ERR_OK;
}

/* A process that answers questions is soon started anew, and may hold a card's memory. The lock is held, but while they
 * are closed. */
static void close_planners(struct queue *q)
{
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < q->n_workers; i++) {
        vt_engine_close(q->workers[i].planner);
        q->workers[i].planner = NULL;
    }
    pthread_mutex_lock(&q->lock);
}

static void wait_for_questions(struct queue *q)
{
    struct timespec idle;
    if (!queue_idle_end(q, PLANNER_IDLE_SECONDS, &idle))
        pthread_cond_wait(&q->asked, &q->lock);
    else if (pthread_cond_timedwait(&q->asked, &q->lock, &idle) == ETIMEDOUT)
        close_planners(q);
}

void *queue_plan_work(void *queue)
{
    struct queue *q = queue;
    pthread_mutex_lock(&q->lock);
    while (!q->stopping) {
        struct queue_order *o = queue_take_order(q, NULL);
        struct err e = {0};
        if (!o) {
            wait_for_questions(q);
            continue;
        }
        pthread_mutex_unlock(&q->lock);
        e.code = o->task == QUEUE_PLAN ? answer_plan(o, &e) : answer_budget(q, o, &e);
        queue_order_done(q, o, &e);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

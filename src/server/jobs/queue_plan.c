/* queue_plan.c - what is asked of an engine without running anything: plans, and what a budget amounts to. An engine
 * of its own answers, on a thread of its own, since that of the jobs may be busy for an hour. It holds no weights: it
 * plans by running on a device that is dry. */
#include <string.h>

#include "base/log.h"
#include "server/jobs/queue_internal.h"
#include "server/jobs/work.h"

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

/* For the jobs' engine, which takes it up before its next job. */
static enum err_code change_budget(struct queue *q, struct vt_engine *g, struct queue_order *o,
                                   struct err *e)
{
    struct vt_memory m;
    uint64_t bytes = 0;
    TRY(budget_bytes(g, o->budget, &bytes, e));
    TRY(set_budget(g, bytes, e));
    vt_engine_memory(g, &m);
    pthread_mutex_lock(&q->lock);
    memcpy(q->budget, o->budget, sizeof q->budget);
    q->new_budget = bytes;
    q->has_new_budget = true;
    q->memory.budget = m.budget;
    pthread_mutex_unlock(&q->lock);
    return ERR_OK;
}

void queue_take_budget(struct queue *q)
{
    struct err e = {0};
    pthread_mutex_lock(&q->lock);
    bool changed = q->has_new_budget && q->engine;
    uint64_t bytes = q->new_budget;
    q->has_new_budget = q->has_new_budget && !changed;
    pthread_mutex_unlock(&q->lock);
    if (changed && set_budget(q->engine, bytes, &e) != ERR_OK)
        log_error("the budget cannot be changed: %s", e.text);
    if (changed)
        queue_see_memory(q);
}

enum err_code queue_ask(struct queue *q, struct vt_engine *g, struct queue_order *o, struct err *e)
{
    return o->task == QUEUE_BUDGET ? change_budget(q, g, o, e)
                                   : work_plan(g, q->server->store, o->kind, o->body, &o->plan, e);
}

/* ---- the planner ---------------------------------------------------------------------------------------- */

/* Plans by the budget that the jobs have: what is free on the device now says nothing. */
static enum err_code same_budget(struct queue *q, struct err *e)
{
    char text[sizeof q->budget];
    uint64_t bytes = 0;
    pthread_mutex_lock(&q->lock);
    memcpy(text, q->budget, sizeof text);
    uint64_t theirs = q->engine ? q->memory.budget : 0;
    pthread_mutex_unlock(&q->lock);
    TRY(budget_bytes(q->planner, text, &bytes, e));
    return set_budget(q->planner, bytes ? bytes : theirs, e);
}

static enum err_code open_planner(struct queue *q, struct err *e)
{
    struct vt_engine *g;
    struct vt_error v = {0};
    if (q->planner)
        return ERR_OK;
    struct vt_engine_options o = q->engine_options;
    TRY(from_vt(vt_engine_open(&o, &g, &v), &v, e));
    q->planner = g;
    return ERR_OK;
}

static void answer(struct queue *q, struct queue_order *o)
{
    enum err_code rc = open_planner(q, &o->err);
    if (rc == ERR_OK && o->task == QUEUE_PLAN)
        rc = same_budget(q, &o->err);
    if (rc == ERR_OK)
        rc = queue_ask(q, q->planner, o, &o->err);
    o->err.code = rc;
    pthread_mutex_lock(&q->lock);
    http_wake(o->rq);
    pthread_mutex_unlock(&q->lock);
}

void *queue_plan_work(void *queue)
{
    struct queue *q = queue;
    pthread_mutex_lock(&q->lock);
    while (!q->stopping) {
        struct queue_order *o = q->questions;
        if (!o) {
            pthread_cond_wait(&q->asked, &q->lock);
            continue;
        }
        q->questions = o->next;
        pthread_mutex_unlock(&q->lock);
        answer(q, o);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

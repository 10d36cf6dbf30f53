/* queue_orders.c - what engines are told to do beside jobs, and who does it: an order names everyone it is for as a bit in
 * `todo`, each of whom takes it once; who is the last to carry it out tells the client. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"

enum { PLANNER = 1u << QUEUE_MAX_ENGINES };

/* ---- who an order is for --------------------------------------------------------------------------- */

static unsigned bit_of(const struct queue *q, const struct worker *w)
{
    return w ? 1u << (w - q->workers) : PLANNER;
}

static unsigned all(const struct queue *q)
{
    return (1u << q->n_workers) - 1;
}

/* Who answers questions about this engine. */
static unsigned asked(const struct queue *q, const struct worker *w)
{
    return bit_of(q, q->has_planner && !w->is_remote ? NULL : w);
}

static void address(struct queue *q, struct queue_order *o)
{
    struct worker *w = line_worker_for(q, o->model);
    o->todo = 0;
    o->is_for_any = false;
    switch (o->task) {
    case QUEUE_LOAD:
        o->todo = w ? bit_of(q, w) : all(q);
        o->is_for_any = !w;
        break;
    case QUEUE_UNLOAD:
        o->todo = all(q);
        break;
    case QUEUE_PLAN:
        o->worker = w ? w : q->workers;
        o->is_open = strcmp(line_model_of(o->worker), o->model) == 0;
        o->todo = asked(q, o->worker);
        break;
    case QUEUE_BUDGET:
        for (int i = 0; i < q->n_workers; i++)
            o->todo |= asked(q, &q->workers[i]);
        break;
    }
    o->left = o->is_for_any ? 1 : __builtin_popcount(o->todo);
}

/* ---- from the list to its end ---------------------------------------------------------------------- */

/* The lock is held. */
static void append(struct queue *q, struct queue_order *o)
{
    struct queue_order **p = &q->orders;
    while (*p)
        p = &(*p)->next;
    address(q, o);
    o->next = NULL;
    *p = o;
    pthread_cond_broadcast(&q->wake);
    pthread_cond_signal(&q->asked);
}

struct queue_order *queue_take_order(struct queue *q, const struct worker *w)
{
    unsigned bit = bit_of(q, w);
    for (struct queue_order **p = &q->orders; *p; p = &(*p)->next) {
        struct queue_order *o = *p;
        if (!(o->todo & bit))
            continue;
        o->todo = o->is_for_any ? 0 : o->todo & ~bit;
        if (!o->todo)
            *p = o->next;
        return o;
    }
    return NULL;
}

/* The lock is held. */
static void end(struct queue_order *o)
{
    if (o->rq)
        http_wake(o->rq);
    else
        mem_free(o);
}

void queue_order_done(struct queue *q, struct queue_order *o, const struct err *e)
{
    if (e->code != ERR_OK && !o->rq)
        log_error("the model '%s' cannot be opened: %s", o->model, e->text);
    pthread_mutex_lock(&q->lock);
    if (o->err.code == ERR_OK)
        o->err = *e;
    if (--o->left == 0)
        end(o);
    pthread_mutex_unlock(&q->lock);
}

void queue_refuse_orders(struct queue *q)
{
    while (q->orders) {
        struct queue_order *o = q->orders;
        q->orders = o->next;
        (void)err_set(&o->err, ERR_DEVICE, "the server is about to end");
        end(o);
    }
}

/* ---- for the routes -------------------------------------------------------------------------------- */

bool queue_order(struct queue *q, struct queue_order *order)
{
    pthread_mutex_lock(&q->lock);
    http_memo(order->rq)->user = order;
    bool sleeps = q->at_work && !q->stopping;
    if (!sleeps) {
        (void)err_set(&order->err, ERR_DEVICE, "the server is about to end");
    } else {
        http_sleep(order->rq, false); /* workers have the order, which lives in the request */
        append(q, order);
    }
    pthread_mutex_unlock(&q->lock);
    return sleeps;
}

/* For what nobody waits: only the last such wish counts, however often somebody asks. The lock is held. */
static bool leave(struct queue *q, const struct queue_order *what)
{
    struct queue_order *o = mem_try_alloc(sizeof *o);
    if (!o)
        return false;
    for (struct queue_order **p = &q->orders; *p;) {
        struct queue_order *old = *p;
        if (old->rq) {
            p = &old->next;
            continue;
        }
        *p = old->next;
        old->left -= old->is_for_any ? 1 : __builtin_popcount(old->todo);
        old->todo = 0; /* who has taken it carries it out */
        if (old->left == 0)
            end(old);
    }
    *o = *what;
    o->rq = NULL;
    append(q, o);
    return true;
}

/* A running job has it open already. The lock is held. */
static bool is_in_use(const struct queue *q, const char *model)
{
    const struct live *running[QUEUE_MAX_ENGINES];
    int n = line_running(q, running);
    for (int i = 0; i < n; i++)
        if (strcmp(running[i]->model, model) == 0 && running[i]->has_progress &&
            running[i]->progress.stage != VT_STAGE_LOAD)
            return true;
    return false;
}

enum queue_answer queue_leave_order(struct queue *q, const struct queue_order *what)
{
    enum queue_answer a = QUEUE_NOW;
    const struct live *running[QUEUE_MAX_ENGINES];
    pthread_mutex_lock(&q->lock);
    const struct worker *w = line_worker_for(q, what->model);
    bool busy = what->task == QUEUE_LOAD ? !w || w->running : line_running(q, running) > 0;
    if (what->task == QUEUE_LOAD && is_in_use(q, what->model))
        a = QUEUE_OPEN;
    else if (busy && !q->stopping && leave(q, what))
        a = QUEUE_LATER;
    pthread_mutex_unlock(&q->lock);
    return a;
}

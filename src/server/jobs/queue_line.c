#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

enum { REST_SECONDS = 5, REST_MOST_SECONDS = 300 };

struct live *live_new(const struct job_record *rec)
{
    struct live *j = mem_try_alloc(sizeof *j);
    char *copy = mem_try_strndup(rec->model, strlen(rec->model));
    if (!j || !copy) {
        mem_free(j);
        mem_free(copy);
        return NULL;
    }
    memcpy(j->id, rec->id, sizeof j->id);
    memcpy(j->kind, rec->kind, sizeof j->kind);
    memcpy(j->project, rec->project, sizeof j->project);
    memcpy(j->layer, rec->layer, sizeof j->layer);
    j->model = copy;
    j->passed = rec->is_placed ? QUEUE_MAX_PASSED : 0;
    buf_init(&j->notes, LIMIT_NOTES);
    buf_init(&j->preview, LIMIT_PREVIEW);
    return j;
}

void live_free(struct live *j)
{
    if (!j)
        return;
    buf_deinit(&j->notes);
    buf_deinit(&j->preview);
    mem_free(j->model);
    mem_free(j);
}

/* ---- engines and their models ---------------------------------------------------------------------- */

const char *line_model_of(const struct worker *w)
{
    return w->running ? w->running->model : w->open_model;
}

static bool has_open(const struct worker *w, const char *model)
{
    return strcmp(line_model_of(w), model) == 0;
}

static bool is_open(const struct queue *q, const char *model)
{
    for (int i = 0; i < q->n_workers; i++)
        if (has_open(&q->workers[i], model))
            return true;
    return false;
}

/* Nothing runs there, and nothing will before the next job. */
static bool is_free(const struct queue *q, const struct worker *w)
{
    unsigned bit = 1u << (w - q->workers);
    bool free = !w->running && !w->busy && clock_s() >= w->rests_until;
    for (const struct queue_order *o = q->orders; o && free; o = o->next)
        free = !(o->todo & bit);
    return free;
}

static struct worker *free_with_model(struct queue *q, const char *model)
{
    for (int i = 0; i < q->n_workers; i++)
        if (has_open(&q->workers[i], model) && is_free(q, &q->workers[i]))
            return &q->workers[i];
    return NULL;
}

/* The free engine that loses the least by opening another model: one that has none, else the one whose last job is the
 * longest ago. */
static struct worker *free_for_any(struct queue *q)
{
    struct worker *best = NULL;
    for (int i = 0; i < q->n_workers; i++) {
        struct worker *w = &q->workers[i];
        bool empty = !*line_model_of(w);
        if (is_free(q, w) && (!best || (empty && *line_model_of(best)) ||
                              (empty == !*line_model_of(best) && w->used < best->used)))
            best = w;
    }
    return best;
}

/* 5 s, then twice as long after each failure, up to 5 minutes. */
static double rest_seconds(int failures)
{
    double seconds = REST_SECONDS;
    for (int i = 1; i < failures && seconds < REST_MOST_SECONDS; i++)
        seconds *= 2;
    return seconds < REST_MOST_SECONDS ? seconds : REST_MOST_SECONDS;
}

bool line_note_device(struct worker *w, const struct err *e)
{
    const struct queue *q = w->queue;
    bool other_works = false;
    for (int i = 0; i < q->n_workers; i++)
        other_works = other_works || (&q->workers[i] != w && q->workers[i].failures == 0);
    w->failures = e ? w->failures + 1 : 0;
    bool rests = e && other_works;
    w->rests_until = rests ? clock_s() + rest_seconds(w->failures) : 0;
    (void)snprintf(w->failure, sizeof w->failure, "%s", rests ? e->text : "");
    return rests;
}

struct worker *line_worker_for(struct queue *q, const char *model)
{
    struct worker *w = free_with_model(q, model);
    if (!w)
        w = free_for_any(q);
    for (int i = 0; i < q->n_workers && !w; i++)
        if (has_open(&q->workers[i], model))
            w = &q->workers[i];
    return w;
}

/* ---- places ---------------------------------------------------------------------------------------- */

/* Two jobs whose models different engines have open do not wait for each other. */
static bool competes(const struct queue *q, const char *a, const char *b)
{
    return strcmp(a, b) == 0 || !is_open(q, a) || !is_open(q, b);
}

/* Where it goes; one that was given its place stays behind all others. */
static struct live **place_for(struct queue *q, const struct live *j)
{
    struct live **end = &q->first, **at = is_open(q, j->model) ? end : NULL;
    for (; *end; end = &(*end)->next) {
        if (strcmp((*end)->model, j->model) == 0 ||
            (at == end && !competes(q, (*end)->model, j->model)))
            at = &(*end)->next;
        else if ((*end)->passed >= QUEUE_MAX_PASSED)
            at = NULL;
    }
    return at && j->passed < QUEUE_MAX_PASSED ? at : end;
}

static int index_of(const struct queue *q, const struct live *j)
{
    int i = 0;
    for (const struct live *p = q->first; p && p != j; p = p->next)
        i++;
    return i;
}

int line_append(struct queue *q, struct live *j)
{
    struct live **at = place_for(q, j);
    for (struct live *p = *at; p; p = p->next)
        p->passed++;
    j->next = *at;
    *at = j;
    q->length++;
    pthread_cond_broadcast(&q->wake);
    return index_of(q, j) + 1;
}

void line_move(struct queue *q, struct live *j, int index)
{
    struct live **at = &q->first;
    (void)line_take(q, j);
    for (; *at && index > 0; index--)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
    q->length++;
    for (struct live *p = q->first; p; p = p->next)
        p->passed = QUEUE_MAX_PASSED;
}

struct live *line_take(struct queue *q, struct live *j)
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

struct queue_view line_view_running(const struct live *j)
{
    struct queue_view v = {.progress = j->progress,
                           .has_progress = j->has_progress,
                           .seconds = clock_s() - j->started};
    line_view(j, &v);
    return v;
}

void line_view(const struct live *j, struct queue_view *out)
{
    out->live = true;
    memcpy(out->project, j->project, sizeof out->project);
    memcpy(out->layer, j->layer, sizeof out->layer);
}

struct live *line_find_waiting(struct queue *q, const char *id)
{
    struct live *j = q->first;
    while (j && strcmp(j->id, id) != 0)
        j = j->next;
    return j;
}

struct live *line_find_ending(struct queue *q, const char *id)
{
    struct live *j = q->first;
    while (j && (!j->is_ending || strcmp(j->id, id) != 0))
        j = j->next;
    return j;
}

struct worker *line_worker_of(struct queue *q, const char *id)
{
    for (int i = 0; i < q->n_workers; i++)
        if (q->workers[i].running && strcmp(q->workers[i].running->id, id) == 0)
            return &q->workers[i];
    return NULL;
}

struct live *line_find(struct queue *q, const char *id)
{
    const struct worker *w = line_worker_of(q, id);
    return w ? w->running : line_find_waiting(q, id);
}

int line_running(const struct queue *q, const struct live *out[QUEUE_MAX_ENGINES])
{
    int n = 0;
    for (int i = 0; i < q->n_workers; i++) {
        const struct live *j = q->workers[i].running;
        int at = n;
        if (!j)
            continue;
        for (; at > 0 && out[at - 1]->started > j->started; at--)
            out[at] = out[at - 1];
        out[at] = j;
        n++;
    }
    return n;
}

/* ---- the next one ---------------------------------------------------------------------------------- */

static struct live *next_of(struct live *j)
{
    while (j && j->is_ending)
        j = j->next;
    return j;
}

static struct worker *give(struct queue *q, struct worker *w, struct live *j)
{
    w->running = line_take(q, j);
    j->started = clock_s();
    w->used = ++q->given;
    return w;
}

/* The first that a free engine has its model open for. Those before it may be passed, and wait for engines of their own,
 * which have their models open. */
static struct live *choose_for_open(struct queue *q, struct worker **w)
{
    for (struct live *j = next_of(q->first); j; j = next_of(j->next)) {
        *w = free_with_model(q, j->model);
        if (*w)
            return j;
        if (j->passed >= QUEUE_MAX_PASSED || !is_open(q, j->model))
            return NULL;
    }
    return NULL;
}

struct worker *line_choose(struct queue *q)
{
    struct worker *w = free_for_any(q);
    struct live *j = w ? choose_for_open(q, &w) : NULL;
    for (struct live *p = next_of(q->first); j && p != j; p = next_of(p->next))
        p->passed++;
    if (!j) {
        w = free_for_any(q);
        j = w ? next_of(q->first) : NULL;
    }
    return j ? give(q, w, j) : NULL;
}

void line_return(struct queue *q, struct worker *w)
{
    w->running->next = q->first;
    q->first = w->running;
    w->running = NULL;
    q->length++;
}

void live_wake_waiters(struct live *j)
{
    for (struct waiter *w = j->waiters; w;) {
        struct waiter *next = w->next; /* the request may be gone at once */
        http_wake(w->rq);
        w = next;
    }
    j->waiters = NULL;
}

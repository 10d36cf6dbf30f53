#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

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

/* Where it goes; one that was given its place stays behind all others. */
static struct live **place_for(struct queue *q, const struct live *j)
{
    const char *before = q->running ? q->running->model : q->open_model;
    struct live **end = &q->first, **at = strcmp(before, j->model) == 0 ? end : NULL;
    for (; *end; end = &(*end)->next) {
        if (strcmp((*end)->model, j->model) == 0)
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
    pthread_cond_signal(&q->wake);
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

struct queue_view line_view_running(const struct queue *q)
{
    const struct live *j = q->running;
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

struct live *line_find(struct queue *q, const char *id)
{
    if (q->running && strcmp(q->running->id, id) == 0)
        return q->running;
    return line_find_waiting(q, id);
}

struct live *line_choose(struct queue *q)
{
    struct live *j = q->first;
    while (j && j->is_ending)
        j = j->next;
    return j ? line_take(q, j) : NULL;
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

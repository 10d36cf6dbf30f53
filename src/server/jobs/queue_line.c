#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "server/limits.h"

struct live *live_new(const char *id, const char *kind, const char *model)
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

void line_append(struct queue *q, struct live *j)
{
    struct live **p = &q->first;
    while (*p)
        p = &(*p)->next;
    j->next = NULL;
    *p = j;
    q->length++;
    pthread_cond_signal(&q->wake);
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
    return (struct queue_view){.live = true,
                               .progress = j->progress,
                               .has_progress = j->has_progress,
                               .seconds = clock_s() - j->started};
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
    struct live *first = q->first;
    while (first && first->is_ending)
        first = first->next;
    struct live *same = first;
    while (same && (same->is_ending || strcmp(same->model, q->open_model) != 0))
        same = same->next;
    if (!same || same == first || first->passed >= QUEUE_MAX_PASSED)
        return first ? line_take(q, first) : NULL;
    for (struct live *j = first; j != same; j = j->next)
        j->passed++;
    return line_take(q, same);
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

#include "http/pool.h"

#include <pthread.h>

#include "base/mem.h"

enum { MAX_THREADS = 16 };

struct pool {
    struct pool_options options;
    pthread_t threads[MAX_THREADS];
    int n_threads;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct pool_task *first, **end;
    int waiting, running;
    uint64_t bytes, begun;
    bool closing;
};

/* The lock is held. A task on its own always fits: pool_add has seen to it. */
static struct pool_task *take(struct pool *p)
{
    struct pool_task *t = p->first;
    if (!t || t->bytes > p->options.allowance - p->bytes)
        return NULL;
    p->first = t->next;
    if (!p->first)
        p->end = &p->first;
    p->waiting--;
    return t;
}

static void *work(void *pool)
{
    struct pool *p = pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct pool_task *t = take(p);
        if (!t && p->closing && !p->first)
            break;
        if (!t) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        uint64_t bytes = t->bytes;
        p->running++;
        p->begun++;
        p->bytes += bytes;
        pthread_mutex_unlock(&p->lock);
        t->run(t);
        pthread_mutex_lock(&p->lock);
        p->running--;
        p->bytes -= bytes;
        pthread_cond_broadcast(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err_code pool_open(const struct pool_options *o, struct pool **out, struct err *e)
{
    struct pool *p = mem_alloc(sizeof *p);
    *out = p;
    p->options = *o;
    p->end = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 0; i < o->threads && i < MAX_THREADS; i++) {
        if (pthread_create(&p->threads[i], NULL, work, p) != 0)
            return err_set(e, ERR_NOMEM, "no threads for the server's work");
        p->n_threads++;
    }
    return ERR_OK;
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    p->n_threads = 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    mem_free(p);
}

enum err_code pool_add(struct pool *p, struct pool_task *t, struct err *e)
{
    enum err_code rc = ERR_OK;
    if (t->bytes > p->options.allowance)
        return err_set(
            e, ERR_LIMIT, "this takes up to %llu MiB of memory; the server may use %llu MiB for it",
            (unsigned long long)(t->bytes >> 20), (unsigned long long)(p->options.allowance >> 20));
    pthread_mutex_lock(&p->lock);
    if (p->closing) {
        rc = err_set(e, ERR_BUSY, "the server is about to end");
    } else if (p->waiting >= p->options.max_waiting) {
        rc = err_set(e, ERR_BUSY, "%d such requests are waiting already", p->waiting);
    } else {
        t->next = NULL;
        *p->end = t;
        p->end = &t->next;
        p->waiting++;
        pthread_cond_broadcast(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void pool_state(struct pool *p, struct pool_state *out)
{
    pthread_mutex_lock(&p->lock);
    *out = (struct pool_state){.running = p->running,
                               .waiting = p->waiting,
                               .begun = p->begun,
                               .bytes = p->bytes,
                               .allowance = p->options.allowance};
    pthread_mutex_unlock(&p->lock);
}

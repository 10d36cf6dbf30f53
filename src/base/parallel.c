#include "base/parallel.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum { MOST_THREADS = 16 };

struct pieces {
    size_t n;
    atomic_size_t next;
    void (*fn)(size_t i, void *user);
    void *user;
};

static void *work(void *arg)
{
    struct pieces *p = arg;
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n;)
        p->fn(i, p->user);
    return NULL;
}

size_t parallel_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

bool parallel_start(pthread_t *out, void *(*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_create(out, NULL, fn, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void parallel_each(size_t n, void (*fn)(size_t i, void *user), void *user)
{
    pthread_t threads[MOST_THREADS];
    struct pieces p = {.n = n, .fn = fn, .user = user};
    size_t wanted = n > 1 ? parallel_processors() : 1, made = 0;
    wanted = wanted < n ? wanted : n;
    wanted = wanted < MOST_THREADS ? wanted : MOST_THREADS;
    while (made + 1 < wanted && pthread_create(&threads[made], NULL, work, &p) == 0)
        made++;
    (void)work(&p);
    for (size_t i = 0; i < made; i++)
        (void)pthread_join(threads[i], NULL);
}

#include "bench/memory.h"

#include <string.h>
#include <time.h>

#include "memory/budget.h"

enum { SAMPLE_NS = 10 * 1000 * 1000 };

/* With the lock held. */
static void sample(struct bench_memory *m)
{
    uint64_t anonymous, file;
    struct bench_memory_peak *p = &m->peaks[m->slot];
    procmem_read(&anonymous, &file);
    if (anonymous > p->anonymous_bytes)
        p->anonymous_bytes = anonymous;
    if (file > p->file_bytes)
        p->file_bytes = file;
}

static void *run(void *arg)
{
    struct bench_memory *m = arg;
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        struct timespec until;
        sample(m);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SAMPLE_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&m->wake, &m->lock, &until);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

enum err_code bench_memory_start(struct bench_memory *m, struct err *e)
{
    pthread_condattr_t attr;
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    int sys = pthread_create(&m->thread, NULL, run, m);
    if (sys == 0)
        return ERR_OK;
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    return err_set_sys(e, ERR_NOMEM, sys, "cannot start a thread");
}

void bench_memory_slot(struct bench_memory *m, int slot)
{
    pthread_mutex_lock(&m->lock);
    if (slot != m->slot) {
        sample(m);
        m->slot = slot;
        sample(m);
    }
    pthread_mutex_unlock(&m->lock);
}

void bench_memory_stop(struct bench_memory *m)
{
    pthread_mutex_lock(&m->lock);
    sample(m);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
}

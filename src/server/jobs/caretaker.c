#include "server/jobs/caretaker.h"

#include <pthread.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"

struct caretaker {
    struct store *store;
    int every_seconds;
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t work_lock; /* held while the store is tidied. Before the lock */
    pthread_mutex_t lock;      /* guards what follows */
    pthread_cond_t wake;
    struct caretaker_seen seen;
};

enum err_code caretaker_tidy(struct caretaker *c, struct store_tidied *out, struct err *e)
{
    struct store_limits limits;
    pthread_mutex_lock(&c->work_lock);
    enum err_code rc = store_limits_get(c->store, &limits, e);
    if (rc == ERR_OK)
        rc = store_tidy(c->store, &limits, &c->stop, out, e);
    pthread_mutex_unlock(&c->work_lock);
    if (rc != ERR_OK)
        return rc;
    if (out->jobs || out->gc.assets)
        log_info("tidied: %llu jobs and %llu images went, %.1f MiB", (unsigned long long)out->jobs,
                 (unsigned long long)out->gc.assets, (double)out->gc.bytes / (1 << 20));
    pthread_mutex_lock(&c->lock);
    c->seen = (struct caretaker_seen){.at_ms = store_now_ms(c->store), .last = *out};
    pthread_mutex_unlock(&c->lock);
    return ERR_OK;
}

/* False: it is to end. */
static bool wait_for_turn(struct caretaker *c)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += c->every_seconds;
    pthread_mutex_lock(&c->lock);
    int r = 0;
    while (!atomic_load(&c->stop) && r == 0)
        r = pthread_cond_timedwait(&c->wake, &c->lock, &until);
    pthread_mutex_unlock(&c->lock);
    return !atomic_load(&c->stop);
}

static void *work(void *arg)
{
    struct caretaker *c = arg;
    while (wait_for_turn(c)) {
        struct store_tidied t;
        struct err e = {0};
        enum err_code rc = caretaker_tidy(c, &t, &e);
        if (rc != ERR_OK && rc != ERR_CANCELLED)
            log_warn("the store could not be tidied: %s", e.text);
    }
    return NULL;
}

enum err_code caretaker_open(struct store *s, int every_seconds, struct caretaker **out,
                             struct err *e)
{
    struct caretaker *c = mem_alloc(sizeof *c);
    pthread_condattr_t attr;
    c->store = s;
    c->every_seconds = every_seconds ? every_seconds : CARETAKER_DEFAULT_SECONDS;
    pthread_mutex_init(&c->work_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    *out = c;
    if (pthread_create(&c->thread, NULL, work, c) == 0)
        return ERR_OK;
    *out = NULL;
    mem_free(c);
    return err_set(e, ERR_NOMEM, "no thread to look after the store");
}

void caretaker_close(struct caretaker *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, true);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    pthread_mutex_destroy(&c->work_lock);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->wake);
    mem_free(c);
}

void caretaker_seen(struct caretaker *c, struct caretaker_seen *out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->seen;
    pthread_mutex_unlock(&c->lock);
}

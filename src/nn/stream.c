/* stream.c - the thread that loads blocks of weights ahead of the computation.
 *
 * One thread loads, one thread (the device's) computes. Each slot passes through: empty, loading, wanted (loaded,
 * not yet used), in use, empty. The loader always goes for the next block of the order and stops when that block's
 * slot is wanted or in use, so it is at most `slots` blocks ahead.
 *
 * The lock guards everything below it in struct nn_stream and is given up while a block is loaded. A block asked
 * for out of turn moves `next`; the load that is then under way finishes but its result is dropped (load_next
 * compares `next` afterwards). An error of the loader is kept and told to the next nn_stream_acquire, once.
 */
#include "nn/stream.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct slot {
    int block;   /* that it holds; -1: none */
    bool in_use; /* between acquire and done */
    bool wanted; /* loaded and not yet used: not to be overwritten */
};

struct times {       /* in seconds, since the start */
    double load;     /* the thread spent loading */
    double wait;     /* the computation spent waiting for a block */
    uint64_t blocks; /* loaded */
};

struct nn_stream {
    struct nn_stream_spec spec;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int next;    /* block to load */
    int loading; /* -1: none */
    bool stop, failed;
    struct err error;
    struct times times;
    struct slot *slots;
};

static struct slot *slot_of(struct nn_stream *s, int block)
{
    return &s->slots[block % s->spec.slots];
}

static bool can_load(struct nn_stream *s)
{
    const struct slot *y = slot_of(s, s->next);
    return !s->failed && !y->in_use && !y->wanted;
}

/* With the lock held; lets go of it while loading. */
static void load_next(struct nn_stream *s)
{
    int block = s->next;
    struct err e = {0};
    slot_of(s, block)->block = -1;
    s->loading = block;
    pthread_mutex_unlock(&s->lock);
    double start = clock_s();
    enum err_code rc = s->spec.load(s->spec.user, block, &e);
    double took = clock_s() - start;
    pthread_mutex_lock(&s->lock);
    s->times.load += took;
    s->times.blocks++;
    s->loading = -1;
    bool wanted = s->next == block; /* else the order began anew meanwhile: see restart_at */
    if (wanted && rc != ERR_OK) {
        s->failed = true;
        s->error = e;
    } else if (wanted) {
        *slot_of(s, block) = (struct slot){.block = block, .wanted = true};
        s->next = (block + 1) % s->spec.blocks;
    }
    pthread_cond_broadcast(&s->changed);
}

static void *work(void *arg)
{
    struct nn_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (can_load(s))
            load_next(s);
        else
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

enum err_code nn_stream_start(const struct nn_stream_spec *spec, struct nn_stream **out,
                              struct err *e)
{
    *out = NULL;
    struct nn_stream *s = mem_try_alloc(sizeof *s);
    if (s)
        s->slots = mem_try_array((size_t)spec->slots, sizeof *s->slots);
    if (!s || !s->slots) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "no memory to stream weights");
    }
    s->spec = *spec;
    s->loading = -1;
    for (int i = 0; i < spec->slots; i++)
        s->slots[i].block = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, work, s) != 0) {
        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
        mem_free(s->slots);
        mem_free(s);
        return err_set(e, ERR_NOMEM, "no thread to stream weights");
    }
    *out = s;
    return ERR_OK;
}

void nn_stream_stop(struct nn_stream *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    log_debug("streaming: %llu blocks in %.3f s of uploading, %.3f s waited for them",
              (unsigned long long)s->times.blocks, s->times.load, s->times.wait);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->slots);
    mem_free(s);
}

/* Makes `block` the next to be loaded, and forgets what was loaded ahead for another place in the order. */
static void restart_at(struct nn_stream *s, int block)
{
    for (int i = 0; i < s->spec.slots; i++)
        if (!s->slots[i].in_use)
            s->slots[i] = (struct slot){.block = -1};
    s->next = block;
    s->failed = false;
    pthread_cond_broadcast(&s->changed);
}

enum err_code nn_stream_acquire(struct nn_stream *s, int block, struct err *e)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&s->lock);
    struct slot *y = slot_of(s, block);
    double start = clock_s();
    if (y->block != block && s->loading != block && (s->next != block || y->wanted))
        restart_at(s, block);
    while (y->block != block && !s->failed)
        pthread_cond_wait(&s->changed, &s->lock);
    if (y->block == block) {
        y->in_use = true;
        y->wanted = false;
    } else {
        s->failed = false;
        if (e)
            *e = s->error;
        rc = s->error.code;
    }
    s->times.wait += clock_s() - start;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void nn_stream_done(struct nn_stream *s, int block)
{
    pthread_mutex_lock(&s->lock);
    slot_of(s, block)->in_use = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

#include "bench/copy.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"

enum { COPY_BYTES = 256 << 20, MAX_THREADS = 64 };

struct copier {
    unsigned char *to;
    const unsigned char *from;
    size_t n;
};

static void *copy(void *arg)
{
    const struct copier *c = arg;
    memcpy(c->to, c->from, c->n);
    return NULL;
}

/* One copy of the whole by so many threads; the seconds that it took. */
static double copy_once(unsigned char *to, const unsigned char *from, int threads)
{
    pthread_t id[MAX_THREADS];
    struct copier part[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    double start = clock_s();
    for (int i = 0; i < threads; i++) {
        size_t first = (size_t)COPY_BYTES / (size_t)threads * (size_t)i;
        size_t last = i + 1 == threads ? (size_t)COPY_BYTES
                                       : (size_t)COPY_BYTES / (size_t)threads * (size_t)(i + 1);
        part[i] = (struct copier){to + first, from + first, last - first};
        started[i] = i + 1 < threads && pthread_create(&id[i], NULL, copy, &part[i]) == 0;
        if (!started[i])
            copy(&part[i]);
    }
    for (int i = 0; i < threads; i++)
        if (started[i])
            (void)pthread_join(id[i], NULL);
    return clock_s() - start;
}

static unsigned char *map_memory(void)
{
    void *p = mmap(NULL, COPY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unmap_memory(unsigned char *p)
{
    if (p)
        (void)munmap(p, COPY_BYTES);
}

/* Finding the pages belongs to the copy when it is one into new memory, and comes before it otherwise. */
static enum err_code time_copy(enum bench_copy_kind kind, const unsigned char *from, int threads,
                               double *seconds, struct err *e)
{
    unsigned char *to = map_memory();
    if (!to)
        return err_set(e, ERR_NOMEM, "no memory to measure copying");
    if (kind == BENCH_COPY_IN_MEMORY)
        memset(to, 2, COPY_BYTES);
    *seconds = copy_once(to, from, threads);
    unmap_memory(to);
    return ERR_OK;
}

enum err_code bench_copy_measure(enum bench_copy_kind kind, int threads, double seconds,
                                 const atomic_bool *cancel, double *bytes_per_second, struct err *e)
{
    unsigned char *from = map_memory();
    double best = 0, t = 0, start = clock_s();
    enum err_code rc;
    TRY_GOTO(from ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to measure copying"), done);
    memset(from, 1, COPY_BYTES);
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    for (int i = 0; i < 3 || clock_s() - start < seconds; i++) {
        TRY_GOTO(time_copy(kind, from, threads, &t, e), done);
        if (i == 0 || t < best)
            best = t;
        if (cancel && atomic_load(cancel)) {
            rc = err_set(e, ERR_CANCELLED, "stopped on request");
            goto done;
        }
    }
    *bytes_per_second = COPY_BYTES / best;
done:
    unmap_memory(from);
    return rc;
}

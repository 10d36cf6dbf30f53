/* memory.h - the most memory that the process held in each part of a run.
 *
 * A thread reads /proc/self/status a hundred times a second and keeps the largest values under the slot that
 * is current. One owner; bench_memory_slot may be called from another thread.
 */
#ifndef VT_BENCH_MEMORY_H
#define VT_BENCH_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { BENCH_MEMORY_SLOTS = 32 };

struct bench_memory_peak {
    uint64_t anonymous_bytes, file_bytes;
};

struct bench_memory {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    int slot;
    struct bench_memory_peak peaks[BENCH_MEMORY_SLOTS];
};

/* Slot 0 is current. */
ERR_MUST_CHECK enum err_code bench_memory_start(struct bench_memory *m, struct err *e);
void bench_memory_slot(struct bench_memory *m, int slot);
/* Ends the thread; the peaks can be read then. */
void bench_memory_stop(struct bench_memory *m);

#endif

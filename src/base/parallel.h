/* parallel.h - independent pieces of work on several processors.
 *
 * Threads are made for each call, some tens of microseconds apiece, so this is for work of milliseconds. What a piece
 * does must not depend on which thread does it, or when.
 */
#ifndef VT_BASE_PARALLEL_H
#define VT_BASE_PARALLEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* fn(i, user) for every i below n, at most one at a time a processor; returns when all are done. Where no thread can be
 * made, the caller's does everything. */
void parallel_each(size_t n, void (*fn)(size_t i, void *user), void *user);
/* How many processors this process may use. */
size_t parallel_processors(void);
/* A thread that handles no signals: those of the process are for the program whose library this is. False: none can be
 * made. The caller joins it. */
bool parallel_start(pthread_t *out, void *(*fn)(void *arg), void *arg);

#endif

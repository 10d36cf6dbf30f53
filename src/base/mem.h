/* mem.h - the one place that calls malloc.
 *
 * Two families. `mem_try_*` may return NULL: for every size that comes from a file, a request or a
 * model; the caller answers with ERR_NOMEM. `mem_*` without try never returns NULL: for small fixed
 * sizes; when memory is exhausted it prints one line and ends the process (base/mem.c).
 * All memory is zeroed. Tests make allocations fail on purpose with mem_fail_after.
 */
#ifndef VT_BASE_MEM_H
#define VT_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory or NULL. Caller frees with mem_free. n = 0 gives a valid pointer. */
void *mem_try_alloc(size_t n);
/* Room for count items of size bytes, zeroed; NULL also when the product overflows. */
void *mem_try_array(size_t count, size_t size);
/* Grows or shrinks; new bytes are NOT zeroed. On NULL the old block stays valid. */
void *mem_try_realloc(void *p, size_t n);
/* As mem_try_alloc with an alignment (a power of two, at least sizeof(void *)); not zeroed.
 * Caller frees with mem_free. */
void *mem_try_aligned(size_t align, size_t n);
/* Never NULL. For small sizes known at compile time. */
void *mem_alloc(size_t n);
/* Copy of the first n bytes with a NUL behind them; NULL when memory is out. */
char *mem_try_strndup(const char *s, size_t n);
/* Accepts NULL. */
void mem_free(void *p);

/* Test hook: the n-th try allocation from now (1 = the next) and all after it fail; 0 turns it off.
 * Not thread-safe on purpose: tests with one thread use it. */
void mem_fail_after(long n);

/* The only place below the command line that may end the process.
 * A small fixed allocation failed: the program cannot continue. One line on stderr, exit code 1. */
void fatal_out_of_memory(size_t wanted_bytes) __attribute__((noreturn));

#endif

/* arena.h - many small allocations that die together (per request, per load, per graph build).
 *
 * Born with a maximum; arena_alloc returns NULL past it or when memory is out (a `try` family: check).
 * Everything is zeroed. In sanitizer builds each item gets its own malloc so that overruns are seen.
 * Not thread-safe.
 */
#ifndef VT_BASE_ARENA_H
#define VT_BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used_bytes;
    size_t max_bytes;
};

void arena_init(struct arena *a, size_t max_bytes);
void arena_deinit(struct arena *a);
/* Zeroed, aligned for any type; NULL past the maximum. Lives until arena_deinit. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size);
/* NUL-terminated copy. */
char *arena_strdup(struct arena *a, struct str s);

#endif

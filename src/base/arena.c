/* arena.c - blocks of 64 KiB in a list, the newest first; an item that is larger gets a block of its own.
 *
 * The room left at the end of a block is given up when an item does not fit: arenas are short-lived, and a search
 * for holes would cost more than the bytes are worth. The maximum counts what items take, not what blocks hold.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_EACH_OWN_BLOCK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_EACH_OWN_BLOCK 1
#endif
#endif
#ifndef ARENA_EACH_OWN_BLOCK
#define ARENA_EACH_OWN_BLOCK 0
#endif

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max_bytes = max_bytes};
}

void arena_deinit(struct arena *a)
{
    while (a->head) {
        struct arena_block *b = a->head;
        a->head = b->next;
        mem_free(b);
    }
    a->used_bytes = 0;
}

static struct arena_block *arena_block_new(struct arena *a, size_t cap)
{
    size_t room;
    if (!ck_add_size(sizeof(struct arena_block), cap, &room))
        return NULL;
    struct arena_block *b = mem_try_alloc(room);
    if (!b)
        return NULL;
    b->cap = cap;
    b->next = a->head;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t size, used;
    if (!ck_add_size(n ? n : 1, alignof(max_align_t) - 1, &size))
        return NULL;
    if (!ARENA_EACH_OWN_BLOCK)
        size &= ~(alignof(max_align_t) - 1);
    else
        size = n ? n : 1;
    if (!ck_add_size(a->used_bytes, size, &used) || used > a->max_bytes)
        return NULL;
    struct arena_block *b = a->head;
    if (ARENA_EACH_OWN_BLOCK || !b || b->cap - b->used < size) {
        size_t cap = ARENA_EACH_OWN_BLOCK || size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        b = arena_block_new(a, cap);
        if (!b)
            return NULL;
    }
    void *p = b->bytes + b->used;
    b->used += size;
    a->used_bytes = used;
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (!ck_mul_size(count, size, &n))
        return NULL;
    return arena_alloc(a, n);
}

char *arena_strdup(struct arena *a, struct str s)
{
    size_t room;
    if (!ck_add_size(s.n, 1, &room))
        return NULL;
    char *p = arena_alloc(a, room);
    if (p && s.n)
        memcpy(p, s.p, s.n);
    return p;
}

/* buf.h - a growing byte buffer, born with a maximum, whose failures stick.
 *
 * Append as often as you like and test once: after a failed append (memory or maximum) all further
 * appends do nothing and buf_failed says true.
 *
 *     struct buf b;
 *     buf_init(&b, 1 << 20);
 *     buf_printf(&b, "%d layers", n);
 *     if (buf_failed(&b)) ...
 *     buf_deinit(&b);
 */
#ifndef VT_BASE_BUF_H
#define VT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct buf {
    char *p; /* n bytes, then a NUL (NULL while nothing was appended) */
    size_t n;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_z(struct buf *b, const char *z);
void buf_add_byte(struct buf *b, unsigned byte);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for n more bytes and returns where they go (counted as appended); NULL on failure. */
void *buf_grow(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* n = 0, memory kept, failure kept */
/* Keeps the first n bytes (n is at most b->n): undoes a buf_grow whose room was not needed. */
void buf_cut(struct buf *b, size_t n);

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

/* NUL-terminated contents, never NULL. Borrowed from b. */
static inline const char *buf_z(const struct buf *b)
{
    return b->p ? b->p : "";
}

/* Gives the bytes to the caller (frees with mem_free) and leaves b empty. NULL when b is empty or
 * failed. */
char *buf_take(struct buf *b);

#endif

/* buf.c - grows by doubling, up to the maximum that the buffer was born with.
 *
 * A byte behind the contents is always kept for a NUL, so that buf_z costs nothing. A failure frees nothing and is
 * remembered in the buffer: an append that failed must not be followed by one that fits, which would leave a hole in
 * the middle.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"

void buf_init(struct buf *b, size_t max)
{
    memset(b, 0, sizeof *b);
    b->max = max;
}

void buf_deinit(struct buf *b)
{
    mem_free(b->p);
    memset(b, 0, sizeof *b);
}

/* Room for n more bytes and the NUL. */
static bool buf_reserve(struct buf *b, size_t n)
{
    size_t need;
    if (b->failed || !ck_add_size(b->n, n, &need) || need > b->max || need == SIZE_MAX) {
        b->failed = true;
        return false;
    }
    if (need + 1 <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need + 1)
        cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    char *p = mem_try_realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void *buf_grow(struct buf *b, size_t n)
{
    if (!buf_reserve(b, n))
        return NULL;
    char *at = b->p + b->n;
    b->n += n;
    b->p[b->n] = 0;
    return at;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    void *at = buf_grow(b, n);
    if (at && n)
        memcpy(at, p, n);
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_z(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_add_byte(struct buf *b, unsigned byte)
{
    unsigned char c = (unsigned char)byte;
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
    } else if (buf_reserve(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_cut(struct buf *b, size_t n)
{
    b->n = n;
    if (b->p)
        b->p[n] = 0;
}

void buf_clear(struct buf *b)
{
    buf_cut(b, 0);
}

char *buf_take(struct buf *b)
{
    if (b->failed || !b->p)
        return NULL;
    char *p = b->p;
    b->p = NULL;
    b->n = b->cap = 0;
    return p;
}

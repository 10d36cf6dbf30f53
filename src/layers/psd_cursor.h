/* psd_cursor.h - big-endian reading inside bounds, whose failures stick: read as much as you like and
 * test once. After a failure every read gives zero or NULL. */
#ifndef VT_LAYERS_PSD_CURSOR_H
#define VT_LAYERS_PSD_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct psd_cursor {
    const unsigned char *p;
    size_t n, at;
    bool failed;
};

static inline size_t psd_left(const struct psd_cursor *c)
{
    return c->n - c->at;
}

/* The next n bytes, borrowed; NULL when there are fewer. */
static inline const unsigned char *psd_take(struct psd_cursor *c, size_t n)
{
    if (c->failed || n > psd_left(c)) {
        c->failed = true;
        return NULL;
    }
    const unsigned char *p = c->p + c->at;
    c->at += n;
    return p;
}

static inline uint32_t psd_number(struct psd_cursor *c, size_t n_bytes)
{
    const unsigned char *p = psd_take(c, n_bytes);
    uint32_t v = 0;
    for (size_t i = 0; p && i < n_bytes; i++)
        v = (v << 8) | p[i];
    return v;
}

static inline unsigned psd_u8(struct psd_cursor *c)
{
    return psd_number(c, 1);
}

static inline unsigned psd_u16(struct psd_cursor *c)
{
    return psd_number(c, 2);
}

static inline uint32_t psd_u32(struct psd_cursor *c)
{
    return psd_number(c, 4);
}

static inline int32_t psd_i32(struct psd_cursor *c)
{
    return (int32_t)psd_u32(c);
}

/* True when the next four letters are `key`; takes them in any case. */
static inline bool psd_is_key(struct psd_cursor *c, const char *key)
{
    const unsigned char *p = psd_take(c, 4);
    return p && memcmp(p, key, 4) == 0;
}

/* The next n bytes as a cursor of their own; an empty, failed one when there are fewer. */
static inline struct psd_cursor psd_part(struct psd_cursor *c, size_t n)
{
    const unsigned char *p = psd_take(c, n);
    return (struct psd_cursor){.p = p, .n = p ? n : 0, .failed = !p};
}

#endif

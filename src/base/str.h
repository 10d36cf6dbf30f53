/* str.h - string views: pointer and length, not necessarily NUL-terminated, never owning. */
#ifndef VT_BASE_STR_H
#define VT_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR_LIT(s) ((struct str){(s), sizeof(s) - 1})
/* For printf's "%.*s". */
#define STR_ARG(s) (int)((s).n > 4096 ? 4096 : (s).n), (s).p

static inline struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_eq_z(struct str a, const char *z)
{
    return str_eq(a, str_from(z));
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n)
{
    return n >= s.n ? (struct str){s.p + s.n, 0} : (struct str){s.p + n, s.n - n};
}

/* Whole string is a decimal number that fits; no sign for u64, optional '-' for i64, no spaces. */
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_i64(struct str s, int64_t *out);
/* Finite decimal number ("1", "-0.5", "1e-3"), locale-independent; whole string, at most 63 bytes. */
bool str_to_double(struct str s, double *out);

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms, max U+10FFFF). On
 * false *bad_offset (may be NULL) is where the first bad sequence begins. */
bool str_is_utf8(struct str s, size_t *bad_offset);

/* FNV-1a, for hash tables inside one process. */
static inline uint64_t str_hash(struct str s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

#endif

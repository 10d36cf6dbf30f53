/* ck.h - checked integer arithmetic for numbers that come from outside.
 * Each returns true and stores the result, or returns false and leaves *out alone. */
#ifndef VT_BASE_CK_H
#define VT_BASE_CK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CK_DEFINE(name, type)                                                                      \
    static inline bool ck_add_##name(type a, type b, type *out)                                    \
    {                                                                                              \
        type r;                                                                                    \
        if (__builtin_add_overflow(a, b, &r))                                                      \
            return false;                                                                          \
        *out = r;                                                                                  \
        return true;                                                                               \
    }                                                                                              \
    static inline bool ck_mul_##name(type a, type b, type *out)                                    \
    {                                                                                              \
        type r;                                                                                    \
        if (__builtin_mul_overflow(a, b, &r))                                                      \
            return false;                                                                          \
        *out = r;                                                                                  \
        return true;                                                                               \
    }

CK_DEFINE(size, size_t)
CK_DEFINE(u64, uint64_t)
CK_DEFINE(i64, int64_t)

#undef CK_DEFINE

#endif

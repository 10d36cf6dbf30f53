/* floats.h - arrays of float32. */
#ifndef VT_BASE_FLOATS_H
#define VT_BASE_FLOATS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Whether there is no NaN and no infinity among n numbers, without a branch a number. */
static inline bool floats_finite_part(const float *x, int64_t n)
{
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &=
            INT32_MAX; /* without its sign a number's bits grow with it; infinity and NaN lie above */
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

/* Whether there is no NaN and no infinity among them. */
static inline bool floats_finite(const float *x, int64_t n)
{
    enum { PART = 1024 };
    for (; n >= PART; x += PART, n -= PART)
        if (!floats_finite_part(x, PART))
            return false;
    return floats_finite_part(x, n);
}

#endif

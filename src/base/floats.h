/* floats.h - arrays of float32. */
#ifndef VT_BASE_FLOATS_H
#define VT_BASE_FLOATS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether there is no NaN and no infinity among them. */
static inline bool floats_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(x[i] - x[i] == 0.0f))
            return false;
    return true;
}

#endif

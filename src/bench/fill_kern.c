#include "bench/weights.h"

#include <string.h>

void bench_fill_bf16_kern(const float *src, size_t n, float scale, uint16_t *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = scale * src[i];
        uint32_t u;
        memcpy(&u, &v, sizeof u);
        dst[i] = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    }
}

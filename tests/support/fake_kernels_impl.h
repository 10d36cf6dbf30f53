/* fake_kernels_impl.h - what the loops of fake_*.c share: numbers of every type, and what is checked of a launch. */
#ifndef TESTS_SUPPORT_FAKE_KERNELS_IMPL_H
#define TESTS_SUPPORT_FAKE_KERNELS_IMPL_H

#include "fake_kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One a kernel; fake_kernels.h says what they return. */
#define NV_KERNEL(module, name, architecture, parameters, threads, shared)                         \
    const char *run_##name(const void *p, struct fake_grid grid);
NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL

static inline float from_e4m3(uint8_t x)
{
    int exponent = x >> 3 & 15, m = x & 7;
    float f = (x & 127) == 127 ? NAN
              : exponent       ? ldexpf((float)(8 + m), exponent - 10)
                               : ldexpf((float)m, -9);
    return x & 128 ? -f : f;
}

static inline float load(const void *p, long long i, int type)
{
    if (type == NV_F32)
        return ((const float *)p)[i];
    if (type == NV_I32)
        return (float)((const int *)p)[i];
    if (type == NV_I8)
        return (float)((const int8_t *)p)[i];
    if (type == NV_F8)
        return from_e4m3(((const uint8_t *)p)[i]);
    uint32_t h = ((const uint16_t *)p)[i];
    if (type == NV_BF16) {
        uint32_t u = h << 16;
        float f;
        memcpy(&f, &u, sizeof f);
        return f;
    }
    int exponent = (int)(h >> 10 & 31);
    float m = (float)(h & 1023), s = h >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return m > 0 ? NAN : s * INFINITY;
    return s * (exponent ? ldexpf(1024.0f + m, exponent - 25) : ldexpf(m, -24));
}

static inline void store(void *p, long long i, int type, float f)
{
    uint32_t u;
    if (type == NV_F32) {
        ((float *)p)[i] = f;
        return;
    }
    if (type == NV_I32) {
        ((int *)p)[i] = (int)f;
        return;
    }
    memcpy(&u, &f, sizeof u);
    if (type == NV_BF16) {
        uint32_t round = u + 0x7fff + (u >> 16 & 1);
        ((uint16_t *)p)[i] = (uint16_t)(isnan(f) ? (u >> 16 | 64) : round >> 16);
        return;
    }
    abort(); /* nothing of ours writes halves */
}

/* A row of numbers to 8 bits, as quantise_rows says; gives the scale. */
float fake_quantise(const float *x, int n, int type, void *y);

static inline long long divide_up(long long a, long long b)
{
    return (a + b - 1) / b;
}

static inline float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static inline float gelu_tanh(float x)
{
    return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

static inline void *room(long long n, size_t size)
{
    void *p = calloc((size_t)(n > 0 ? n : 1), size);
    if (!p)
        abort();
    return p;
}

static inline float dot(const float *a, const float *b, int n)
{
    float sum[8] = {0}, s = 0;
    int i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        s += a[i] * b[i];
    for (int j = 0; j < 8; j++)
        s += sum[j];
    return s;
}

static inline bool at_16_bytes(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

static inline struct fake_map map_of(const struct nv_tensor_map *m)
{
    struct fake_map f;
    memcpy(&f, m, sizeof f);
    return f;
}

/* Rows of numbers of `type`: bf16, or 8 bits. */
static inline bool describes(const struct nv_tensor_map *map, const void *p, int type, int rows,
                             int k, long long ld, unsigned box)
{
    struct fake_map m = map_of(map);
    bool bf16 = type == NV_BF16;
    return m.p == (uintptr_t)p && m.rank == 2 && m.dims[0] == (uint64_t)k &&
           m.type == (bf16 ? FAKE_MAP_BF16 : FAKE_MAP_BYTES) && m.dims[1] == (uint64_t)rows &&
           m.strides[0] == (uint64_t)ld * (bf16 ? 2 : 1) && m.box[0] == (bf16 ? 64 : 128) &&
           m.box[1] == box;
}

static inline long long in_pairs(long long tiles, struct fake_grid grid)
{
    long long pairs = grid.multiprocessors / 2;
    return 2 * (tiles < pairs ? tiles : pairs);
}

#endif

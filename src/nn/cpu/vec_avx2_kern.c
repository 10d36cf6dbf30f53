/* vec_body.h for AVX2: called only where vec_get() has seen it. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define VEC_TABLE vec_avx2
#define VEC_NAME "avx2"
#include "nn/cpu/vec_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif

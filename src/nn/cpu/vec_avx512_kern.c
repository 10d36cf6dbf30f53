/* vec_body.h for AVX512: called only where vec_get() has seen it. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define VEC_TABLE vec_avx512
#define VEC_NAME "avx512"
#include "nn/cpu/vec_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif

/* vec_body.h for AVX-512: called only where vec_get() has seen it. */
#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))),                   \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif
#define VEC_LANES 16
#define VEC_TABLE vec_avx512
#define VEC_NAME "avx512"
#define VEC_BYTES(b) _mm512_cvtepi8_epi32((__m128i)(b))
#define VEC_UNSIGNED_BYTES(b) _mm512_cvtepu8_epi32((__m128i)(b))
#define VEC_TO_BYTES(v) _mm512_cvtepi32_epi8((__m512i)(v))
#define VEC_MAX_U16(a, b) _mm256_max_epu16((__m256i)(a), (__m256i)(b))
#define VEC_MAX_U32(a, b) _mm512_max_epu32((__m512i)(a), (__m512i)(b))
#define VEC_HALVES(h) _mm512_cvtph_ps((__m256i)(h))
#define VEC_MAX(a, b) _mm512_max_ps((__m512)(a), (__m512)(b))
#define VEC_HALF(bits) _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))

#include "nn/cpu/vec_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif

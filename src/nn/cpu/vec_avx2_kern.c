/* vec_body.h for AVX2: called only where vec_get() has seen it. */
#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#define VEC_LANES 8
#define VEC_TABLE vec_avx2
#define VEC_NAME "avx2"
#define VEC_MAX(a, b) _mm256_max_ps((__m256)(a), (__m256)(b))
#define VEC_MAX_U16(a, b) _mm_max_epu16((__m128i)(a), (__m128i)(b))
#define VEC_MAX_U32(a, b) _mm256_max_epu32((__m256i)(a), (__m256i)(b))
#define VEC_HALVES(h) _mm256_cvtph_ps((__m128i)(h))
#define VEC_HALF(bits) _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
#define VEC_WIDEN(h) _mm256_cvtepu16_epi32((__m128i)(h))
#define VEC_NARROW(u)                                                                              \
    _mm_packus_epi32(_mm256_castsi256_si128((__m256i)(u)),                                         \
                     _mm256_extracti128_si256((__m256i)(u), 1))
/* The lowest byte of each. */
#define VEC_TO_BYTES(v)                                                                            \
    _mm_cvtsi128_si64(_mm_packus_epi16((__m128i)VEC_NARROW((v)&255), _mm_setzero_si128()))
#define VEC_BYTES(b) _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)(b)))
#define VEC_UNSIGNED_BYTES(b) _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(b)))
#include "nn/cpu/vec_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif

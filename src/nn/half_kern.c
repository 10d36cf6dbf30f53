#include "nn/params_impl.h"

#include <ggml.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* 65520 and more round to infinity: bf16 patterns from 0x4780 (65536) on. */
enum { FIRST_TOO_LARGE = 0x4780 };

__attribute__((target("avx2,f16c"))) static bool convert_f16c(const uint16_t *src, uint16_t *dst,
                                                              size_t n)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fff0000),
                  limit = _mm256_set1_epi32((FIRST_TOO_LARGE << 16) - 1);
    __m256i bad = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(src + i));
        __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(_mm256_and_si256(w, magnitude), limit));
        _mm_storeu_si128((__m128i *)(void *)(dst + i),
                         _mm256_cvtps_ph(_mm256_castsi256_ps(w), _MM_FROUND_TO_NEAREST_INT));
    }
    return _mm256_testz_si256(bad, bad);
}
#endif

static bool convert_plain(const uint16_t *src, uint16_t *dst, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)src[i] << 16;
        float f;
        memcpy(&f, &bits, sizeof f);
        dst[i] = ggml_fp32_to_fp16(f);
        ok &= (dst[i] & 0x7c00) != 0x7c00;
    }
    return ok;
}

bool half_from_bf16(const uint16_t *src, uint16_t *dst, size_t n)
{
    size_t whole = 0;
    bool ok = true;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) { /* every such processor has F16C, too */
        whole = n / 8 * 8;
        ok = convert_f16c(src, dst, whole);
    }
#endif
    return convert_plain(src + whole, dst + whole, n - whole) && ok;
}

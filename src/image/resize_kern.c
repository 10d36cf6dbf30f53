/* resize_kern.c - see resize_kern.h. SSE2 is part of x86-64, so there is nothing to choose at run time;
 * other processors take the plain loops. */
#include "image/resize_kern.h"

#include <string.h>

#include "image/sample.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/* Of 8 bits the sum is one of 32 bits, wrapping round as that of the vector loops. */
static inline unsigned rounded(int64_t sum, int precision, const bool deep)
{
    sum += (int64_t)1 << (precision - 1);
    int64_t v = (deep ? sum : (int32_t)(uint32_t)sum) >> precision, max = sample_max(deep);
    return (unsigned)(v < 0 ? 0 : v > max ? max : v);
}

static int32_t weight(const struct resize_axis *axis, size_t at)
{
    return axis->hi[at] * 256 + axis->lo[at];
}

static inline void pixel_any(unsigned char *dst, const unsigned char *src,
                             const struct resize_axis *axis, int i, int channels, const bool deep)
{
    size_t at = (size_t)i * (size_t)axis->taps;
    size_t first = (size_t)axis->first[i] * (size_t)channels;
    for (size_t c = 0; c < (size_t)channels; c++) {
        int64_t sum = 0;
        for (size_t j = 0; j < (size_t)axis->count[i]; j++)
            sum += (int64_t)weight(axis, at + j) *
                   sample_get(src, first + j * (size_t)channels + c, deep);
        sample_set(dst, (size_t)i * (size_t)channels + c, rounded(sum, axis->precision, deep),
                   deep);
    }
}

static inline void row_any(unsigned char *dst, const unsigned char *src,
                           const struct resize_axis *axis, int channels, const bool deep)
{
    for (int i = 0; i < axis->out; i++)
        pixel_any(dst, src, axis, i, channels, deep);
}

void resize_kern_row_ref(unsigned char *dst, const unsigned char *src,
                         const struct resize_axis *axis, int channels, bool deep)
{
    if (deep)
        row_any(dst, src, axis, channels, true);
    else
        row_any(dst, src, axis, channels, false);
}

static inline void column_any(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                              const struct resize_axis *axis, int i, const bool deep)
{
    size_t at = (size_t)i * (size_t)axis->taps;
    const unsigned char *s = src + (size_t)axis->first[i] * stride;
    for (size_t x = 0; x < n; x++) {
        int64_t sum = 0;
        for (size_t j = 0; j < (size_t)axis->count[i]; j++)
            sum += (int64_t)weight(axis, at + j) * sample_get(s + j * stride, x, deep);
        sample_set(dst, x, rounded(sum, axis->precision, deep), deep);
    }
}

void resize_kern_column_ref(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                            const struct resize_axis *axis, int i, bool deep)
{
    if (deep)
        column_any(dst, src, stride, n, axis, i, true);
    else
        column_any(dst, src, stride, n, axis, i, false);
}

#ifdef __SSE2__

static __m128i load4(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm_cvtsi32_si128(v);
}

static __m128i load8(const void *p)
{
    return _mm_loadl_epi64(p);
}

static __m128i load16(const void *p)
{
    return _mm_loadu_si128(p);
}

/* The two sums joined, rounded, shifted. */
static __m128i finish(__m128i sum_hi, __m128i sum_lo, int precision)
{
    __m128i sum = _mm_add_epi32(_mm_slli_epi32(sum_hi, 8), sum_lo);
    sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (precision - 1)));
    return _mm_sra_epi32(sum, _mm_cvtsi32_si128(precision));
}

/* Four pixels as 16-bit pairs (p0, p1) and (p2, p3), channel by channel. */
static void pairs_of_4(const unsigned char *s, __m128i *a, __m128i *b)
{
    __m128i v = _mm_shuffle_epi32(load16(s), _MM_SHUFFLE(3, 1, 2, 0)); /* p0 p2 p1 p3 */
    v = _mm_unpacklo_epi8(v, _mm_srli_si128(v, 8));
    *a = _mm_unpacklo_epi8(v, _mm_setzero_si128());
    *b = _mm_unpackhi_epi8(v, _mm_setzero_si128());
}

static void pairs_of_3(const unsigned char *s, __m128i *a, __m128i *b)
{
    *a = _mm_unpacklo_epi8(_mm_unpacklo_epi8(load4(s), load4(s + 3)), _mm_setzero_si128());
    *b = _mm_unpacklo_epi8(_mm_unpacklo_epi8(load4(s + 6), load4(s + 9)), _mm_setzero_si128());
}

/* Pixels of three or four channels: each 32-bit lane sums one channel, two taps a step. */
static uint32_t window_34(const unsigned char *s, const int16_t *hi, const int16_t *lo, int count,
                          int channels, int precision)
{
    __m128i sum_hi = _mm_setzero_si128(), sum_lo = _mm_setzero_si128();
    for (int j = 0; j < count; j += 4, s += 4 * channels) {
        __m128i a, b, kh = load8(hi + j), kl = load8(lo + j);
        if (channels == 4)
            pairs_of_4(s, &a, &b);
        else
            pairs_of_3(s, &a, &b);
        __m128i kh0 = _mm_shuffle_epi32(kh, 0x00), kh1 = _mm_shuffle_epi32(kh, 0x55);
        __m128i kl0 = _mm_shuffle_epi32(kl, 0x00), kl1 = _mm_shuffle_epi32(kl, 0x55);
        sum_hi = _mm_add_epi32(sum_hi, _mm_madd_epi16(a, kh0));
        sum_lo = _mm_add_epi32(sum_lo, _mm_madd_epi16(a, kl0));
        sum_hi = _mm_add_epi32(sum_hi, _mm_madd_epi16(b, kh1));
        sum_lo = _mm_add_epi32(sum_lo, _mm_madd_epi16(b, kl1));
    }
    __m128i v = _mm_packs_epi32(finish(sum_hi, sum_lo, precision), _mm_setzero_si128());
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
}

/* Two channels: lanes (L, A, L, A), joined at the end. */
static uint32_t window_2(const unsigned char *s, const int16_t *hi, const int16_t *lo, int count,
                         int precision)
{
    __m128i sum_hi = _mm_setzero_si128(), sum_lo = _mm_setzero_si128();
    for (int j = 0; j < count; j += 4, s += 8) {
        __m128i a = _mm_unpacklo_epi8(load8(s), _mm_setzero_si128());
        a = _mm_shufflelo_epi16(a, _MM_SHUFFLE(3, 1, 2, 0));
        a = _mm_shufflehi_epi16(a, _MM_SHUFFLE(3, 1, 2, 0));
        __m128i kh = load8(hi + j), kl = load8(lo + j);
        sum_hi = _mm_add_epi32(sum_hi, _mm_madd_epi16(a, _mm_unpacklo_epi32(kh, kh)));
        sum_lo = _mm_add_epi32(sum_lo, _mm_madd_epi16(a, _mm_unpacklo_epi32(kl, kl)));
    }
    sum_hi = _mm_add_epi32(sum_hi, _mm_srli_si128(sum_hi, 8));
    sum_lo = _mm_add_epi32(sum_lo, _mm_srli_si128(sum_lo, 8));
    __m128i v = _mm_packs_epi32(finish(sum_hi, sum_lo, precision), _mm_setzero_si128());
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
}

static uint32_t window_1(const unsigned char *s, const int16_t *hi, const int16_t *lo, int count,
                         int precision)
{
    __m128i sum_hi = _mm_setzero_si128(), sum_lo = _mm_setzero_si128();
    for (int j = 0; j < count; j += 8) {
        __m128i a = _mm_unpacklo_epi8(load8(s + j), _mm_setzero_si128());
        sum_hi = _mm_add_epi32(sum_hi, _mm_madd_epi16(a, load16(hi + j)));
        sum_lo = _mm_add_epi32(sum_lo, _mm_madd_epi16(a, load16(lo + j)));
    }
    __m128i sum = _mm_add_epi32(_mm_slli_epi32(sum_hi, 8), sum_lo);
    sum = _mm_add_epi32(sum, _mm_srli_si128(sum, 8));
    sum = _mm_add_epi32(sum, _mm_srli_si128(sum, 4));
    return rounded(_mm_cvtsi128_si32(sum), precision, false);
}

/* The channel count is a constant wherever this is inlined. */
static inline void row_sse2(unsigned char *dst, const unsigned char *src,
                            const struct resize_axis *axis, const int channels)
{
    /* A step reads `step` pixels; with three channels it reads one byte more. */
    const int step = channels == 1 ? 8 : 4;
    const int last = channels == 3 ? axis->in - 1 : axis->in;
    for (int i = 0; i < axis->out; i++) {
        int first = axis->first[i], count = axis->count[i];
        unsigned char *d = dst + (size_t)i * (size_t)channels;
        if (first + (count + step - 1) / step * step > last) {
            pixel_any(dst, src, axis, i, channels, false);
            continue;
        }
        const unsigned char *s = src + (size_t)first * (size_t)channels;
        const int16_t *hi = axis->hi + (size_t)i * (size_t)axis->taps;
        const int16_t *lo = axis->lo + (size_t)i * (size_t)axis->taps;
        uint32_t v = channels == 1   ? window_1(s, hi, lo, count, axis->precision)
                     : channels == 2 ? window_2(s, hi, lo, count, axis->precision)
                                     : window_34(s, hi, lo, count, channels, axis->precision);
        memcpy(d, &v, (size_t)channels);
    }
}

void resize_kern_row(unsigned char *dst, const unsigned char *src, const struct resize_axis *axis,
                     int channels, bool deep)
{
    if (deep) {
        row_any(dst, src, axis, channels, true);
        return;
    }
    switch (channels) {
    case 1:
        row_sse2(dst, src, axis, 1);
        break;
    case 2:
        row_sse2(dst, src, axis, 2);
        break;
    case 3:
        row_sse2(dst, src, axis, 3);
        break;
    default:
        row_sse2(dst, src, axis, 4);
        break;
    }
}

/* Adds two rows of eight bytes each, as pairs, to the sums of eight columns. */
static void add_pairs(__m128i rows, __m128i kh, __m128i kl, __m128i sum_hi[2], __m128i sum_lo[2])
{
    __m128i a = _mm_unpacklo_epi8(rows, _mm_setzero_si128());
    __m128i b = _mm_unpackhi_epi8(rows, _mm_setzero_si128());
    sum_hi[0] = _mm_add_epi32(sum_hi[0], _mm_madd_epi16(a, kh));
    sum_lo[0] = _mm_add_epi32(sum_lo[0], _mm_madd_epi16(a, kl));
    sum_hi[1] = _mm_add_epi32(sum_hi[1], _mm_madd_epi16(b, kh));
    sum_lo[1] = _mm_add_epi32(sum_lo[1], _mm_madd_epi16(b, kl));
}

/* Sixteen columns of one output row. */
static void columns_16(unsigned char *dst, const unsigned char *s, size_t stride,
                       const struct resize_axis *axis, int i)
{
    const int16_t *hi = axis->hi + (size_t)i * (size_t)axis->taps;
    const int16_t *lo = axis->lo + (size_t)i * (size_t)axis->taps;
    __m128i zero = _mm_setzero_si128();
    __m128i sum_hi[4] = {zero, zero, zero, zero}, sum_lo[4] = {zero, zero, zero, zero};
    for (int j = 0; j < axis->count[i]; j += 2) {
        const unsigned char *r = s + (size_t)j * stride;
        /* The last row of an odd window meets a zero weight: no row is read behind it. */
        __m128i a = load16(r), b = j + 1 < axis->count[i] ? load16(r + stride) : zero;
        __m128i kh = _mm_shuffle_epi32(load4(hi + j), 0), kl = _mm_shuffle_epi32(load4(lo + j), 0);
        add_pairs(_mm_unpacklo_epi8(a, b), kh, kl, sum_hi, sum_lo);
        add_pairs(_mm_unpackhi_epi8(a, b), kh, kl, sum_hi + 2, sum_lo + 2);
    }
    __m128i v0 = _mm_packs_epi32(finish(sum_hi[0], sum_lo[0], axis->precision),
                                 finish(sum_hi[1], sum_lo[1], axis->precision));
    __m128i v1 = _mm_packs_epi32(finish(sum_hi[2], sum_lo[2], axis->precision),
                                 finish(sum_hi[3], sum_lo[3], axis->precision));
    _mm_storeu_si128((void *)dst, _mm_packus_epi16(v0, v1));
}

void resize_kern_column(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                        const struct resize_axis *axis, int i, bool deep)
{
    const unsigned char *s = src + (size_t)axis->first[i] * stride;
    size_t x = 0;
    for (; !deep && x + 16 <= n; x += 16)
        columns_16(dst + x, s + x, stride, axis, i);
    if (x < n)
        resize_kern_column_ref(dst + x, src + x, stride, n - x, axis, i, deep);
}

#else

void resize_kern_row(unsigned char *dst, const unsigned char *src, const struct resize_axis *axis,
                     int channels, bool deep)
{
    resize_kern_row_ref(dst, src, axis, channels, deep);
}

void resize_kern_column(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                        const struct resize_axis *axis, int i, bool deep)
{
    resize_kern_column_ref(dst, src, stride, n, axis, i, deep);
}

#endif

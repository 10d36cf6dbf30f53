/* gemm_avx2_kern.c - products of float32 with AVX2 and FMA: called only where gemm_get() has seen them.
 *
 * The inner loop keeps 6 x 16 sums in twelve registers; each step of k loads sixteen values of B and broadcasts six of
 * A, which is read as it lies. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "nn/cpu/gemm.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define INLINE static inline __attribute__((always_inline))
#define ALL _Pragma("GCC unroll 8")

enum { HALF = 8 };

/* ---- packing ------------------------------------------------------------------------------------------ */

/* Eight rows of eight become eight columns. */
INLINE void transpose(__m256 r[HALF])
{
    __m256 t[HALF];
    ALL for (int i = 0; i < 4; i++)
    {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    ALL for (int i = 0; i < 2; i++)
    {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    ALL for (int i = 0; i < 4; i++)
    {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    ALL for (int i = 0; i < HALF; i++) r[i] = t[i];
}

INLINE __m256 eight(const void *p, int64_t i, bool bf16)
{
    if (!bf16)
        return _mm256_loadu_ps((const float *)p + i);
    __m128i h;
    memcpy(&h, (const uint16_t *)p + i, sizeof h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

INLINE float one(const void *p, int64_t i, bool bf16)
{
    if (!bf16)
        return ((const float *)p)[i];
    uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Half a sliver: n of eight columns, zeros for the rest. */
INLINE void pack_half(const void *from, int64_t ld, int64_t n, int64_t k, bool bf16, float *to)
{
    size_t bytes = (size_t)ld * (bf16 ? 2 : 4);
    const unsigned char *row[HALF];
    for (int i = 0; i < HALF; i++)
        row[i] = (const unsigned char *)from + (size_t)i * bytes;
    int64_t at = 0;
    for (; n == HALF && at + HALF <= k; at += HALF) {
        __m256 r[HALF];
        ALL for (int i = 0; i < HALF; i++) r[i] = eight(row[i], at, bf16);
        transpose(r);
        ALL for (int i = 0; i < HALF; i++) _mm256_storeu_ps(to + (at + i) * GEMM_SLIVER, r[i]);
    }
    for (; at < k; at++)
        for (int i = 0; i < HALF; i++)
            to[at * GEMM_SLIVER + i] = i < n ? one(row[i], at, bf16) : 0.0f;
}

INLINE void pack_slivers(const struct gemm_pack *j, bool bf16)
{
    size_t half_bytes = (size_t)(j->ld * HALF) * (bf16 ? 2 : 4);
    const unsigned char *from = j->from;
    for (int64_t c = 0; c < j->cols; c += GEMM_SLIVER, from += 2 * half_bytes)
        for (int h = 0; h < 2; h++) {
            int64_t n = j->cols - c - h * HALF;
            n = n < 0 ? 0 : n > HALF ? HALF : n;
            pack_half(from + (size_t)h * half_bytes, j->ld, n, j->k, bf16,
                      j->to + c * j->k + h * HALF);
        }
}

static void pack(const struct gemm_pack *j)
{
    if (j->bf16)
        pack_slivers(j, true);
    else
        pack_slivers(j, false);
}

static void pack_plain(const struct gemm_pack *j)
{
    for (int64_t c = 0; c < j->cols; c += GEMM_SLIVER) {
        const float *from = (const float *)j->from + c;
        float *to = j->to + c * j->k;
        int64_t n = j->cols - c < GEMM_SLIVER ? j->cols - c : GEMM_SLIVER;
        for (int64_t i = 0; i < j->k; i++, from += j->ld, to += GEMM_SLIVER) {
            if (n == GEMM_SLIVER) {
                _mm256_storeu_ps(to, _mm256_loadu_ps(from));
                _mm256_storeu_ps(to + HALF, _mm256_loadu_ps(from + HALF));
                continue;
            }
            memset(to, 0, GEMM_SLIVER * sizeof *to);
            memcpy(to, from, (size_t)n * sizeof *to);
        }
    }
}

/* ---- products ----------------------------------------------------------------------------------------- */

/* Six rows times a sliver. The sums of this step of k start at zero, and C is added to them at the end, so that it has
 * time to arrive. */
INLINE void block(const float *a, int64_t lda, const float *b, int64_t k, float *c, int64_t ldc,
                  bool add)
{
    __m256 s[GEMM_ROWS][2];
    ALL for (int r = 0; r < GEMM_ROWS; r++)
    {
        s[r][0] = s[r][1] = _mm256_setzero_ps();
        __builtin_prefetch(c + r * ldc, 1);
        __builtin_prefetch(c + r * ldc + GEMM_SLIVER - 1, 1);
    }
    for (int64_t i = 0; i < k; i++, a++, b += GEMM_SLIVER) {
        __m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + HALF);
        ALL for (int r = 0; r < GEMM_ROWS; r++)
        {
            __m256 x = _mm256_broadcast_ss(a + r * lda);
            s[r][0] = _mm256_fmadd_ps(x, b0, s[r][0]);
            s[r][1] = _mm256_fmadd_ps(x, b1, s[r][1]);
        }
    }
    ALL for (int r = 0; r < GEMM_ROWS; r++, c += ldc)
    {
        if (add) {
            s[r][0] = _mm256_add_ps(s[r][0], _mm256_loadu_ps(c));
            s[r][1] = _mm256_add_ps(s[r][1], _mm256_loadu_ps(c + HALF));
        }
        _mm256_storeu_ps(c, s[r][0]);
        _mm256_storeu_ps(c + HALF, s[r][1]);
    }
}

/* Six rows of A, some of which may be copies, and a sliver of B. */
struct piece {
    const float *a, *b;
    int64_t lda, k, rows, cols;
    bool add;
};

static void whole_piece(const struct piece *p, float *c, int64_t ldc)
{
    if (p->add)
        block(p->a, p->lda, p->b, p->k, c, ldc, true);
    else
        block(p->a, p->lda, p->b, p->k, c, ldc, false);
}

/* At the edges of C: through a block of its own, so that no value is added up in another way than inside. */
static void part_of_piece(const struct piece *p, float *c, int64_t ldc)
{
    float edge[GEMM_ROWS * GEMM_SLIVER] = {0};
    for (int64_t r = 0; p->add && r < p->rows; r++)
        memcpy(edge + r * GEMM_SLIVER, c + r * ldc, (size_t)p->cols * sizeof *c);
    whole_piece(p, edge, GEMM_SLIVER);
    for (int64_t r = 0; r < p->rows; r++)
        memcpy(c + r * ldc, edge + r * GEMM_SLIVER, (size_t)p->cols * sizeof *c);
}

/* The last rows of A, less than six, and zeros. */
static void copy_rows(const struct gemm_job *j, const float *a, int64_t rows)
{
    for (int64_t r = 0; r < GEMM_ROWS; r++) {
        float *to = j->scratch + r * GEMM_STRIDE;
        if (r < rows)
            memcpy(to, a + r * j->lda, (size_t)j->k * sizeof *to);
        else
            memset(to, 0, (size_t)j->k * sizeof *to);
    }
}

static void multiply(const struct gemm_job *j)
{
    struct piece p = {.lda = j->lda, .k = j->k, .add = j->add};
    for (int64_t r = 0; r < j->rows; r += GEMM_ROWS) {
        p.rows = j->rows - r < GEMM_ROWS ? j->rows - r : GEMM_ROWS;
        p.a = j->a + r * j->lda;
        if (p.rows < GEMM_ROWS) {
            copy_rows(j, p.a, p.rows);
            p.a = j->scratch;
            p.lda = GEMM_STRIDE;
        }
        for (int64_t at = 0; at < j->cols; at += GEMM_SLIVER) {
            float *c = j->c + r * j->ldc + at;
            p.b = j->b + at * j->k;
            p.cols = j->cols - at < GEMM_SLIVER ? j->cols - at : GEMM_SLIVER;
            if (p.rows == GEMM_ROWS && p.cols == GEMM_SLIVER)
                whole_piece(&p, c, j->ldc);
            else
                part_of_piece(&p, c, j->ldc);
        }
    }
}

/* ---- products of bytes -------------------------------------------------------------------------------- */

enum { BYTE_ROWS = 4, BYTE_DEPTH = 2048 };

/* Four bytes of a row of A times four of each column of B, added up in pairs. */
INLINE __m256i pairs(const uint8_t *a, __m256i b)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm256_maddubs_epi16(_mm256_set1_epi32(four), b);
}

INLINE __m256i load_bytes(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* `rows` (a constant) rows times a sliver. */
INLINE void byte_block(const uint8_t *a, int64_t lda, const unsigned char *b, int64_t k, int32_t *c,
                       int64_t ldc, int rows, bool add)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i s[BYTE_ROWS][2];
    ALL for (int r = 0; r < rows; r++) s[r][0] = s[r][1] = _mm256_setzero_si256();
    for (int64_t i = 0; i < k; i += GEMM_BYTES, a += GEMM_BYTES, b += GEMM_BYTES * GEMM_SLIVER) {
        __m256i b0 = load_bytes(b), b1 = load_bytes(b + 32), b2 = load_bytes(b + 64),
                b3 = load_bytes(b + 96);
        ALL for (int r = 0; r < rows; r++)
        {
            const uint8_t *x = a + r * lda;
            __m256i p0 = _mm256_add_epi16(pairs(x, b0), pairs(x + 4, b2));
            __m256i p1 = _mm256_add_epi16(pairs(x, b1), pairs(x + 4, b3));
            s[r][0] = _mm256_add_epi32(s[r][0], _mm256_madd_epi16(p0, ones));
            s[r][1] = _mm256_add_epi32(s[r][1], _mm256_madd_epi16(p1, ones));
        }
    }
    ALL for (int r = 0; r < rows; r++, c += ldc)
    {
        if (add) {
            s[r][0] = _mm256_add_epi32(s[r][0], load_bytes(c));
            s[r][1] = _mm256_add_epi32(s[r][1], load_bytes(c + HALF));
        }
        memcpy(c, &s[r][0], sizeof s[r][0]);
        memcpy(c + HALF, &s[r][1], sizeof s[r][1]);
    }
}

static void byte_rows(const struct gemm_bytes_job *j, int64_t k, int64_t rows, bool add)
{
    if (rows == BYTE_ROWS && add)
        byte_block(j->a, j->lda, j->b, k, j->c, j->ldc, BYTE_ROWS, true);
    else if (rows == BYTE_ROWS)
        byte_block(j->a, j->lda, j->b, k, j->c, j->ldc, BYTE_ROWS, false);
    else
        for (int64_t r = 0; r < rows; r++)
            byte_block(j->a + r * j->lda, j->lda, j->b, k, j->c + r * j->ldc, j->ldc, 1, add);
}

/* Sums of whole numbers are the same in any order. */
static void byte_piece(const struct gemm_bytes_job *j, int64_t k, int64_t rows, int64_t cols,
                       bool add)
{
    int32_t edge[BYTE_ROWS * GEMM_SLIVER] = {0};
    struct gemm_bytes_job part = *j;
    if (cols == GEMM_SLIVER) {
        byte_rows(j, k, rows, add);
        return;
    }
    for (int64_t r = 0; add && r < rows; r++)
        memcpy(edge + r * GEMM_SLIVER, j->c + r * j->ldc, (size_t)cols * sizeof *edge);
    part.c = edge;
    part.ldc = GEMM_SLIVER;
    byte_rows(&part, k, rows, add);
    for (int64_t r = 0; r < rows; r++)
        memcpy(j->c + r * j->ldc, edge + r * GEMM_SLIVER, (size_t)cols * sizeof *edge);
}

static void multiply_bytes(const struct gemm_bytes_job *j)
{
    for (int64_t k0 = 0; k0 < j->k; k0 += BYTE_DEPTH) {
        int64_t k = j->k - k0 < BYTE_DEPTH ? j->k - k0 : BYTE_DEPTH;
        for (int64_t r = 0; r < j->rows; r += BYTE_ROWS) {
            int64_t rows = j->rows - r < BYTE_ROWS ? j->rows - r : BYTE_ROWS;
            struct gemm_bytes_job part = *j;
            part.a = j->a + r * j->lda + k0;
            for (int64_t at = 0; at < j->cols; at += GEMM_SLIVER) {
                int64_t cols = j->cols - at < GEMM_SLIVER ? j->cols - at : GEMM_SLIVER;
                part.b = (const unsigned char *)j->b + at * j->k + k0 * GEMM_SLIVER;
                part.c = j->c + r * j->ldc + at;
                byte_piece(&part, k, rows, cols, k0 > 0);
            }
        }
    }
}

const struct gemm gemm_avx2 = {
    .pack = pack,
    .pack_plain = pack_plain,
    .multiply = multiply,
    .multiply_bytes = multiply_bytes,
};

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif

/* vec_int8_body.h - quantises rows to 8 bits, and dequantises int32 sums of their products to float; a part of
 * vec_body.h.
 *
 * A row of activations becomes x = scale * (u - zero), u unsigned, with an integer zero point, so that 0 is
 * represented exactly and a row that is hardly ever negative (after SiLU or GELU) uses the whole range. A row of
 * weights becomes w = scale * q, q signed. So x w = scale_x * scale_w * (sum of u q - zero * sum of q). */

#define LEAST_RANGE 1e-30f /* a row of a smaller range counts as zeros: the factor stays finite */

enum {
    AHEAD = 2048
}; /* prefetch this many values ahead (a page): the processor's own prefetch stops at a page's end */

/* A vector of numbers, given as bf16 or float32. */
INLINE vf number_at(const void *x, int64_t i, int64_t n, bool bf16)
{
    if (!bf16)
        return take(x, i, n);
    vh h = {0};
    if (left(n, i) == LANES)
        memcpy(&h, (const uint16_t *)x + i, sizeof h);
    else
        memcpy(&h, (const uint16_t *)x + i, (size_t)left(n, i) * sizeof(uint16_t));
    return of_bf16(h);
}

/* Rounds v (well below 2^22) to the nearest integer, ties to even. */
INLINE vi whole_of(vf v)
{
    return (vi)(v + 12582912.0f) - 0x4b400000;
}

INLINE void put_bytes(void *y, vi v, int64_t n)
{
#ifdef VEC_TO_BYTES
    vb b = (vb)VEC_TO_BYTES(v);
#else
    vb b = __builtin_convertvector(v, vb);
#endif
    if (n == LANES)
        memcpy(y, &b, sizeof b);
    else
        memcpy(y, &b, (size_t)n);
}

INLINE float least_of(vf v)
{
    return -greatest_of(-v);
}

/* NaN when x holds NaN or infinity, else 0: comparisons alone may lose a NaN. */
INLINE float spoilt(vf zeros)
{
    return sum_of(zeros);
}

/* Of 8 bits 254 steps between the least and the greatest, so that rounding twice cannot overflow them. */
INLINE struct vec_row_u8 quantise_u8(const void *x, bool bf16, uint8_t *y, int64_t n, int bits)
{
    float steps = (float)((1 << bits) - 2);
    vf lo = {0}, hi = {0}, zeros = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        vf v = number_at(x, i, n, bf16);
        hi = greater(hi, v);
        lo = -greater(-lo, -v);
        zeros += v * 0.0f;
    }
    float least = least_of(lo), range = greatest_of(hi) - least;
    float to = range > LEAST_RANGE ? steps / range : 0.0f;
    int32_t zero = to > 0 ? (int32_t)rintf(-least * to) : 0;
    for (int64_t i = 0; i < n; i += LANES) {
        vi q = whole_of(number_at(x, i, n, bf16) * to) + zero;
        put_bytes(y + i, q, left(n, i));
    }
    return (struct vec_row_u8){.scale = range / steps + spoilt(zeros), .zero = zero};
}

INLINE vh greater_half_bits(vh a, vh b)
{
#ifdef VEC_MAX_U16
    return (vh)VEC_MAX_U16(a, b);
#else
    vh mask = (vh)(a > b);
    return (a & mask) | (b & ~mask);
#endif
}

INLINE vu greater_bits(vu a, vu b)
{
#ifdef VEC_MAX_U32
    return (vu)VEC_MAX_U32(a, b);
#else
    vu mask = (vu)(a > b);
    return (a & mask) | (b & ~mask);
#endif
}

/* The greatest |x|, by bits: those of positive numbers are in order, infinities and NaN the greatest of all. */
INLINE float greatest_size(const void *x, int64_t n, bool bf16)
{
    vh half = {0};
    vu full = {0};
    int64_t i = 0;
    for (; bf16 && i + LANES <= n; i += LANES) {
        vh h;
        __builtin_prefetch((const uint16_t *)x + i + AHEAD);
        memcpy(&h, (const uint16_t *)x + i, sizeof h);
        half = greater_half_bits(half, h & 0x7fff);
    }
    for (; i < n; i += LANES)
        full = greater_bits(full, (vu)number_at(x, i, n, bf16) & 0x7fffffffu);
    vu all = greater_bits(full, (vu)of_bf16(half));
    uint32_t most = 0;
    for (int k = 0; k < LANES; k++)
        most = all[k] > most ? all[k] : most;
    float f;
    memcpy(&f, &most, sizeof f);
    return f;
}

/* Added to 1.5 * 2^23 a number is rounded, and its whole part is in the lowest bits; those of the sum of so many are
 * right modulo 2^32. */
INLINE struct vec_row_s8 quantise_s8(const void *x, bool bf16, int8_t *y, int64_t n, int bits)
{
    float most = (float)((1 << (bits - 1)) - 1);
    float range = greatest_size(x, n, bf16);
    bool sound = range < INFINITY; /* no NaN either */
    float to = sound && range > LEAST_RANGE ? most / range : 0.0f;
    vu sums = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        vu q = (vu)(number_at(x, i, n, bf16) * to + 12582912.0f);
        sums += q;
        put_bytes(y + i, (vi)q, left(n, i));
    }
    uint32_t sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += sums[i];
    sum -= (uint32_t)((n + LANES - 1) / LANES * LANES) * 0x4b400000u;
    return (struct vec_row_s8){.scale = sound ? range / most : NAN, .sum = (int32_t)sum};
}

LOOP struct vec_row_u8 to_u8(const void *x, bool bf16, uint8_t *y, int64_t n, int bits)
{
    return bf16 ? quantise_u8(x, true, y, n, bits) : quantise_u8(x, false, y, n, bits);
}

LOOP struct vec_row_s8 to_s8(const void *x, bool bf16, int8_t *y, int64_t n, int bits)
{
    return bf16 ? quantise_s8(x, true, y, n, bits) : quantise_s8(x, false, y, n, bits);
}

/* In place: row r of the tile holds int32, afterwards float32. */
LOOP void from_int8(const struct vec_from_int8 *j)
{
    for (int64_t r = 0; r < j->rows; r++) {
        float *c = j->c + r * j->ldc;
        struct vec_row_u8 x;
        memcpy(&x, (const unsigned char *)j->x + (size_t)r * j->x_step, sizeof x);
        for (int64_t i = 0; i < j->cols; i += LANES) {
            vi q = (vi)take(c, i, j->cols), sums = (vi)take(j->sums, i, j->cols);
            vf v = __builtin_convertvector(q - sums * x.zero, vf);
            put(c, i, v * (take(j->scales, i, j->cols) * x.scale), left(j->cols, i), false);
        }
    }
}

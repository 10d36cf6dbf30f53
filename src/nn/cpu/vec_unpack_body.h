/* vec_unpack_body.h - rows of half floats and of GGUF's quantised types to float32 or bf16; a part of
 * vec_body.h. The order of multiplications is ggml's. */
#include <ggml.h>

/* Half to float: the bits are moved into place and a multiplication corrects the exponent's bias, which handles
 * denormals, too; then infinities and NaN. */
INLINE vf of_half(vh h)
{
#ifdef VEC_HALVES
    return (vf)VEC_HALVES(h);
#else
    vu u = widened(h);
    vu sign = (u & 0x8000u) << 16, rest = (u & 0x7fffu) << 13;
    vf f = (vf)rest * 0x1p112f;
    vu special = (vu)(rest >= (0x7c00u << 13)) & 0x7f800000u;
    return (vf)((vu)f | special | sign);
#endif
}

INLINE float half_at(const void *p)
{
    uint16_t b;
    memcpy(&b, p, sizeof b);
#ifdef VEC_HALF
    return VEC_HALF(b);
#else
    vh h = {b};
    return of_half(h)[0];
#endif
}

INLINE vf of_bytes(const int8_t *p)
{
    vb b;
    memcpy(&b, p, sizeof b);
#ifdef VEC_BYTES /* gcc 12 takes the bytes apart one by one */
    return __builtin_convertvector((vi)VEC_BYTES(b), vf);
#else
    return __builtin_convertvector(__builtin_convertvector(b, vi), vf);
#endif
}

INLINE vu unsigned_bytes(const uint8_t *p)
{
    vub b;
    memcpy(&b, p, sizeof b);
#ifdef VEC_UNSIGNED_BYTES
    return (vu)VEC_UNSIGNED_BYTES(b);
#else
    return __builtin_convertvector(b, vu);
#endif
}

INLINE vf of_int(vu u)
{
    return __builtin_convertvector((vi)u, vf);
}

/* Bit i of bits in lane i, as 0 or 16. */
INLINE vu fifth_bits(uint32_t bits)
{
    const vu lane = LANE_NUMBERS;
    return ((((vu){0} + bits) >> lane) & 1u) << 4;
}

INLINE void unpack_f16(const void *src, void *dst, int64_t n, bool bf16)
{
    const uint16_t *x = src;
    for (int64_t i = 0; i < n; i += LANES) {
        vh h = {0};
        if (left(n, i) == LANES)
            memcpy(&h, x + i, sizeof h);
        else
            memcpy(&h, x + i, (size_t)left(n, i) * sizeof *x);
        put(dst, i, of_half(h), left(n, i), bf16);
    }
}

INLINE void unpack_q8_0(const void *src, void *dst, int64_t n, bool bf16)
{
    const struct block_q8_0 *b = src;
    for (int64_t i = 0; i < n; i += QUANT_BLOCK, b++) {
        float d = half_at(&b->d);
        for (int k = 0; k < QUANT_BLOCK; k += LANES)
            put(dst, i + k, of_bytes(b->qs + k) * d, LANES, bf16);
    }
}

INLINE void unpack_q4(const void *src, void *dst, int64_t n, bool bf16, bool with_min)
{
    const unsigned char *p = src;
    for (int64_t i = 0; i < n; i += QUANT_BLOCK) {
        float d = half_at(p), m = with_min ? half_at(p + 2) : -8.0f * d;
        p += with_min ? 4 : 2;
        for (int k = 0; k < 16; k += LANES) {
            vu q = unsigned_bytes(p + k);
            put(dst, i + k, of_int(q & 15u) * d + m, LANES, bf16);
            put(dst, i + k + 16, of_int(q >> 4) * d + m, LANES, bf16);
        }
        p += 16;
    }
}

INLINE void unpack_q5(const void *src, void *dst, int64_t n, bool bf16, bool with_min)
{
    const unsigned char *p = src;
    for (int64_t i = 0; i < n; i += QUANT_BLOCK) {
        float d = half_at(p), m = with_min ? half_at(p + 2) : -16.0f * d;
        p += with_min ? 4 : 2;
        uint32_t high;
        memcpy(&high, p, sizeof high);
        for (int k = 0; k < 16; k += LANES) {
            vu q = unsigned_bytes(p + 4 + k);
            vu low = (q & 15u) | fifth_bits(high >> k), up = q >> 4 | fifth_bits(high >> (k + 16));
            put(dst, i + k, of_int(low) * d + m, LANES, bf16);
            put(dst, i + k + 16, of_int(up) * d + m, LANES, bf16);
        }
        p += 20;
    }
}

/* The scale and minimum of part j of eight, six bits each in twelve bytes. */
INLINE void scale_min(const uint8_t *s, int j, float *scale, float *min)
{
    if (j < 4) {
        *scale = (float)(s[j] & 63);
        *min = (float)(s[j + 4] & 63);
    } else {
        *scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (float)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

/* Parts 2k and 2k + 1 share 32 bytes: low and high nibbles. qh (5 bits a weight) or NULL. */
INLINE void unpack_k_block(const unsigned char *head, const uint8_t *qs, const uint8_t *qh,
                           void *dst, int64_t at, bool bf16)
{
    float d = half_at(head), dmin = half_at(head + 2);
    for (int j = 0; j < 8; j++) {
        float scale, min;
        scale_min(head + 4, j, &scale, &min);
        for (int k = 0; k < 32; k += LANES) {
            vu q = unsigned_bytes(qs + j / 2 * 32 + k);
            q = j % 2 ? q >> 4 : q & 15u;
            if (qh)
                q |= ((unsigned_bytes(qh + k) >> (uint32_t)j) & 1u) << 4;
            put(dst, at + j * 32 + k, of_int(q) * (d * scale) - dmin * min, LANES, bf16);
        }
    }
}

INLINE void unpack_q4_k(const void *src, void *dst, int64_t n, bool bf16)
{
    const struct block_q4_k *b = src;
    for (int64_t i = 0; i < n; i += QUANT_SUPER_BLOCK, b++)
        unpack_k_block((const unsigned char *)b, b->qs, NULL, dst, i, bf16);
}

INLINE void unpack_q5_k(const void *src, void *dst, int64_t n, bool bf16)
{
    const struct block_q5_k *b = src;
    for (int64_t i = 0; i < n; i += QUANT_SUPER_BLOCK, b++)
        unpack_k_block((const unsigned char *)b, b->qs, b->qh, dst, i, bf16);
}

/* Two halves of 128: four parts of 32 whose low bits are nibbles of 64 bytes and whose high two bits are a
 * quarter each of 32 bytes. */
INLINE void unpack_q6_k(const void *src, void *dst, int64_t n, bool bf16)
{
    const struct block_q6_k *b = src;
    for (int64_t i = 0; i < n; i += QUANT_SUPER_BLOCK, b++) {
        float d = half_at(&b->d);
        for (int k = 0; k < QUANT_SUPER_BLOCK; k += LANES) {
            int half = k / 128, part = k % 128 / 32, off = k % 32;
            vu low = unsigned_bytes(b->ql + half * 64 + part % 2 * 32 + off);
            vu high = unsigned_bytes(b->qh + half * 32 + off);
            low = part < 2 ? low & 15u : low >> 4;
            vu q = low | ((high >> (uint32_t)(2 * part)) & 3u) << 4;
            int8_t scale = b->scales[k / 16];
            put(dst, i + k, (of_int(q) - 32.0f) * (d * (float)scale), LANES, bf16);
        }
    }
}

INLINE bool unpack_as(int type, const void *src, void *dst, int64_t n, bool bf16)
{
    switch (type) {
    case GGML_TYPE_BF16:
        if (bf16)
            memcpy(dst, src, (size_t)n * sizeof(uint16_t));
        else
            from_bf16(src, dst, n);
        return true;
    case GGML_TYPE_F16:
        unpack_f16(src, dst, n, bf16);
        return true;
    case GGML_TYPE_Q8_0:
        unpack_q8_0(src, dst, n, bf16);
        return true;
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q4_1:
        unpack_q4(src, dst, n, bf16, type == GGML_TYPE_Q4_1);
        return true;
    case GGML_TYPE_Q5_0:
    case GGML_TYPE_Q5_1:
        unpack_q5(src, dst, n, bf16, type == GGML_TYPE_Q5_1);
        return true;
    case GGML_TYPE_Q4_K:
        unpack_q4_k(src, dst, n, bf16);
        return true;
    case GGML_TYPE_Q5_K:
        unpack_q5_k(src, dst, n, bf16);
        return true;
    case GGML_TYPE_Q6_K:
        unpack_q6_k(src, dst, n, bf16);
        return true;
    default:
        return false;
    }
}

LOOP bool unpack(int type, const void *src, void *dst, int64_t n, bool bf16)
{
    return bf16 ? unpack_as(type, src, dst, n, true) : unpack_as(type, src, dst, n, false);
}

/* dtype.c - element types, and conversions between plain ones.
 *
 * One table for both formats; the last column is GGUF's number, -1 where GGUF has no such type. is_float says that
 * the numbers are values (scaled or not) and may be converted to float, so that I8, U4 and F4 are "float" and the
 * 6-bit types, which nothing here reads, are not.
 *
 * Conversions round to nearest even, as PyTorch and numpy do; dtype_f32_to_f16 gets subnormals right by adding
 * 0.5, whose last place is their step.
 */
#include "weights/dtype.h"

#include <string.h>

#include "base/ck.h"

#define PLAIN(label, bytes, is_float, id)                                                          \
    {                                                                                              \
        label, 1, bytes, false, is_float, id                                                       \
    }
#define QUANT(label, elems, bytes, id)                                                             \
    {                                                                                              \
        label, elems, bytes, true, true, id                                                        \
    }

static const struct dtype_info infos[DTYPE_COUNT] = {
    [DTYPE_INVALID] = {"?", 0, 0, false, false, -1},
    [DTYPE_F64] = PLAIN("F64", 8, true, 28),
    [DTYPE_F32] = PLAIN("F32", 4, true, 0),
    [DTYPE_F16] = PLAIN("F16", 2, true, 1),
    [DTYPE_BF16] = PLAIN("BF16", 2, true, 30),
    [DTYPE_F8_E4M3] = PLAIN("F8_E4M3", 1, true, -1),
    [DTYPE_F8_E5M2] = PLAIN("F8_E5M2", 1, true, -1),
    [DTYPE_F8_E8M0] = PLAIN("F8_E8M0", 1, false, -1),
    [DTYPE_F4] = {"F4", 2, 1, false, true, -1},
    [DTYPE_F6_E2M3] = {"F6_E2M3", 4, 3, false, false, -1},
    [DTYPE_F6_E3M2] = {"F6_E3M2", 4, 3, false, false, -1},
    [DTYPE_C64] = PLAIN("C64", 8, false, -1),
    [DTYPE_I64] = PLAIN("I64", 8, false, 27),
    [DTYPE_I32] = PLAIN("I32", 4, false, 26),
    [DTYPE_I16] = PLAIN("I16", 2, false, 25),
    [DTYPE_I8] = PLAIN("I8", 1, true, 24),
    [DTYPE_U64] = PLAIN("U64", 8, false, -1),
    [DTYPE_U32] = PLAIN("U32", 4, false, -1),
    [DTYPE_U16] = PLAIN("U16", 2, false, -1),
    [DTYPE_U8] = PLAIN("U8", 1, false, -1),
    [DTYPE_BOOL] = PLAIN("BOOL", 1, false, -1),
    [DTYPE_U4] = {"U4", 2, 1, false, true, -1},
    [DTYPE_Q4_0] = QUANT("Q4_0", 32, 18, 2),
    [DTYPE_Q4_1] = QUANT("Q4_1", 32, 20, 3),
    [DTYPE_Q5_0] = QUANT("Q5_0", 32, 22, 6),
    [DTYPE_Q5_1] = QUANT("Q5_1", 32, 24, 7),
    [DTYPE_Q8_0] = QUANT("Q8_0", 32, 34, 8),
    [DTYPE_Q8_1] = QUANT("Q8_1", 32, 36, 9),
    [DTYPE_Q2_K] = QUANT("Q2_K", 256, 84, 10),
    [DTYPE_Q3_K] = QUANT("Q3_K", 256, 110, 11),
    [DTYPE_Q4_K] = QUANT("Q4_K", 256, 144, 12),
    [DTYPE_Q5_K] = QUANT("Q5_K", 256, 176, 13),
    [DTYPE_Q6_K] = QUANT("Q6_K", 256, 210, 14),
    [DTYPE_Q8_K] = QUANT("Q8_K", 256, 292, 15),
    [DTYPE_IQ2_XXS] = QUANT("IQ2_XXS", 256, 66, 16),
    [DTYPE_IQ2_XS] = QUANT("IQ2_XS", 256, 74, 17),
    [DTYPE_IQ3_XXS] = QUANT("IQ3_XXS", 256, 98, 18),
    [DTYPE_IQ1_S] = QUANT("IQ1_S", 256, 50, 19),
    [DTYPE_IQ4_NL] = QUANT("IQ4_NL", 32, 18, 20),
    [DTYPE_IQ3_S] = QUANT("IQ3_S", 256, 110, 21),
    [DTYPE_IQ2_S] = QUANT("IQ2_S", 256, 82, 22),
    [DTYPE_IQ4_XS] = QUANT("IQ4_XS", 256, 136, 23),
    [DTYPE_IQ1_M] = QUANT("IQ1_M", 256, 56, 29),
    [DTYPE_TQ1_0] = QUANT("TQ1_0", 256, 54, 34),
    [DTYPE_TQ2_0] = QUANT("TQ2_0", 256, 66, 35),
    [DTYPE_MXFP4] = QUANT("MXFP4", 32, 17, 39),
    [DTYPE_NVFP4] = QUANT("NVFP4", 64, 36, 40),
};

const struct dtype_info *dtype_info(enum dtype t)
{
    return &infos[(unsigned)t < DTYPE_COUNT ? t : DTYPE_INVALID];
}

enum dtype dtype_from_safetensors(struct str name)
{
    for (int t = DTYPE_F64; t <= DTYPE_BOOL; t++) {
        if (str_eq_z(name, infos[t].name))
            return (enum dtype)t;
    }
    return DTYPE_INVALID;
}

enum dtype dtype_from_gguf(uint32_t id)
{
    for (int t = DTYPE_F64; t < DTYPE_COUNT; t++) {
        if (infos[t].gguf_id >= 0 && (uint32_t)infos[t].gguf_id == id)
            return (enum dtype)t;
    }
    return DTYPE_INVALID;
}

bool dtype_bytes(enum dtype t, uint64_t n, uint64_t row_elems, uint64_t *out)
{
    const struct dtype_info *info = dtype_info(t);
    if (info->block_elems == 0 || row_elems % info->block_elems != 0 || n % info->block_elems != 0)
        return false;
    return ck_mul_u64(n / info->block_elems, info->block_bytes, out);
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float dtype_f16_to_f32(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000u) << 16, exp = (v >> 10) & 31u, mant = v & 0x3ffu;
    if (exp == 31)
        return from_bits(sign | 0x7f800000u | mant << 13);
    if (exp != 0)
        return from_bits(sign | (exp + 112) << 23 | mant << 13);
    float f = (float)mant * 0x1p-24f;
    return sign ? -f : f;
}

float dtype_bf16_to_f32(uint16_t v)
{
    return from_bits((uint32_t)v << 16);
}

float dtype_e4m3_to_f32(uint8_t v)
{
    uint32_t sign = (uint32_t)(v & 0x80u) << 24, exp = (v >> 3) & 15u, mant = v & 7u;
    if ((v & 0x7f) == 0x7f)
        return from_bits(sign | 0x7fc00000u);
    if (exp != 0)
        return from_bits(sign | (exp + 120) << 23 | mant << 20);
    float f = (float)mant * 0x1p-9f;
    return sign ? -f : f;
}

float dtype_e5m2_to_f32(uint8_t v)
{
    return dtype_f16_to_f32((uint16_t)(v << 8)); /* the upper half of a half float */
}

float dtype_e8m0_to_f32(uint8_t v)
{
    if (v == 255)
        return from_bits(0x7fc00000u);
    return v == 0 ? 0x1p-127f : from_bits((uint32_t)v << 23);
}

float dtype_e2m1_to_f32(uint8_t v)
{
    static const float values[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    float f = values[v & 7];
    return v & 8 ? -f : f;
}

uint16_t dtype_f32_to_bf16(float v)
{
    uint32_t bits = to_bits(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* a NaN must not be rounded to infinity */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint16_t dtype_f32_to_f16(float v)
{
    uint32_t bits = to_bits(v), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (mag >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < 0x38800000u) /* below 2^-14: 0.5's last place is the subnormals' step, 2^-24 */
        return (uint16_t)(sign | (to_bits(from_bits(mag) + 0.5f) - 0x3f000000u));
    mag += 0xfffu + (mag >> 13 & 1u);
    return (uint16_t)(sign | (mag - (112u << 23)) >> 13);
}

static void half_to_f32(const unsigned char *src, float *dst, size_t n, float (*one)(uint16_t))
{
    for (size_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, src + 2 * i, sizeof v);
        dst[i] = one(v);
    }
}

bool dtype_plain_to_f32(enum dtype t, const void *src, float *dst, size_t n)
{
    const unsigned char *p = src;
    switch (t) {
    case DTYPE_F32:
        if (n > 0)
            memcpy(dst, p, n * sizeof *dst);
        return true;
    case DTYPE_F16:
        half_to_f32(p, dst, n, dtype_f16_to_f32);
        return true;
    case DTYPE_BF16:
        half_to_f32(p, dst, n, dtype_bf16_to_f32);
        return true;
    case DTYPE_F64:
        for (size_t i = 0; i < n; i++) {
            double d;
            memcpy(&d, p + 8 * i, sizeof d);
            dst[i] = (float)d;
        }
        return true;
    case DTYPE_F8_E4M3:
        for (size_t i = 0; i < n; i++)
            dst[i] = dtype_e4m3_to_f32(p[i]);
        return true;
    case DTYPE_F8_E5M2:
        for (size_t i = 0; i < n; i++)
            dst[i] = dtype_e5m2_to_f32(p[i]);
        return true;
    case DTYPE_F4:
        for (size_t i = 0; i < n; i++)
            dst[i] = dtype_e2m1_to_f32((uint8_t)(p[i / 2] >> (i % 2 * 4)));
        return true;
    case DTYPE_I8:
        for (size_t i = 0; i < n; i++)
            dst[i] = (float)(int8_t)p[i];
        return true;
    default:
        return false;
    }
}

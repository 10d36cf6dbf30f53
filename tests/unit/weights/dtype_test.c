#include "weights/dtype.h"

#include <math.h>
#include <stdio.h>

#include "build.h"

static void sizes_are_those_of_the_formats_when_asked(void **state)
{
    static const struct {
        enum dtype t;
        uint32_t elems, bytes;
        int id;
    } rows[] = {
        {DTYPE_F32, 1, 4, 0},         {DTYPE_F16, 1, 2, 1},       {DTYPE_BF16, 1, 2, 30},
        {DTYPE_F8_E4M3, 1, 1, -1},    {DTYPE_Q4_0, 32, 18, 2},    {DTYPE_Q4_1, 32, 20, 3},
        {DTYPE_Q5_0, 32, 22, 6},      {DTYPE_Q5_1, 32, 24, 7},    {DTYPE_Q8_0, 32, 34, 8},
        {DTYPE_Q2_K, 256, 84, 10},    {DTYPE_Q3_K, 256, 110, 11}, {DTYPE_Q4_K, 256, 144, 12},
        {DTYPE_Q5_K, 256, 176, 13},   {DTYPE_Q6_K, 256, 210, 14}, {DTYPE_IQ4_NL, 32, 18, 20},
        {DTYPE_IQ4_XS, 256, 136, 23}, {DTYPE_MXFP4, 32, 17, 39},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct dtype_info *info = dtype_info(rows[i].t);
        assert_int_equal(info->block_elems, rows[i].elems);
        assert_int_equal(info->block_bytes, rows[i].bytes);
        assert_int_equal(info->gguf_id, rows[i].id);
        if (rows[i].id >= 0)
            assert_int_equal(dtype_from_gguf((uint32_t)rows[i].id), rows[i].t);
    }
}

static void every_type_has_a_record_when_listed(void **state)
{
    (void)state;
    for (int t = DTYPE_F64; t < DTYPE_COUNT; t++) {
        const struct dtype_info *info = dtype_info((enum dtype)t);
        assert_non_null(info->name);
        assert_true(info->block_elems > 0 && info->block_bytes > 0);
        bool packed = t == DTYPE_F4 || t == DTYPE_F6_E2M3 || t == DTYPE_F6_E3M2 || t == DTYPE_U4;
        assert_true(info->quantised == (info->block_elems > 1 && !packed));
    }
    assert_string_equal(dtype_info(DTYPE_INVALID)->name, "?");
    assert_string_equal(dtype_info((enum dtype)1000)->name, "?");
}

static void unknown_names_and_ids_give_invalid(void **state)
{
    (void)state;
    assert_int_equal(dtype_from_safetensors(STR_LIT("bf16")), DTYPE_INVALID);
    assert_int_equal(dtype_from_safetensors(STR_LIT("Q8_0")), DTYPE_INVALID);
    assert_int_equal(dtype_from_safetensors(STR_LIT("?")), DTYPE_INVALID);
    assert_int_equal(dtype_from_safetensors(STR_LIT("U4")), DTYPE_INVALID);
    assert_int_equal(dtype_from_safetensors(STR_LIT("BF16")), DTYPE_BF16);
    assert_int_equal(dtype_from_gguf(4), DTYPE_INVALID);
    assert_int_equal(dtype_from_gguf(0xffffffffu), DTYPE_INVALID);
}

static void bytes_fail_when_rows_are_not_whole_blocks(void **state)
{
    uint64_t n = 0;
    (void)state;
    assert_true(dtype_bytes(DTYPE_Q5_0, 128, 64, &n));
    assert_int_equal(n, 88);
    assert_false(dtype_bytes(DTYPE_Q5_0, 96, 48, &n));
    assert_true(dtype_bytes(DTYPE_F32, 3, 3, &n));
    assert_int_equal(n, 12);
    assert_false(dtype_bytes(DTYPE_F64, UINT64_MAX / 4, 1, &n));
    assert_false(dtype_bytes(DTYPE_INVALID, 1, 1, &n));
}

/* Reference by the format's definition: sign, exponent bias, mantissa. */
static double small_float(unsigned v, int exp_bits, int mant_bits)
{
    int bias = (1 << (exp_bits - 1)) - 1;
    unsigned mant = v & ((1u << mant_bits) - 1);
    int exp = (int)(v >> mant_bits & ((1u << exp_bits) - 1));
    double sign = v >> (exp_bits + mant_bits) & 1 ? -1 : 1;
    if (exp == 0)
        return sign * ldexp(mant, 1 - bias - mant_bits);
    return sign * ldexp((double)mant + (1 << mant_bits), exp - bias - mant_bits);
}

static void fp8_decodes_every_code(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 256; v++) {
        float f = dtype_e4m3_to_f32((uint8_t)v);
        if ((v & 0x7f) == 0x7f)
            assert_true(isnan(f));
        else
            assert_true((double)f == small_float(v, 4, 3) && !signbit(f) == !(v & 0x80));
        f = dtype_e5m2_to_f32((uint8_t)v);
        if ((v & 0x7c) == 0x7c)
            assert_true((v & 3) ? isnan(f) : isinf(f));
        else
            assert_true((double)f == small_float(v, 5, 2));
    }
    assert_true(dtype_e4m3_to_f32(0x7e) == 448);
}

static void f16_survives_a_round_trip_for_every_code(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 65536; v++) {
        float f = dtype_f16_to_f32((uint16_t)v);
        if ((v & 0x7c00) == 0x7c00) {
            assert_true((v & 0x3ff) ? isnan(f) && isnan(dtype_f16_to_f32(dtype_f32_to_f16(f)))
                                    : isinf(f) && dtype_f32_to_f16(f) == v);
        } else {
            assert_true((double)f == small_float(v, 5, 10));
            assert_int_equal(dtype_f32_to_f16(f), v);
        }
    }
}

static void rounding_goes_to_even_when_between_two(void **state)
{
    (void)state;
    assert_int_equal(dtype_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
    assert_int_equal(dtype_f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);
    assert_int_equal(dtype_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(dtype_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(dtype_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(dtype_f32_to_f16(0x1.8p-25f), 1);
    assert_int_equal(dtype_f32_to_f16(-0x1p-24f), 0x8001);
    assert_int_equal(dtype_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(dtype_f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);
    assert_true(isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(NAN))));
    assert_true(isinf(dtype_bf16_to_f32(dtype_f32_to_bf16(3.4e38f))));
}

static void plain_types_convert_when_unaligned(void **state)
{
    unsigned char bytes[64];
    float out[4], in[4] = {1, -2.5f, 0, 1e-3f};
    double wide[2] = {0.5, -3};
    (void)state;
    memcpy(bytes + 1, in, sizeof in);
    assert_true(dtype_plain_to_f32(DTYPE_F32, bytes + 1, out, 4));
    assert_memory_equal(in, out, sizeof in);
    memcpy(bytes + 3, wide, sizeof wide);
    assert_true(dtype_plain_to_f32(DTYPE_F64, bytes + 3, out, 2));
    assert_true(out[0] == 0.5f && out[1] == -3.0f);
    static const unsigned char half[] = {0x80, 0x3f, 0x00, 0xc0};
    memcpy(bytes + 1, half, sizeof half);
    assert_true(dtype_plain_to_f32(DTYPE_BF16, bytes + 1, out, 2));
    assert_true(out[0] == 1.0f && out[1] == -2.0f);
    assert_false(dtype_plain_to_f32(DTYPE_Q8_0, bytes, out, 1));
    assert_false(dtype_plain_to_f32(DTYPE_I32, bytes, out, 1));
}

static void codes_that_are_no_numbers_are_found_wherever_they_are(void **state)
{
    (void)state;
    enum { N = 21 };
    static const struct {
        enum dtype t;
        unsigned char good, bad;
    } rows[] = {{DTYPE_F8_E4M3, 0x7e, 0x7f},
                {DTYPE_F8_E4M3, 0xfe, 0xff},
                {DTYPE_F8_E5M2, 0x7b, 0x7c},
                {DTYPE_F8_E5M2, 0xfb, 0xff}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int i = 0; i < N; i++) {
            unsigned char b[N];
            memset(b, rows[r].good, N);
            assert_true(dtype_blocks_finite(rows[r].t, b, N));
            b[i] = rows[r].bad;
            assert_false(dtype_blocks_finite(rows[r].t, b, N));
        }
}

/* Its exponent is spread over two words: all ones in both is no number, in one of them it is. */
static void scale_of_iq1_m_is_looked_at(void **state)
{
    (void)state;
    enum { BLOCK = 56 };
    unsigned char b[2 * BLOCK] = {0};
    b[BLOCK + 53] = 0xff;
    assert_true(dtype_blocks_finite(DTYPE_IQ1_M, b, sizeof b));
    b[BLOCK + 55] = 0x6f;
    assert_true(dtype_blocks_finite(DTYPE_IQ1_M, b, sizeof b));
    b[BLOCK + 55] = 0x70;
    assert_false(dtype_blocks_finite(DTYPE_IQ1_M, b, sizeof b));
    assert_true(dtype_blocks_finite(DTYPE_IQ1_M, b, BLOCK));
    b[BLOCK + 53] = 0x80;
    assert_true(dtype_blocks_finite(DTYPE_IQ1_M, b, sizeof b));
}

static void scales_of_blocks_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        enum dtype t;
        int at;
        unsigned char bad;
    } rows[] = {{DTYPE_Q4_0, 1, 0x7c},   {DTYPE_Q5_1, 3, 0xfc},   {DTYPE_Q2_K, 83, 0x7e},
                {DTYPE_Q3_K, 109, 0xff}, {DTYPE_IQ4_XS, 1, 0x7c}, {DTYPE_TQ1_0, 53, 0x7c},
                {DTYPE_MXFP4, 0, 0xff},  {DTYPE_NVFP4, 3, 0x7f},  {DTYPE_NVFP4, 0, 0x80}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        size_t block = dtype_info(rows[r].t)->block_bytes;
        unsigned char b[2 * 256] = {0};
        assert_true(dtype_blocks_finite(rows[r].t, b, 2 * block));
        b[block + (size_t)rows[r].at] = rows[r].bad;
        assert_false(dtype_blocks_finite(rows[r].t, b, 2 * block));
        assert_true(dtype_blocks_finite(rows[r].t, b, block));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_formats_when_asked),
        cmocka_unit_test(every_type_has_a_record_when_listed),
        cmocka_unit_test(unknown_names_and_ids_give_invalid),
        cmocka_unit_test(bytes_fail_when_rows_are_not_whole_blocks),
        cmocka_unit_test(fp8_decodes_every_code),
        cmocka_unit_test(f16_survives_a_round_trip_for_every_code),
        cmocka_unit_test(rounding_goes_to_even_when_between_two),
        cmocka_unit_test(plain_types_convert_when_unaligned),
        cmocka_unit_test(codes_that_are_no_numbers_are_found_wherever_they_are),
        cmocka_unit_test(scales_of_blocks_are_looked_at),
        cmocka_unit_test(scale_of_iq1_m_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* quantise_test.c - the bytes are ggml's own, and decode to within what the type can hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ggml.h>

#include "nn/dtype_ggml.h"
#include "nn/params.h"
#include "nn/quantise.h"

enum { ROWS = 7, ROW = 768 };

static float source[ROWS * ROW];

/* Numbers like a network's weights: many small, few large; the same on every machine. */
static int set_up(void **state)
{
    uint32_t x = 12345;
    (void)state;
    for (int i = 0; i < ROWS * ROW; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            x = x * 1664525u + 1013904223u;
            sum += (float)(x >> 8) * 0x1p-24f - 0.5f;
        }
        source[i] = sum * 0.05f;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    nn_quantise_free();
    return 0;
}

/* Root mean square of the error by that of the numbers. */
static double error_of(enum dtype t, const void *bytes)
{
    static float back[ROWS * ROW];
    const struct weights_tensor stored = {.name = "t", .dtype = t};
    struct weights_view v = {
        .stored = &stored, .dtype = t, .n_dims = 2, .dims = {ROWS, ROW}, .data = bytes, .scale = 1};
    struct err e = {0};
    double err = 0, all = 0;
    if (nn_view_rows_f32(&v, 0, ROWS, back, &e) != ERR_OK)
        fail_msg("%s", e.text);
    for (int i = 0; i < ROWS * ROW; i++) {
        double d = (double)back[i] - (double)source[i];
        err += d * d;
        all += (double)source[i] * (double)source[i];
    }
    return sqrt(err / all);
}

/* A little above what was measured with the numbers above. */
static const struct {
    enum dtype type;
    double most;
} types[] = {
    {DTYPE_F32, 0},        {DTYPE_F16, 0.0003}, {DTYPE_BF16, 0.0025}, {DTYPE_Q8_0, 0.006},
    {DTYPE_Q6_K, 0.022},   {DTYPE_Q5_K, 0.04},  {DTYPE_Q5_1, 0.04},   {DTYPE_Q5_0, 0.045},
    {DTYPE_Q4_K, 0.075},   {DTYPE_Q4_1, 0.08},  {DTYPE_Q4_0, 0.09},   {DTYPE_IQ4_NL, 0.085},
    {DTYPE_IQ4_XS, 0.085}, {DTYPE_Q3_K, 0.16},  {DTYPE_Q2_K, 0.32},
};

static void every_type_is_ggml_s_and_near(void **state)
{
    static unsigned char ours[ROWS * ROW * 4], theirs[ROWS * ROW * 4];
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct err e = {0};
        enum dtype t = types[i].type;
        assert_true(nn_can_quantise(t));
        memset(ours, 0, sizeof ours);
        memset(theirs, 0, sizeof theirs);
        /* Rows in two calls: they do not depend on each other. */
        size_t row_bytes = ggml_row_size(nn_ggml_type(t), ROW);
        assert_int_equal(nn_quantise_rows(t, source, 3, ROW, ours, "t", &e), ERR_OK);
        assert_int_equal(
            nn_quantise_rows(t, source + 3 * ROW, ROWS - 3, ROW, ours + 3 * row_bytes, "t", &e),
            ERR_OK);
        size_t n = ggml_quantize_chunk(nn_ggml_type(t), source, theirs, 0, ROWS, ROW, NULL);
        assert_int_equal(n, ROWS * row_bytes);
        assert_memory_equal(ours, theirs, n);
        double err = error_of(t, ours);
        if (err > types[i].most)
            fail_msg("%s: error %.5f, at most %.5f is expected", dtype_info(t)->name, err,
                     types[i].most);
        print_message("%-7s relative error %.5f\n", dtype_info(t)->name, err);
    }
}

static void types_that_need_more_are_not_offered(void **state)
{
    const enum dtype no[] = {DTYPE_INVALID, DTYPE_F64,     DTYPE_F8_E4M3, DTYPE_I32,   DTYPE_Q8_1,
                             DTYPE_Q8_K,    DTYPE_IQ2_XXS, DTYPE_IQ2_XS,  DTYPE_IQ1_S, DTYPE_IQ1_M};
    float out[256];
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (no[i] != DTYPE_IQ1_M) /* ggml's list says which of these it can make */
            assert_false(nn_can_quantise(no[i]));
        if (!nn_can_quantise(no[i]))
            assert_int_equal(nn_quantise_rows(no[i], source, 1, 256, out, "t", &e), ERR_ARG);
    }
    assert_int_equal(nn_quantise_rows(DTYPE_Q8_0, source, 1, 48, out, "t", &e), ERR_ARG);
    assert_int_equal(nn_quantise_rows(DTYPE_Q4_K, source, 1, 128, out, "t", &e), ERR_ARG);
}

static void numbers_that_a_type_cannot_hold_are_refused(void **state)
{
    float in[32] = {0}, out[32];
    struct err e = {0};
    (void)state;
    in[5] = 65504;
    in[6] = -65519; /* rounds down */
    assert_int_equal(nn_quantise_rows(DTYPE_F16, in, 1, 32, out, "t", &e), ERR_OK);
    in[7] = 65520;
    assert_int_equal(nn_quantise_rows(DTYPE_F16, in, 1, 32, out, "t", &e), ERR_NUMERIC);
    assert_non_null(strstr(e.text, "bf16"));
    assert_int_equal(nn_quantise_rows(DTYPE_BF16, in, 1, 32, out, "t", &e), ERR_OK);
    in[7] = NAN; /* a plain type can say so; a sum of a block cannot */
    assert_int_equal(nn_quantise_rows(DTYPE_F16, in, 1, 32, out, "t", &e), ERR_OK);
    assert_true(isnan(dtype_f16_to_f32(((uint16_t *)(void *)out)[7])));
    assert_int_equal(nn_quantise_rows(DTYPE_Q8_0, in, 1, 32, out, "t", &e), ERR_NUMERIC);
    in[7] = INFINITY;
    assert_int_equal(nn_quantise_rows(DTYPE_F16, in, 1, 32, out, "t", &e), ERR_OK);
    assert_int_equal(nn_quantise_rows(DTYPE_Q4_0, in, 1, 32, out, "t", &e), ERR_NUMERIC);
    assert_non_null(strstr(e.text, "'t'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_ggml_s_and_near),
        cmocka_unit_test(types_that_need_more_are_not_offered),
        cmocka_unit_test(numbers_that_a_type_cannot_hold_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* nvidia_eight_test.c - matrices in 8 bits on a card that is none: what is there is the nearest to what was stored, for every
 * form in a file; what is stored in 8 bits stays; NaN is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_card.h"
#include "nn/buffer.h"
#include "nn/params_impl.h"
#include "weights/dtype.h"

enum { ROWS = 48, COLUMNS = 96, N = ROWS * COLUMNS };

struct card {
    struct nn_device *d;
    struct ggml_context *ctx;
    struct nn_buffer *buffer;
    struct nn_param p;
    struct weights_tensor stored;
    _Alignas(64) unsigned char data[N * sizeof(float)];
    float rows[ROWS];
};

static void open_card(struct card *c, enum dtype dtype, uint64_t bytes, enum nn_compute eight)
{
    struct err e = {0};
    struct ggml_init_params init = {.mem_size = 8 * ggml_tensor_overhead(), .no_alloc = true};
    memset(c, 0, sizeof *c);
    if (nn_device_open("cuda", 1, &c->d, &e) != ERR_OK)
        fail_msg("%s", e.text);
    c->ctx = ggml_init(init);
    c->stored = (struct weights_tensor){.name = "m.weight", .dtype = dtype};
    c->p = (struct nn_param){.name = "m.weight", .role = NN_MATRIX, .scale = 1, .eight = eight};
    c->p.view = (struct weights_view){.stored = &c->stored,
                                      .dtype = dtype,
                                      .n_dims = 2,
                                      .dims = {ROWS, COLUMNS},
                                      .data = c->data,
                                      .bytes = bytes,
                                      .scale = 1};
    assert_true(nn_param_suits_eight(&c->p));
    c->p.t = ggml_new_tensor_2d(c->ctx, GGML_TYPE_I8, COLUMNS, ROWS);
    c->p.row_scales = ggml_new_tensor_1d(c->ctx, GGML_TYPE_F32, ROWS);
    size_t first = nn_tensor_room(c->d, c->p.t);
    assert_int_equal(nn_buffer_new(c->d, NN_MEMORY_WEIGHTS,
                                   first + nn_tensor_room(c->d, c->p.row_scales), "weights",
                                   &c->buffer, &e),
                     ERR_OK);
    assert_int_equal(nn_buffer_place(c->buffer, c->p.t, 0, &e), ERR_OK);
    assert_int_equal(nn_buffer_place(c->buffer, c->p.row_scales, first, &e), ERR_OK);
}

static void close_card(struct card *c)
{
    nn_buffer_free(c->buffer);
    ggml_free(c->ctx);
    nn_device_close(c->d);
}

/* Rows of different sizes, one of them zeros. */
static float number(int i)
{
    int row = i / COLUMNS;
    uint32_t u = (uint32_t)i * 2654435761u;
    return row == 5 ? 0.0f : ldexpf((float)(int32_t)u / 2147483648.0f, row % 9 - 6);
}

static void put_numbers(struct card *c, enum dtype dtype)
{
    for (int i = 0; i < N; i++) {
        float f = number(i);
        uint16_t h = dtype == DTYPE_F16 ? dtype_f32_to_f16(f) : dtype_f32_to_bf16(f);
        if (dtype == DTYPE_F32)
            memcpy(c->data + (size_t)i * sizeof f, &f, sizeof f);
        else
            memcpy(c->data + (size_t)i * sizeof h, &h, sizeof h);
    }
}

static void put_blocks(struct card *c, enum ggml_type type)
{
    float *f = calloc(N, sizeof *f);
    for (int i = 0; i < N; i++)
        f[i] = number(i);
    (void)ggml_quantize_chunk(type, f, c->data, 0, ROWS, COLUMNS, NULL);
    free(f);
}

/* Bytes of any kind but NaN; with a scale for all and one a row. */
static void put_bytes(struct card *c)
{
    for (int i = 0; i < N; i++)
        c->data[i] = (unsigned char)(i * 37 % 251 & ~(i * 37 % 251 % 128 == 127 ? 1 : 0));
    for (int i = 0; i < ROWS; i++)
        c->rows[i] = ldexpf(1 + (float)i / 64, -5);
    c->p.view.scale = 0.5f;
    c->p.view.rows = (struct weights_numbers){(const unsigned char *)c->rows, DTYPE_F32};
    c->p.view.n_scales = ROWS;
}

static float value_of(enum nn_compute eight, uint8_t byte)
{
    return eight == NN_COMPUTE_INT8 ? (float)(int8_t)byte : dtype_e4m3_to_f32(byte);
}

/* What may be lost: half a step, and what bf16 on the way loses. */
static float most_of(enum nn_compute eight, float x, float scale)
{
    float step = eight == NN_COMPUTE_INT8 ? scale / 2 : fabsf(x) / 16 + scale / 1024;
    return step * 1.001f + fabsf(x) / 256;
}

static void expect_numbers(struct card *c, bool exact)
{
    struct err e = {0};
    if (nn_param_upload(c->d, &c->p, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
    const uint8_t *q = c->p.t->data; /* a card's memory is ordinary memory here */
    const float *scales = c->p.row_scales->data;
    for (int r = 0; r < ROWS; r++) {
        float want[COLUMNS];
        assert_int_equal(nn_view_rows_f32(&c->p.view, r, 1, want, &e), ERR_OK);
        for (int i = 0; i < COLUMNS; i++) {
            float have = value_of(c->p.eight, q[r * COLUMNS + i]) * scales[r];
            float most = exact ? 0.0f : most_of(c->p.eight, want[i], scales[r]);
            if (!(fabsf(have - want[i]) <= most))
                fail_msg("row %d, column %d: %g in place of %g", r, i, (double)have,
                         (double)want[i]);
        }
    }
}

static const enum nn_compute kinds[] = {NN_COMPUTE_INT8, NN_COMPUTE_FP8};

static void numbers_become_the_nearest(void **state)
{
    static const enum dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    struct card c;
    (void)state;
    for (int i = 0; i < 6; i++) {
        enum dtype t = types[i / 2];
        open_card(&c, t, N * dtype_info(t)->block_bytes, kinds[i % 2]);
        put_numbers(&c, t);
        expect_numbers(&c, false);
        close_card(&c);
    }
}

static void blocks_become_the_nearest(void **state)
{
    struct card c;
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool q8 = i < 2;
        enum ggml_type t = q8 ? GGML_TYPE_Q8_0 : GGML_TYPE_Q5_0;
        open_card(&c, q8 ? DTYPE_Q8_0 : DTYPE_Q5_0, ROWS * ggml_row_size(t, COLUMNS), kinds[i % 2]);
        put_blocks(&c, t);
        expect_numbers(&c, false);
        close_card(&c);
    }
}

static void bytes_of_the_same_kind_stay(void **state)
{
    static const enum dtype types[] = {DTYPE_I8, DTYPE_F8_E4M3};
    struct card c;
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool same = i / 2 == i % 2;
        open_card(&c, types[i / 2], N, kinds[i % 2]);
        put_bytes(&c);
        expect_numbers(&c, same);
        assert_true(!same || memcmp(c.p.t->data, c.data, N) == 0);
        close_card(&c);
    }
}

static void expect_refused(struct card *c)
{
    struct err e = {0};
    assert_int_equal(nn_param_upload(c->d, &c->p, NULL, &e), ERR_NUMERIC);
    assert_non_null(strstr(e.text, "m.weight"));
    close_card(c);
}

static void nan_is_refused(void **state)
{
    static const enum dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    struct card c;
    (void)state;
    for (int i = 0; i < 3; i++) {
        size_t one = dtype_info(types[i])->block_bytes;
        open_card(&c, types[i], N * one, NN_COMPUTE_INT8);
        put_numbers(&c, types[i]);
        memset(c.data + 777 * one, 0xff, one);
        expect_refused(&c);
    }
}

static void nan_is_refused_in_blocks_and_what_stays(void **state)
{
    struct card c;
    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t block = dtype_info(DTYPE_Q8_0)->block_bytes;
        open_card(&c, DTYPE_Q8_0, ROWS * ggml_row_size(GGML_TYPE_Q8_0, COLUMNS), kinds[i]);
        put_blocks(&c, GGML_TYPE_Q8_0);
        c.data[77 * block + 1] = 0x7c; /* of the scale */
        expect_refused(&c);
    }
    open_card(&c, DTYPE_F8_E4M3, N, NN_COMPUTE_FP8);
    put_bytes(&c);
    c.data[777] = 0x7f;
    expect_refused(&c);
}

static void scales_of_rows_are_checked(void **state)
{
    static const enum dtype stay[] = {DTYPE_I8, DTYPE_F8_E4M3};
    struct card c;
    (void)state;
    for (int i = 0; i < 2; i++) {
        open_card(&c, stay[i], N, kinds[i]);
        put_bytes(&c);
        c.rows[ROWS - 1] = i ? NAN : INFINITY;
        expect_refused(&c);
    }
}

static void odd_shapes_do_not_suit(void **state)
{
    struct nn_param p = {.view = {.n_dims = 2, .dims = {32, 48}}};
    (void)state;
    assert_true(nn_param_suits_eight(&p));
    p.view.dims[0] = 40;
    assert_false(nn_param_suits_eight(&p));
    p.view.dims[0] = 32;
    p.view.dims[1] = 40;
    assert_false(nn_param_suits_eight(&p));
}

static int setup(void **state)
{
    (void)state;
    return fake_card_driver() ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_card_driver()->complaints, 0);
    assert_int_equal(fake_card_driver()->held, 0);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_become_the_nearest),
        TEST(blocks_become_the_nearest),
        TEST(bytes_of_the_same_kind_stay),
        TEST(nan_is_refused),
        TEST(nan_is_refused_in_blocks_and_what_stays),
        TEST(scales_of_rows_are_checked),
        TEST(odd_shapes_do_not_suit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

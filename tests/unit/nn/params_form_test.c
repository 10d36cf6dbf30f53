/* Quantised forms of safetensors on the CPU: what ggml makes of the blocks that they become is what the form's
 * own arithmetic gives. */
#include "help.h"

#include <ggml-backend.h>

#include "base/buf.h"
#include "nn/params_impl.h"

enum { ROWS = 6, COLUMNS = 128 };

struct made {
    unsigned char q[ROWS * COLUMNS];
    unsigned char blocks[ROWS * COLUMNS / 16];
    float rows[ROWS];
    struct weights_tensor stored;
    struct weights_view v;
};

static void make(struct made *m, enum dtype dtype)
{
    uint32_t seed = 7;
    *m = (struct made){0};
    for (size_t i = 0; i < sizeof m->q; i++) {
        seed = seed * 1664525u + 1013904223u;
        m->q[i] = (unsigned char)(seed >> 24);
    }
    for (size_t i = 0; i < sizeof m->blocks; i++)
        m->blocks[i] = (unsigned char)(0x18 + i * 37 % 80);
    for (int i = 0; i < ROWS; i++)
        m->rows[i] = ldexpf(1 + (float)i / 8, -9);
    m->stored = (struct weights_tensor){.name = "m.weight", .dtype = dtype};
    m->v = (struct weights_view){.stored = &m->stored,
                                 .dtype = dtype,
                                 .n_dims = 2,
                                 .dims = {ROWS, COLUMNS},
                                 .data = m->q,
                                 .bytes = dtype == DTYPE_F4 ? ROWS * COLUMNS / 2 : ROWS * COLUMNS,
                                 .scale = 1};
}

/* Uploads the view as a matrix and compares every row with its values. */
static void expect_rows(const struct weights_view *v, enum ggml_type type)
{
    struct test_graph b;
    struct err e = {0};
    graph_open(&b, 1);
    assert_int_equal(nn_param_form(b.device, v), type);
    struct nn_param p = {.view = *v, .name = "m.weight", .role = NN_MATRIX, .scale = 1};
    p.t = ggml_new_tensor_2d(b.ctx, type, COLUMNS, ROWS);
    ggml_backend_buffer_t buffer =
        ggml_backend_alloc_ctx_tensors(b.ctx, nn_device_backend(b.device));
    assert_non_null(buffer);
    if (nn_param_upload(b.device, &p, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
    struct weights_view bare =
        nn_type_scales_product(type) ? weights_view_without_row_scales(v) : *v;
    for (int r = 0; r < ROWS; r++) {
        float have[COLUMNS], want[COLUMNS];
        const unsigned char *at = (unsigned char *)p.t->data + (size_t)r * p.t->nb[1];
        ggml_get_type_traits(type)->to_float(at, have, COLUMNS);
        assert_int_equal(nn_view_rows_f32(&bare, r, 1, want, &e), ERR_OK);
        for (int i = 0; i < COLUMNS; i++)
            assert_true(have[i] == want[i]);
    }
    ggml_backend_buffer_free(buffer);
    graph_close(&b);
}

static void int8_becomes_q8_0(void **state)
{
    struct made m;
    (void)state;
    make(&m, DTYPE_I8);
    m.v.rows = (struct weights_numbers){(const unsigned char *)m.rows, DTYPE_F32};
    m.v.n_scales = ROWS;
    expect_rows(&m.v, GGML_TYPE_Q8_0);
}

static void nvfp4_becomes_ggmls_blocks_from_both_orders(void **state)
{
    struct made m;
    (void)state;
    make(&m, DTYPE_F4);
    m.v.scale = 0.25f;
    m.v.grid = (struct weights_grid){
        .n = {m.blocks, DTYPE_F8_E4M3}, .height = 1, .width = 16, .columns = COLUMNS / 16};
    expect_rows(&m.v, GGML_TYPE_NVFP4);
    m.v.high_first = true;
    expect_rows(&m.v, GGML_TYPE_NVFP4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int8_becomes_q8_0),
        cmocka_unit_test(nvfp4_becomes_ggmls_blocks_from_both_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* dtypes_test.c - every stored number type as float32 against the reference's own decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>

#include "nn/params.h"
#include "support/case.h"

static struct weights_view whole(const struct weights_tensor *t)
{
    struct weights_view v = {.stored = t,
                             .dtype = t->dtype,
                             .n_dims = t->n_dims,
                             .data = t->data,
                             .bytes = t->bytes,
                             .scale = 1.0f};
    for (int i = 0; i < t->n_dims; i++)
        v.dims[i] = t->dims[i];
    return v;
}

static void run_gguf(const struct parity_case *c)
{
    struct checkpoint *cp;
    struct err e = {0};
    const char *file = yyjson_get_str(yyjson_obj_get(c->call, "file"));
    if (checkpoint_open(parity_path(file), &cp, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(checkpoint_count(cp), yyjson_obj_size(c->expected));
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        struct weights_view v = whole(t);
        size_t n = (size_t)(t->dims[0] * t->dims[1]), before = parity_checks_made();
        float *f = calloc(n, sizeof *f);
        assert_int_equal(nn_view_rows_f32(&v, 0, t->dims[0], f, &e), ERR_OK);
        assert_true(parity_check(c, t->name, f, n));
        assert_true(parity_checks_made() > before);
        free(f);
    }
    checkpoint_close(cp);
}

/* The case writes NaN as 12345 and infinities as 1e30. */
static float as_written(float v)
{
    if (isnan(v))
        return 12345.0f;
    return isinf(v) ? copysignf(1e30f, v) : v;
}

static void run_fp8(const struct parity_case *c)
{
    float e4m3[256], e5m2[256];
    for (int i = 0; i < 256; i++) {
        e4m3[i] = as_written(dtype_e4m3_to_f32((uint8_t)i));
        e5m2[i] = as_written(dtype_e5m2_to_f32((uint8_t)i));
    }
    size_t before = parity_checks_made();
    assert_true(parity_check(c, "e4m3fn", e4m3, 256));
    assert_true(parity_check(c, "e5m2", e5m2, 256));
    assert_int_equal(parity_checks_made(), before + 2);
}

static void every_gguf_type_becomes_the_same_numbers(void **state)
{
    (void)state;
    assert_true(parity_run_kind("gguf_dequant", run_gguf) > 0);
}

static void every_float8_code_becomes_the_same_number(void **state)
{
    (void)state;
    assert_true(parity_run_kind("fp8_decode", run_fp8) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gguf_type_becomes_the_same_numbers),
        cmocka_unit_test(every_float8_code_becomes_the_same_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

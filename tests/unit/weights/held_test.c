/* In which type each device holds a matrix of each form, and what a person calls the form. */
#include "weights/held.h"

#include <stdio.h>

#include "build.h"

struct row {
    struct weights_view v;
    const char *form;
    enum dtype on[WEIGHTS_DEVICES];
};

static const unsigned char any[1];

#define GRID(TYPE, WIDTH)                                                                          \
    {                                                                                              \
        .n = {any, TYPE}, .height = 1, .width = WIDTH                                              \
    }

static const struct row rows[] = {
    {{.dtype = DTYPE_BF16}, "BF16", {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_Q4_0}, "Q4_0", {DTYPE_Q4_0, DTYPE_Q4_0, DTYPE_Q4_0}},
    {{.dtype = DTYPE_F16}, "F16", {DTYPE_F16, DTYPE_BF16, DTYPE_F16}},
    {{.dtype = DTYPE_IQ2_S}, "IQ2_S", {DTYPE_IQ2_S, DTYPE_BF16, DTYPE_IQ2_S}},
    {{.dtype = DTYPE_F8_E4M3}, "float8", {DTYPE_F8_E4M3, DTYPE_F8_E4M3, DTYPE_BF16}},
    {{.dtype = DTYPE_F8_E5M2}, "float8", {DTYPE_F8_E5M2, DTYPE_F8_E5M2, DTYPE_BF16}},
    {{.dtype = DTYPE_F8_E4M3, .columns = {any, DTYPE_F32}},
     "float8",
     {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_F8_E4M3, .grid = GRID(DTYPE_U8, 32)},
     "mxfp8",
     {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_I8}, "int8", {DTYPE_Q8_0, DTYPE_I8, DTYPE_Q8_0}},
    {{.dtype = DTYPE_I8, .rotation = 256}, "rotated int8", {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_U4, .rotation = 256}, "rotated int4", {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_U4, .grid = GRID(DTYPE_F16, 64)},
     "int4",
     {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
    {{.dtype = DTYPE_F4, .grid = GRID(DTYPE_F8_E4M3, 16)},
     "NVFP4",
     {DTYPE_NVFP4, DTYPE_NVFP4, DTYPE_BF16}},
    {{.dtype = DTYPE_F4, .grid = GRID(DTYPE_F8_E4M3, 16), .columns = {any, DTYPE_F32}},
     "NVFP4",
     {DTYPE_BF16, DTYPE_BF16, DTYPE_BF16}},
};

static void forms_are_held_as_stored_where_a_device_can(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct weights_view v = rows[i].v;
        v.n_dims = 2;
        v.dims[0] = v.dims[1] = 128;
        assert_string_equal(weights_form_name(&v), rows[i].form);
        for (int d = 0; d < WEIGHTS_DEVICES; d++)
            assert_int_equal(weights_held(&v, (enum weights_device)d), rows[i].on[d]);
    }
}

static void a_list_of_forms_has_each_once(void **state)
{
    char list[32] = "";
    (void)state;
    weights_add_form(list, sizeof list, "rotated int8");
    weights_add_form(list, sizeof list, "int8");
    weights_add_form(list, sizeof list, "rotated int8");
    weights_add_form(list, sizeof list, "int8");
    assert_string_equal(list, "rotated int8, int8");
    weights_add_form(list, sizeof list, "a name that has no room");
    assert_string_equal(list, "rotated int8, int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_held_as_stored_where_a_device_can),
        cmocka_unit_test(a_list_of_forms_has_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/json_text.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void commas_stand_between_values_alone(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_object(&b, NULL);
    json_put_z(&b, "a", "x:{,");
    json_array(&b, "list");
    json_put_int(&b, NULL, -1);
    json_object(&b, NULL);
    json_end_object(&b);
    json_array(&b, NULL);
    json_end_array(&b);
    json_put_uint(&b, NULL, UINT64_MAX);
    json_end_array(&b);
    json_put_bool(&b, "yes", true);
    json_put_null(&b, "none");
    json_put_z(&b, "nothing", NULL);
    json_put_raw(&b, "raw", STR_LIT("[1,2]\n"));
    json_put_members(&b, STR_LIT("{\"m\":[],\"n\":{}}\n"));
    json_put_members(&b, STR_LIT("{}"));
    json_put_int(&b, "last", 3);
    json_end_object(&b);
    assert_string_equal(
        buf_z(&b), "{\"a\":\"x:{,\",\"list\":[-1,{},[],18446744073709551615],\"yes\":true,"
                   "\"none\":null,\"nothing\":null,\"raw\":[1,2],\"m\":[],\"n\":{},\"last\":3}");
    buf_deinit(&b);
}

static void lines_begin_without_a_comma(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    for (int i = 0; i < 2; i++) {
        json_object(&b, NULL);
        json_put_int(&b, "i", i);
        json_end_object(&b);
        buf_add_byte(&b, '\n');
    }
    assert_string_equal(buf_z(&b), "{\"i\":0}\n{\"i\":1}\n");
    buf_deinit(&b);
}

static void numbers_are_json_when_they_are_not_finite(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_array(&b, NULL);
    json_put_fixed(&b, NULL, 1.0 / 3, 4);
    json_put_fixed(&b, NULL, HUGE_VAL, 4);
    json_put_number(&b, NULL, 0.5);
    json_put_number(&b, NULL, nan(""));
    json_put_float(&b, NULL, 1.0 / 3);
    json_put_float(&b, NULL, -HUGE_VAL);
    json_end_array(&b);
    assert_string_equal(buf_z(&b), "[0.3333,null,0.5,null,0.333333333,null]");
    buf_deinit(&b);
}

static void strings_are_whole_and_escaped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_put_str(&b, NULL, STR_LIT("a\"\\\n\x01\xff\xc3\xa4"));
    assert_string_equal(buf_z(&b), "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4\"");
    buf_deinit(&b);
}

static void strings_come_in_pieces(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_object(&b, NULL);
    json_string(&b, "size");
    buf_printf(&b, "%dx%d", 3, 4);
    json_end_string(&b);
    json_string(&b, "empty");
    json_end_string(&b);
    json_put_int(&b, "last", 5);
    json_end_object(&b);
    assert_string_equal(buf_z(&b), "{\"size\":\"3x4\",\"empty\":\"\",\"last\":5}");
    buf_deinit(&b);
}

static void keys_from_elsewhere_are_escaped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_object(&b, NULL);
    json_key(&b, STR_LIT("a\"b"));
    json_put_bool(&b, NULL, true);
    json_key(&b, STR_LIT("shape"));
    json_put_ints(&b, NULL, (const int64_t[]){-1, 2}, 2);
    json_put_ints(&b, "none", NULL, 0);
    json_end_object(&b);
    assert_string_equal(buf_z(&b), "{\"a\\\"b\":true,\"shape\":[-1,2],\"none\":[]}");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_alone),
        cmocka_unit_test(lines_begin_without_a_comma),
        cmocka_unit_test(numbers_are_json_when_they_are_not_finite),
        cmocka_unit_test(strings_are_whole_and_escaped),
        cmocka_unit_test(strings_come_in_pieces),
        cmocka_unit_test(keys_from_elsewhere_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Items of a batch: rows, images, grids, and what they become when multiplied. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cli/batch_list.h"

static struct batch_list l;

static void begin(void)
{
    batch_list_init(&l, &cli_cmd_edit);
    l.file = "rows";
}

static void rows(const char *text)
{
    struct err e = {0};
    begin();
    if (batch_list_rows(&l, str_from(text), &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static void grid(const char *text)
{
    struct err e = {0};
    if (batch_list_grid(&l, text, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static const char *value(size_t item, const char *option)
{
    const char *v = batch_value(&l, &l.items[item], option);
    return v ? v : "(none)";
}

static void lines_are_prompts_when_the_first_is_no_object(void **state)
{
    (void)state;
    rows("a star\r\n\n  {two}\t\n");
    assert_int_equal(l.n, 2);
    assert_string_equal(value(0, "prompt"), "a star");
    assert_string_equal(value(1, "prompt"), "{two}");
    assert_int_equal(l.items[1].line, 3);
    assert_int_equal(l.faults, 0);
    batch_list_deinit(&l);
}

static void members_are_options(void **state)
{
    (void)state;
    rows("{\"prompt\":\"x\",\"mask_grow\":-3,\"strength\":0.5,\"crop_to_mask\":true,\"register\":"
         "false,"
         "\"image\":[\"a\",\"b\"],\"seed\":null}");
    assert_int_equal(l.n, 1);
    assert_int_equal(l.items[0].args.n, 6);
    assert_string_equal(value(0, "mask-grow"), "-3");
    assert_string_equal(value(0, "strength"), "0.5");
    assert_string_equal(value(0, "image"), "b");
    assert_string_equal(value(0, "seed"), "(none)");
    batch_list_deinit(&l);
}

static void two_axes_make_every_pair(void **state)
{
    (void)state;
    begin();
    grid("seed=1..3,steps=4:8");
    assert_int_equal(l.n, 6);
    assert_string_equal(value(0, "seed"), "1");
    assert_string_equal(value(1, "seed"), "1");
    assert_string_equal(value(1, "steps"), "8");
    assert_string_equal(value(5, "seed"), "3");
    batch_list_deinit(&l);
}

static void ranges_end_where_numbers_end(void **state)
{
    (void)state;
    begin();
    grid("seed=9223372036854775806..9223372036854775807");
    assert_int_equal(l.n, 2);
    assert_string_equal(value(1, "seed"), "9223372036854775807");
    batch_list_deinit(&l);
    begin();
    grid("seed=-9223372036854775808..9223372036854775807..9223372036854775807");
    assert_int_equal(l.n, 3);
    batch_list_deinit(&l);
}

static void everything_is_multiplied(void **state)
{
    static const char *const images[] = {"a.png", "b.png"};
    struct err e = {0};
    (void)state;
    rows("one\ntwo\nthree\n");
    assert_int_equal(batch_list_images(&l, images, 2, &e), ERR_OK);
    grid("seed=1..4");
    assert_int_equal(l.n, 24);
    assert_string_equal(value(23, "prompt"), "three");
    assert_string_equal(l.items[23].source, "b.png");
    assert_string_equal(value(4, "image"), "b.png");
    assert_int_equal(l.items[23].line, 3);
    batch_list_deinit(&l);
}

static void counts_become_items_with_the_next_seeds(void **state)
{
    struct err e = {0};
    (void)state;
    rows("{\"count\":3,\"seed\":9223372036854775806}\n{\"count\":0}\n{\"seed\":4}");
    assert_int_equal(batch_list_count(&l, &e), ERR_OK);
    assert_int_equal(l.n, 5);
    assert_string_equal(value(1, "seed"), "9223372036854775807");
    assert_string_equal(value(1, "count"), "1");
    assert_string_equal(value(3, "count"), "0");
    assert_string_equal(value(4, "seed"), "4");
    batch_list_deinit(&l);
}

static void what_is_too_large_is_refused(void **state)
{
    static char many[2 * BATCH_MAX_ITEMS + 4];
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < 2 * (BATCH_MAX_ITEMS + 1); i++)
        many[i] = i % 2 ? '\n' : 'a';
    begin();
    assert_int_equal(batch_list_rows(&l, str_from(many), &e), ERR_LIMIT);
    batch_list_deinit(&l);
    begin();
    grid("seed=1..1000");
    assert_int_equal(batch_list_grid(&l, "steps=1..11", &e), ERR_LIMIT);
    batch_list_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_prompts_when_the_first_is_no_object),
        cmocka_unit_test(members_are_options),
        cmocka_unit_test(two_axes_make_every_pair),
        cmocka_unit_test(ranges_end_where_numbers_end),
        cmocka_unit_test(everything_is_multiplied),
        cmocka_unit_test(counts_become_items_with_the_next_seeds),
        cmocka_unit_test(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

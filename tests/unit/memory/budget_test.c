/* Budgets as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory/budget.h"

static struct nn_device *device;

static uint64_t parsed(const char *text)
{
    uint64_t n = 0;
    struct err e = {0};
    assert_int_equal(budget_parse(text, device, &n, &e), ERR_OK);
    return n;
}

static void sizes_have_units_of_1024(void **state)
{
    (void)state;
    assert_int_equal(parsed("1"), 1);
    assert_int_equal(parsed("12345678901"), 12345678901);
    assert_int_equal(parsed("16G"), 16ull << 30);
    assert_int_equal(parsed("16GiB"), 16ull << 30);
    assert_int_equal(parsed("16gb"), 16ull << 30);
    assert_int_equal(parsed("1.5g"), 3ull << 29);
    assert_int_equal(parsed("512M"), 512ull << 20);
    assert_int_equal(parsed("64K"), 64ull << 10);
    assert_int_equal(parsed("100B"), 100);
}

static void percent_is_of_the_whole_memory(void **state)
{
    (void)state;
    uint64_t half = parsed("50%"), whole = parsed("100%");
    assert_true(whole > 1 << 20);
    assert_true(half >= whole / 2 - 1 && half <= whole / 2 + 1);
}

static void what_is_no_budget_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     "G", "-1",           "16X",  "16 G",
                                        "101%", "0", "0G",           "1e3",  "..",
                                        "16GG", "%", "99999999999T", "0x10", "1.5.2G"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t n;
        struct err e = {0};
        if (budget_parse(texts[i], device, &n, &e) != ERR_ARG)
            fail_msg("'%s' passed as %llu", texts[i], (unsigned long long)n);
    }
}

static int open_device(void **state)
{
    (void)state;
    return nn_device_open("cpu", 1, &device, NULL) == ERR_OK ? 0 : -1;
}

static int close_device(void **state)
{
    (void)state;
    nn_device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_units_of_1024),
        cmocka_unit_test(percent_is_of_the_whole_memory),
        cmocka_unit_test(what_is_no_budget_is_refused),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}

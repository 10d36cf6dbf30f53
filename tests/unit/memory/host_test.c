/* What is free, as the kernel's files tell it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/budget.h"

static char dir[] = "/tmp/vt-host-XXXXXX";
static const char *const names[] = {"meminfo", "memory.max", "memory.current", "memory.stat"};

/* NULL: there is no such file. */
static void write_files(const char *const text[4])
{
    char path[64];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
        FILE *f = text[i] ? fopen(path, "w") : NULL;
        if (f) {
            fputs(text[i], f);
            fclose(f);
        }
    }
}

static uint64_t available(const char *meminfo, const char *max, const char *current,
                          const char *stat)
{
    write_files((const char *const[]){meminfo, max, current, stat});
    return host_available_in(dir, dir);
}

#define MEMINFO "MemTotal:  9000 kB\nMemFree:  100 kB\nMemAvailable:    1000 kB\n"
#define STAT                                                                                       \
    "anon 1000\nfile 600000\ninactive_anon 3\nactive_anon 4\ninactive_file 400000\nactive_file "   \
    "200000\n"

static void machine_decides_when_a_group_has_no_limit(void **state)
{
    (void)state;
    assert_int_equal(available(MEMINFO, NULL, NULL, NULL), 1000 * 1024);
    assert_int_equal(available(MEMINFO, "max\n", "500\n", STAT), 1000 * 1024);
    assert_int_equal(available(MEMINFO, "99999999\n", "500\n", STAT), 1000 * 1024);
    assert_int_equal(available(NULL, NULL, NULL, NULL), 0);
}

static void group_decides_when_it_leaves_less(void **state)
{
    (void)state;
    assert_int_equal(available(MEMINFO, "700000\n", "1000\n", NULL), 699000);
    assert_int_equal(available(NULL, "700000\n", "1000\n", NULL), 699000);
}

static void files_count_as_free_when_a_group_has_read_them(void **state)
{
    (void)state;
    assert_int_equal(available(MEMINFO, "700000\n", "601000\n", STAT), 699000);
    assert_int_equal(available(MEMINFO, "700000\n", "700000\n", STAT), 600000);
}

static void next_to_nothing_is_free_when_a_group_is_full(void **state)
{
    (void)state;
    assert_int_equal(available(MEMINFO, "700000\n", "700000\n", NULL), 1);
    assert_int_equal(available(MEMINFO, "700000\n", "800000\n", NULL), 1);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    write_files((const char *const[4]){NULL});
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_decides_when_a_group_has_no_limit),
        cmocka_unit_test(group_decides_when_it_leaves_less),
        cmocka_unit_test(files_count_as_free_when_a_group_has_read_them),
        cmocka_unit_test(next_to_nothing_is_free_when_a_group_is_full),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The first call of a function of a library is the one to test: each runs in a process of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/late.h"
#include "late_sample.h"

#define LATE_FILE VT_LATE_SAMPLE
#define LATE_PACKAGE "late-sample"
#define SAMPLE_FUNCTIONS(X)                                                                        \
    X(late_sample_digits)                                                                          \
    X(late_sample_sum)                                                                             \
    X(late_sample_variable)                                                                        \
    X(late_sample_large)

LATE_LIBRARY(late_sample, "testing", SAMPLE_FUNCTIONS)

/* How a process ended that calls fn, and what it said on standard error. */
static int in_process(bool (*fn)(void), char *said, size_t size)
{
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        _exit(!late_sample.handle && fn() ? 0 : 1);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t k = 1; k > 0 && n + 1 < size; n += k > 0 ? (size_t)k : 0)
        k = read(ends[0], said + n, size - 1 - n);
    said[n] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_true_in_process(bool (*fn)(void))
{
    char said[1000];
    assert_int_equal(in_process(fn, said, sizeof said), 0);
}

static bool digits_are_right(void)
{
    return late_sample_digits(1, 2, 3, 4, 5, 6, 7, 8) == 12345678;
}

static bool sum_is_right(void)
{
    return late_sample_sum(1, 2, 3, 4, 5, 6, 7, 8, 9) == 987654321.0;
}

static bool variable_is_right(void)
{
    return late_sample_variable(8, 1, 2.0, 3, 4.0, 5, 6.0, 7, 8.0) == 12345678.0;
}

static bool large_is_right(void)
{
    struct late_sample_large l = late_sample_large(7, 100);
    return l.v[0] == 7 && l.v[4] == 407;
}

static void arguments_arrive_when_called_for_the_first_time(void **state)
{
    (void)state;
    assert_true_in_process(digits_are_right);
    assert_true_in_process(sum_is_right);
    assert_true_in_process(variable_is_right);
    assert_true_in_process(large_is_right);
}

static bool all_are_right_by_pointer(void)
{
    int (*digits)(int, int, int, int, int, int, int, int) = late_sample_digits;
    return digits(1, 2, 3, 4, 5, 6, 7, 8) == 12345678 && digits_are_right() && sum_is_right();
}

static void functions_have_addresses_when_the_library_is_not_open(void **state)
{
    (void)state;
    assert_true_in_process(all_are_right_by_pointer);
}

enum { THREADS = 8 };

static void *call(void *gate)
{
    (void)pthread_barrier_wait(gate);
    return digits_are_right() && large_is_right() ? gate : NULL;
}

static bool threads_are_right(void)
{
    pthread_barrier_t gate;
    pthread_t t[THREADS];
    bool ok = true;
    (void)pthread_barrier_init(&gate, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, call, &gate) != 0)
            return false;
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        (void)pthread_join(t[i], &result);
        ok &= result != NULL;
    }
    return ok;
}

static void one_thread_opens_when_many_call_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_true_in_process(threads_are_right);
}

static bool opening_is_right(void)
{
    struct err e = {0};
    return late_open(&late_sample, &e) == ERR_OK && late_sample.handle && digits_are_right() &&
           late_open(&late_sample, &e) == ERR_OK;
}

static void opening_again_does_nothing_when_it_is_open(void **state)
{
    (void)state;
    assert_true_in_process(opening_is_right);
}

static void missing_library_is_an_error_that_names_the_package(void **state)
{
    (void)state;
    struct late_library l = {.file = "libno-such.so.1", .package = "libno-such1", .task = "this"};
    struct err e = {0};
    assert_int_equal(late_open(&l, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "this needs libno-such.so.1"));
    assert_non_null(strstr(e.text, "is the package libno-such1 installed?"));
    assert_null(l.handle);
}

static void missing_function_is_an_error_and_leaves_the_others_alone(void **state)
{
    (void)state;
    void *there = NULL, *missing = NULL;
    const struct late_entry entries[] = {{"late_sample_sum", &there},
                                         {"late_sample_nothing", &missing}};
    struct late_library l = {VT_LATE_SAMPLE, "late-sample", "this", entries, 2, NULL};
    struct err e = {0};
    assert_int_equal(late_open(&l, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "late_sample_nothing"));
    assert_non_null(strstr(e.text, "late-sample"));
    assert_null(there);
    assert_null(l.handle);
}

static void note_sample(const struct late_library *l, void *user)
{
    *(bool *)user = *(bool *)user || l == &late_sample;
}

static void every_library_is_told(void **state)
{
    (void)state;
    bool seen = false;
    late_each(note_sample, &seen);
    assert_true(seen);
}

#if defined(__x86_64__)
static bool call_without_library(void)
{
    late_sample.file = "libno-such.so.1";
    return digits_are_right();
}

static void process_ends_and_says_why_when_nobody_opened_what_is_missing(void **state)
{
    (void)state;
    char said[1000];
    int status = in_process(call_without_library, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "testing needs libno-such.so.1"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_arrive_when_called_for_the_first_time),
        cmocka_unit_test(functions_have_addresses_when_the_library_is_not_open),
        cmocka_unit_test(one_thread_opens_when_many_call_at_once),
        cmocka_unit_test(opening_again_does_nothing_when_it_is_open),
        cmocka_unit_test(missing_library_is_an_error_that_names_the_package),
        cmocka_unit_test(missing_function_is_an_error_and_leaves_the_others_alone),
        cmocka_unit_test(every_library_is_told),
#if defined(__x86_64__)
        cmocka_unit_test(process_ends_and_says_why_when_nobody_opened_what_is_missing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whether a command line asks for a compute server on another machine: only then may the network stay. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/engine_args.h"

static bool wants(const char *const *words)
{
    char *argv[8] = {NULL};
    for (int i = 0; words[i]; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    return engine_args_want_network(argv);
}
#define WANTS(...) wants((const char *const[]){"generate", __VA_ARGS__, NULL})

static void a_worker_is_named_in_four_ways(void **state)
{
    (void)state;
    assert_true(WANTS("--rpc", "host:1"));
    assert_true(WANTS("-p", "x", "--rpc=host:1"));
    assert_true(WANTS("--device", "rpc:host:1"));
    assert_true(WANTS("--device=RPC:host:1"));
    assert_true(WANTS("--place", "text=cpu,vae=rpc:host:1"));
    assert_true(WANTS("--place=text=rpc:host:1"));
}

static void nothing_else_keeps_the_network(void **state)
{
    (void)state;
    assert_false(WANTS("-p", "star"));
    assert_false(WANTS("--device", "cpu"));
    assert_false(WANTS("--place", "text=cpu"));
    assert_false(WANTS("--place", "rpc:host:1"));
    assert_false(WANTS("--rpcs", "host:1"));
    assert_false(WANTS("--", "--rpc", "host:1"));
    assert_false(WANTS("--device"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_is_named_in_four_ways),
        cmocka_unit_test(nothing_else_keeps_the_network),
    };
    return cmocka_run_group_tests_name("engine_args", tests, NULL, NULL);
}

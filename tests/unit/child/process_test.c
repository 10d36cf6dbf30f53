/* process_test.c - programs that are started, talk, and end in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "child/process.h"
#include "child/wire.h"

static struct process *run(const char *script)
{
    const char *const words[] = {"sh", "-c", script, NULL};
    struct process *p;
    struct err e = {0};
    enum err_code rc =
        process_start(&(struct process_start){.program = "/bin/sh", .arguments = words}, &p, &e);
    if (rc != ERR_OK)
        fail_msg("%s", e.text);
    return p;
}

static struct process_ending end_of(const char *script)
{
    struct process_ending how;
    struct process *p = run(script);
    process_end(p, 10000, &how);
    process_free(p);
    assert_true(how.ended);
    return how;
}

static void how_it_ended_is_told(void **state)
{
    (void)state;
    assert_int_equal(end_of("exit 7").code, 7);
    assert_int_equal(end_of("exit 7").signal, 0);
    assert_int_equal(end_of("kill -SEGV $$").signal, SIGSEGV);
    assert_int_equal(end_of("kill -ABRT $$").signal, SIGABRT);
    assert_int_equal(end_of("kill -KILL $$").signal, SIGKILL);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    const char *const words[] = {"x", NULL};
    struct process *p = NULL;
    struct err e = {0};
    (void)state;
    assert_int_equal(
        process_start(&(struct process_start){.program = "/no/such", .arguments = words}, &p, &e),
        ERR_NOTFOUND);
    assert_null(p);
    assert_non_null(strstr(e.text, "/no/such"));
}

static void it_lives_until_it_is_killed(void **state)
{
    struct process_ending how;
    struct process *p = run("sleep 100");
    (void)state;
    process_end(p, 20, &how);
    assert_false(how.ended);
    process_kill(p);
    process_end(p, 10000, &how);
    assert_true(how.ended);
    process_kill(p);
    process_free(p);
}

/* One that was stopped, and does not hear of the end of its socket. */
static void it_is_killed_when_it_does_not_end(void **state)
{
    (void)state;
    process_free(run("kill -STOP $$"));
}

static void only_what_it_is_given_is_open_in_it(void **state)
{
    char said[PROCESS_LOG_BYTES];
    struct process_ending how;
    int extra = dup(1); /* not closed by itself when a program is started */
    (void)state;
    struct process *p = run("exec >&2; n=0; while [ $n -lt 100 ]; do [ -e /proc/$$/fd/$n ] && "
                            "printf '%s ' $n; n=$((n+1)); done; echo");
    process_end(p, 10000, &how);
    process_log(p, said);
    process_free(p);
    close(extra);
    assert_string_equal(said, "0 1 2 3 \n");
}

static void the_last_lines_are_kept(void **state)
{
    char said[PROCESS_LOG_BYTES];
    struct process_ending how;
    (void)state;
    struct process *p = run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done >&2; "
                            "printf 'odd \\033[2J\\377 last' >&2");
    process_end(p, 30000, &how);
    process_log(p, said);
    process_free(p);
    assert_true(strncmp(said, "line ", 5) == 0);
    assert_non_null(strstr(said, "line 2999\nodd ?[2J? last\n"));
    assert_true(strlen(said) > 3000);
}

static void secrets_stay_here(void **state)
{
    char said[PROCESS_LOG_BYTES];
    struct process_ending how;
    (void)state;
    setenv("HF_TOKEN", "hidden", 1);
    setenv("VEETANCE_API_TOKEN", "hidden", 1);
    setenv("VEETANCE_MODELS", "shown", 1);
    struct process *p = run("/usr/bin/env >&2");
    process_end(p, 10000, &how);
    process_log(p, said);
    process_free(p);
    assert_null(strstr(said, "hidden"));
    assert_non_null(strstr(said, "VEETANCE_MODELS=shown"));
}

static void the_socket_is_ours_and_theirs(void **state)
{
    struct wire_message m;
    struct process_ending how;
    (void)state;
    /* It never reads; its end is seen on the socket. */
    struct process *p = run("exit 0");
    process_end(p, 10000, &how);
    assert_int_equal(wire_receive(process_socket(p), &m, NULL), ERR_NOTFOUND);
    process_free(p);
    assert_false(process_is_child()); /* this program is none */
}

static void quiet(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)line;
    (void)user;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error),
        cmocka_unit_test(it_lives_until_it_is_killed),
        cmocka_unit_test(it_is_killed_when_it_does_not_end),
        cmocka_unit_test(only_what_it_is_given_is_open_in_it),
        cmocka_unit_test(the_last_lines_are_kept),
        cmocka_unit_test(secrets_stay_here),
        cmocka_unit_test(the_socket_is_ours_and_theirs),
    };
    log_set(LOG_ERROR, quiet, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

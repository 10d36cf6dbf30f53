/* Options, values and positional arguments, and what is said about wrong ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { MODEL = 1, WIDTH, COUNT, QUIET, FORCE, MAX_WORDS = 16 };

static const struct cli_option options[] = {
    {MODEL, 'm', "model", "MODEL", "a model"}, {WIDTH, 'W', "width", "PX", "a width"},
    {COUNT, 0, "count", "N", "how many"},      {QUIET, 'q', "quiet", NULL, "say nothing"},
    {FORCE, 'f', "force", NULL, "replace it"}, {0},
};
static const struct cli_subcommand subcommands[] = {
    {"show", NULL, "show it", NULL}, {"remove", "NAME", "remove it", NULL}, {0}};
static const struct cli_command command = {
    .name = "test", .summary = "Test", .usage = "", .options = options, .subcommands = subcommands};

/* ---- what is said on standard error ---- */

static FILE *said;
static int kept_stderr;

static int catch_stderr(void **state)
{
    (void)state;
    said = tmpfile();
    kept_stderr = dup(STDERR_FILENO);
    return said && kept_stderr >= 0 && dup2(fileno(said), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int give_stderr_back(void **state)
{
    (void)state;
    (void)fflush(stderr);
    (void)dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    (void)fclose(said);
    return 0;
}

static void assert_said(const char *what)
{
    char text[2000];
    (void)fflush(stderr);
    rewind(said);
    size_t n = fread(text, 1, sizeof text - 1, said);
    text[n] = 0;
    if (!strstr(text, what)) {
        print_message("'%s' lacks '%s'\n", text, what); /* standard error is caught */
        fail();
    }
}

/* ---- arguments ---- */

static struct cli_args begin(const char *const *words)
{
    static char *argv[MAX_WORDS + 1];
    int n = 0;
    for (; words[n]; n++)
        argv[n] = (char *)(uintptr_t)words[n];
    argv[n] = NULL;
    return cli_args_begin(&command, n, argv);
}
#define ARGS(...) begin((const char *const[]){"test", __VA_ARGS__, NULL})

static void assert_option(struct cli_args *a, int id, const char *value)
{
    assert_int_equal(cli_args_next(a), id);
    if (value)
        assert_string_equal(a->value, value);
}

static void values_are_read_however_they_are_joined(void **state)
{
    (void)state;
    struct cli_args a = ARGS("--model", "x", "--model=y", "-m", "z", "-mw", "-W64", "--model=");
    assert_option(&a, MODEL, "x");
    assert_option(&a, MODEL, "y");
    assert_option(&a, MODEL, "z");
    assert_option(&a, MODEL, "w");
    assert_option(&a, WIDTH, "64");
    assert_option(&a, MODEL, "");
    assert_int_equal(cli_args_next(&a), CLI_END);
    assert_int_equal(cli_args_next(&a), CLI_END);
}

static void a_value_may_begin_with_a_dash(void **state)
{
    (void)state;
    struct cli_args a = ARGS("-m", "-q", "--count", "-1", "-m", "--", "-q");
    assert_option(&a, MODEL, "-q");
    assert_option(&a, COUNT, "-1");
    assert_option(&a, MODEL, "--");
    assert_option(&a, QUIET, NULL);
}

static void switches_may_share_a_dash(void **state)
{
    (void)state;
    struct cli_args a = ARGS("-qf", "-qfW", "64", "-qmx", "-fq");
    assert_option(&a, QUIET, NULL);
    assert_option(&a, FORCE, NULL);
    assert_option(&a, QUIET, NULL);
    assert_option(&a, FORCE, NULL);
    assert_option(&a, WIDTH, "64");
    assert_option(&a, QUIET, NULL);
    assert_option(&a, MODEL, "x");
    assert_option(&a, FORCE, NULL);
    assert_option(&a, QUIET, NULL);
    assert_int_equal(cli_args_next(&a), CLI_END);
}

static void a_dash_alone_and_all_behind_two_are_positional(void **state)
{
    (void)state;
    struct cli_args a = ARGS("-", "word", "--", "-q", "--model", "--");
    assert_option(&a, CLI_POSITIONAL, "-");
    assert_option(&a, CLI_POSITIONAL, "word");
    assert_option(&a, CLI_POSITIONAL, "-q");
    assert_option(&a, CLI_POSITIONAL, "--model");
    assert_option(&a, CLI_POSITIONAL, "--");
    assert_int_equal(cli_args_next(&a), CLI_END);
}

static void assert_refused(struct cli_args a, const char *what)
{
    int id;
    do
        id = cli_args_next(&a);
    while (id > 0);
    assert_int_equal(id, CLI_ERROR);
    assert_said(what);
}

static void a_wrong_option_is_told_with_the_near_one(void **state)
{
    (void)state;
    assert_refused(ARGS("--modle", "x"), "there is no option --modle; did you mean --model?");
    assert_refused(ARGS("--xyz=3"), "there is no option --xyz\n");
    assert_refused(ARGS("-x"), "there is no option -x\n");
    assert_refused(ARGS("-qx"), "there is no option -x in -qx\n");
    assert_refused(ARGS("-\xc3\xa9t"), "there is no option -\xc3\xa9t\n");
    assert_refused(ARGS("--model"), "--model needs a value: MODEL");
    assert_refused(ARGS("-qm"), "-m needs a value: MODEL");
    assert_refused(ARGS("--quiet=1"), "--quiet takes no value");
    assert_refused(ARGS("--quiet", "--hlep"), "did you mean --help?");
}

/* ---- values ---- */

static struct cli_args with_value(const char *value)
{
    struct cli_args a = ARGS("--count", value);
    assert_int_equal(cli_args_next(&a), COUNT);
    return a;
}

static void whole_numbers_are_whole_and_within_bounds(void **state)
{
    static const char *const wrong[] = {
        "", " 1", "1 ", "1.0", "0x1", "1e2", "+1", "101", "-11", "abc", "99999999999999999999"};
    int64_t v = 7;
    (void)state;
    struct cli_args a = with_value("100");
    assert_true(cli_int(&a, -10, 100, &v) && v == 100);
    a = with_value("-10");
    assert_true(cli_int(&a, -10, 100, &v) && v == -10);
    a = with_value("9223372036854775807");
    assert_true(cli_int(&a, 0, INT64_MAX, &v) && v == INT64_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        a = with_value(wrong[i]);
        if (cli_int(&a, -10, 100, &v))
            fail_msg("'%s' was taken", wrong[i]);
    }
    assert_int_equal(v, INT64_MAX);
    assert_said("--count takes a whole number from -10 to 100, not 'abc'");
}

static void numbers_are_finite_and_within_bounds(void **state)
{
    static const char *const wrong[] = {"", "nan", "inf", "1,5", "1.5x", "2.1", "-0.1", "1e999"};
    double v = 0;
    (void)state;
    struct cli_args a = with_value("1.5");
    assert_true(cli_double(&a, 0, 2, &v) && v == 1.5);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        a = with_value(wrong[i]);
        if (cli_double(&a, 0, 2, &v))
            fail_msg("'%s' was taken", wrong[i]);
    }
    assert_said("--count takes a number from 0 to 2, not 'inf'");
}

static void a_choice_is_one_of_its_words(void **state)
{
    int i = -1;
    (void)state;
    struct cli_args a = with_value("blocks");
    assert_true(cli_choice(&a, "steps|blocks", &i) && i == 1);
    a = with_value("steps");
    assert_true(cli_choice(&a, "steps|blocks", &i) && i == 0);
    assert_true(cli_choice(&a, "steps|blocks", NULL));
    a = with_value("step");
    assert_false(cli_choice(&a, "steps|blocks", &i));
    assert_said("takes one of steps, blocks, not 'step'; did you mean 'steps'?");
    a = with_value("");
    assert_false(cli_choice(&a, "steps|blocks", &i));
    a = with_value("steps|blocks");
    assert_false(cli_choice(&a, "steps|blocks", &i));
    assert_int_equal(i, 0);
}

static void a_switch_is_looked_for_before_two_dashes_only(void **state)
{
    char *argv[] = {(char[]){"test"}, (char[]){"--json"}, (char[]){"--"}, (char[]){"--quiet"},
                    NULL};
    (void)state;
    assert_true(cli_has_switch(4, argv, "--json"));
    assert_false(cli_has_switch(4, argv, "--quiet"));
    assert_false(cli_has_switch(4, argv, "--js"));
    assert_false(cli_has_switch(4, argv, "test"));
}

static void a_wrong_subcommand_is_bad_usage(void **state)
{
    (void)state;
    assert_int_equal(cli_no_subcommand(&command, "remvoe"), CLI_USAGE);
    assert_said("'remvoe' is not one of show, remove; did you mean 'remove'?");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, catch_stderr, give_stderr_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_are_read_however_they_are_joined),
        TEST(a_value_may_begin_with_a_dash),
        TEST(switches_may_share_a_dash),
        TEST(a_dash_alone_and_all_behind_two_are_positional),
        TEST(a_wrong_option_is_told_with_the_near_one),
        TEST(whole_numbers_are_whole_and_within_bounds),
        TEST(numbers_are_finite_and_within_bounds),
        TEST(a_choice_is_one_of_its_words),
        TEST(a_switch_is_looked_for_before_two_dashes_only),
        TEST(a_wrong_subcommand_is_bad_usage),
    };
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}

/* Names of images that nobody named. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"

static const struct cli_output_words star = {"a red star", "micro-klein", 7};

static const char *first(struct cli_output o, const struct cli_output_words *w)
{
    static char path[CLI_PATH_BYTES];
    struct err e = {0};
    o.count = o.count ? o.count : 1;
    if (output_name_first(&o, w, path, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return path;
}

static const char *filled(const char *template, const char *prompt)
{
    const struct cli_output_words w = {prompt, "micro-klein", 7};
    return first((struct cli_output){.name = template, .ending = ""}, &w);
}

static void without_a_template_it_is_out(void **state)
{
    (void)state;
    assert_string_equal(first((struct cli_output){0}, &star), "out.png");
    assert_string_equal(first((struct cli_output){.name = "sheet"}, &star), "sheet.png");
    assert_string_equal(first((struct cli_output){.name = "stack", .ending = ".psd"}, &star),
                        "stack.psd");
}

static void tokens_are_filled_in(void **state)
{
    (void)state;
    assert_string_equal(filled("{prompt}", "a red star"), "a-red-star");
    assert_string_equal(filled("x-{model}/{seed}-{prompt}", "Hi"), "x-micro-klein/7-Hi");
    assert_string_equal(filled("{seed}{seed}", ""), "77");
    assert_string_equal(filled("plain", ""), "plain");
    assert_int_equal(strlen(filled("{date}", "")), strlen("2026-11-30"));
    assert_int_equal(strlen(filled("{time}", "")), strlen("142501"));
}

static void a_prompt_becomes_a_name_that_no_shell_trips_over(void **state)
{
    (void)state;
    assert_string_equal(filled("{prompt}", "A \"red\" star; rm -rf / & <b>*?"),
                        "A-red-star-rm-rf-b");
    assert_string_equal(filled("{prompt}", "../../etc/passwd"), "etc-passwd");
    assert_string_equal(filled("{prompt}", "-o\nx\t"), "o-x");
}

static void no_part_is_empty_or_begins_with_a_dash(void **state)
{
    (void)state;
    assert_string_equal(filled("{prompt}", "...  ???"), "out");
    assert_string_equal(filled("{prompt}-{seed}", "???"), "7");
    assert_string_equal(filled("{prompt}/{prompt}", ""), "out/out");
    assert_string_equal(filled("a/-b/--", ""), "a/b/out");
}

static void a_prompt_of_any_script_is_cut_between_characters(void **state)
{
    char prompt[400] = "";
    (void)state;
    assert_string_equal(filled("{prompt}", "\xe7\x8c\xab b\xc3\xa4r"), "\xe7\x8c\xab-b\xc3\xa4r");
    for (int lead = 0; lead < 4; lead++) {
        size_t n = (size_t)lead;
        memset(prompt, 'x', n);
        for (; n + 3 < sizeof prompt; n += 3)
            memcpy(prompt + n, "\xe7\x8c\xab", 3);
        prompt[n] = 0;
        const char *name = filled("{prompt}", prompt);
        size_t k = strlen(name);
        assert_true(k > 40 && k <= 48);
        assert_int_equal((k - (size_t)lead) % 3, 0);
    }
}

static void several_carry_their_seed_once(void **state)
{
    (void)state;
    assert_string_equal(first((struct cli_output){.named = "a.b/x.png", .count = 2}, &star),
                        "a.b/x-7.png");
    assert_string_equal(first((struct cli_output){.named = "a.b/x", .count = 2}, &star), "a.b/x-7");
    assert_string_equal(first((struct cli_output){.count = 2}, &star), "out-7.png");
    assert_string_equal(first((struct cli_output){.name = "s{seed}", .count = 2}, &star), "s7.png");
    assert_string_equal(first((struct cli_output){.named = "x.png"}, &star), "x.png");
}

static void a_folder_of_option_o_goes_before_that_of_the_settings(void **state)
{
    (void)state;
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_string_equal(first((struct cli_output){.folder = "/pics"}, &star), "/pics/out.png");
    assert_string_equal(first((struct cli_output){.folder = "~/pics"}, &star),
                        "/home/me/pics/out.png");
    assert_string_equal(first((struct cli_output){.folder = "~"}, &star), "/home/me/out.png");
    assert_string_equal(first((struct cli_output){.into = "x", .folder = "~/pics"}, &star),
                        "x/out.png");
    assert_string_equal(first((struct cli_output){.into = "x/"}, &star), "x/out.png");
    assert_string_equal(first((struct cli_output){.into = "/"}, &star), "/out.png");
    assert_string_equal(first((struct cli_output){.into = "~"}, &star), "~/out.png");
}

static void a_folder_that_is_too_long_is_refused(void **state)
{
    char path[CLI_PATH_BYTES], dir[CLI_PATH_BYTES + 1];
    struct err e = {0};
    (void)state;
    memset(dir, 'd', sizeof dir - 1);
    dir[sizeof dir - 1] = 0;
    assert_int_equal(output_name_own(&(struct cli_output){.into = dir}, &star, path, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "behind -o is too long"));
    assert_int_equal(output_name_own(&(struct cli_output){.folder = dir}, &star, path, &e),
                     ERR_LIMIT);
}

static void a_number_goes_before_the_ending(void **state)
{
    static const struct {
        const char *path, *wanted;
    } rows[] = {{"x.png", "x-2.png"}, {"a.b/x", "a.b/x-2"},         {".hidden", ".hidden-2"},
                {"x", "x-2"},         {"d/.hidden", "d/.hidden-2"}, {"x.tar.gz", "x.tar-2.gz"}};
    char path[CLI_PATH_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(path, sizeof path, "%s", rows[i].path);
        output_name_insert(path, "2");
        assert_string_equal(path, rows[i].wanted);
    }
}

static void a_template_names_something_below_the_folder(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(cli_output_check_name("{date}/{prompt}-{seed}", &e), ERR_OK);
    assert_int_equal(cli_output_check_name("", &e), ERR_ARG);
    assert_int_equal(cli_output_check_name("/x", &e), ERR_ARG);
    assert_int_equal(cli_output_check_name("a/../x", &e), ERR_ARG);
    assert_int_equal(cli_output_check_name("{dte}", &e), ERR_ARG);
    assert_non_null(strstr(e.text, "'{dte}' is none of"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_template_it_is_out),
        cmocka_unit_test(tokens_are_filled_in),
        cmocka_unit_test(a_prompt_becomes_a_name_that_no_shell_trips_over),
        cmocka_unit_test(no_part_is_empty_or_begins_with_a_dash),
        cmocka_unit_test(a_prompt_of_any_script_is_cut_between_characters),
        cmocka_unit_test(several_carry_their_seed_once),
        cmocka_unit_test(a_folder_of_option_o_goes_before_that_of_the_settings),
        cmocka_unit_test(a_folder_that_is_too_long_is_refused),
        cmocka_unit_test(a_number_goes_before_the_ending),
        cmocka_unit_test(a_template_names_something_below_the_folder),
    };
    return cmocka_run_group_tests_name("output_name", tests, NULL, NULL);
}

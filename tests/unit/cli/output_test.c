/* Where bytes go when something is there already, nobody is asked, or -o names no file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "cli/output.h"

static char dir[64];
static const struct cli_output_words words = {"star", "micro-klein", 7};

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/vt-output-XXXXXX");
    return mkdtemp(dir) && chdir(dir) == 0 && freopen("/dev/null", "r", stdin) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove_tree(dir);
    return 0;
}

static bool replaced;

/* As a command does it: what sort, may it be, then the bytes. */
static const char *put(struct cli_output o, const char *text)
{
    static char path[CLI_PATH_BYTES];
    enum image_format format;
    struct err e = {0};
    o.count = o.count ? o.count : 1;
    if (cli_output_image(&o, &format, &e) != ERR_OK || cli_output_check(&o, &e) != ERR_OK ||
        cli_output_write(&o, &words, text, strlen(text), path, &replaced, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return path;
}

static void assert_holds(const char *path, const char *text)
{
    struct buf b;
    struct err e = {0};
    if (file_read(path, 1 << 20, &b, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_string_equal(buf_z(&b), text);
    buf_deinit(&b);
}

static void names_of_our_own_are_numbered_on(void **state)
{
    (void)state;
    assert_string_equal(put((struct cli_output){0}, "1"), "out.png");
    assert_string_equal(put((struct cli_output){0}, "2"), "out-2.png");
    assert_false(replaced);
    assert_string_equal(put((struct cli_output){.force = true}, "3"), "out.png");
    assert_true(replaced);
    assert_holds("out.png", "3");
    assert_holds("out-2.png", "2");
}

static void what_option_o_names_is_replaced_without_a_person(void **state)
{
    (void)state;
    assert_string_equal(put((struct cli_output){.named = "x.png"}, "1"), "x.png");
    assert_false(replaced);
    assert_string_equal(put((struct cli_output){.named = "x.png"}, "2"), "x.png");
    assert_true(replaced);
    assert_holds("x.png", "2");
}

static void what_a_person_keeps_is_numbered_on(void **state)
{
    char path[CLI_PATH_BYTES];
    struct err e = {0};
    struct cli_output o = {.named = "x.png", .count = 1, .asked = true, .number_on = true};
    (void)state;
    (void)put((struct cli_output){.named = "x.png"}, "1");
    assert_int_equal(cli_output_write(&o, &words, "2", 1, path, &replaced, &e), ERR_OK);
    assert_string_equal(path, "x-2.png");
    assert_false(replaced);
    assert_holds("x.png", "1");
}

static void several_of_one_name_are_numbered_on(void **state)
{
    (void)state;
    assert_string_equal(put((struct cli_output){.named = "x.png", .count = 2}, "1"), "x-7.png");
    assert_string_equal(put((struct cli_output){.named = "x.png", .count = 2}, "2"), "x-7-2.png");
}

static void a_folder_gets_names_of_our_own(void **state)
{
    (void)state;
    assert_int_equal(mkdir("there", 0700), 0);
    assert_int_equal(symlink("there", "link"), 0);
    assert_string_equal(put((struct cli_output){.named = "there"}, "1"), "there/out.png");
    assert_string_equal(put((struct cli_output){.named = "link"}, "1"), "link/out-2.png");
    assert_string_equal(put((struct cli_output){.named = "a/b/", .name = "sheet"}, "1"),
                        "a/b/sheet.png");
    assert_string_equal(put((struct cli_output){.named = ".", .folder = "/nowhere"}, "1"),
                        "./out.png");
}

static void the_ending_says_what_sort_of_image(void **state)
{
    enum image_format f;
    struct err e = {0};
    (void)state;
    struct cli_output o = {.named = "x.JPG", .count = 1};
    assert_true(cli_output_image(&o, &f, &e) == ERR_OK && f == IMAGE_FORMAT_JPEG);
    o.named = "x.webp";
    assert_true(cli_output_image(&o, &f, &e) == ERR_OK && f == IMAGE_FORMAT_WEBP);
    o.named = "-";
    assert_true(cli_output_image(&o, &f, &e) == ERR_OK && f == IMAGE_FORMAT_PNG);
    o.named = "x";
    assert_true(cli_output_image(&o, &f, &e) == ERR_OK && f == IMAGE_FORMAT_PNG);
    o.named = "x.gif";
    assert_int_equal(cli_output_image(&o, &f, &e), ERR_ARG);
    o.named = "x.wbep";
    assert_int_equal(cli_output_image(&o, &f, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "did you mean 'webp'?"));
    o.named = "";
    assert_int_equal(cli_output_image(&o, &f, &e), ERR_ARG);
}

static void standard_output_has_many_names(void **state)
{
    (void)state;
    assert_true(cli_output_is_stdout("-"));
    assert_true(cli_output_is_stdout("/dev/stdout"));
    assert_false(cli_output_is_stdout("/dev/null"));
    assert_false(cli_output_is_stdout("./-"));
    assert_true(cli_output_is_stream("/dev/null"));
    assert_false(cli_output_is_stream("./-"));
    assert_string_equal(cli_output_name("-"), "standard output");
}

static void json_and_a_result_do_not_share_standard_output(void **state)
{
    static const char *const names[] = {"-", "/dev/stdout", "/dev/fd/1"};
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct cli_output o = {.named = names[i], .count = 1, .json = true};
        assert_int_equal(cli_output_check(&o, &e), ERR_ARG);
        assert_non_null(strstr(e.text, "both want standard output"));
    }
    struct cli_output o = {.named = "/dev/null", .count = 1, .json = true};
    assert_int_equal(cli_output_check(&o, &e), ERR_OK);
    o.count = 2;
    assert_int_equal(cli_output_check(&o, &e), ERR_ARG);
}

static void a_place_that_is_not_used_is_given_back(void **state)
{
    char path[CLI_PATH_BYTES];
    struct err e = {0};
    const struct cli_output own = {.count = 1}, named = {.named = "x.png", .count = 1};
    (void)state;
    assert_int_equal(cli_output_place(&own, &words, path, &replaced, &e), ERR_OK);
    assert_true(file_exists("out.png"));
    cli_output_drop(&own, path);
    assert_false(file_exists("out.png"));
    (void)put(named, "1");
    assert_int_equal(cli_output_place(&named, &words, path, &replaced, &e), ERR_OK);
    assert_true(replaced);
    cli_output_drop(&named, path);
    assert_holds("x.png", "1");
}

static void folders_are_numbered_on_at_their_end(void **state)
{
    char path[CLI_PATH_BYTES] = "v1.2";
    struct err e = {0};
    (void)state;
    assert_int_equal(cli_output_number_on(path, &e), ERR_OK);
    assert_string_equal(path, "v1.2");
    assert_int_equal(mkdir("v1.2", 0700), 0);
    assert_int_equal(cli_output_number_on(path, &e), ERR_OK);
    assert_string_equal(path, "v1.2-2");
}

static void the_missing_part_of_a_path_is_named(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(mkdir("a", 0700), 0);
    (void)put((struct cli_output){.named = "f.png"}, "1");
    assert_int_equal(cli_output_check_file("-o", "a/b/c/x.png", &e), ERR_IO);
    assert_non_null(strstr(e.text, "there is no folder 'a/b'"));
    assert_int_equal(cli_output_check_file("-o", "f.png/x.png", &e), ERR_IO);
    assert_non_null(strstr(e.text, "'f.png' is no folder"));
    assert_int_equal(cli_output_check_file("--trace", "a", &e), ERR_IO);
    assert_non_null(strstr(e.text, "is a folder; --trace names a file"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_of_our_own_are_numbered_on),
        TEST(what_option_o_names_is_replaced_without_a_person),
        TEST(what_a_person_keeps_is_numbered_on),
        TEST(several_of_one_name_are_numbered_on),
        TEST(a_folder_gets_names_of_our_own),
        TEST(the_ending_says_what_sort_of_image),
        TEST(standard_output_has_many_names),
        TEST(json_and_a_result_do_not_share_standard_output),
        TEST(a_place_that_is_not_used_is_given_back),
        TEST(folders_are_numbered_on_at_their_end),
        TEST(the_missing_part_of_a_path_is_named),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}

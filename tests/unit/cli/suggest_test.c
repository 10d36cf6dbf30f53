/* Which word was meant, and when none was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cli/suggest.h"

static const char *nearest(const char *typed, const char *words)
{
    static char kept[64];
    struct cli_suggestion s = {.typed = typed};
    cli_suggest_words(&s, words, kept);
    return s.best ? s.best : "";
}

static void one_slip_finds_the_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("genrate", "generate edit layers"), "generate");   /* missing */
    assert_string_equal(nearest("genexrate", "generate edit layers"), "generate"); /* too many */
    assert_string_equal(nearest("genarate", "generate edit layers"), "generate");  /* another */
    assert_string_equal(nearest("egnerate", "generate edit layers"), "generate");  /* swapped */
    assert_string_equal(nearest("gen", "generate edit layers"), "generate");       /* begun */
    assert_string_equal(nearest("GENERATE", "generate|edit"), "generate");
}

static void short_words_forgive_one_letter_long_ones_three(void **state)
{
    (void)state;
    assert_string_equal(nearest("em", "en|zh"), "en");
    assert_string_equal(nearest("xy", "en|zh"), "");
    assert_string_equal(nearest("pds", "png psd ora"), "psd");
    assert_string_equal(nearest("abc", "png psd ora"), "");
    assert_string_equal(nearest("vulacn", "cpu vulkan cuda"), "vulkan");
    assert_string_equal(nearest("toaster", "cpu vulkan cuda"), "");
    assert_string_equal(nearest("refrence_cahce", "distilled reference_cache"), "reference_cache");
    assert_string_equal(nearest("rfrnc_cahc", "distilled reference_cache"), "");
}

static void the_nearest_wins_and_the_first_of_equals(void **state)
{
    (void)state;
    assert_string_equal(nearest("q5", "q8_0 q5_k q5_0"), "q5_k");
    assert_string_equal(nearest("q5_o", "q8_0 q5_k q5_0"), "q5_k");
    assert_string_equal(nearest("cuba", "cpu cuda hip"), "cuda");
}

static void what_was_typed_is_no_suggestion(void **state)
{
    (void)state;
    assert_string_equal(nearest("psd", "png psd ora"), "");
    assert_string_equal(nearest("", "png psd ora"), "");
    assert_string_equal(nearest("psd", ""), "");
}

static void words_without_measure_are_left_alone(void **state)
{
    char longest[400], words[500];
    struct cli_suggestion s = {.typed = longest};
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    (void)snprintf(words, sizeof words, "b%s c", longest);
    assert_string_equal(nearest(longest, words), "");
    cli_suggest(&s, words);
    assert_null(s.best);
    assert_string_equal(cli_suggest_text(&s), "");
}

static void the_kept_word_outlives_its_list(void **state)
{
    char words[] = "klein layered", kept[64];
    struct cli_suggestion s = {.typed = "klien"};
    (void)state;
    cli_suggest_words(&s, words, kept);
    memset(words, 'x', sizeof words - 1);
    cli_suggest(&s, "something else");
    assert_string_equal(cli_suggest_text(&s), "; did you mean 'klein'?");
}

static void an_error_gets_the_word_behind_its_text(void **state)
{
    struct err e = {0};
    (void)state;
    (void)err_set(&e, ERR_ARG, "'pgn' is no format");
    assert_int_equal(cli_suggest_add(&e, "pgn", "png|jpg"), ERR_ARG);
    assert_string_equal(e.text, "'pgn' is no format; did you mean 'png'?");
    (void)err_set(&e, ERR_FORMAT, "no");
    assert_int_equal(cli_suggest_add(&e, "zzz", "png|jpg"), ERR_FORMAT);
    assert_string_equal(e.text, "no");
}

static void a_full_text_is_not_written_over(void **state)
{
    struct err e = {0};
    char text[sizeof e.text];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)err_set(&e, ERR_ARG, "%s", text);
    (void)cli_suggest_add(&e, "pgn", "png");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_finds_the_word),
        cmocka_unit_test(short_words_forgive_one_letter_long_ones_three),
        cmocka_unit_test(the_nearest_wins_and_the_first_of_equals),
        cmocka_unit_test(what_was_typed_is_no_suggestion),
        cmocka_unit_test(words_without_measure_are_left_alone),
        cmocka_unit_test(the_kept_word_outlives_its_list),
        cmocka_unit_test(an_error_gets_the_word_behind_its_text),
        cmocka_unit_test(a_full_text_is_not_written_over),
    };
    return cmocka_run_group_tests_name("suggest", tests, NULL, NULL);
}

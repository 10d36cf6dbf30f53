#include "support.h"

#include "text/presplit.h"

/* The pieces, joined by "|", equal want. */
static void check_pieces(const char *pattern, struct str text, const char *want)
{
    struct presplit *p = NULL;
    struct presplit_run run;
    struct err e = {0};
    struct buf got;
    struct str piece;
    buf_init(&got, 1 << 16);
    if (presplit_new(str_from(pattern), &p, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(presplit_run_init(&run, p, NULL), ERR_OK);
    for (int again = 0; again < 2; again++) { /* a run can be used for another text */
        buf_clear(&got);
        presplit_start(&run, text);
        for (;;) {
            assert_int_equal(presplit_next(&run, &piece, &e), ERR_OK);
            if (piece.n == 0)
                break;
            if (got.n > 0)
                buf_add_byte(&got, '|');
            buf_add_str(&got, piece);
        }
        assert_string_equal(buf_z(&got), want);
    }
    presplit_run_deinit(&run);
    presplit_free(p);
    buf_deinit(&got);
}

static void check_refused(const char *pattern, const char *reason)
{
    struct presplit *p = NULL;
    struct err e = {0};
    assert_int_equal(presplit_new(str_from(pattern), &p, &e), ERR_FORMAT);
    assert_null(p);
    if (!strstr(e.text, reason))
        fail_msg("'%s' does not mention '%s'", e.text, reason);
}

static void qwen_splits_as_its_makers_meant(void **state)
{
    (void)state;
    const char *q = presplit_qwen().p;
    check_pieces(q, STR_LIT("I'm here,  42 times\n\n ok "),
                 "I|'m| here|,| | |4|2| times|\n\n| ok| ");
    check_pieces(q, STR_LIT("DON'T x'ſt"), "DON|'T| x|'ſ|t");
    check_pieces(q, STR_LIT("x \xc2\x85 \xe1\x9a\x80y"), "x| \xc2\x85 |\xe1\x9a\x80y");
    check_pieces(q, STR_LIT(""), "");
}

/* U+180E is no blank in Unicode, though PCRE2's own \s takes it for one. */
static void mongolian_separator_is_no_blank(void **state)
{
    (void)state;
    check_pieces("\\s+", STR_LIT("a\xe1\xa0\x8e b"), "a\xe1\xa0\x8e| |b");
    check_pieces("[^\\s]+", STR_LIT("a\xe1\xa0\x8e b"), "a\xe1\xa0\x8e| |b");
    check_pieces("\\S+", STR_LIT("a\xe1\xa0\x8e b"), "a\xe1\xa0\x8e| |b");
}

static void gaps_between_matches_are_pieces(void **state)
{
    (void)state;
    check_pieces("b", STR_LIT("aabacb"), "aa|b|ac|b");
    check_pieces("z", STR_LIT("abc"), "abc");
}

static void empty_matches_cut_and_take_nothing(void **state)
{
    (void)state;
    check_pieces("x*", STR_LIT("ab"), "a|b");
    check_pieces("x*", STR_LIT("axxé"), "a|xx|é");
    check_pieces("(?=b)", STR_LIT("abab"), "a|ba|b");
}

static void brackets_in_classes_are_understood(void **state)
{
    (void)state;
    check_pieces("[]a]+", STR_LIT("x]a]y"), "x|]a]|y");
    check_pieces("[^]\\s]+", STR_LIT("ab ]c"), "ab| ]|c");
    check_pieces("[\\]\\s]+", STR_LIT("ab ]c"), "ab| ]|c");
}

static void patterns_of_another_meaning_are_refused(void **state)
{
    (void)state;
    check_refused("\\w+", "\\w");
    check_refused("a\\b", "\\b");
    check_refused("[\\S]", "\\S");
    check_refused("[a[b]]", "inside");
    check_refused("[[:alpha:]]", "inside");
    check_refused("(a", "no regex");
    check_refused("\\", "no regex");
}

static void absurdly_many_tries_end_in_an_error(void **state)
{
    (void)state;
    struct presplit *p = NULL;
    struct presplit_run run;
    struct err e = {0};
    struct str piece;
    assert_int_equal(presplit_new(STR_LIT("(a+)+$"), &p, &e), ERR_OK);
    assert_int_equal(presplit_run_init(&run, p, NULL), ERR_OK);
    presplit_start(&run, STR_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
    assert_int_equal(presplit_next(&run, &piece, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "gave up"));
    presplit_run_deinit(&run);
    presplit_free(p);
}

static void a_megabyte_of_blanks_is_split(void **state)
{
    (void)state;
    size_t n = 1 << 20, pieces = 0;
    char *text = malloc(n);
    struct presplit *p = NULL;
    struct presplit_run run;
    struct str piece;
    assert_non_null(text);
    memset(text, ' ', n);
    text[n - 1] = 'x';
    assert_int_equal(presplit_new(presplit_qwen(), &p, NULL), ERR_OK);
    assert_int_equal(presplit_run_init(&run, p, NULL), ERR_OK);
    presplit_start(&run, (struct str){text, n});
    for (;; pieces++) {
        assert_int_equal(presplit_next(&run, &piece, NULL), ERR_OK);
        if (piece.n == 0)
            break;
    }
    assert_int_equal(pieces, 2);
    presplit_run_deinit(&run);
    presplit_free(p);
    free(text);
}

static void a_long_pattern_is_refused(void **state)
{
    (void)state;
    struct presplit *p = NULL;
    struct err e = {0};
    size_t n = PRESPLIT_MAX_PATTERN_BYTES + 1;
    char *pattern = malloc(n);
    assert_non_null(pattern);
    memset(pattern, 'a', n);
    assert_int_equal(presplit_new((struct str){pattern, n}, &p, &e), ERR_LIMIT);
    free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen_splits_as_its_makers_meant),
        cmocka_unit_test(mongolian_separator_is_no_blank),
        cmocka_unit_test(gaps_between_matches_are_pieces),
        cmocka_unit_test(empty_matches_cut_and_take_nothing),
        cmocka_unit_test(brackets_in_classes_are_understood),
        cmocka_unit_test(patterns_of_another_meaning_are_refused),
        cmocka_unit_test(absurdly_many_tries_end_in_an_error),
        cmocka_unit_test(a_megabyte_of_blanks_is_split),
        cmocka_unit_test(a_long_pattern_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

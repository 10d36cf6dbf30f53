#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/sense.h"

static void text_is_sense_when_a_person_could_have_written_it(void **state)
{
    static const char *const good[] = {
        "",
        "A red star on a white background.",
        "Line one\n\tline two, with a na\xc3\xafve word and \xe5\x9b\xbe.",
        "A row of stars: star, star, star, star, star, star, then a moon.",
        "----------------------------------------\nand a long text that says more than the dashes",
        "cut off in the middle of a charact\xef\xbf\xbd",
        "ha ha ha ha ha ha",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(text_nonsense(str_from(good[i])));
}

static void text_is_nonsense_when_it_has_control_characters(void **state)
{
    (void)state;
    assert_string_equal(text_nonsense(STR_LIT("a \x01 b")), "has control characters");
    assert_string_equal(text_nonsense(STR_LIT("a \x1b[2J b")), "has control characters");
    assert_string_equal(text_nonsense(STR_LIT("a \xc2\x9b b")), "has control characters");
    assert_string_equal(text_nonsense((struct str){"a\0b", 3}), "has control characters");
}

static void text_is_nonsense_when_it_repeats_itself(void **state)
{
    (void)state;
    assert_non_null(
        text_nonsense(STR_LIT("The image shows the image shows the image shows the image "
                              "shows the image shows the image shows the image shows")));
    assert_non_null(
        text_nonsense(STR_LIT("!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"
                              "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!")));
}

static void text_is_nonsense_when_it_is_broken_utf8(void **state)
{
    (void)state;
    assert_non_null(text_nonsense(STR_LIT("a\xef\xbf\xbd"
                                          "b\xef\xbf\xbd"
                                          "c\xef\xbf\xbd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_sense_when_a_person_could_have_written_it),
        cmocka_unit_test(text_is_nonsense_when_it_has_control_characters),
        cmocka_unit_test(text_is_nonsense_when_it_repeats_itself),
        cmocka_unit_test(text_is_nonsense_when_it_is_broken_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

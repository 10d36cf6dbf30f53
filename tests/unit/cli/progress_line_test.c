/* The line that says how far a run is, on terminals of any width and where there is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "cli/progress.h"

enum { WIDE = 200 };

static const char *line(struct vt_progress v, bool terminal, int width)
{
    static char text[PROGRESS_LINE_BYTES];
    v.image_count = v.image_count ? v.image_count : 1;
    progress_line(&v, terminal, width, text);
    return text;
}

static const struct vt_progress halfway = {
    .stage = VT_STAGE_STEPS, .step = 4, .step_count = 8, .step_seconds = 1.25, .seconds_left = 5};

static void every_stage_has_words(void **state)
{
    (void)state;
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_LOAD}, true, WIDE),
                        "loading weights");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_TEXT}, true, WIDE),
                        "encoding the prompt");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_ENCODE}, false, WIDE),
                        "encoding images");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_DECODE}, false, WIDE),
                        "decoding the image");
}

static void a_terminal_gets_a_bar(void **state)
{
    (void)state;
    assert_string_equal(line(halfway, true, WIDE),
                        "[============            ] step 4 of 8  1.25 s/step  5.0 s left");
    assert_string_equal(
        line((struct vt_progress){.stage = VT_STAGE_STEPS, .step_count = 8}, true, WIDE),
        "[                        ] step 0 of 8");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_STEPS,
                                                  .step = 8,
                                                  .step_count = 8,
                                                  .step_seconds = 90,
                                                  .seconds_left = 125},
                             true, WIDE),
                        "[========================] step 8 of 8  90.00 s/step  2:05 min left");
}

static void a_file_gets_none(void **state)
{
    (void)state;
    assert_string_equal(line(halfway, false, WIDE), "step 4 of 8  1.25 s/step  5.0 s left");
    assert_string_equal(
        line((struct vt_progress){.stage = VT_STAGE_STEPS, .step_count = 8}, false, WIDE),
        "running 8 steps");
    assert_string_equal(
        line((struct vt_progress){.stage = VT_STAGE_STEPS, .step_count = 1}, false, WIDE),
        "running 1 step");
}

static void of_several_the_image_is_named(void **state)
{
    (void)state;
    assert_string_equal(
        line((struct vt_progress){.stage = VT_STAGE_DECODE, .image = 1, .image_count = 3}, false,
             WIDE),
        "image 2 of 3: decoding the image");
}

static void converting_and_captions_count(void **state)
{
    (void)state;
    const struct vt_progress converting = {
        .stage = VT_STAGE_LOAD, .step = 30, .step_count = 100, .seconds_left = 12};
    assert_string_equal(line(converting, true, WIDE), "converting weights: 30 %, 12 s left");
    assert_string_equal(line(converting, false, WIDE), "converting weights");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_TEXT, .step = 17}, true, WIDE),
                        "17 tokens");
}

static void a_terminal_sees_how_much_of_a_stage_is_done(void **state)
{
    const struct vt_progress layers = {
        .stage = VT_STAGE_DECODE, .step = 2, .step_count = 4, .done = 0.55};
    (void)state;
    assert_string_equal(line(layers, true, WIDE), "decoding images: 2 of 4, 55 %");
    assert_string_equal(line(layers, false, WIDE), "decoding the image");
    assert_string_equal(line((struct vt_progress){.stage = VT_STAGE_ENCODE, .done = 1}, true, WIDE),
                        "encoding images: 100 %");
}

static void a_narrow_terminal_loses_the_bar_then_the_end(void **state)
{
    (void)state;
    assert_string_equal(line(halfway, true, 50), "step 4 of 8  1.25 s/step  5.0 s left");
    assert_string_equal(line(halfway, true, 20), "step 4 of 8  1.25 s/");
    assert_string_equal(line(halfway, true, 3), "ste");
    for (int width = 1; width < WIDE; width++)
        assert_true(strlen(line(halfway, true, width)) <= (size_t)width);
}

static void nonsense_stays_within_the_line(void **state)
{
    (void)state;
    const char *text = line((struct vt_progress){.stage = VT_STAGE_STEPS,
                                                 .step = 2000000000,
                                                 .step_count = 3,
                                                 .step_seconds = 1e300,
                                                 .seconds_left = 1e300,
                                                 .image = 2000000000,
                                                 .image_count = 2000000000},
                            true, WIDE);
    assert_non_null(strstr(text, "[========================] step 2000000000 of 3"));
    assert_true(strlen(text) <= WIDE);
    text = line((struct vt_progress){.stage = VT_STAGE_STEPS, .step = -5, .step_count = 3}, true,
                WIDE);
    assert_non_null(strstr(text, "[                        ] step -5 of 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_has_words),
        cmocka_unit_test(a_terminal_gets_a_bar),
        cmocka_unit_test(a_file_gets_none),
        cmocka_unit_test(of_several_the_image_is_named),
        cmocka_unit_test(converting_and_captions_count),
        cmocka_unit_test(a_terminal_sees_how_much_of_a_stage_is_done),
        cmocka_unit_test(a_narrow_terminal_loses_the_bar_then_the_end),
        cmocka_unit_test(nonsense_stays_within_the_line),
    };
    return cmocka_run_group_tests_name("progress_line", tests, NULL, NULL);
}

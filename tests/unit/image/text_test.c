/* Labels, and sheets that have them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "image/composite.h"
#include "image/text.h"

static const unsigned char white[4] = {255, 255, 255, 255}, black[4] = {0, 0, 0, 255};

static struct image blank(int w, int h)
{
    struct image im;
    struct err e = {0};
    assert_int_equal(image_new(&im, w, h, 3, &e), ERR_OK);
    image_fill(&im, white);
    return im;
}

static int dark(const struct image *im, int from, int to)
{
    int n = 0;
    for (int y = 0; y < im->h; y++)
        for (int x = from; x < to; x++)
            n += im->p[(size_t)y * im->stride + (size_t)x * 3] == 0;
    return n;
}

static void a_letter_is_its_dots(void **state)
{
    struct image im = blank(16, 20);
    (void)state;
    image_draw_text(&im, 1, 2, 16, "I", black); /* 3 + 5 + 3 dots of 2 by 2 pixels */
    assert_int_equal(dark(&im, 0, 16), 11 * 4);
    image_free(&im);
}

static void only_whole_letters_are_drawn(void **state)
{
    struct image im = blank(64, 20);
    (void)state;
    image_draw_text(&im, 0, 0, 2 * IMAGE_TEXT_ADVANCE + 3, "HHHH", black);
    assert_true(dark(&im, 0, 24) > 0);
    assert_int_equal(dark(&im, 24, 64), 0);
    image_free(&im);
}

static void what_lies_outside_is_left_out(void **state)
{
    struct image im = blank(8, 8);
    (void)state;
    image_draw_text(&im, -5, -5, 1000, "HHHHHHHH", black);
    image_draw_text(&im, 6, 6, 1000, "HH", black);
    image_free(&im);
}

static void other_letters_are_one_each(void **state)
{
    (void)state;
    assert_int_equal(image_text_width("a\xc3\xa4\xe2\x82\xac"), 3 * IMAGE_TEXT_ADVANCE);
    assert_int_equal(image_text_width("\xff\x80\x80"), IMAGE_TEXT_ADVANCE);
    assert_int_equal(image_text_width(""), 0);
}

static void a_sheet_has_room_for_its_labels(void **state)
{
    static const char *const columns[] = {"a", "b"}, *const rows[] = {"one", "two"};
    struct image im = blank(40, 30), sheet;
    const struct image *list[] = {&im, &im, &im, &im};
    struct image_sheet_params p = image_sheet_defaults();
    struct err e = {0};
    (void)state;
    p.columns = 2;
    assert_int_equal(image_sheet(list, 4, &p, &sheet, &e), ERR_OK);
    int w = sheet.w, h = sheet.h;
    image_free(&sheet);
    p.column_labels = columns;
    p.row_labels = rows;
    assert_int_equal(image_sheet(list, 4, &p, &sheet, &e), ERR_OK);
    assert_int_equal(sheet.w, w + 3 * IMAGE_TEXT_ADVANCE + 8);
    assert_int_equal(sheet.h, h + IMAGE_TEXT_H + 8);
    assert_true(dark(&sheet, 0, 44) > 0);
    assert_true(dark(&sheet, 44, sheet.w) > 0);
    image_free(&sheet);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_is_its_dots),
        cmocka_unit_test(only_whole_letters_are_drawn),
        cmocka_unit_test(what_lies_outside_is_left_out),
        cmocka_unit_test(other_letters_are_one_each),
        cmocka_unit_test(a_sheet_has_room_for_its_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

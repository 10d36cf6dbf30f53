/* image_transform: exact where it can be, close to the ideal elsewhere, and never outside. */
#include "image_support.h"

#include <math.h>

#include "image/affine.h"

static const struct image_rect wide = {-1000, -1000, 3000, 3000};

static struct image varied(int w, int h)
{
    struct image im;
    uint32_t seed = 7;
    assert_int_equal(image_new(&im, w, h, 4, NULL), ERR_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < 4 * w; x++) {
            seed = seed * 1664525u + 1013904223u;
            image_row(&im, y)[x] = (unsigned char)(seed >> 24 | 1);
        }
    return im;
}

static void every_pixel_is_kept_when_moved_by_whole_pixels_or_quarters(void **state)
{
    (void)state;
    struct image im = varied(13, 7), out;
    int x, y;
    struct image_affine move = {1, 0, -5, 0, 1, 9};
    assert_int_equal(image_transform(&im, &move, &wide, &out, &x, &y, NULL), ERR_OK);
    assert_int_equal(out.w, 13);
    assert_int_equal(out.h, 7);
    assert_int_equal(x, -5);
    assert_int_equal(y, 9);
    for (int r = 0; r < 7; r++)
        assert_memory_equal(image_row(&out, r), image_row(&im, r), 13 * 4);
    image_free(&out);
    /* A quarter clockwise on the screen: (x, y) -> (-y, x). */
    struct image_affine quarter = {0, -1, 0, 1, 0, 0};
    assert_int_equal(image_transform(&im, &quarter, &wide, &out, &x, &y, NULL), ERR_OK);
    assert_int_equal(out.w, 7);
    assert_int_equal(out.h, 13);
    assert_int_equal(x, -7);
    for (int r = 0; r < 13; r++)
        for (int c = 0; c < 7; c++)
            assert_memory_equal(image_row(&out, r) + 4 * c, image_row(&im, 6 - c) + 4 * r, 4);
    image_free(&out);
    image_free(&im);
}

static void a_solid_image_keeps_its_area_and_colour_when_turned(void **state)
{
    (void)state;
    struct image im, out;
    static const unsigned char colour[4] = {200, 100, 50, 255};
    assert_int_equal(image_new(&im, 60, 40, 4, NULL), ERR_OK);
    image_fill(&im, colour);
    for (int degrees = 3; degrees < 360; degrees += 31) {
        double a = degrees * 3.14159265358979 / 180, sum = 0;
        struct image_affine m = {cos(a), -sin(a), 0.3, sin(a), cos(a), 0.6};
        int x, y;
        assert_int_equal(image_transform(&im, &m, &wide, &out, &x, &y, NULL), ERR_OK);
        for (int r = 0; r < out.h; r++)
            for (int c = 0; c < out.w; c++) {
                const unsigned char *p = image_row(&out, r) + 4 * c;
                sum += p[3] / 255.0;
                if (p[3])
                    assert_memory_equal(p, colour, 3);
            }
        assert_true(fabs(sum - 2400) < 24); /* a hundredth of the area */
        image_free(&out);
    }
    image_free(&im);
}

static void half_a_pixel_is_half_covered_when_moved_by_it(void **state)
{
    (void)state;
    struct image im, out;
    static const unsigned char white[4] = {255, 255, 255, 255};
    int x, y;
    assert_int_equal(image_new(&im, 4, 1, 4, NULL), ERR_OK);
    image_fill(&im, white);
    struct image_affine m = {1, 0, 2.5, 0, 1, 0};
    assert_int_equal(image_transform(&im, &m, &wide, &out, &x, &y, NULL), ERR_OK);
    assert_int_equal(x, 2);
    assert_int_equal(out.w, 5);
    static const int want[5] = {128, 255, 255, 255, 128};
    for (int i = 0; i < 5; i++)
        assert_true(out.p[4 * i + 3] >= want[i] - 1 && out.p[4 * i + 3] <= want[i] + 1);
    image_free(&out);
    image_free(&im);
}

static void only_the_clip_is_made_when_an_image_is_huge(void **state)
{
    (void)state;
    struct image im = varied(50, 50), out;
    const struct image_rect clip = {10, 20, 30, 40};
    int x, y;
    struct image_affine m = {1000, 0, -20000, 0, 1000, -20000};
    assert_int_equal(image_transform(&im, &m, &clip, &out, &x, &y, NULL), ERR_OK);
    assert_int_equal(out.w, 30);
    assert_int_equal(out.h, 40);
    assert_int_equal(x, 10);
    assert_int_equal(y, 20);
    image_free(&out);
    m.tx = 1e6;
    assert_int_equal(image_transform(&im, &m, &clip, &out, &x, &y, NULL), ERR_OK);
    assert_int_equal(out.w, 1);
    assert_int_equal(out.p[3], 0);
    image_free(&out);
    m.tx = (double)NAN;
    assert_int_equal(image_transform(&im, &m, &clip, &out, &x, &y, NULL), ERR_ARG);
    struct image_affine flat = {1, 1, 0, 1, 1, 0};
    assert_int_equal(image_transform(&im, &flat, &clip, &out, &x, &y, NULL), ERR_ARG);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_is_kept_when_moved_by_whole_pixels_or_quarters),
        cmocka_unit_test(a_solid_image_keeps_its_area_and_colour_when_turned),
        cmocka_unit_test(half_a_pixel_is_half_covered_when_moved_by_it),
        cmocka_unit_test(only_the_clip_is_made_when_an_image_is_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

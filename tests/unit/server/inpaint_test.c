#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/compat/inpaint.h"

static struct image grey(int w, int h, unsigned char v)
{
    struct image im;
    struct err e = {0};
    assert_int_equal(image_new(&im, w, h, 1, &e), ERR_OK);
    image_fill(&im, &v);
    return im;
}

static void box(struct image *im, int x0, int y0, int x1, int y1)
{
    for (int y = y0; y < y1; y++)
        memset(image_row(im, y) + x0, 255, (size_t)(x1 - x0));
}

static void is_rect(struct image_rect r, int x, int y, int w, int h)
{
    assert_int_equal(r.x, x);
    assert_int_equal(r.y, y);
    assert_int_equal(r.w, w);
    assert_int_equal(r.h, h);
}

static void region_holds_the_mask_at_the_aspect(void **state)
{
    struct image m = grey(200, 100, 0);
    struct image_rect r;
    (void)state;
    assert_false(inpaint_region(&m, 8, 64, 64, &r));
    box(&m, 50, 40, 90, 50);
    assert_true(inpaint_region(&m, 0, 64, 64, &r));
    is_rect(r, 50, 25, 40, 40);
    assert_true(inpaint_region(&m, 5, 64, 64, &r));
    is_rect(r, 45, 20, 50, 50);
    /* Moved inside the image, and cut where it has no room. */
    box(&m, 190, 0, 200, 4);
    assert_true(inpaint_region(&m, 0, 64, 64, &r));
    is_rect(r, 50, 0, 150, 100);
    assert_true(inpaint_region(&m, 4096, 64, 32, &r));
    is_rect(r, 0, 0, 200, 100);
    image_free(&m);
    m = grey(1, 1, 9);
    assert_true(inpaint_region(&m, 0, 2048, 64, &r));
    is_rect(r, 0, 0, 1, 1);
    image_free(&m);
}

static void fits_as_asked(void **state)
{
    struct image im = grey(40, 20, 0), out;
    struct err e = {0};
    (void)state;
    box(&im, 20, 0, 40, 20);
    assert_int_equal(inpaint_fit(&im, INPAINT_CROP, 20, 20, &out, &e), ERR_OK);
    assert_int_equal(out.w, 20);
    assert_int_equal(image_row(&out, 10)[4], 0);
    assert_int_equal(image_row(&out, 10)[16], 255);
    image_free(&out);
    assert_int_equal(inpaint_fit(&im, INPAINT_PAD, 40, 41, &out, &e), ERR_OK);
    assert_int_equal(out.h, 41);
    assert_int_equal(image_row(&out, 0)[39], 255);
    assert_int_equal(image_row(&out, 40)[0], 0);
    image_free(&out);
    assert_int_equal(inpaint_fit(&im, INPAINT_STRETCH, 7, 64, &out, &e), ERR_OK);
    assert_int_equal(out.h, 64);
    image_free(&out);
    image_free(&im);
    im = grey(1, 500, 3);
    for (int fit = INPAINT_STRETCH; fit <= INPAINT_PAD; fit++) {
        assert_int_equal(inpaint_fit(&im, (enum inpaint_fit)fit, 64, 64, &out, &e), ERR_OK);
        assert_int_equal(image_row(&out, 63)[63], 3);
        image_free(&out);
    }
    image_free(&im);
}

static void blur_keeps_what_is_far(void **state)
{
    struct image m = grey(64, 64, 0);
    struct err e = {0};
    (void)state;
    box(&m, 24, 24, 40, 40);
    assert_int_equal(inpaint_blur(&m, 2, 2, &e), ERR_OK);
    assert_int_equal(image_row(&m, 32)[32], 255);
    assert_true(image_row(&m, 32)[24] >= 130 && image_row(&m, 32)[24] <= 160);
    assert_true(image_row(&m, 32)[22] >= 10 && image_row(&m, 32)[22] <= 127);
    assert_int_equal(image_row(&m, 32)[24 - 6], 0);
    assert_int_equal(image_row(&m, 32)[41], image_row(&m, 41)[32]);
    image_free(&m);
    m = grey(3, 2, 77); /* windows wider than the image */
    assert_int_equal(inpaint_blur(&m, 256, 256, &e), ERR_OK);
    assert_int_equal(image_row(&m, 1)[2], 77);
    image_free(&m);
}

static void fill_takes_what_is_around(void **state)
{
    struct image im, m = grey(33, 17, 0);
    struct err e = {0};
    static const unsigned char red[3] = {200, 10, 30}, blue[3] = {0, 0, 255};
    (void)state;
    assert_int_equal(image_new(&im, 33, 17, 3, &e), ERR_OK);
    image_fill(&im, red);
    box(&m, 8, 4, 20, 17);
    for (int y = 4; y < 17; y++)
        for (int x = 8; x < 20; x++)
            memcpy(image_row(&im, y) + 3 * x, blue, 3);
    assert_int_equal(inpaint_fill(&im, &m, INPAINT_AROUND, 0, &e), ERR_OK);
    for (int y = 0; y < 17; y++)
        for (int x = 0; x < 33; x++)
            assert_memory_equal(image_row(&im, y) + 3 * x, red, 3);
    box(&m, 0, 0, 33, 17);
    assert_int_equal(inpaint_fill(&im, &m, INPAINT_AROUND, 0, &e), ERR_OK);
    assert_int_equal(image_row(&im, 3)[5], 127);
    image_free(&im);
    image_free(&m);
    /* Larger than the finest level. */
    m = grey(1500, 1001, 0);
    assert_int_equal(image_new(&im, 1500, 1001, 3, &e), ERR_OK);
    image_fill(&im, red);
    box(&m, 700, 400, 1500, 1001);
    memcpy(image_row(&im, 1000) + 3 * 1499, blue, 3);
    assert_int_equal(inpaint_fill(&im, &m, INPAINT_AROUND, 0, &e), ERR_OK);
    assert_memory_equal(image_row(&im, 1000) + 3 * 1499, red, 3);
    assert_memory_equal(image_row(&im, 700) + 3 * 1100, red, 3);
    image_free(&im);
    image_free(&m);
}

static void paste_keeps_every_bit(void **state)
{
    struct image original, result = grey(8, 8, 90), m = grey(32, 32, 0), out;
    struct err e = {0};
    (void)state;
    assert_int_equal(image_new(&original, 32, 32, 4, &e), ERR_OK);
    for (size_t i = 0; i < 32 * original.stride; i++)
        original.p[i] = (unsigned char)(i * 31 + i / 7);
    box(&m, 10, 10, 14, 14);
    image_row(&m, 9)[10] = 128;
    struct inpaint_place place = {{8, 8, 16, 16}, INPAINT_CROP};
    assert_int_equal(inpaint_paste(&original, &result, place, &m, &out, &e), ERR_OK);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++)
            if (!image_row(&m, y)[x])
                assert_memory_equal(image_row(&out, y) + 4 * x, image_row(&original, y) + 4 * x, 4);
    static const unsigned char painted[4] = {90, 90, 90, 255};
    assert_memory_equal(image_row(&out, 12) + 4 * 12, painted, 4);
    image_free(&out);
    image_free(&original);
    image_free(&result);
    image_free(&m);
}

static void masks_by_alpha_or_lightness(void **state)
{
    struct image im, out;
    struct err e = {0};
    (void)state;
    assert_int_equal(image_new(&im, 2, 1, 4, &e), ERR_OK);
    memcpy(im.p, (unsigned char[8]){255, 255, 255, 255, 255, 255, 255, 0}, 8);
    assert_int_equal(inpaint_mask(&im, false, &out, &e), ERR_OK);
    assert_int_equal(out.p[0], 255);
    assert_int_equal(out.p[1], 0);
    image_free(&out);
    im.p[0] = im.p[1] = im.p[2] = 0;
    im.p[7] = 255; /* opaque: by lightness */
    assert_int_equal(inpaint_mask(&im, true, &out, &e), ERR_OK);
    assert_int_equal(out.p[0], 255);
    assert_int_equal(out.p[1], 0);
    image_free(&out);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(region_holds_the_mask_at_the_aspect),
        cmocka_unit_test(fits_as_asked),
        cmocka_unit_test(blur_keeps_what_is_far),
        cmocka_unit_test(fill_takes_what_is_around),
        cmocka_unit_test(paste_keeps_every_bit),
        cmocka_unit_test(masks_by_alpha_or_lightness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

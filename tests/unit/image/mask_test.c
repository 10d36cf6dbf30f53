/* mask_test.c - what is painted for masks with and without alpha, and colours that stand for alpha. */
#include "image/mask.h"

#include "image_support.h"

struct pixel {
    unsigned char l, a;
};

/* The mask's pixels as RGBA and as LA give the same reading. */
static void reads(const struct pixel *p, int n, enum mask_reading want_how,
                  const unsigned char *want)
{
    for (int channels = 2; channels <= 4; channels += 2) {
        struct image mask = new_image(n, 1, channels), out;
        struct err e = {0};
        enum mask_reading how;
        for (int i = 0; i < n; i++) {
            memset(mask.p + i * channels, p[i].l, (size_t)channels - 1);
            mask.p[i * channels + channels - 1] = p[i].a;
        }
        must(image_mask_read(&mask, &out, &how, &e), &e);
        assert_int_equal(how, want_how);
        assert_false(image_has_alpha(&out));
        for (int i = 0; i < n; i++)
            assert_int_equal(out.p[i * out.channels], want[i]);
        image_free(&out);
        image_free(&mask);
    }
}

static void what_is_seen_counts(void **state)
{
    (void)state;
    /* White strokes on transparent ground, whatever colour lies there. */
    reads((struct pixel[]){{255, 255}, {255, 0}, {0, 0}, {255, 128}, {255, 127}}, 5,
          MASK_LIGHTNESS_ON_BLACK, (const unsigned char[]){255, 0, 0, 128, 127});
    /* Black ones, and ones of a dark colour. */
    reads((struct pixel[]){{0, 255}, {0, 0}, {90, 200}, {255, 0}}, 4, MASK_ALPHA,
          (const unsigned char[]){255, 0, 200, 0});
    /* White and black strokes: black ones are kept, as without alpha. */
    reads((struct pixel[]){{255, 255}, {0, 255}, {0, 0}}, 3, MASK_LIGHTNESS_ON_BLACK,
          (const unsigned char[]){255, 0, 0});
    /* Opaque everywhere: alpha says nothing, and black is an empty mask. */
    reads((struct pixel[]){{255, 255}, {0, 255}}, 2, MASK_LIGHTNESS,
          (const unsigned char[]){255, 0});
    reads((struct pixel[]){{0, 255}, {10, 255}}, 2, MASK_LIGHTNESS, (const unsigned char[]){0, 10});
    /* Nothing is seen at all. */
    reads((struct pixel[]){{255, 0}, {0, 0}}, 2, MASK_ALPHA, (const unsigned char[]){0, 0});
}

static void alpha_is_painted_where_it_is_transparent(void **state)
{
    struct image im = new_image(2, 1, 4), mask;
    struct err e = {0};
    (void)state;
    im.p[3] = 10;
    im.p[7] = 255;
    must(image_mask_of_alpha(&im, &mask, &e), &e);
    assert_int_equal(mask.channels, 1);
    assert_int_equal(mask.p[0], 245);
    assert_int_equal(mask.p[1], 0);
    image_free(&mask);
    image_free(&im);
    im = new_image(2, 1, 3);
    assert_int_equal(image_mask_of_alpha(&im, &mask, &e), ERR_ARG);
    image_free(&im);
}

static void colours_have_names_and_digits(void **state)
{
    unsigned char c[3];
    static const char *const bad[] = {"",     "#",    "#ff",     "#ffff", "#fffffff",
                                      "#ggg", "none", "#ff00f ", "white "};
    (void)state;
    assert_true(image_colour_parse(STR_LIT("white"), c) && c[0] == 255 && c[2] == 255);
    assert_true(image_colour_parse(STR_LIT("#80Ff01"), c) && c[0] == 0x80 && c[1] == 255 &&
                c[2] == 1);
    assert_true(image_colour_parse(STR_LIT("#a0f"), c) && c[0] == 0xaa && c[1] == 0 && c[2] == 255);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(image_colour_parse(str_from(bad[i]), c));
}

static void only_hidden_colours_are_replaced(void **state)
{
    struct image im = new_image(3, 1, 4), out;
    struct err e = {0};
    static const unsigned char in[] = {1, 2, 3, 0, 4, 5, 6, 1, 7, 8, 9, 255},
                               rgb[3] = {200, 100, 50};
    (void)state;
    memcpy(im.p, in, sizeof in);
    must(image_on_ground(&im, rgb, &out, &e), &e);
    assert_int_equal(out.channels, 3);
    assert_memory_equal(out.p, rgb, 3);
    assert_memory_equal(out.p + 6, in + 8, 3);
    image_replace_hidden(&im, rgb);
    assert_memory_equal(im.p, rgb, 3);
    assert_memory_equal(im.p + 3, in + 3, sizeof in - 3);
    image_free(&out);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_seen_counts),
        cmocka_unit_test(alpha_is_painted_where_it_is_transparent),
        cmocka_unit_test(colours_have_names_and_digits),
        cmocka_unit_test(only_hidden_colours_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

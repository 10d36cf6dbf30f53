#include "image_support.h"

#include <math.h>

#include "image/composite.h"

/* The W3C's formulas once more, in double and word for word: backdrop b, source s. */
static double reference_blend(enum blend_mode mode, double b, double s)
{
    switch (mode) {
    case BLEND_MULTIPLY:
        return b * s;
    case BLEND_SCREEN:
        return 1 - (1 - b) * (1 - s);
    case BLEND_OVERLAY:
        return reference_blend(BLEND_HARD_LIGHT, s, b);
    case BLEND_DARKEN:
        return fmin(b, s);
    case BLEND_LIGHTEN:
        return fmax(b, s);
    case BLEND_COLOR_DODGE:
        return b == 0 ? 0 : s == 1 ? 1 : fmin(1, b / (1 - s));
    case BLEND_COLOR_BURN:
        return b == 1 ? 1 : s == 0 ? 0 : 1 - fmin(1, (1 - b) / s);
    case BLEND_HARD_LIGHT:
        return s <= 0.5 ? b * 2 * s : reference_blend(BLEND_SCREEN, b, 2 * s - 1);
    case BLEND_SOFT_LIGHT:
        if (s <= 0.5)
            return b - (1 - 2 * s) * b * (1 - b);
        return b + (2 * s - 1) * ((b <= 0.25 ? ((16 * b - 12) * b + 4) * b : sqrt(b)) - b);
    case BLEND_DIFFERENCE:
        return fabs(b - s);
    case BLEND_EXCLUSION:
        return b + s - 2 * b * s;
    case BLEND_ADD:
        return fmin(1, b + s);
    default:
        return s;
    }
}

static int reference_channel(enum blend_mode mode, const unsigned char *b, const unsigned char *s,
                             int c, double opacity)
{
    double as = s[3] / 255.0 * opacity, ab = b[3] / 255.0, ao = as + ab * (1 - as);
    double cs = s[c] / 255.0, cb = b[c] / 255.0;
    if (c == 3)
        return (int)(ao * 255.0 + 0.5);
    if (ao == 0)
        return b[c];
    cs = (1 - ab) * cs + ab * reference_blend(mode, cb, cs);
    return (int)((cs * as + cb * ab * (1 - as)) / ao * 255.0 + 0.5);
}

static void separable_modes_follow_the_formulas(void **state)
{
    (void)state;
    for (int mode = BLEND_NORMAL; mode <= BLEND_ADD; mode++) {
        struct image b = noise(1000, 1, 4, (uint32_t)mode), s = noise(1000, 1, 4, 77);
        struct image out;
        struct err e = {0};
        for (int i = 0; i < 1000; i += 10) { /* ends of the scale */
            b.p[i * 4] = i % 20 ? 0 : 255;
            s.p[i * 4] = i % 30 ? 0 : 255;
            b.p[i * 4 + 3] = i % 40 ? 255 : 0;
        }
        must(image_copy(&b, &out, &e), &e);
        composite_kern_row(out.p, s.p, 1000, 0.8f, (enum blend_mode)mode, false);
        for (int i = 0; i < 4000; i++) {
            int at = i / 4 * 4;
            int want = reference_channel((enum blend_mode)mode, b.p + at, s.p + at, i % 4, 0.8);
            if (abs(out.p[i] - want) > 1)
                fail_msg("%s: %d, expected %d", blend_mode_name((enum blend_mode)mode), out.p[i],
                         want);
        }
        image_free(&b);
        image_free(&s);
        image_free(&out);
    }
}

/* Opaque over opaque, worked out by hand. */
static void hue_saturation_color_and_luminosity_are_known_values(void **state)
{
    (void)state;
    static const struct {
        enum blend_mode mode;
        unsigned char want[3];
    } rows[] = {
        /* Backdrop grey 128 (saturation 0): hue and saturation keep it. */
        {BLEND_HUE, {128, 128, 128}},
        {BLEND_SATURATION, {128, 128, 128}},
        /* Red (1, 0, 0) moved to luminosity 0.502, clipped: 1, then (0.502 - 0.3) / 0.7. */
        {BLEND_COLOR, {255, 74, 74}},
        /* Grey moved to red's luminosity 0.3. */
        {BLEND_LUMINOSITY, {77, 77, 77}},
    };
    for (size_t i = 0; i < 4; i++) {
        unsigned char canvas[4] = {128, 128, 128, 255};
        composite_kern_row(canvas, (const unsigned char[]){255, 0, 0, 255}, 1, 1.0f, rows[i].mode,
                           false);
        for (int c = 0; c < 3; c++)
            assert_true(abs(canvas[c] - rows[i].want[c]) <= 1);
        assert_int_equal(canvas[3], 255);
    }
}

static void opaque_normal_layer_replaces_exactly(void **state)
{
    (void)state;
    struct err e = {0};
    struct image canvas = noise(40, 30, 4, 1), layer = noise(40, 30, 4, 2);
    for (int i = 0; i < 1200; i++)
        layer.p[i * 4 + 3] = 255;
    struct composite_layer l = {.image = &layer, .opacity = 1.0};
    must(image_composite(&canvas, &l, &e), &e);
    assert_same(&canvas, &layer);
    image_free(&canvas);
    image_free(&layer);
}

static void transparent_layer_leaves_the_canvas_exactly(void **state)
{
    (void)state;
    for (int mode = 0; mode < BLEND_MODES; mode++) {
        struct err e = {0};
        struct image canvas = noise(20, 10, 4, 1), layer = noise(20, 10, 4, 2), before;
        must(image_copy(&canvas, &before, &e), &e);
        struct composite_layer l = {.image = &layer, .blend = (enum blend_mode)mode};
        must(image_composite(&canvas, &l, &e), &e); /* opacity 0 */
        assert_same(&canvas, &before);
        for (int i = 0; i < 200; i++)
            layer.p[i * 4 + 3] = 0;
        l.opacity = 1.0;
        must(image_composite(&canvas, &l, &e), &e);
        assert_same(&canvas, &before);
        image_free(&canvas);
        image_free(&layer);
        image_free(&before);
    }
}

static void layer_on_nothing_keeps_its_bits(void **state)
{
    (void)state;
    for (int mode = 0; mode < BLEND_MODES; mode++) {
        struct err e = {0};
        struct image layer = noise(20, 10, 4, 2), out;
        for (int i = 0; i < 200; i++)
            layer.p[i * 4 + 3] |= 1; /* colours under zero alpha are not kept */
        struct composite_layer l = {
            .image = &layer, .opacity = 1.0, .blend = (enum blend_mode)mode};
        must(image_flatten(&l, 1, 20, 10, NULL, &out, &e), &e);
        assert_same(&layer, &out);
        image_free(&layer);
        image_free(&out);
    }
}

static void layer_is_clipped_when_it_leaves_the_canvas(void **state)
{
    (void)state;
    static const int offsets[][2] = {{-3, -2}, {8, 7},         {-5, 0},        {10, 0},
                                     {0, 10},  {INT32_MAX, 0}, {0, INT32_MIN}, {-4, -4}};
    struct image layer = new_image(5, 5, 3);
    image_fill(&layer, (const unsigned char[]){9, 8, 7});
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct err e = {0};
        struct composite_layer l = {.image = &layer, .opacity = 1.0};
        struct image out;
        l.x = offsets[i][0];
        l.y = offsets[i][1];
        must(image_flatten(&l, 1, 10, 10, NULL, &out, &e), &e);
        for (int y = 0; y < 10; y++) {
            for (int x = 0; x < 10; x++) {
                bool inside = x >= l.x && (int64_t)x < (int64_t)l.x + 5 && y >= l.y &&
                              (int64_t)y < (int64_t)l.y + 5;
                assert_int_equal(image_row(&out, y)[x * 4 + 3], inside ? 255 : 0);
            }
        }
        image_free(&out);
    }
    image_free(&layer);
}

static void every_mode_of_image_can_be_a_layer_and_rgb_a_canvas(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 4; channels++) {
        struct err e = {0};
        struct image layer = noise(9, 9, channels, 4), rgba, canvas = noise(9, 9, 3, 5), want;
        must(image_convert(&layer, 4, &rgba, &e), &e);
        must(image_convert(&canvas, 4, &want, &e), &e);
        composite_kern_row(want.p, rgba.p, 81, 0.5f, BLEND_SCREEN, false);
        struct composite_layer l = {.image = &layer, .opacity = 0.5, .blend = BLEND_SCREEN};
        must(image_composite(&canvas, &l, &e), &e);
        for (int i = 0; i < 81; i++)
            assert_memory_equal(canvas.p + (ptrdiff_t)i * 3, want.p + (ptrdiff_t)i * 4, 3);
        image_free(&layer);
        image_free(&rgba);
        image_free(&canvas);
        image_free(&want);
    }
}

static void composing_is_refused_when_it_makes_no_sense(void **state)
{
    (void)state;
    struct err e = {0};
    struct image grey = new_image(2, 2, 1), rgba = new_image(2, 2, 4);
    struct composite_layer l = {.image = &rgba, .opacity = 1.0};
    assert_int_equal(image_composite(&grey, &l, &e), ERR_ARG);
    l.opacity = 1.5;
    assert_int_equal(image_composite(&rgba, &l, &e), ERR_ARG);
    l.opacity = (double)NAN;
    assert_int_equal(image_composite(&rgba, &l, &e), ERR_ARG);
    l.opacity = 1.0;
    l.blend = BLEND_MODES;
    assert_int_equal(image_composite(&rgba, &l, &e), ERR_ARG);
    image_free(&grey);
    image_free(&rgba);
}

static void blend_modes_have_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BLEND_MODES; i++) {
        enum blend_mode mode = BLEND_MODES;
        assert_true(blend_mode_from_name(str_from(blend_mode_name((enum blend_mode)i)), &mode));
        assert_int_equal(mode, i);
    }
    enum blend_mode mode = BLEND_ADD;
    assert_false(blend_mode_from_name(STR_LIT("Normal"), &mode));
    assert_int_equal(mode, BLEND_ADD);
}

static void compare_measures_psnr_and_the_worst_pixel(void **state)
{
    (void)state;
    struct err e = {0};
    struct image_difference d;
    struct image a = noise(10, 10, 4, 1), b, other = new_image(10, 9, 4);
    must(image_copy(&a, &b, &e), &e);
    must(image_compare(&a, &b, &d, &e), &e);
    assert_true(isinf(d.psnr_db) && d.max == 0 && d.mean == 0.0);
    image_row(&a, 3)[7 * 4 + 1] = 200;
    image_row(&b, 3)[7 * 4 + 1] = 180;
    must(image_compare(&a, &b, &d, &e), &e);
    assert_int_equal(d.max, 20);
    assert_int_equal(d.max_x, 7);
    assert_int_equal(d.max_y, 3);
    assert_true(fabs(d.mean - 20.0 / 400.0) < 1e-12);
    assert_true(fabs(d.psnr_db - 10.0 * log10(255.0 * 255.0 / 1.0)) < 1e-9); /* 400 / 400 */
    assert_int_equal(image_compare(&a, &other, &d, &e), ERR_ARG);
    image_free(&a);
    image_free(&b);
    image_free(&other);
}

static void sheet_places_every_image(void **state)
{
    (void)state;
    struct err e = {0};
    struct image a = new_image(10, 20, 3), b = new_image(30, 10, 4), sheet;
    image_fill(&a, (const unsigned char[]){200, 0, 0});
    const struct image *images[3] = {&a, &b, &a};
    struct image_sheet_params p = image_sheet_defaults();
    p.columns = 2;
    p.gap = 4;
    must(image_sheet(images, 3, &p, &sheet, &e), &e);
    assert_int_equal(sheet.w, 4 + 30 + 4 + 30 + 4);
    assert_int_equal(sheet.h, 4 + 20 + 4 + 20 + 4);
    assert_int_equal(sheet.channels, 3);
    assert_memory_equal(image_row(&sheet, 0), "\xff\xff\xff", 3);
    assert_memory_equal(image_row(&sheet, 4) + 14 * 3, "\xc8\0\0", 3);
    assert_memory_equal(image_row(&sheet, 28) + 14 * 3, "\xc8\0\0", 3);
    assert_memory_equal(image_row(&sheet, 9) + (38 + 8) * 3, "\xcc\xcc\xcc", 3); /* chequer */
    image_free(&sheet);
    p.background[3] = 0;
    p.columns = 0;
    p.checker = false;
    must(image_sheet(images, 2, &p, &sheet, &e), &e);
    assert_int_equal(sheet.channels, 4);
    assert_int_equal(sheet.w, 72);
    image_free(&sheet);
    assert_int_equal(image_sheet(images, 0, NULL, &sheet, &e), ERR_ARG);
    p.gap = -1;
    assert_int_equal(image_sheet(images, 2, &p, &sheet, &e), ERR_ARG);
    image_free(&a);
    image_free(&b);
}

static enum err_code flatten_it(void *arg, struct err *e)
{
    struct composite_layer l[2] = {{.image = arg, .opacity = 1.0}, {.image = arg, .opacity = 0.5}};
    struct image out;
    enum err_code rc = image_flatten(l, 2, 20, 20, NULL, &out, e);
    image_free(&out);
    return rc;
}

static enum err_code sheet_it(void *arg, struct err *e)
{
    const struct image *images[2] = {arg, arg};
    struct image out;
    enum err_code rc = image_sheet(images, 2, NULL, &out, e);
    image_free(&out);
    return rc;
}

static void composing_fails_cleanly_when_memory_is_out(void **state)
{
    (void)state;
    struct image im = noise(8, 8, 2, 1);
    assert_survives_without_memory(flatten_it, &im);
    assert_survives_without_memory(sheet_it, &im);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separable_modes_follow_the_formulas),
        cmocka_unit_test(hue_saturation_color_and_luminosity_are_known_values),
        cmocka_unit_test(opaque_normal_layer_replaces_exactly),
        cmocka_unit_test(transparent_layer_leaves_the_canvas_exactly),
        cmocka_unit_test(layer_on_nothing_keeps_its_bits),
        cmocka_unit_test(layer_is_clipped_when_it_leaves_the_canvas),
        cmocka_unit_test(every_mode_of_image_can_be_a_layer_and_rgb_a_canvas),
        cmocka_unit_test(composing_is_refused_when_it_makes_no_sense),
        cmocka_unit_test(blend_modes_have_names),
        cmocka_unit_test(compare_measures_psnr_and_the_worst_pixel),
        cmocka_unit_test(sheet_places_every_image),
        cmocka_unit_test(composing_fails_cleanly_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

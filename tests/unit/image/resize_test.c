#include "image_support.h"

#include <math.h>

#include "image/image.h"
#include "image/mask.h"
#include "image/resize.h"
#include "image/resize_kern.h"

static void assert_resize_is(const char *folder, enum image_filter filter, const char *expected)
{
    char path[256];
    struct err e = {0};
    struct image out;
    (void)snprintf(path, sizeof path, "%s/image.png", folder);
    struct image in = load_case(path);
    (void)snprintf(path, sizeof path, "%s/%s.png", folder, expected);
    struct image want = load_case(path);
    must(image_resize(&in, want.w, want.h, filter, &out, &e), &e);
    if (max_difference(&out, &want) != 0)
        fail_msg("%s is off by %d", path, max_difference(&out, &want));
    image_free(&in);
    image_free(&want);
    image_free(&out);
}

static void resize_equals_the_reference_bit_for_bit(void **state)
{
    (void)state;
    static const struct {
        const char *folder;
        enum image_filter filter;
        const char *expected;
    } rows[] = {
        {"resize-0-RGB-101x67", IMAGE_LANCZOS, "out_0"},
        {"resize-0-RGB-101x67", IMAGE_LANCZOS, "out_1"},
        {"resize-0-RGB-101x67", IMAGE_LANCZOS, "out_2"},
        {"resize-0-RGB-101x67", IMAGE_LANCZOS, "out_3_horizontal_first"},
        {"resize-0-RGB-101x67", IMAGE_BICUBIC, "out_5"},
        {"resize-0-RGB-101x67", IMAGE_TORCH_BICUBIC, "out_6"},
        {"resize-1-RGBA-93x118", IMAGE_LANCZOS, "out_0"},
        {"resize-1-RGBA-93x118", IMAGE_LANCZOS, "out_1"},
        {"resize-1-RGBA-93x118", IMAGE_LANCZOS, "out_2_horizontal_first"},
        {"resize-2-L-77x50", IMAGE_LANCZOS, "out_0"},
        {"resize-2-L-77x50", IMAGE_LANCZOS, "out_1"},
        {"resize-3-RGB-1301x903", IMAGE_LANCZOS, "out_0"},
        {"resize-4-RGB-5x3", IMAGE_LANCZOS, "out_0"},
        {"resize-4-RGB-5x3", IMAGE_LANCZOS, "out_1"},
        {"resize-4-RGB-5x3", IMAGE_LANCZOS, "out_2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_resize_is(rows[i].folder, rows[i].filter, rows[i].expected);
}

static void area_size_is_the_reference_s(void **state)
{
    (void)state;
    int w, h;
    image_area_size(1301, 903, 1024 * 1024, &w, &h);
    assert_int_equal(w, 1229);
    assert_int_equal(h, 853);
}

static void crop_and_convert_equal_the_reference(void **state)
{
    (void)state;
    struct err e = {0};
    struct image rgb = load_case("resize-0-RGB-101x67/image.png"), out;
    struct image rgba = load_case("resize-1-RGBA-93x118/image.png");
    struct image want = load_case("resize-0-RGB-101x67/out_4.png");
    must(image_crop_centre(&rgb, 96, 64, &out, &e), &e);
    assert_same(&out, &want);
    image_free(&out);
    image_free(&want);
    want = load_case("resize-0-RGB-101x67/out_7.png");
    must(image_convert(&rgb, 1, &out, &e), &e);
    assert_same(&out, &want);
    image_free(&out);
    image_free(&want);
    want = load_case("resize-1-RGBA-93x118/out_3.png");
    must(image_convert(&rgba, 3, &out, &e), &e);
    assert_same(&out, &want);
    image_free(&out);
    image_free(&want);
    want = load_case("resize-1-RGBA-93x118/out_4.png");
    must(image_crop_centre(&rgba, 80, 112, &out, &e), &e);
    assert_same(&out, &want);
    image_free(&out);
    image_free(&want);
    image_free(&rgb);
    image_free(&rgba);
}

/* An axis of random windows and weights, wider and more extreme than any filter's. */
static struct resize_axis random_axis(int in, int out, int most, uint32_t seed)
{
    struct resize_axis a = {.in = in, .out = out, .taps = (most + 7) / 8 * 8, .precision = 22};
    size_t n = (size_t)out * (size_t)a.taps;
    a.first = mem_try_array((size_t)out, sizeof *a.first);
    a.count = mem_try_array((size_t)out, sizeof *a.count);
    a.hi = mem_try_array(n, sizeof *a.hi);
    a.lo = mem_try_array(n, sizeof *a.lo);
    assert_true(a.first && a.count && a.hi && a.lo);
    for (int i = 0; i < out; i++) {
        seed = seed * 1664525u + 1013904223u;
        int widest = most < in ? most : in;
        a.count[i] = 1 + (int)(seed >> 8) % widest;
        a.first[i] = (int)(seed >> 16) % (in - a.count[i] + 1);
        for (int j = 0; j < a.count[i]; j++) {
            seed = seed * 1664525u + 1013904223u;
            a.hi[i * a.taps + j] = (int16_t)((int)(seed >> 16) % 8192 - 3000);
            a.lo[i * a.taps + j] = (int16_t)(seed >> 8 & 255);
        }
    }
    return a;
}

static void axis_deinit(struct resize_axis *a)
{
    mem_free(a->first);
    mem_free(a->count);
    mem_free(a->hi);
    mem_free(a->lo);
}

static void row_kernel_equals_its_reference_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 64, 65};
    for (int channels = 1; channels <= 4; channels++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct image in = noise(sizes[k], 1, channels, (uint32_t)k + 1);
            struct image a = new_image(37, 1, channels), b = new_image(37, 1, channels);
            struct resize_axis axis = random_axis(sizes[k], 37, 23, (uint32_t)k);
            resize_kern_row(a.p, in.p, &axis, channels, false);
            resize_kern_row_ref(b.p, in.p, &axis, channels, false);
            assert_same(&a, &b);
            axis_deinit(&axis);
            image_free(&in);
            image_free(&a);
            image_free(&b);
        }
    }
}

static void column_kernel_equals_its_reference_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 100};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct image in = noise(sizes[k], 19, 1, (uint32_t)k + 1);
        struct image a = new_image(sizes[k], 11, 1), b = new_image(sizes[k], 11, 1);
        struct resize_axis axis = random_axis(19, 11, 19, (uint32_t)k);
        for (int i = 0; i < 11; i++) {
            resize_kern_column(image_row(&a, i), in.p, in.stride, (size_t)in.w, &axis, i, false);
            resize_kern_column_ref(image_row(&b, i), in.p, in.stride, (size_t)in.w, &axis, i,
                                   false);
        }
        assert_same(&a, &b);
        axis_deinit(&axis);
        image_free(&in);
        image_free(&a);
        image_free(&b);
    }
}

static void premultiplying_follows_the_formula(void **state)
{
    (void)state;
    unsigned char p[8] = {200, 100, 3, 128, 9, 8, 7, 0};
    alpha_kern_premultiply(p, 2, 4, false);
    assert_memory_equal(p, ((unsigned char[8]){100, 50, 2, 128, 0, 0, 0, 0}), 8);
    alpha_kern_unpremultiply(p, 2, 4, false);
    assert_memory_equal(p, ((unsigned char[8]){199, 99, 3, 128, 0, 0, 0, 0}), 8);
}

static void resize_keeps_every_bit_when_the_size_stays(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = noise(31, 17, 4, 5), out;
    must(image_resize(&in, 31, 17, IMAGE_LANCZOS, &out, &e), &e);
    assert_same(&in, &out);
    image_free(&out);
    image_free(&in);
}

static void hidden_colours_do_not_bleed_when_alpha_is_resized(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = new_image(64, 64, 4), out;
    for (int y = 0; y < 64; y++) {
        for (int x = 0; x < 64; x++) {
            unsigned char *p = image_row(&in, y) + (ptrdiff_t)x * 4;
            bool inside = x >= 20 && x < 44 && y >= 20 && y < 44;
            p[0] = inside ? 255 : 0;
            p[1] = inside ? 0 : 255;
            p[3] = inside ? 255 : 0;
        }
    }
    must(image_resize(&in, 23, 27, IMAGE_LANCZOS, &out, &e), &e);
    for (int i = 0; i < 23 * 27; i++) {
        if (out.p[i * 4 + 3] > 0)
            assert_int_equal(out.p[i * 4 + 1], 0);
    }
    image_free(&in);
    image_free(&out);
}

static void every_filter_keeps_a_flat_colour(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = new_image(53, 29, 3), out;
    image_fill(&in, (const unsigned char[3]){17, 130, 255});
    for (int f = IMAGE_NEAREST; f <= IMAGE_TORCH_BICUBIC; f++) {
        static const int sizes[][2] = {{1, 1}, {7, 90}, {200, 3}, {53, 28}, {54, 29}};
        for (size_t k = 0; k < 5; k++) {
            must(image_resize(&in, sizes[k][0], sizes[k][1], (enum image_filter)f, &out, &e), &e);
            for (int i = 0; i < out.w * out.h; i++)
                assert_memory_equal(out.p + (ptrdiff_t)i * 3, in.p, 3);
            image_free(&out);
        }
    }
    image_free(&in);
}

static void window_sums_stay_exact_when_a_long_side_becomes_one_pixel(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = new_image(200000, 1, 1), out;
    memset(in.p, 255, 200000);
    must(image_resize(&in, 1, 1, IMAGE_BOX, &out, &e), &e);
    assert_true(out.p[0] >= 250); /* 21 units of 2^-22 a pixel: the weights' own rounding */
    image_free(&out);
    image_free(&in);
}

static void resize_is_refused_when_the_size_makes_no_sense(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = new_image(3, 3, 1), out;
    assert_int_equal(image_resize(&in, 0, 3, IMAGE_LANCZOS, &out, &e), ERR_ARG);
    assert_int_equal(image_resize(&in, 3, -1, IMAGE_LANCZOS, &out, &e), ERR_ARG);
    assert_int_equal(image_resize(&in, 2000000, 1, IMAGE_NEAREST, &out, &e), ERR_ARG);
    assert_null(out.p);
    image_free(&in);
}

static enum err_code resize_rgba(void *arg, struct err *e)
{
    struct image out;
    enum err_code rc = image_resize(arg, 9, 12, IMAGE_LANCZOS, &out, e);
    image_free(&out);
    return rc;
}

static void resize_fails_cleanly_when_memory_is_out(void **state)
{
    (void)state;
    struct image in = noise(20, 30, 4, 1);
    assert_survives_without_memory(resize_rgba, &in);
    image_free(&in);
}

static void thumbnail_fits_its_box_and_never_grows(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = noise(400, 100, 3, 1), out;
    must(image_thumbnail(&in, 64, 64, &out, &e), &e);
    assert_int_equal(out.w, 64);
    assert_int_equal(out.h, 16);
    image_free(&out);
    must(image_thumbnail(&in, 1000, 1000, &out, &e), &e);
    assert_same(&in, &out);
    image_free(&out);
    image_free(&in);
    in = noise(1000, 2, 1, 1);
    must(image_thumbnail(&in, 64, 64, &out, &e), &e);
    assert_int_equal(out.h, 1);
    image_free(&out);
    image_free(&in);
}

static void mask_to_grid_interpolates_between_sample_centres(void **state)
{
    (void)state;
    float in[4] = {0, 1, 1, 0}, out[4];
    struct image_plane src = {4, 1, in}, dst = {2, 1, out};
    image_mask_to_grid(&src, &dst);
    assert_true(fabsf(out[0] - 0.5f) < 1e-6f && fabsf(out[1] - 0.5f) < 1e-6f);
    /* 3 -> 2: centres at 0.25 and 1.75 */
    float three[3] = {0, 1, 2};
    src = (struct image_plane){3, 1, three};
    image_mask_to_grid(&src, &dst);
    assert_true(fabsf(out[0] - 0.25f) < 1e-6f && fabsf(out[1] - 1.75f) < 1e-6f);
    /* 1 -> 4, both axes: constant */
    src = (struct image_plane){1, 1, in + 1};
    dst = (struct image_plane){2, 2, out};
    image_mask_to_grid(&src, &dst);
    for (int i = 0; i < 4; i++)
        assert_true(out[i] == 1.0f);
}

static void mask_binarises_at_half(void **state)
{
    (void)state;
    struct image m = new_image(4, 1, 1);
    float p[4];
    memcpy(m.p, "\x00\x7f\x80\xff", 4);
    image_mask_binarise(&m, p);
    assert_true(p[0] == 0 && p[1] == 0 && p[2] == 1 && p[3] == 1);
    image_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_equals_the_reference_bit_for_bit),
        cmocka_unit_test(area_size_is_the_reference_s),
        cmocka_unit_test(crop_and_convert_equal_the_reference),
        cmocka_unit_test(row_kernel_equals_its_reference_when_sizes_are_odd),
        cmocka_unit_test(column_kernel_equals_its_reference_when_sizes_are_odd),
        cmocka_unit_test(premultiplying_follows_the_formula),
        cmocka_unit_test(resize_keeps_every_bit_when_the_size_stays),
        cmocka_unit_test(hidden_colours_do_not_bleed_when_alpha_is_resized),
        cmocka_unit_test(every_filter_keeps_a_flat_colour),
        cmocka_unit_test(window_sums_stay_exact_when_a_long_side_becomes_one_pixel),
        cmocka_unit_test(resize_is_refused_when_the_size_makes_no_sense),
        cmocka_unit_test(resize_fails_cleanly_when_memory_is_out),
        cmocka_unit_test(thumbnail_fits_its_box_and_never_grows),
        cmocka_unit_test(mask_to_grid_interpolates_between_sample_centres),
        cmocka_unit_test(mask_binarises_at_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

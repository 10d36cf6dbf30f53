#include "image_support.h"

#include <math.h>

/* Halves go to even; what lies beyond black and white becomes these. */
static void planes_become_the_nearest_bytes(void **state)
{
    (void)state;
    enum { W = 300, H = 3, PLANE = W * H };
    static float planes[4 * PLANE];
    for (int channels = 1; channels <= 4; channels++) {
        struct image im = noise(W, H, channels, 1);
        for (int i = 0; i < channels * PLANE; i++)
            planes[i] = (float)(i % 1200 - 50) / 510.0f * 2.0f / 2.16f - 1.0f;
        planes[1] = -INFINITY;
        planes[2] = 1e30f;
        image_from_planes(&im, planes);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < channels; c++) {
                    float v = planes[c * PLANE + y * W + x] / 2.0f + 0.5f;
                    v = fminf(fmaxf(v, 0.0f), 1.0f);
                    assert_int_equal(image_row(&im, y)[x * channels + c], (int)rintf(v * 255.0f));
                }
        image_free(&im);
    }
}

static void sizes_are_refused_when_they_are_over_the_limits(void **state)
{
    (void)state;
    struct err e = {0};
    struct image_limits small = image_limits_defaults();
    small.max_pixels = 100;
    assert_int_equal(image_check_size(10000, 10000, NULL, &e), ERR_OK);
    assert_int_equal(image_check_size(10001, 10000, NULL, &e), ERR_LIMIT);
    assert_int_equal(image_check_size(UINT64_MAX, UINT64_MAX, NULL, &e), ERR_LIMIT);
    assert_int_equal(image_check_size(2000000, 1, NULL, &e), ERR_LIMIT);
    assert_int_equal(image_check_size(0, 5, NULL, &e), ERR_FORMAT);
    assert_int_equal(image_check_size(10, 10, &small, &e), ERR_OK);
    assert_int_equal(image_check_size(101, 1, &small, &e), ERR_LIMIT);
}

static void image_is_refused_when_its_shape_makes_no_sense(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im;
    assert_int_equal(image_new(&im, 0, 4, 3, &e), ERR_ARG);
    assert_int_equal(image_new(&im, 4, -1, 3, &e), ERR_ARG);
    assert_int_equal(image_new(&im, 4, 4, 5, &e), ERR_ARG);
    assert_int_equal(image_new(&im, 4, 4, 0, NULL), ERR_ARG);
    assert_null(im.p);
    image_free(&im);
    image_free(NULL);
}

static void convert_follows_pil_between_all_modes(void **state)
{
    (void)state;
    static const unsigned char in[5][4] = {{0}, {100}, {100, 7}, {10, 200, 30}, {10, 200, 30, 7}};
    /* grey of (10, 200, 30) = (195950 + 7694000 + 224130 + 32768) >> 16 = 124 */
    static const unsigned char want[5][5][4] = {
        [1] = {{0}, {100}, {100, 255}, {100, 100, 100}, {100, 100, 100, 255}},
        [2] = {{0}, {100}, {100, 7}, {100, 100, 100}, {100, 100, 100, 7}},
        [3] = {{0}, {124}, {124, 255}, {10, 200, 30}, {10, 200, 30, 255}},
        [4] = {{0}, {124}, {124, 7}, {10, 200, 30}, {10, 200, 30, 7}},
    };
    for (int from = 1; from <= 4; from++) {
        for (int to = 1; to <= 4; to++) {
            struct err e = {0};
            struct image a = new_image(3, 2, from), b;
            image_fill(&a, in[from]);
            must(image_convert(&a, to, &b, &e), &e);
            assert_int_equal(b.channels, to);
            for (int i = 0; i < 6; i++)
                assert_memory_equal(b.p + (ptrdiff_t)i * to, want[from][to], (size_t)to);
            image_free(&a);
            image_free(&b);
        }
    }
}

static void crop_is_refused_when_it_leaves_the_image(void **state)
{
    (void)state;
    static const struct image_rect bad[] = {{-1, 0, 2, 2},       {0, 0, 0, 2}, {4, 0, 2, 2},
                                            {0, 2, 2, 2},        {0, 0, 6, 3}, {INT32_MAX, 0, 1, 1},
                                            {1, 1, INT32_MAX, 1}};
    struct err e = {0};
    struct image in = noise(5, 3, 3, 1), out;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(image_crop(&in, bad[i], &out, &e), ERR_ARG);
    must(image_crop(&in, (struct image_rect){4, 2, 1, 1}, &out, &e), &e);
    assert_memory_equal(out.p, image_row(&in, 2) + 12, 3);
    image_free(&out);
    image_free(&in);
}

static void pad_fills_or_repeats_the_edge(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = new_image(2, 2, 1), out;
    memcpy(in.p, "\x01\x02\x03\x04", 4);
    must(image_pad(&in, (struct image_border){1, 2, 3, 0}, NULL, &out, &e), &e);
    assert_int_equal(out.w, 6);
    assert_int_equal(out.h, 4);
    static const unsigned char want[24] = {1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 2, 2,
                                           1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 4};
    assert_memory_equal(out.p, want, 24);
    image_free(&out);
    must(image_pad(&in, (struct image_border){1, 0, 0, 1}, (const unsigned char[]){9}, &out, &e),
         &e);
    static const unsigned char filled[9] = {9, 1, 2, 9, 3, 4, 9, 9, 9};
    assert_memory_equal(out.p, filled, 9);
    image_free(&out);
    assert_int_equal(image_pad(&in, (struct image_border){-1, 0, 0, 0}, NULL, &out, &e), ERR_ARG);
    assert_int_equal(image_pad(&in, (struct image_border){1000000, 0, 0, 0}, NULL, &out, &e),
                     ERR_ARG);
    image_free(&in);
}

static void flips_mirror_and_undo_themselves(void **state)
{
    (void)state;
    struct err e = {0};
    struct image in = noise(5, 4, 3, 3), out;
    must(image_copy(&in, &out, &e), &e);
    image_flip_horizontal(&out);
    assert_memory_equal(image_row(&out, 1), image_row(&in, 1) + 12, 3);
    image_flip_vertical(&out);
    assert_memory_equal(image_row(&out, 3) + 12, image_row(&in, 0), 3);
    image_flip_vertical(&out);
    image_flip_horizontal(&out);
    assert_same(&in, &out);
    image_free(&in);
    image_free(&out);
}

/* The image   1 2 3   stored as a camera would for each orientation, and turned back. */
/*               4 5 6                                                                   */
static void orient_turns_every_exif_orientation_upright(void **state)
{
    (void)state;
    static const unsigned char upright[6] = {1, 2, 3, 4, 5, 6};
    static const struct {
        int w;
        unsigned char p[6];
    } stored[9] = {
        {3, {1, 2, 3, 4, 5, 6}}, {3, {1, 2, 3, 4, 5, 6}}, {3, {3, 2, 1, 6, 5, 4}},
        {3, {6, 5, 4, 3, 2, 1}}, {3, {4, 5, 6, 1, 2, 3}}, {2, {1, 4, 2, 5, 3, 6}},
        {2, {3, 6, 2, 5, 1, 4}}, {2, {6, 3, 5, 2, 4, 1}}, {2, {4, 1, 5, 2, 6, 3}},
    };
    for (int o = 0; o <= 8; o++) {
        struct err e = {0};
        struct image in = new_image(stored[o].w, 6 / stored[o].w, 1), out;
        memcpy(in.p, stored[o].p, 6);
        must(image_orient(&in, o, &out, &e), &e);
        assert_int_equal(out.w, 3);
        assert_memory_equal(out.p, upright, 6);
        image_free(&in);
        image_free(&out);
    }
}

static enum err_code pad_and_crop(void *arg, struct err *e)
{
    struct image a, b = {0};
    enum err_code rc = image_pad(arg, (struct image_border){1, 1, 1, 1}, NULL, &a, e);
    if (rc == ERR_OK)
        rc = image_crop_centre(&a, 3, 3, &b, e);
    image_free(&a);
    image_free(&b);
    return rc;
}

static void operations_fail_cleanly_when_memory_is_out(void **state)
{
    (void)state;
    struct image in = noise(5, 4, 3, 3);
    assert_survives_without_memory(pad_and_crop, &in);
    image_free(&in);
}

static void files_that_are_no_images_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im;
    struct image_info info;
    static const struct {
        struct str bytes;
        const char *text;
    } rows[] = {
        {{"", 0}, "empty"},
        {{"\x89PNG", 4}, "not a supported image format"},
        {{"GIF89a\1\0\1\0", 10}, "cut"},
        {{"RIFF\x10\0\0\0WAVE", 12}, "not a supported image format"},
        {{"RIFF", 4}, "not a supported image format"},
        {{"\x89PNG\r\n\x1a\n", 8}, "cut"},
        {{"\xff\xd8\xff", 3}, "cut"},
        {{"RIFF\x10\0\0\0WEBP", 12}, "WebP"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(image_load_memory(rows[i].bytes, NULL, &info, &im, &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, rows[i].text));
        assert_null(im.p);
        assert_int_equal(image_probe_memory(rows[i].bytes, NULL, NULL, &e), ERR_FORMAT);
    }
}

static void load_file_names_the_file_when_it_fails(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im;
    assert_int_equal(image_load_file("/nowhere/x.png", NULL, NULL, &im, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "/nowhere/x.png"));
    assert_int_equal(image_load_file(CASES "resize-4-RGB-5x3/case.json", NULL, NULL, &im, &e),
                     ERR_FORMAT);
    assert_non_null(strstr(e.text, "case.json"));
    struct image_limits l = image_limits_defaults();
    l.max_file_bytes = 10;
    assert_int_equal(image_load_file(CASES "resize-4-RGB-5x3/image.png", &l, NULL, &im, &e),
                     ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_become_the_nearest_bytes),
        cmocka_unit_test(sizes_are_refused_when_they_are_over_the_limits),
        cmocka_unit_test(image_is_refused_when_its_shape_makes_no_sense),
        cmocka_unit_test(convert_follows_pil_between_all_modes),
        cmocka_unit_test(crop_is_refused_when_it_leaves_the_image),
        cmocka_unit_test(pad_fills_or_repeats_the_edge),
        cmocka_unit_test(flips_mirror_and_undo_themselves),
        cmocka_unit_test(orient_turns_every_exif_orientation_upright),
        cmocka_unit_test(operations_fail_cleanly_when_memory_is_out),
        cmocka_unit_test(files_that_are_no_images_are_refused),
        cmocka_unit_test(load_file_names_the_file_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

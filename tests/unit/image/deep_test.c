/* deep_test.c - images of 16 bits a channel, from the file to what a network takes. */
#include <math.h>

#include <lcms2.h>

#include "base/file.h"
#include "image/mask.h"
#include "image/resize.h"
#include "png_support.h"

static unsigned at(const struct image *im, size_t i)
{
    uint16_t v;
    memcpy(&v, im->p + 2 * i, sizeof v);
    return v;
}

static size_t samples(const struct image *im)
{
    return (size_t)im->w * (size_t)im->h * (size_t)im->channels;
}

static struct image new_deep(int w, int h, int channels)
{
    struct err e = {0};
    struct image im;
    must(image_new_deep(&im, w, h, channels, true, &e), &e);
    return im;
}

/* The image of 8 bits in 16: every operation should do to it what it does to the image. */
static struct image widened(const struct image *im)
{
    struct image deep = new_deep(im->w, im->h, im->channels);
    for (size_t i = 0; i < samples(im); i++)
        ((uint16_t *)(void *)deep.p)[i] = (uint16_t)(im->p[i] * 257);
    return deep;
}

static void assert_widened(const struct image *deep, const struct image *im)
{
    assert_true(deep->deep);
    assert_int_equal(deep->w, im->w);
    assert_int_equal(deep->h, im->h);
    assert_int_equal(deep->channels, im->channels);
    for (size_t i = 0; i < samples(im); i++)
        if (at(deep, i) != im->p[i] * 257u)
            fail_msg("sample %zu is %u, not %u", i, at(deep, i), im->p[i] * 257u);
}

/* Rounded to 8 bits, not further than that from what was computed in 8. */
static void assert_near(struct image *deep, const struct image *im, int tolerance)
{
    image_narrow(deep);
    if (max_difference(deep, im) > tolerance)
        fail_msg("%d levels apart", max_difference(deep, im));
}

/* A gradient in steps that 8 bits cannot hold, as a file. */
enum { W = 300, H = 5 };

static unsigned step(int i)
{
    return 20000u + 7u * (unsigned)i;
}

static struct buf gradient_file(int type, int channels, const struct buf *icc)
{
    struct made m = {.w = W, .h = H, .type = type, .depth = 16};
    unsigned char *rows = mem_alloc((size_t)W * H * (size_t)channels * 2);
    struct buf b;
    if (icc) {
        m.icc = icc->p;
        m.icc_bytes = (unsigned)icc->n;
    }
    for (int i = 0; i < W * H * channels; i++) {
        rows[2 * i] = (unsigned char)(step(i) >> 8);
        rows[2 * i + 1] = (unsigned char)(step(i) & 255);
    }
    make_png(&m, rows, (size_t)W * (size_t)channels * 2, &b);
    mem_free(rows);
    return b;
}

static struct image load_deep(const struct buf *b)
{
    struct err e = {0};
    struct image im;
    must(image_load_deep(buf_str(b), NULL, NULL, &im, &e), &e);
    return im;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void every_bit_of_a_png_is_kept_when_it_is_asked_for(void **state)
{
    static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct err e = {0};
        struct buf b = gradient_file(types[n - 1], n, NULL);
        struct image deep = load_deep(&b), eight;
        must(image_load_memory(buf_str(&b), NULL, NULL, &eight, &e), &e);
        assert_true(deep.deep);
        assert_false(eight.deep);
        assert_int_equal(deep.channels, n);
        for (size_t i = 0; i < samples(&deep); i++)
            assert_int_equal(at(&deep, i), step((int)i));
        assert_near(&deep, &eight, 0);
        image_free(&deep);
        image_free(&eight);
        buf_deinit(&b);
    }
}

static void an_image_of_8_bits_stays_one(void **state)
{
    unsigned char rows[6] = {1, 2, 3, 4, 5, 6};
    struct made m = {.w = 2, .h = 1, .type = PNG_COLOR_TYPE_RGB, .depth = 8};
    struct buf b;
    (void)state;
    make_png(&m, rows, 6, &b);
    struct image im = load_deep(&b);
    assert_false(im.deep);
    assert_memory_equal(im.p, rows, 6);
    image_free(&im);
    buf_deinit(&b);
}

/* Files of other programs; a machine may lack the library. */
static void a_tiff_of_16_bits_is_kept_and_rounds_to_what_it_was(void **state)
{
    static const char *const names[] = {"deep.tif", "grey-msb.tif", "rgb.tif"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        struct err e = {0};
        struct buf b;
        struct image deep, eight;
        (void)snprintf(path, sizeof path, VT_SOURCE_DIR "/fuzz/corpus/tiff/%s", names[i]);
        must(file_read(path, 1 << 20, &b, &e), &e);
        enum err_code rc = image_load_memory(buf_str(&b), NULL, NULL, &eight, &e);
        if (rc == ERR_NOTFOUND) {
            print_message("libtiff is not here\n");
            buf_deinit(&b);
            return;
        }
        must(rc, &e);
        deep = load_deep(&b);
        assert_int_equal(deep.deep, i < 2);
        assert_near(&deep, &eight, 0);
        image_free(&deep);
        image_free(&eight);
        buf_deinit(&b);
    }
}

/* ---- profiles --------------------------------------------------------------------------------- */

static struct buf profile_of(cmsHPROFILE p)
{
    cmsUInt32Number n = 0;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(cmsSaveProfileToMem(p, NULL, &n));
    assert_true(cmsSaveProfileToMem(p, buf_grow(&b, n), &n));
    cmsCloseProfile(p);
    return b;
}

static struct buf gamma_profile(bool grey, double gamma)
{
    const cmsCIExyY white = {0.3127, 0.3290, 1.0};
    const cmsCIExyYTRIPLE primaries = {{0.64, 0.33, 1}, {0.21, 0.71, 1}, {0.15, 0.06, 1}};
    cmsToneCurve *t = cmsBuildGamma(NULL, gamma), *three[3] = {t, t, t};
    cmsHPROFILE p = grey ? cmsCreateGrayProfile(cmsD50_xyY(), t)
                         : cmsCreateRGBProfile(&white, &primaries, three);
    cmsFreeToneCurve(t);
    return profile_of(p);
}

/* Converted in 16 bits: what 8 bits show, and every step of the gradient still a step of its own. */
static void check_profile(int type, int channels, bool grey)
{
    struct err e = {0};
    struct buf icc = gamma_profile(grey, 1.6), b = gradient_file(type, channels, &icc);
    struct image deep = load_deep(&b), eight;
    must(image_load_memory(buf_str(&b), NULL, NULL, &eight, &e), &e);
    assert_int_not_equal(at(&deep, 0), step(0));
    int before = -1, steps = 0;
    for (int x = 0; x < W; x++) {
        int v = (int)at(&deep, (size_t)x * (size_t)channels);
        assert_true(v >= before);
        steps += v > before;
        before = v;
    }
    assert_true(steps > W * 9 / 10);
    if (channels % 2 == 0)
        for (size_t i = (size_t)channels - 1; i < samples(&deep); i += (size_t)channels)
            assert_int_equal(at(&deep, i), step((int)i)); /* alpha */
    assert_near(&deep, &eight, 1);
    image_free(&deep);
    image_free(&eight);
    buf_deinit(&b);
    buf_deinit(&icc);
}

static void profiles_are_applied_in_16_bits(void **state)
{
    (void)state;
    check_profile(PNG_COLOR_TYPE_RGB, 3, false);
    check_profile(PNG_COLOR_TYPE_RGB_ALPHA, 4, false);
    check_profile(PNG_COLOR_TYPE_GRAY, 1, true);
    check_profile(PNG_COLOR_TYPE_GRAY_ALPHA, 2, true);
}

static void a_profile_that_is_srgb_leaves_every_bit(void **state)
{
    (void)state;
    struct buf icc = profile_of(cmsCreate_sRGBProfile());
    struct buf b = gradient_file(PNG_COLOR_TYPE_RGB, 3, &icc);
    struct image im = load_deep(&b);
    for (size_t i = 0; i < samples(&im); i++)
        assert_int_equal(at(&im, i), step((int)i));
    image_free(&im);
    buf_deinit(&b);
    buf_deinit(&icc);
}

/* ---- operations ------------------------------------------------------------------------------- */

typedef enum err_code (*operation)(const struct image *src, struct image *out, struct err *e);

static enum err_code crop(const struct image *src, struct image *out, struct err *e)
{
    return image_crop(src, (struct image_rect){3, 2, 9, 7}, out, e);
}

static enum err_code pad_edges(const struct image *src, struct image *out, struct err *e)
{
    return image_pad(src, (struct image_border){2, 1, 3, 4}, NULL, out, e);
}

static enum err_code pad_colour(const struct image *src, struct image *out, struct err *e)
{
    return image_pad(src, (struct image_border){2, 1, 3, 4},
                     (const unsigned char[]){9, 80, 200, 255}, out, e);
}

static enum err_code turn(const struct image *src, struct image *out, struct err *e)
{
    return image_orient(src, 6, out, e);
}

static enum err_code mirror(const struct image *src, struct image *out, struct err *e)
{
    enum err_code rc = image_copy(src, out, e);
    image_flip_horizontal(out);
    image_flip_vertical(out);
    return rc;
}

static enum err_code nearest(const struct image *src, struct image *out, struct err *e)
{
    return image_resize(src, 40, 9, IMAGE_NEAREST, out, e);
}

static enum err_code to_rgba(const struct image *src, struct image *out, struct err *e)
{
    return image_convert(src, 4, out, e);
}

static enum err_code show_hidden(const struct image *src, struct image *out, struct err *e)
{
    enum err_code rc = image_copy(src, out, e);
    image_replace_hidden(out, (const unsigned char[]){10, 100, 220});
    return rc;
}

static struct image with_holes(int channels, uint32_t seed)
{
    struct image im = noise(17, 13, channels, seed);
    for (size_t i = 0; image_has_alpha(&im) && i < samples(&im); i += 3 * (size_t)channels)
        im.p[i + (size_t)channels - 1] = i % 2 ? 0 : 255;
    return im;
}

static void what_moves_pixels_moves_deep_ones(void **state)
{
    static const operation ops[] = {crop,   pad_edges, pad_colour, turn,
                                    mirror, nearest,   to_rgba,    show_hidden};
    (void)state;
    for (size_t k = 0; k < sizeof ops / sizeof ops[0]; k++)
        for (int n = 1; n <= 4; n++) {
            struct err e = {0};
            struct image im = with_holes(n, (uint32_t)n), deep = widened(&im), a, b;
            must(ops[k](&im, &a, &e), &e);
            must(ops[k](&deep, &b, &e), &e);
            assert_widened(&b, &a);
            image_free(&im);
            image_free(&deep);
            image_free(&a);
            image_free(&b);
        }
}

static enum err_code to_grey(const struct image *src, struct image *out, struct err *e)
{
    return image_convert(src, src->channels % 2 ? 1 : 2, out, e);
}

static enum err_code on_ground(const struct image *src, struct image *out, struct err *e)
{
    return image_on_ground(src, (const unsigned char[]){255, 255, 255}, out, e);
}

static enum err_code smaller(const struct image *src, struct image *out, struct err *e)
{
    return image_resize(src, 11, 6, IMAGE_BILINEAR, out, e);
}

static enum err_code larger(const struct image *src, struct image *out, struct err *e)
{
    return image_resize(src, 34, 27, IMAGE_TORCH_BICUBIC, out, e);
}

static void what_computes_agrees_with_8_bits(void **state)
{
    static const operation ops[] = {to_grey, on_ground, smaller, larger};
    (void)state;
    for (size_t k = 0; k < sizeof ops / sizeof ops[0]; k++)
        for (int n = 1; n <= 4; n++) {
            struct err e = {0};
            struct image im = with_holes(n, (uint32_t)n + 9), a, b;
            for (size_t i = 0; image_has_alpha(&im) && i < samples(&im); i += (size_t)n)
                im.p[i + (size_t)n - 1] |= 128; /* faint colours have few bits, in 8 */
            struct image deep = widened(&im);
            must(ops[k](&im, &a, &e), &e);
            must(ops[k](&deep, &b, &e), &e);
            assert_true(b.deep);
            assert_near(&b, &a, 3);
            image_free(&im);
            image_free(&deep);
            image_free(&a);
            image_free(&b);
        }
}

/* Against sums in double: half a step of 65,535 a pass, no more. */
static void resampling_rounds_to_16_bits(void **state)
{
    struct err e = {0};
    struct image wide = new_deep(400, 1, 1), half;
    (void)state;
    for (int x = 0; x < 400; x++)
        ((uint16_t *)(void *)wide.p)[x] = (uint16_t)(x * x % 65536);
    must(image_resize(&wide, 200, 1, IMAGE_BOX, &half, &e), &e);
    for (size_t x = 0; x < 200; x++) {
        double mean = (at(&wide, 2 * x) + at(&wide, 2 * x + 1)) / 2.0;
        assert_true(fabs(at(&half, x) - mean) <= 0.51);
    }
    image_free(&wide);
    image_free(&half);
}

static void deep_layers_make_a_deep_stack_and_mix_with_others(void **state)
{
    struct err e = {0};
    struct image deep = new_deep(1, 1, 4), grey = new_image(1, 1, 1), out;
    const uint16_t px[4] = {1000, 2000, 65535, 65535};
    (void)state;
    memcpy(deep.p, px, sizeof px);
    grey.p[0] = 7;
    const struct composite_layer up[] = {{.image = &grey, .opacity = 1},
                                         {.image = &deep, .opacity = 1}};
    const struct composite_layer down[] = {up[1], up[0]};
    must(image_flatten(up, 2, 1, 1, NULL, &out, &e), &e);
    assert_memory_equal(out.p, px, sizeof px);
    image_free(&out);
    must(image_flatten(down, 2, 1, 1, NULL, &out, &e), &e);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(at(&out, i), i < 3 ? 7 * 257 : 65535);
    image_free(&out);
    must(image_flatten(up, 1, 1, 1, NULL, &out, &e), &e);
    assert_false(out.deep);
    must(image_composite(&out, &up[1], &e), &e); /* the canvas decides */
    assert_memory_equal(out.p, ((const unsigned char[]){4, 8, 255, 255}), 4);
    image_free(&out);
    image_free(&deep);
    image_free(&grey);
}

static void a_mask_of_deep_alpha_is_rounded(void **state)
{
    struct err e = {0};
    struct image deep = new_deep(3, 1, 2), mask;
    static const uint16_t px[6] = {9, 0, 9, 65535, 9, 100 * 257 + 128};
    (void)state;
    memcpy(deep.p, px, sizeof px);
    must(image_mask_of_alpha(&deep, &mask, &e), &e);
    assert_memory_equal(mask.p, ((const unsigned char[]){255, 0, 155}), 3);
    image_free(&deep);
    image_free(&mask);
}

/* ---- what a network takes ----------------------------------------------------------------------- */

static void planes_have_the_steps_of_the_file(void **state)
{
    enum { N = W * H };
    float *planes = mem_alloc(3 * N * sizeof *planes);
    struct err e = {0};
    struct buf b = gradient_file(PNG_COLOR_TYPE_RGB, 3, NULL);
    struct image im = load_deep(&b), flat, sized;
    (void)state;
    must(on_ground(&im, &flat, &e), &e);
    must(image_resize(&flat, W, H, IMAGE_LANCZOS, &sized, &e), &e);
    image_planes(&sized, planes);
    for (int i = 0; i < N; i++)
        for (int c = 0; c < 3; c++) {
            float want = (float)step(3 * i + c) / 65535.0f * 2.0f - 1.0f;
            assert_true(planes[c * N + i] == want);
        }
    image_narrow(&sized);
    image_planes(&sized, planes);
    for (int i = 0; i < N; i++)
        assert_true(planes[i] == (float)sized.p[3 * i] / 255.0f * 2.0f - 1.0f);
    mem_free(planes);
    buf_deinit(&b);
    image_free(&im);
    image_free(&flat);
    image_free(&sized);
}

static void levels_are_of_255(void **state)
{
    struct image deep = new_deep(1, 1, 3), im = new_image(1, 1, 3);
    static const uint16_t px[3] = {0, 65535, 25829};
    (void)state;
    memcpy(deep.p, px, sizeof px);
    im.p[2] = 99;
    assert_true(image_level(&deep, deep.p, 1) == 255.0f);
    assert_true(image_level(&deep, deep.p, 2) == 25829.0f / 257.0f);
    assert_true(image_level(&im, im.p, 2) == 99.0f);
    image_free(&deep);
    image_free(&im);
}

static void every_level_comes_back_when_narrowed(void **state)
{
    struct err e = {0};
    struct image im = new_image(256, 3, 1), copy;
    (void)state;
    for (int i = 0; i < 3 * 256; i++)
        im.p[i] = (unsigned char)i;
    struct image deep = widened(&im);
    must(image_narrowed(&deep, &copy, &e), &e);
    assert_same(&copy, &im);
    image_narrow(&deep);
    assert_same(&deep, &im);
    image_free(&im);
    image_free(&deep);
    image_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_of_a_png_is_kept_when_it_is_asked_for),
        cmocka_unit_test(an_image_of_8_bits_stays_one),
        cmocka_unit_test(a_tiff_of_16_bits_is_kept_and_rounds_to_what_it_was),
        cmocka_unit_test(profiles_are_applied_in_16_bits),
        cmocka_unit_test(a_profile_that_is_srgb_leaves_every_bit),
        cmocka_unit_test(what_moves_pixels_moves_deep_ones),
        cmocka_unit_test(what_computes_agrees_with_8_bits),
        cmocka_unit_test(resampling_rounds_to_16_bits),
        cmocka_unit_test(deep_layers_make_a_deep_stack_and_mix_with_others),
        cmocka_unit_test(a_mask_of_deep_alpha_is_rounded),
        cmocka_unit_test(planes_have_the_steps_of_the_file),
        cmocka_unit_test(levels_are_of_255),
        cmocka_unit_test(every_level_comes_back_when_narrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

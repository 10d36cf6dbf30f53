#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "image/resize.h"
#include "pipeline/preview.h"

enum { N = 200, CHANNELS = 5 };

static float wave(int i)
{
    return (float)sin(i * 12.9898 + 78.233) * 2.0f;
}

static void finds_the_map_when_there_is_one(void **state)
{
    float latents[N * CHANNELS], colours[N * 3], map[(CHANNELS + 1) * 3], got[3];
    (void)state;
    for (int i = 0; i < N * CHANNELS; i++)
        latents[i] = wave(i);
    for (int r = 0; r < N; r++)
        for (int c = 0; c < 3; c++) {
            colours[r * 3 + c] = 100.0f + (float)c;
            for (int i = 0; i < CHANNELS; i++)
                colours[r * 3 + c] += latents[r * CHANNELS + i] * (float)(i - c) * 7.0f;
        }
    assert_true(preview_fit(latents, colours, N, CHANNELS, 3, map));
    for (int r = 0; r < N; r += 37) {
        preview_colour(map, latents + r * CHANNELS, 1, CHANNELS, 3, got);
        for (int c = 0; c < 3; c++)
            assert_true(fabsf(got[c] - colours[r * 3 + c]) < 0.5f);
    }
}

static void says_no_when_latents_are_not_finite(void **state)
{
    float latents[2] = {NAN, 1.0f}, colours[6] = {0}, map[6];
    (void)state;
    assert_false(preview_fit(latents, colours, 2, 1, 3, map));
}

static void pattern_is_the_same_when_made_twice(void **state)
{
    struct image a, b;
    (void)state;
    assert_int_equal(preview_pattern(64, 64, 3, &a, NULL), ERR_OK);
    assert_int_equal(preview_pattern(64, 64, 3, &b, NULL), ERR_OK);
    assert_memory_equal(a.p, b.p, 64 * 64 * 3);
    image_free(&a);
    image_free(&b);
}

static void pattern_with_alpha_shows_and_hides(void **state)
{
    struct image a;
    int hidden = 0, opaque = 0;
    (void)state;
    assert_int_equal(preview_pattern(64, 64, 4, &a, NULL), ERR_OK);
    for (int i = 0; i < 64 * 64; i++) {
        hidden += a.p[4 * i + 3] == 0;
        opaque += a.p[4 * i + 3] == 255;
    }
    assert_in_range(hidden, 64 * 64 / 20, 64 * 64);
    assert_in_range(opaque, 64 * 64 / 5, 64 * 64);
    image_free(&a);
}

/* An encoder whose latents are the colours of the pixels, in another order and scale: what is drawn is the image. */
static enum err_code encode_colours(void *user, const struct image *pattern, float *tokens,
                                    struct err *e)
{
    int unit = *(const int *)user, cols = pattern->w / unit, half = unit / 2;
    (void)e;
    for (int t = 0; t < cols * (pattern->h / unit); t++)
        for (int k = 0; k < 4 * PREVIEW_PLACES; k++) {
            int from = 3 - k / 4;
            int x = t % cols * unit + k % 2 * half, y = t / cols * unit + k / 2 % 2 * half;
            int sum = 0;
            for (int i = 0; i < half * half; i++)
                sum += image_row(pattern, y + i / half)[4 * (x + i % half) + from];
            tokens[t * 4 * PREVIEW_PLACES + k] = (float)sum / (float)(half * half) / 50.0f - 1.0f;
        }
    return ERR_OK;
}

static void draws_what_was_encoded_without_its_noise(void **state)
{
    int unit = 4;
    struct preview p = {0};
    struct image im, out, big;
    float tokens[16 * 4 * PREVIEW_PLACES], noise[16 * 4 * PREVIEW_PLACES];
    struct preview_encoder encoder = {
        .encode = encode_colours, .user = &unit, .unit = unit, .channels = 4, .colours = 4};
    (void)state;
    preview_prepare(&p, &encoder);
    assert_non_null(p.maps);
    assert_int_equal(preview_pattern(8, 8, 4, &im, NULL), ERR_OK);
    assert_int_equal(image_resize(&im, 16, 16, IMAGE_NEAREST, &big, NULL), ERR_OK);
    assert_int_equal(encode_colours(&unit, &big, tokens, NULL), ERR_OK);
    for (int i = 0; i < 16 * 4 * PREVIEW_PLACES; i++) {
        noise[i] = wave(i);
        tokens[i] += 0.25f * noise[i];
    }
    const struct preview_at at = {
        .latents = tokens, .velocity = noise, .rows = 4, .cols = 4, .sigma = 0.25f};
    assert_int_equal(preview_draw(&p, &at, &out, NULL), ERR_OK);
    assert_int_equal(out.w, 8);
    assert_int_equal(out.h, 8);
    for (int i = 0; i < 8 * 8 * 4; i++)
        assert_in_range(out.p[i] + 4, im.p[i], im.p[i] + 8);
    image_free(&im);
    image_free(&big);
    image_free(&out);
    preview_deinit(&p);
}

static void rehearsal_fits_nothing_and_is_made_once(void **state)
{
    int unit = 4;
    struct preview p = {0};
    struct preview_encoder encoder = {.encode = encode_colours,
                                      .user = &unit,
                                      .dry = true,
                                      .unit = unit,
                                      .channels = 4,
                                      .colours = 4};
    (void)state;
    preview_prepare(&p, &encoder);
    assert_true(p.rehearsed && !p.tried);
    assert_null(p.maps);
    encoder.encode = NULL; /* not asked again */
    preview_prepare(&p, &encoder);
    preview_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_map_when_there_is_one),
        cmocka_unit_test(says_no_when_latents_are_not_finite),
        cmocka_unit_test(pattern_is_the_same_when_made_twice),
        cmocka_unit_test(pattern_with_alpha_shows_and_hides),
        cmocka_unit_test(draws_what_was_encoded_without_its_noise),
        cmocka_unit_test(rehearsal_fits_nothing_and_is_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

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
    assert_true(preview_fit(latents, colours, N, CHANNELS, map));
    for (int r = 0; r < N; r += 37) {
        preview_colour(map, latents + r * CHANNELS, 1, CHANNELS, got);
        for (int c = 0; c < 3; c++)
            assert_true(fabsf(got[c] - colours[r * 3 + c]) < 0.5f);
    }
}

static void says_no_when_latents_are_not_finite(void **state)
{
    float latents[2] = {NAN, 1.0f}, colours[6] = {0}, map[6];
    (void)state;
    assert_false(preview_fit(latents, colours, 2, 1, map));
}

static void pattern_is_the_same_when_made_twice(void **state)
{
    struct image a, b;
    (void)state;
    assert_int_equal(preview_pattern(64, 64, &a, NULL), ERR_OK);
    assert_int_equal(preview_pattern(64, 64, &b, NULL), ERR_OK);
    assert_memory_equal(a.p, b.p, 64 * 64 * 3);
    image_free(&a);
    image_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_map_when_there_is_one),
        cmocka_unit_test(says_no_when_latents_are_not_finite),
        cmocka_unit_test(pattern_is_the_same_when_made_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

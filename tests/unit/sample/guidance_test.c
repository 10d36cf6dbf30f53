#include "case_file.h"

#include "sample/guidance.h"

static void combine_moves_past_the_positive_prediction(void **state)
{
    (void)state;
    float pos[3] = {1.0f, 2.0f, -1.0f};
    const float neg[3] = {0.5f, 2.0f, 1.0f};
    guidance_combine(pos, pos, neg, 4.0f, 3);
    const float want[3] = {2.5f, 2.0f, -7.0f};
    assert_memory_equal(pos, want, sizeof want);
}

static void match_norm_keeps_direction_and_takes_the_length(void **state)
{
    (void)state;
    float v[4] = {6.0f, 8.0f, 0.0f, 2.0f};
    const float pos[4] = {3.0f, 4.0f, 0.0f, -5.0f};
    guidance_match_norm(v, pos, 2, 2);
    const float want[4] = {3.0f, 4.0f, 0.0f, 5.0f};
    assert_memory_equal(v, want, sizeof want);
}

static void match_norm_gives_nan_when_a_token_is_zero(void **state)
{
    (void)state;
    float v[2] = {0.0f, 0.0f};
    const float pos[2] = {3.0f, 4.0f};
    guidance_match_norm(v, pos, 1, 2);
    assert_true(isnan(v[0]));
}

static void blend_follows_the_mask_per_token(void **state)
{
    (void)state;
    float latents[6] = {1, 2, 3, 4, 5, 6};
    const float keep[6] = {10, 20, 30, 40, 50, 60};
    const float mask[3] = {0.0f, 1.0f, 0.25f};
    guidance_blend_mask(latents, keep, mask, 3, 2);
    const float want[6] = {10, 20, 3, 4, 38.75f, 46.5f};
    assert_memory_equal(latents, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combine_moves_past_the_positive_prediction),
        cmocka_unit_test(match_norm_keeps_direction_and_takes_the_length),
        cmocka_unit_test(match_norm_gives_nan_when_a_token_is_zero),
        cmocka_unit_test(blend_follows_the_mask_per_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

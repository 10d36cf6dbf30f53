/* Forecasts of a velocity, and runs that leave passes out for them. */
#include "case_file.h"

#include "sample/fast.h"

enum { N = 3, STEPS = 80 };

/* A velocity on a straight line in sigma. */
static void straight(double sigma, float *v)
{
    for (int i = 0; i < N; i++)
        v[i] = (float)(1 + i + (2 - i) * sigma);
}

static void learn(struct forecast *f, double sigma, const float *v)
{
    forecast_learn(f, sigma, v, NULL, v);
}

static void start(struct forecast *f, double tolerance, int most)
{
    assert_int_equal(forecast_init(f, (struct forecast_rule){tolerance, most}, N, NULL), ERR_OK);
}

static void a_straight_line_is_forecast(void **state)
{
    (void)state;
    struct forecast f;
    float v[N], out[N];
    start(&f, 0.01, 2);
    for (int i = 0; i < 3; i++) {
        assert_false(forecast_serves(&f));
        straight(1 - 0.1 * i, v);
        learn(&f, 1 - 0.1 * i, v);
    }
    assert_true(forecast_serves(&f));
    forecast_make(&f, 0.55, out);
    straight(0.55, v);
    for (int i = 0; i < N; i++)
        assert_float_equal(out[i], v[i], 1e-5f);
    forecast_free(&f);
}

static void one_more_is_left_out_after_each_good_forecast(void **state)
{
    (void)state;
    struct forecast f;
    float v[N];
    int in_a_row[4];
    double sigma = 1;
    start(&f, 0.01, 3);
    for (int i = 0; i < 2; i++, sigma -= 0.02) {
        straight(sigma, v);
        learn(&f, sigma, v);
    }
    for (int k = 0; k < 4; k++) {
        straight(sigma, v);
        learn(&f, sigma, v);
        sigma -= 0.02;
        for (in_a_row[k] = 0; forecast_serves(&f); in_a_row[k]++, sigma -= 0.02)
            forecast_make(&f, sigma, v);
    }
    assert_int_equal(in_a_row[0], 1);
    assert_int_equal(in_a_row[1], 2);
    assert_int_equal(in_a_row[2], 3);
    assert_int_equal(in_a_row[3], 3);
    forecast_free(&f);
}

static void nothing_is_left_out_after_a_wrong_forecast(void **state)
{
    (void)state;
    struct forecast f;
    float v[N];
    start(&f, 0.01, 3);
    for (int i = 0; i < 3; i++) {
        straight(1 - 0.1 * i, v);
        learn(&f, 1 - 0.1 * i, v);
    }
    assert_true(forecast_serves(&f));
    straight(0.6, v);
    v[1] += 0.5f;
    learn(&f, 0.6, v);
    assert_false(forecast_serves(&f));
    forecast_free(&f);
}

static void a_velocity_that_is_no_number_is_no_good_forecast(void **state)
{
    (void)state;
    struct forecast f;
    float v[N] = {NAN, 1, 1};
    start(&f, 0.01, 3);
    for (int i = 0; i < 5; i++)
        learn(&f, 1 - 0.1 * i, v);
    assert_false(forecast_serves(&f));
    forecast_free(&f);
}

/* How many passes a run of both makes, when its positive pass is straight and the push is that, too, or jumps. */
static struct fast run(int level, bool guided, bool jumps)
{
    struct fast f;
    float v[N], pos[N], neg[N], sigmas[STEPS];
    const struct fast_run rq = {level, sigmas, STEPS, N, guided};
    for (int i = 0; i < STEPS; i++)
        sigmas[i] = 1.0f - (float)i / STEPS;
    assert_int_equal(fast_init(&f, &rq, NULL), ERR_OK);
    for (int i = 0; i < STEPS; i++) {
        if (fast_step(&f, i, v))
            continue;
        straight((double)sigmas[i], pos);
        if (guided && !fast_negative(&f, i, pos, neg)) {
            for (int k = 0; k < N; k++)
                neg[k] = pos[k] - (jumps && i % 2 ? 2.0f : 1.0f);
            fast_learn_push(&f, i, pos, neg);
        }
        for (int k = 0; k < N; k++)
            v[k] = guided ? pos[k] + 3 * (pos[k] - neg[k]) : pos[k];
        fast_learn(&f, i, v);
    }
    fast_free(&f);
    return f;
}

static void level_0_computes_everything(void **state)
{
    (void)state;
    struct fast plain = run(0, false, false), guided = run(0, true, false);
    assert_int_equal(plain.passes, STEPS);
    assert_int_equal(plain.left_out, 0);
    assert_int_equal(guided.passes, 2 * STEPS);
    assert_int_equal(guided.left_out, 0);
}

static void each_level_leaves_out_more(void **state)
{
    (void)state;
    int before = 0;
    for (int level = 1; level <= FAST_LEVELS; level++) {
        int left_out = run(level, true, false).left_out;
        assert_true(left_out > before);
        before = left_out;
    }
    assert_true(before <= 2 * (STEPS - 4)); /* the first three steps and the last */
}

static void a_push_that_jumps_is_computed(void **state)
{
    (void)state;
    assert_int_equal(run(FAST_LEVELS, true, true).left_out, 0);
}

static void the_negative_pass_comes_from_the_positive_one_and_the_push(void **state)
{
    (void)state;
    struct fast f;
    const float sigmas[] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f};
    const struct fast_run rq = {1, sigmas, 6, N, true};
    float pos[N] = {4, 5, 6}, neg[N];
    assert_int_equal(fast_init(&f, &rq, NULL), ERR_OK);
    for (int i = 0; i < 3; i++) {
        assert_false(fast_negative(&f, i, pos, neg));
        for (int k = 0; k < N; k++)
            neg[k] = pos[k] - (float)(k + 1);
        fast_learn_push(&f, i, pos, neg);
        pos[0] += 1;
    }
    assert_true(fast_negative(&f, 3, pos, neg));
    for (int k = 0; k < N; k++)
        assert_float_equal(neg[k], pos[k] - (float)(k + 1), 1e-5f);
    fast_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straight_line_is_forecast),
        cmocka_unit_test(one_more_is_left_out_after_each_good_forecast),
        cmocka_unit_test(nothing_is_left_out_after_a_wrong_forecast),
        cmocka_unit_test(a_velocity_that_is_no_number_is_no_good_forecast),
        cmocka_unit_test(level_0_computes_everything),
        cmocka_unit_test(each_level_leaves_out_more),
        cmocka_unit_test(a_push_that_jumps_is_computed),
        cmocka_unit_test(the_negative_pass_comes_from_the_positive_one_and_the_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* moments_test.c - sums of group norms: the same bits however the rows are cut, and the right ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "nn/moments_kern.h"

struct map {
    int64_t channels, rows, width;
};

/* Far from zero, so that cancellation shows. */
static float *noise(struct map m)
{
    size_t n = (size_t)(m.channels * m.rows * m.width);
    float *x = malloc(n * sizeof *x);
    uint32_t s = 99;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = 300.0f + (float)(s >> 8) / (float)(1 << 23);
    }
    return x;
}

/* Rows lo .. hi - 1 of every channel, without gaps. */
static float *cut(const float *x, struct map m, int64_t lo, int64_t hi)
{
    size_t n = (size_t)((hi - lo) * m.width);
    float *y = malloc((size_t)m.channels * n * sizeof *y);
    assert_non_null(y);
    for (int64_t c = 0; c < m.channels; c++)
        memcpy(y + (size_t)c * n, x + (c * m.rows + lo) * m.width, n * sizeof *y);
    return y;
}

static void sum(const float *x, struct map m, bool floats, const double *carry, double *state)
{
    moments_sum_kern((struct moments_sum_job){.x = x,
                                              .carry = carry,
                                              .state = state,
                                              .rows = m.rows,
                                              .width = m.width,
                                              .last = m.channels,
                                              .float_sums = floats});
}

static void sums_are_equal_to_the_bit_when_rows_come_in_bands(void **state)
{
    static const struct map maps[] = {{4, 9, 13}, {6, 17, 8}, {2, 5, 1}, {3, 31, 40}};
    (void)state;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        for (int64_t band = 1; band < maps[i].rows; band += 3)
            for (int floats = 0; floats < 2; floats++) {
                struct map m = maps[i];
                double whole[6 * MOMENTS_STATE], part[6 * MOMENTS_STATE];
                float *x = noise(m);
                sum(x, m, floats, NULL, whole);
                for (int64_t lo = 0; lo < m.rows; lo += band) {
                    int64_t hi = lo + band < m.rows ? lo + band : m.rows;
                    float *y = cut(x, m, lo, hi);
                    sum(y, (struct map){m.channels, hi - lo, m.width}, floats, lo ? part : NULL,
                        part);
                    free(y);
                }
                assert_memory_equal(part, whole,
                                    (size_t)m.channels * MOMENTS_STATE * sizeof *whole);
                free(x);
            }
}

/* Two passes over everything. */
static struct moments_pair moments_ref(const float *x, size_t n)
{
    struct moments_pair p = {0, 0};
    for (size_t i = 0; i < n; i++)
        p.mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        p.variance += ((double)x[i] - p.mean) * ((double)x[i] - p.mean) / (double)n;
    return p;
}

static void a_norm_equals_the_plain_one_when_far_from_zero(void **state)
{
    struct map m = {6, 11, 19};
    double sums[6 * MOMENTS_STATE];
    float w[] = {1, 2, -1, 0.5f, 3, 1}, b[] = {0, 1, 2, -1, 0, 5};
    size_t pixels = (size_t)(m.rows * m.width), per = 2 * pixels;
    float *x = noise(m), *y = malloc(3 * per * sizeof *y);
    (void)state;
    assert_non_null(y);
    sum(x, m, false, NULL, sums);
    moments_apply_kern((struct moments_apply_job){.x = x,
                                                  .w = w,
                                                  .b = b,
                                                  .state = sums,
                                                  .y = y,
                                                  .channels = 6,
                                                  .pixels = (int64_t)pixels,
                                                  .groups = 3,
                                                  .last = 6,
                                                  .eps = 1e-6f});
    for (size_t i = 0; i < 3 * per; i++) {
        struct moments_pair p = moments_ref(x + i / per * per, per);
        double d = ((double)x[i] - p.mean) / sqrt(p.variance + 1e-6) * (double)w[i / pixels] +
                   (double)b[i / pixels];
        assert_true(fabs(d - (double)y[i]) < 1e-3);
    }
    struct moments_pair got = moments_of_group(sums, 2, false), ref = moments_ref(x, per);
    assert_true(fabs(got.mean - ref.mean) < 1e-10);
    assert_true(fabs(got.variance - ref.variance) < 1e-10);
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_equal_to_the_bit_when_rows_come_in_bands),
        cmocka_unit_test(a_norm_equals_the_plain_one_when_far_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* match_test.c - tints and shifts that are known are measured and undone: within a level, within a fiftieth of a pixel,
 * whatever the painted part holds, with noise, and with a third of the kept pixels changed. */
#include "image/match.h"

#include <math.h>

#include "image_support.h"

enum { W = 97, H = 71 };

/* Smooth in both directions, with levels between 40 and 215; a function of the place, so that it can be moved. */
static double scene(double x, double y, int c)
{
    return 127.5 + 44 * sin(x * 0.31 + c) * cos(y * 0.23) + 43 * sin(0.11 * x - 0.17 * y + 2 * c);
}

static uint32_t noise_state;

static double jitter(void)
{
    double v = 0;
    for (int i = 0; i < 4; i++) {
        noise_state = noise_state * 1664525u + 1013904223u;
        v += (double)(noise_state >> 8) / (1 << 24) - 0.5;
    }
    return v * 1.73; /* variance of about 1 */
}

struct made {
    double dx, dy, gain[3], offset[3], noise;
};

static struct image draw(const struct made *m)
{
    struct image im = new_image(W, H, 3);
    noise_state = 7;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++) {
                double v = m->gain[c] * scene(x - m->dx, y - m->dy, c) + m->offset[c];
                v += m->noise * jitter();
                image_row(&im, y)[3 * x + c] = (unsigned char)lrint(fmin(255, fmax(0, v)));
            }
    return im;
}

static const struct made plain = {.gain = {1, 1, 1}};

static float *painted_middle(struct image *im)
{
    float *p = mem_try_array((size_t)W * H, sizeof *p);
    assert_non_null(p);
    for (int y = 20; y < 60; y++)
        for (int x = 30; x < 80; x++) {
            p[y * W + x] = 1;
            memset(image_row(im, y) + 3 * x, (x * 7 + y * 13) & 255, 3);
        }
    return p;
}

/* A third of the picture is another one, and no mask says so. */
static void repaint_a_third(struct image *im)
{
    for (int y = 0; y < H / 3; y++)
        for (int i = 0; i < 3 * W; i++)
            image_row(im, y)[i] = (unsigned char)(200 - image_row(im, y)[i] / 2);
}

static int worst_kept(const struct image *a, const struct image *b, const float *painted,
                      int margin)
{
    int worst = 0;
    for (int y = margin; y < H - margin; y++)
        for (int x = margin; x < W - margin; x++)
            for (int c = 0; c < 3 && !(painted && painted[y * W + x] > 0); c++) {
                int d = abs(image_row(a, y)[3 * x + c] - image_row(b, y)[3 * x + c]);
                worst = d > worst ? d : worst;
            }
    return worst;
}

static void a_tint_is_undone_within_a_level(void **state)
{
    static const struct made tints[] = {
        {.gain = {1, 1, 1}, .offset = {0, 0, 0}},
        {.gain = {1, 1, 1}, .offset = {9, -6, 3}},
        {.gain = {0.92, 1.05, 0.97}, .offset = {6, -8, 12}},
        {.gain = {0.8, 0.85, 1.1}, .offset = {20, 10, -12}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof tints / sizeof tints[0]; i++) {
        struct image before = draw(&plain), after = draw(&tints[i]);
        float *painted = painted_middle(&after);
        struct image_match m = {&after, &before, painted};
        struct image_tint t;
        struct err e = {0};
        bool found;
        must(image_tint_find(&m, &t, &found, &e), &e);
        assert_true(found);
        for (int c = 0; c < 3; c++)
            assert_true(fabs(t.gain[c] * tints[i].gain[c] - 1) < 0.003);
        image_tint_undo(&after, &t);
        assert_true(worst_kept(&after, &before, painted, 0) <= 1);
        image_free(&before);
        image_free(&after);
        mem_free(painted);
    }
}

static void a_tint_is_found_when_a_third_is_another_picture(void **state)
{
    const struct made tint = {.gain = {0.95, 1.04, 1}, .offset = {5, -6, 8}, .noise = 2};
    struct image before = draw(&plain), after = draw(&tint);
    struct image_match m = {&after, &before, NULL};
    struct image_tint t;
    struct err e = {0};
    bool found;
    (void)state;
    repaint_a_third(&after);
    must(image_tint_find(&m, &t, &found, &e), &e);
    assert_true(found);
    for (int c = 0; c < 3; c++)
        for (int level = 50; level <= 200; level += 50) {
            double before_tint = (level - tint.offset[c]) / tint.gain[c];
            assert_true(fabs(t.gain[c] * level + t.offset[c] - before_tint) < 1);
        }
    image_free(&before);
    image_free(&after);
}

static void one_level_tells_an_offset_and_nothing_tells_nothing(void **state)
{
    struct image before = new_image(W, H, 3), after = new_image(W, H, 3);
    float *painted = mem_try_array((size_t)W * H, sizeof *painted);
    struct image_match m = {&after, &before, painted};
    struct image_tint t;
    struct image_shift s;
    struct err e = {0};
    bool found;
    (void)state;
    assert_non_null(painted);
    memset(before.p, 100, before.stride * H);
    memset(after.p, 107, after.stride * H);
    must(image_tint_find(&m, &t, &found, &e), &e);
    assert_true(found);
    assert_true(t.gain[1] == 1 && fabs(t.offset[1] + 7) < 1e-9);
    must(image_shift_find(&m, &s, &found, &e), &e);
    assert_false(found); /* a plane looks the same wherever it lies */
    for (int i = 0; i < W * H; i++)
        painted[i] = 1;
    must(image_tint_find(&m, &t, &found, &e), &e);
    assert_false(found);
    assert_true(t.gain[0] == 1 && t.offset[0] == 0);
    must(image_shift_find(&m, &s, &found, &e), &e);
    assert_false(found);
    mem_free(painted);
    image_free(&before);
    image_free(&after);
}

static void a_shift_is_found_within_a_fiftieth_of_a_pixel(void **state)
{
    static const struct made shifts[] = {
        {.gain = {1, 1, 1}},
        {.dx = 0.5, .gain = {1, 1, 1}},
        {.dx = -0.3, .dy = 0.85, .gain = {1, 1, 1}},
        {.dx = 0.1, .dy = -0.45, .gain = {0.9, 1.05, 1}, .offset = {8, -6, 2}},
        {.dx = -0.95, .dy = -0.95, .gain = {1, 1, 1}, .noise = 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++) {
        struct image before = draw(&plain), after = draw(&shifts[i]);
        float *painted = painted_middle(&after);
        struct image_match m = {&after, &before, painted};
        struct image_shift s;
        struct err e = {0};
        bool found;
        must(image_shift_find(&m, &s, &found, &e), &e);
        assert_true(found);
        if (fabs(s.dx - shifts[i].dx) > 0.02 || fabs(s.dy - shifts[i].dy) > 0.02)
            fail_msg("%zu: %g, %g", i, s.dx, s.dy);
        must(image_shift_undo(&after, s, &e), &e);
        if (shifts[i].gain[0] == 1 && shifts[i].noise == 0) {
            /* A resampled pixel next to what is painted has some of that. */
            for (int y = 16; y < 64; y++)
                for (int x = 26; x < 84; x++)
                    painted[y * W + x] = 1;
            assert_true(worst_kept(&after, &before, painted, 4) <= 2);
        }
        image_free(&before);
        image_free(&after);
        mem_free(painted);
    }
}

static void a_shift_is_found_when_a_third_is_another_picture(void **state)
{
    const struct made shifted = {.dx = 0.4, .dy = -0.6, .gain = {1, 1, 1}, .noise = 1};
    struct image before = draw(&plain), after = draw(&shifted);
    struct image_match m = {&after, &before, NULL};
    struct image_shift s;
    struct err e = {0};
    bool found;
    (void)state;
    repaint_a_third(&after);
    must(image_shift_find(&m, &s, &found, &e), &e);
    assert_true(found);
    assert_true(fabs(s.dx - 0.4) < 0.05 && fabs(s.dy + 0.6) < 0.05);
    image_free(&before);
    image_free(&after);
}

static void what_moved_far_is_no_shift(void **state)
{
    static const double far[][2] = {{3, 0}, {0, -2.5}, {20, 20}};
    (void)state;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        const struct made shifted = {.dx = far[i][0], .dy = far[i][1], .gain = {1, 1, 1}};
        struct image before = draw(&plain), after = draw(&shifted);
        struct image_match m = {&after, &before, NULL};
        struct image_shift s;
        struct err e = {0};
        bool found;
        must(image_shift_find(&m, &s, &found, &e), &e);
        assert_false(found);
        assert_true(s.dx == 0 && s.dy == 0);
        image_free(&before);
        image_free(&after);
    }
}

static void tiny_images_tell_nothing_of_a_shift(void **state)
{
    (void)state;
    for (int side = 1; side < 20; side++) {
        struct image a = new_image(side, 20 - side, 3), b = new_image(side, 20 - side, 3);
        struct image_match m = {&a, &b, NULL};
        struct image_shift s;
        struct image_tint t;
        struct err e = {0};
        bool found;
        must(image_shift_find(&m, &s, &found, &e), &e);
        assert_false(found);
        must(image_shift_undo(&a, (struct image_shift){0.5, -0.5}, &e), &e);
        must(image_tint_find(&m, &t, &found, &e), &e);
        image_free(&a);
        image_free(&b);
    }
}

/* By the definition: a sum over all samples near, weights over their sum. */
static void a_line_is_moved_as_its_definition_says(void **state)
{
    float line[23], out[23];
    const double pi = acos(-1);
    (void)state;
    for (int i = 0; i < 23; i++)
        line[i] = (float)((i * 37) % 101);
    for (int eighths = -8; eighths <= 8; eighths++) {
        const double shift = eighths / 8.0;
        struct shift_taps t = shift_taps_of(shift);
        shift_kern_line(line, 1, 23, &t, out);
        for (int i = 0; i < 23; i++) {
            double sum = 0, all = 0;
            for (int k = -10; k < 33; k++) {
                double x = k - (i + shift);
                double w = fabs(x) >= 3     ? 0
                           : fabs(x) < 1e-9 ? 1
                                            : 3 * sin(pi * x) * sin(pi * x / 3) / (pi * pi * x * x);
                all += w;
                sum += w * (double)line[k < 0 ? 0 : k > 22 ? 22 : k];
            }
            assert_true(fabs(sum / all - (double)out[i]) < 1e-3);
        }
    }
}

static void matching_fails_cleanly_when_memory_runs_out(void **state)
{
    struct image a = draw(&plain), b = draw(&plain);
    struct image_match m = {&a, &b, NULL};
    struct image_shift s;
    struct image_tint t;
    bool found;
    (void)state;
    for (int i = 1; i <= 2; i++) {
        struct err e = {0};
        mem_fail_after(i);
        assert_int_equal(image_shift_find(&m, &s, &found, &e), ERR_NOMEM);
        mem_fail_after(i);
        e = (struct err){0};
        assert_int_equal(image_shift_undo(&a, (struct image_shift){0.5, 0}, &e), ERR_NOMEM);
        mem_fail_after(0);
    }
    struct err e = {0};
    mem_fail_after(1);
    assert_int_equal(image_tint_find(&m, &t, &found, &e), ERR_NOMEM);
    mem_fail_after(0);
    image_free(&a);
    image_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tint_is_undone_within_a_level),
        cmocka_unit_test(a_tint_is_found_when_a_third_is_another_picture),
        cmocka_unit_test(one_level_tells_an_offset_and_nothing_tells_nothing),
        cmocka_unit_test(a_shift_is_found_within_a_fiftieth_of_a_pixel),
        cmocka_unit_test(a_shift_is_found_when_a_third_is_another_picture),
        cmocka_unit_test(what_moved_far_is_no_shift),
        cmocka_unit_test(tiny_images_tell_nothing_of_a_shift),
        cmocka_unit_test(a_line_is_moved_as_its_definition_says),
        cmocka_unit_test(matching_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

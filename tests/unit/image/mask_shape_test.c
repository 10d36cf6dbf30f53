/* mask_shape_test.c - growing, shrinking and fading against distances that are measured pixel by pixel, on odd sizes and
 * masks of every kind; and where a mask lies. */
#include "image/mask.h"

#include <math.h>

#include "image_support.h"

enum mask_kind { EMPTY, FULL, ONE, CORNER, NOISE, BLOCKS, KINDS };

static struct image new_mask(int w, int h, enum mask_kind kind)
{
    struct image m = new_image(w, h, 1);
    uint32_t r = (uint32_t)(w * 131 + h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            bool on = kind == FULL || (kind == ONE && x == w / 2 && y == h / 3) ||
                      (kind == CORNER && x == 0 && y == h - 1) ||
                      (kind == NOISE && (r >> 24) < 20) ||
                      (kind == BLOCKS && x / 5 % 2 && y / 3 % 2);
            r = r * 1664525u + 1013904223u;
            image_row(&m, y)[x] = on ? 128 : 127;
        }
    return m;
}

static bool is_on(const struct image *m, int x, int y)
{
    return image_row(m, y)[x] >= MASK_PAINTED;
}

/* Squared distance to the nearest pixel that is on (or off); -1: there is none. */
static int square_to(const struct image *m, int x, int y, bool on)
{
    int best = -1;
    for (int j = 0; j < m->h; j++)
        for (int i = 0; i < m->w; i++) {
            int d = (x - i) * (x - i) + (y - j) * (y - j);
            if (is_on(m, i, j) == on && (best < 0 || d < best))
                best = d;
        }
    return best;
}

static int grown_ref(const struct image *m, int x, int y, int by)
{
    int d = square_to(m, x, y, by > 0);
    bool near = d >= 0 && d <= by * by;
    return (by > 0 ? near : !near) ? 255 : 0;
}

static int faded_ref(const struct image *m, int x, int y, int by)
{
    int d = square_to(m, x, y, !is_on(m, x, y));
    double inside = d < 0 ? 1e9 : sqrt(d) - 0.5;
    double v = 0.5 + (is_on(m, x, y) ? inside : -inside) / (2.0 * by);
    return (int)lrint(255 * fmin(1, fmax(0, v)));
}

static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {7, 5}, {37, 23}, {64, 3}};

/* A way to shape a mask, and what it makes of a pixel. */
struct shaping {
    enum err_code (*shape)(struct image *mask, int by, struct err *e);
    int (*ref)(const struct image *m, int x, int y, int by);
};

static void shape_one(const struct shaping *s, struct image m, int by)
{
    struct image out;
    struct err e = {0};
    must(image_copy(&m, &out, &e), &e);
    must(s->shape(&out, by, &e), &e);
    for (int y = 0; y < m.h; y++)
        for (int x = 0; x < m.w; x++)
            assert_int_equal(image_row(&out, y)[x], s->ref(&m, x, y, by));
    image_free(&m);
    image_free(&out);
}

static void shape_all(const struct shaping *s, const int *by, size_t n)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            for (size_t b = 0; b < n; b++)
                shape_one(s, new_mask(sizes[i][0], sizes[i][1], (enum mask_kind)kind), by[b]);
}

static void a_mask_grows_by_distances_in_the_plane(void **state)
{
    static const int by[] = {1, 2, 3, 7, 50, MASK_REACH, -1, -2, -5, -MASK_REACH};
    (void)state;
    shape_all(&(struct shaping){image_mask_grow, grown_ref}, by, sizeof by / sizeof by[0]);
}

static void an_edge_fades_evenly_to_both_sides(void **state)
{
    static const int by[] = {1, 2, 5, 40};
    (void)state;
    shape_all(&(struct shaping){image_mask_feather, faded_ref}, by, sizeof by / sizeof by[0]);
}

static void nothing_changes_when_it_is_by_nothing(void **state)
{
    struct image m = new_mask(37, 23, NOISE), out;
    struct err e = {0};
    (void)state;
    must(image_copy(&m, &out, &e), &e);
    must(image_mask_grow(&out, 0, &e), &e);
    must(image_mask_feather(&out, 0, &e), &e);
    assert_memory_equal(m.p, out.p, m.stride * (size_t)m.h);
    image_free(&m);
    image_free(&out);
}

static void a_reach_without_end_is_refused(void **state)
{
    static const int by[] = {MASK_REACH + 1, -MASK_REACH - 1, INT32_MAX, INT32_MIN};
    struct image m = new_mask(5, 5, ONE);
    (void)state;
    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        struct err e = {0};
        assert_int_equal(image_mask_grow(&m, by[i], &e), ERR_ARG);
        assert_non_null(strstr(e.text, "2048"));
        e = (struct err){0};
        if (by[i] > 0)
            assert_int_equal(image_mask_feather(&m, by[i], &e), ERR_ARG);
    }
    image_free(&m);
}

static void a_colour_is_found_as_far_as_it_may_be_off(void **state)
{
    static const unsigned char px[6][4] = {{10, 20, 30, 255}, {15, 15, 35, 255}, {16, 20, 30, 255},
                                           {10, 20, 24, 255}, {10, 20, 30, 128}, {10, 20, 30, 127}};
    static const unsigned char want[6] = {255, 255, 0, 0, 255, 0};
    struct image im = new_image(6, 1, 4), mask;
    struct err e = {0};
    (void)state;
    memcpy(im.p, px, sizeof px);
    must(image_mask_of_colour(&im, (const unsigned char[]){10, 20, 30}, 5, &mask, &e), &e);
    assert_int_equal(mask.channels, 1);
    assert_memory_equal(mask.p, want, 6);
    image_mask_invert(&mask);
    for (int i = 0; i < 6; i++)
        assert_int_equal(mask.p[i], 255 - want[i]);
    image_free(&im);
    image_free(&mask);
}

static void a_frame_stays_inside_the_mask(void **state)
{
    struct image m = new_image(50, 40, 1);
    struct image_rect r;
    (void)state;
    assert_false(image_mask_bounds(&m, 1, &r));
    image_row(&m, 3)[4] = 200;
    image_row(&m, 9)[19] = 128;
    image_row(&m, 30)[30] = 127;
    assert_true(image_mask_bounds(&m, MASK_PAINTED, &r));
    assert_true(r.x == 4 && r.y == 3 && r.w == 16 && r.h == 7);
    r = image_mask_frame(&m, r, (struct mask_frame){2, 0, 0});
    assert_true(r.x == 2 && r.y == 1 && r.w == 20 && r.h == 11);
    r = image_mask_frame(&m, (struct image_rect){4, 3, 16, 7}, (struct mask_frame){4, 0, 0});
    assert_true(r.x == 0 && r.y == 0 && r.w == 24 && r.h == 14);
    /* To a square, moved inside; and to one that there is no room for. */
    r = image_mask_frame(&m, (struct image_rect){4, 3, 16, 7}, (struct mask_frame){2, 100, 100});
    assert_true(r.x == 2 && r.y == 0 && r.w == 20 && r.h == 20);
    r = image_mask_frame(&m, (struct image_rect){0, 0, 50, 7},
                         (struct mask_frame){INT32_MAX, 100, 100});
    assert_true(r.x == 0 && r.y == 0 && r.w == 50 && r.h == 40);
    image_free(&m);
}

static void shaping_fails_cleanly_when_memory_runs_out(void **state)
{
    struct image m = new_mask(37, 23, NOISE);
    (void)state;
    for (int i = 1; i <= 3; i++) {
        struct err e = {0};
        mem_fail_after(i);
        assert_int_equal(image_mask_grow(&m, 3, &e), ERR_NOMEM);
        mem_fail_after(0);
    }
    image_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_grows_by_distances_in_the_plane),
        cmocka_unit_test(an_edge_fades_evenly_to_both_sides),
        cmocka_unit_test(nothing_changes_when_it_is_by_nothing),
        cmocka_unit_test(a_reach_without_end_is_refused),
        cmocka_unit_test(a_colour_is_found_as_far_as_it_may_be_off),
        cmocka_unit_test(a_frame_stays_inside_the_mask),
        cmocka_unit_test(shaping_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

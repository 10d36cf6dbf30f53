/* grounds_test.c - known alpha and colour, put on two grounds, come back: exactly but for rounding, and with noise within
 * what the noise explains. */
#include "image/grounds.h"

#include <math.h>

#include "image_support.h"

enum { W = 61, H = 43 };

/* Soft discs of several colours on nothing. */
static struct image subject(void)
{
    struct image im = new_image(W, H, 4);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            unsigned char *p = image_row(&im, y) + 4 * x;
            double d = 14 - hypot(x - 30, y - 20);
            double alpha = fmin(1, fmax(0, d / 9));
            p[0] = (unsigned char)(40 + 3 * x);
            p[1] = (unsigned char)(220 - 4 * y);
            p[2] = (unsigned char)(x < 30 ? 0 : 255);
            p[3] = (unsigned char)lrint(255 * alpha);
        }
    return im;
}

static struct image on(const struct image *im, const double ground[3], int jitter)
{
    struct image out = new_image(W, H, 3);
    uint32_t r = (uint32_t)ground[0] + 1;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++) {
                const unsigned char *p = image_row(im, y) + 4 * x;
                r = r * 1664525u + 1013904223u;
                double v = p[3] / 255.0 * p[c] + (1 - p[3] / 255.0) * ground[c];
                v += jitter ? (double)(r >> 16) / 65536 * (2 * jitter) - jitter : 0;
                image_row(&out, y)[3 * x + c] = (unsigned char)lrint(fmin(255, fmax(0, v)));
            }
    return out;
}

static void known_alpha_comes_back(void **state)
{
    static const double grounds[][3] = {{255, 255, 255}, {0, 0, 0},      {250, 250, 250},
                                        {25, 25, 30},    {250, 215, 60}, {45, 90, 15}};
    (void)state;
    for (int k = 0; k < 3; k++) {
        const double *l = grounds[2 * k], *d = grounds[2 * k + 1];
        double apart = hypot(hypot(l[0] - d[0], l[1] - d[1]), l[2] - d[2]);
        struct image im = subject(), light = on(&im, l, 0), dark = on(&im, d, 0), out;
        struct image_grounds g;
        struct err e = {0};
        must(image_grounds_find(&light, &dark, &g, &e), &e);
        assert_true(g.noise == 0);
        for (int c = 0; c < 3; c++)
            assert_true(g.light[c] == l[c] && g.dark[c] == d[c]);
        must(image_grounds_solve(&light, &dark, &g, &out, &e), &e);
        for (int i = 0; i < W * H; i++) {
            const unsigned char *want = im.p + 4 * i, *got = out.p + 4 * i;
            /* Both were rounded by half a level. */
            assert_true(abs(got[3] - want[3]) <= ceil(255 * sqrt(3) / apart));
            if (want[3] == 0)
                assert_int_equal(got[3], 0);
            for (int c = 0; c < 3 && want[3] > 32; c++)
                assert_true(abs(got[c] - want[c]) <= ceil(2 + 500.0 / want[3] * 255 / apart));
        }
        image_free(&im);
        image_free(&light);
        image_free(&dark);
        image_free(&out);
    }
}

static void noise_of_the_grounds_leaves_no_haze(void **state)
{
    const double l[3] = {250, 250, 250}, d[3] = {25, 25, 30};
    struct image im = subject(), light = on(&im, l, 4), dark = on(&im, d, 4), out;
    struct image_grounds g;
    struct err e = {0};
    int haze = 0, ground = 0;
    double off = 0;
    (void)state;
    must(image_grounds_find(&light, &dark, &g, &e), &e);
    assert_true(g.noise > 0 && g.noise < 0.1);
    must(image_grounds_solve(&light, &dark, &g, &out, &e), &e);
    for (int i = 0; i < W * H; i++) {
        int want = im.p[4 * i + 3], got = out.p[4 * i + 3];
        ground += want == 0;
        haze += want == 0 && got != 0;
        off += abs(want - got);
        assert_true(abs(want - got) <= 14);
    }
    assert_true(haze * 50 < ground);
    assert_true(off / (W * H) < 2);
    image_free(&im);
    image_free(&light);
    image_free(&dark);
    image_free(&out);
}

static void a_picture_without_a_ground_is_refused(void **state)
{
    struct image a = new_image(W, H, 3), b = new_image(W, H, 3);
    struct image_grounds g;
    (void)state;
    fill_gradient(&a);
    fill_gradient(&b);
    for (int k = 0; k < 3; k++) {
        struct err e = {0};
        if (k == 1)
            memset(b.p, 255, b.stride * H); /* lighter on the dark ground */
        if (k == 2) {
            memset(a.p, 100, a.stride * H);
            memset(b.p, 50, b.stride * H);
        }
        if (k == 1)
            memset(a.p, 3, a.stride * H);
        assert_int_equal(image_grounds_find(&a, &b, &g, &e), ERR_ARG);
        assert_non_null(strstr(e.text, "cannot be told from its ground"));
    }
    image_free(&a);
    image_free(&b);
}

static void nothing_but_ground_is_all_transparent(void **state)
{
    struct image a = new_image(1, 1, 3), b = new_image(1, 1, 3), out;
    struct image_grounds g;
    struct err e = {0};
    (void)state;
    memset(a.p, 255, 3);
    must(image_grounds_find(&a, &b, &g, &e), &e);
    must(image_grounds_solve(&a, &b, &g, &out, &e), &e);
    for (int c = 0; c < 4; c++)
        assert_int_equal(out.p[c], 0);
    mem_fail_after(1);
    assert_int_equal(image_grounds_find(&a, &b, &g, &e), ERR_NOMEM);
    mem_fail_after(0);
    image_free(&a);
    image_free(&b);
    image_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_alpha_comes_back),
        cmocka_unit_test(noise_of_the_grounds_leaves_no_haze),
        cmocka_unit_test(a_picture_without_a_ground_is_refused),
        cmocka_unit_test(nothing_but_ground_is_all_transparent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

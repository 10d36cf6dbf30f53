/* canvas_test.c - what an inpainting puts back over the finished image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pipeline/klein/internal.h"

enum { W = 37, H = 23 };

struct canvas {
    struct klein_canvas c;
    struct image out, made;
};

/* A canvas of noise, and a finished image of other noise. */
static struct canvas new_canvas(void)
{
    struct canvas x = {0};
    struct err e = {0};
    uint32_t r = 1;
    assert_int_equal(image_new(&x.c.kept, W, H, 3, &e), ERR_OK);
    assert_int_equal(image_new(&x.made, W, H, 3, &e), ERR_OK);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++) {
            image_row(&x.c.kept, y)[i] = (unsigned char)(r >> 24);
            r = r * 1664525u + 1013904223u;
            image_row(&x.made, y)[i] = (unsigned char)(r >> 24);
            r = r * 1664525u + 1013904223u;
        }
    assert_int_equal(image_copy(&x.made, &x.out, &e), ERR_OK);
    x.c.pixel_mask = mem_try_array((size_t)W * H, sizeof(float));
    assert_non_null(x.c.pixel_mask);
    return x;
}

static void free_canvas(struct canvas *x)
{
    klein_canvas_free(&x->c);
    image_free(&x->out);
    image_free(&x->made);
}

static void restore(struct canvas *x, int feather)
{
    struct err e = {0};
    assert_int_equal(klein_canvas_restore(&x->c, feather, &x->out, &e), ERR_OK);
}

static void a_pixel_is_the_one_or_the_other_when_the_edge_is_hard(void **state)
{
    struct canvas x = new_canvas();
    (void)state;
    for (int i = 0; i < W * H; i++)
        x.c.pixel_mask[i] = (i * 7 % 11) < 5 ? 1.0f : 0.0f;
    restore(&x, 0);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++)
            assert_int_equal(
                image_row(&x.out, y)[i],
                image_row(x.c.pixel_mask[y * W + i / 3] > 0 ? &x.made : &x.c.kept, y)[i]);
    free_canvas(&x);
}

static void kept_pixels_stay_when_the_edge_is_soft(void **state)
{
    struct canvas x = new_canvas();
    const int edge = 20, feather = 6;
    (void)state;
    for (int i = 0; i < W * H; i++)
        x.c.pixel_mask[i] = i % W < edge ? 1.0f : 0.0f;
    restore(&x, feather);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++) {
            int px = i / 3, distance = edge - px; /* 1 just inside the mask */
            int made = image_row(&x.made, y)[i], kept = image_row(&x.c.kept, y)[i];
            int got = image_row(&x.out, y)[i];
            if (px >= edge)
                assert_int_equal(got, kept);
            else if (distance > feather)
                assert_int_equal(got, made);
            else
                assert_true(abs((feather + 1) * (got - kept) - distance * (made - kept)) <=
                            feather + 1);
        }
    free_canvas(&x);
}

static void the_whole_image_is_painted_when_nothing_is_kept(void **state)
{
    struct canvas x = new_canvas();
    (void)state;
    for (int i = 0; i < W * H; i++)
        x.c.pixel_mask[i] = 1.0f;
    restore(&x, 5);
    for (int y = 0; y < H; y++)
        assert_memory_equal(image_row(&x.out, y), image_row(&x.made, y), 3 * W);
    mem_free(x.c.pixel_mask);
    x.c.pixel_mask = NULL;
    restore(&x, 5);
    for (int y = 0; y < H; y++)
        assert_memory_equal(image_row(&x.out, y), image_row(&x.made, y), 3 * W);
    free_canvas(&x);
}

/* A lone kept pixel: the fade is round about it and the same in all directions. */
static void a_fade_is_even_when_it_goes_around_a_corner(void **state)
{
    struct canvas x = new_canvas();
    const int cx = 18, cy = 11, feather = 7;
    (void)state;
    for (int i = 0; i < W * H; i++)
        x.c.pixel_mask[i] = 1.0f;
    x.c.pixel_mask[cy * W + cx] = 0.0f;
    for (int y = 0; y < H; y++) {
        memset(image_row(&x.c.kept, y), 0, 3 * W);
        memset(image_row(&x.out, y), 255, 3 * W);
    }
    restore(&x, feather);
    int last = -1;
    for (int d = 0; d <= feather + 1; d++) {
        int right = image_row(&x.out, cy)[3 * (cx + d)];
        assert_int_equal(right, image_row(&x.out, cy)[3 * (cx - d)]);
        assert_int_equal(right, image_row(&x.out, cy + d)[3 * cx]);
        assert_int_equal(right, image_row(&x.out, cy - d)[3 * cx]);
        assert_true(right > last);
        last = right;
    }
    assert_int_equal(last, 255);
    assert_int_equal(image_row(&x.out, cy + 3)[3 * (cx + 3)],
                     image_row(&x.out, cy - 3)[3 * (cx - 3)]);
    free_canvas(&x);
}

static void a_soft_edge_fails_cleanly_when_memory_runs_out(void **state)
{
    struct canvas x = new_canvas();
    struct err e = {0};
    (void)state;
    mem_fail_after(1);
    assert_int_equal(klein_canvas_restore(&x.c, 3, &x.out, &e), ERR_NOMEM);
    mem_fail_after(0);
    free_canvas(&x);
}

/* A canvas that was scaled down, and padded to just the size that it had: it is scaled up again all the same. */
static void padding_is_cut_when_the_padded_size_is_the_results(void **state)
{
    const struct klein_size size = {{48, 32}, {64, 32}, {48, 32}, {64, 32}};
    struct image im;
    struct err e = {0};
    (void)state;
    assert_int_equal(image_new(&im, 64, 32, 1, &e), ERR_OK);
    for (int y = 0; y < 32; y++)
        memset(image_row(&im, y), 200, 48); /* black is the padding */
    assert_int_equal(klein_size_finish(&size, &im, &e), ERR_OK);
    assert_true(im.w == 64 && im.h == 32);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 64; x++)
            assert_int_equal(image_row(&im, y)[x], 200);
    image_free(&im);
}

static int notes;

static void count_note(const char *text, void *user)
{
    (void)text;
    (void)user;
    notes++;
}

static void a_mask_is_refused_when_it_belongs_to_another_image(void **state)
{
    const struct vt_callbacks cb = {.note = count_note};
    static const struct {
        int mw, mh, pw, ph;
        enum err_code rc;
        int notes;
    } cases[] = {
        {64, 48, 64, 48, ERR_OK, 0},  {32, 24, 64, 48, ERR_OK, 1}, {65, 48, 64, 48, ERR_OK, 1},
        {48, 64, 64, 48, ERR_ARG, 0}, {64, 1, 64, 48, ERR_ARG, 0}, {1, 64, 64, 48, ERR_ARG, 0},
        {50, 60, 90, 75, ERR_OK, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image m = {.w = cases[i].mw, .h = cases[i].mh};
        struct image p = {.w = cases[i].pw, .h = cases[i].ph};
        struct err e = {0};
        notes = 0;
        assert_int_equal(klein_mask_check(&m, &p, &cb, &e), cases[i].rc);
        assert_int_equal(notes, cases[i].notes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pixel_is_the_one_or_the_other_when_the_edge_is_hard),
        cmocka_unit_test(kept_pixels_stay_when_the_edge_is_soft),
        cmocka_unit_test(the_whole_image_is_painted_when_nothing_is_kept),
        cmocka_unit_test(a_fade_is_even_when_it_goes_around_a_corner),
        cmocka_unit_test(padding_is_cut_when_the_padded_size_is_the_results),
        cmocka_unit_test(a_soft_edge_fails_cleanly_when_memory_runs_out),
        cmocka_unit_test(a_mask_is_refused_when_it_belongs_to_another_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sizes_test.c - legal requests of every size are planned, and odd ones are refused in words: neither ends the
 * process. Plans build the very graphs that a run would compute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/layered/internal.h"
#include "veetance.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered"

static struct vt_engine *engine;
static unsigned char *pixels; /* of the largest image below */

enum { LARGEST = 2048, EXTREMES = 8192 };

static int set_up(void **state)
{
    const struct vt_engine_options options = {.device = "cpu", .threads = 1};
    struct vt_error err;
    (void)state;
    pixels = mem_try_alloc((size_t)(LARGEST + 64) * (LARGEST + 64) * 4);
    return pixels && vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    mem_free(pixels);
    return 0;
}

static uint32_t seed = 1;

static int random_between(int lo, int hi)
{
    seed = seed * 1664525u + 1013904223u;
    return lo + (int)(seed >> 8) % (hi - lo + 1);
}

static int one_of(const int *values, size_t n)
{
    return values[random_between(0, (int)n - 1)];
}

static void plan_image(int width, int height, int references, int side_w, int side_h)
{
    struct vt_request rq = vt_request_defaults();
    struct vt_error err = {0};
    struct vt_plan plan;
    rq.model = KLEIN;
    rq.prompt = "a red star";
    rq.width = width;
    rq.height = height;
    rq.steps = 1;
    rq.image_count = references;
    for (int i = 0; i < references; i++)
        rq.images[i] = (struct vt_image){side_w, side_h, 3, pixels, 8, NULL};
    if (vt_plan_picture(engine, &rq, &plan, &err) != VT_OK)
        fail_msg("%d x %d, %d references of %d x %d: %s", width, height, references, side_w, side_h,
                 err.text);
    assert_true(plan.peak_bytes > 0);
}

static void images_of_every_size_are_planned(void **state)
{
    (void)state;
    static const int table[][5] = {
        {64, 64, 0, 0, 0},           {1024, 1024, 0, 0, 0},     {1536, 1536, 0, 0, 0},
        {2048, 2048, 0, 0, 0},       {64, 2048, 0, 0, 0},       {2048, 64, 0, 0, 0},
        {1008, 2032, 0, 0, 0},       {64, 64, 1, 1024, 1024},   {1024, 1024, 1, 1024, 1024},
        {2048, 2048, 4, 1024, 1024}, {64, 64, 10, 2048, 2048},  {512, 512, 10, 64, 64},
        {2048, 64, 3, 256, 2048},    {640, 640, 2, 2048, 1200},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        plan_image(table[i][0], table[i][1], table[i][2], table[i][3], table[i][4]);
    for (int i = 0; i < 12; i++) {
        int w = random_between(64, LARGEST), h = random_between(64, LARGEST);
        int side = random_between(64, LARGEST);
        plan_image(w, h, random_between(0, 3), side, random_between(side / 8 + 64, side + 64));
    }
}

static void plan_layers(int w, int h, int n, int resolution, bool tables)
{
    struct vt_layers_request rq = vt_layers_request_defaults();
    struct vt_error err = {0};
    struct vt_plan plan;
    rq.model = LAYERED;
    rq.image = (struct vt_image){w, h, 3, pixels, 8, NULL};
    rq.prompt = "shapes";
    rq.layers = n;
    rq.steps = 2;
    rq.resolution = resolution;
    rq.no_modulation_tables = !tables;
    if (vt_plan_layers(engine, &rq, &plan, &err) != VT_OK)
        fail_msg("%d layers of %d x %d at %d: %s", n, w, h, resolution, err.text);
    assert_true(plan.peak_bytes > 0);
}

static void layers_of_every_size_are_planned(void **state)
{
    (void)state;
    static const int table[][4] = {
        {1024, 1024, 4, 640}, {64, 64, 1, 32},       {64, 64, 10, 640}, {2048, 300, 10, 512},
        {300, 2048, 4, 640},  {1024, 1024, 1, 2048}, {1, 1, 2, 64},     {1024, 1024, 4, 1024},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        plan_layers(table[i][0], table[i][1], table[i][2], table[i][3], i % 2 == 0);
}

static void layers_that_the_host_cannot_hold_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(layered_check_room(10, 4096, 4096, (uint64_t)4 << 30, &e), ERR_OK);
    assert_int_equal(layered_check_room(10, 4096, 4096, 0, &e), ERR_OK);
    assert_int_equal(layered_check_room(10, 4096, 4096, (uint64_t)2 << 30, &e), ERR_NOMEM);
    assert_non_null(strstr(e.text, "10 layers of 4096 x 4096 take 3.44 GiB"));
    assert_non_null(strstr(e.text, "2.00 GiB are free"));
}

/* What a caller may write into a request, sense or not: an answer or a refusal with a reason. */
static void odd_images_are_answered(void **state)
{
    (void)state;
    static const int sides[] = {INT32_MIN, -1,  0,   1,    15,   63,   64,       65,
                                100,       999, 512, 1000, 1023, 2047, EXTREMES, INT32_MAX};
    static const int images[] = {0, 1, 7, 63, 64, 65, 100, 640, 1999, LARGEST};
    static const int counts[] = {-1, 0, 1, 2, 3, 10};
    for (int i = 0; i < 60; i++) {
        struct vt_request rq = vt_request_defaults();
        struct vt_error err = {0};
        struct vt_plan plan;
        rq.model = KLEIN;
        rq.prompt = i % 7 ? "a red star" : "";
        rq.width = one_of(sides, sizeof sides / sizeof sides[0]);
        rq.height = one_of(sides, sizeof sides / sizeof sides[0]);
        rq.steps = random_between(-1, 3);
        rq.guidance = random_between(-2, 4);
        rq.count = random_between(-1, 3);
        rq.max_tokens = i % 5 ? rq.max_tokens : random_between(-1, 600);
        rq.image_count = one_of(counts, sizeof counts / sizeof counts[0]);
        for (int k = 0; k < rq.image_count; k++)
            rq.images[k] = (struct vt_image){one_of(images, sizeof images / sizeof images[0]),
                                             one_of(images, sizeof images / sizeof images[0]),
                                             random_between(2, 5),
                                             pixels,
                                             8,
                                             NULL};
        if (vt_plan_picture(engine, &rq, &plan, &err) != VT_OK)
            assert_true(err.text[0] != 0);
    }
}

static void odd_layers_are_answered(void **state)
{
    (void)state;
    static const int sides[] = {0, 1, 2, 7, 31, 32, 100, 640, 1999, LARGEST};
    static const int resolutions[] = {INT32_MIN, -1, 0, 1, 31, 32, 33, 100, 640, 777, INT32_MAX};
    for (int i = 0; i < 40; i++) {
        struct vt_layers_request rq = vt_layers_request_defaults();
        struct vt_error err = {0};
        struct vt_plan plan;
        rq.model = LAYERED;
        rq.image = (struct vt_image){one_of(sides, sizeof sides / sizeof sides[0]),
                                     one_of(sides, sizeof sides / sizeof sides[0]),
                                     random_between(2, 5),
                                     pixels,
                                     8,
                                     NULL};
        rq.prompt = i % 3 ? "shapes" : "";
        rq.layers = random_between(-1, 12);
        rq.steps = random_between(-1, 4);
        rq.resolution = one_of(resolutions, sizeof resolutions / sizeof resolutions[0]);
        rq.guidance = random_between(-1, 2);
        rq.no_modulation_tables = i % 2;
        if (vt_plan_layers(engine, &rq, &plan, &err) != VT_OK)
            assert_true(err.text[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_of_every_size_are_planned),
        cmocka_unit_test(layers_of_every_size_are_planned),
        cmocka_unit_test(layers_that_the_host_cannot_hold_are_refused),
        cmocka_unit_test(odd_images_are_answered),
        cmocka_unit_test(odd_layers_are_answered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

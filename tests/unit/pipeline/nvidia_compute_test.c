/* nvidia_compute_test.c - the parameter `compute` on a card that is none: images and layers in 8 bits stay near those of the
 * default, take what was planned, are the same when streamed, and the next request finds its weights in its own form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fake_card.h"
#include "nn/nvidia/card.h"
#include "pipeline/engine_internal.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered"

enum { SIDE = 128 };

static const double KLEIN_INT8_DB = 50, KLEIN_FP8_DB = 44, LAYERED_INT8_DB = 48,
                    LAYERED_FP8_DB = 43;

static const uint64_t OWN = ((uint64_t)300 << 20) + (uint64_t)NV_LANES * NV_ROWS_BYTES +
                            (uint64_t)NV_TICKETS * sizeof(int32_t) + NV_RECORD_ROOM;

static struct vt_engine *engine;

static int open_with(const char *device, const char *arch)
{
    const struct vt_engine_options options = {.device = device, .threads = 1};
    struct vt_error err;
    if (!fake_card_driver())
        return -1;
    (void)setenv("VEETANCE_CUDA_ARCH", arch, 1);
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    return open_with("cuda", "90");
}

static int set_up_old(void **state)
{
    (void)state;
    return open_with("cuda", "80");
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    assert_int_equal(fake_card_driver()->complaints, 0);
    assert_int_equal(fake_card_driver()->held, 0);
    return 0;
}

static struct vt_request request(const char *compute)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = KLEIN;
    rq.prompt = "a red star on a white background";
    rq.width = rq.height = SIDE;
    rq.steps = 4;
    rq.seed = 1;
    rq.compute = compute;
    return rq;
}

static struct vt_result *made(const char *compute)
{
    struct vt_request rq = request(compute);
    struct vt_error err = {0};
    struct vt_result *r = NULL;
    if (vt_generate(engine, &rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s: %s", compute, err.text);
    return r;
}

static double psnr(struct vt_image a, struct vt_image b)
{
    double sum = 0;
    size_t n = (size_t)a.width * (size_t)a.height * (size_t)a.channels;
    assert_int_equal(n, (size_t)b.width * (size_t)b.height * (size_t)b.channels);
    for (size_t i = 0; i < n; i++) {
        double d = (double)a.pixels[i] - (double)b.pixels[i];
        sum += d * d;
    }
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : HUGE_VAL;
}

static double apart(const struct vt_result *a, const struct vt_result *b)
{
    return psnr(vt_result_image(a, 0), vt_result_image(b, 0));
}

static void expect_image_above(const char *compute, double least)
{
    struct vt_result *plain = made("default"), *r = made(compute), *again = made("default"),
                     *as_auto = made("auto");
    double db = apart(plain, r);
    print_message("image in %s: %.1f dB\n", compute, db);
    assert_true(db > least && !isinf(db));
    assert_true(isinf(apart(plain, again)));
    assert_true(isinf(apart(r, as_auto)) == (strcmp(compute, "int8") == 0));
    vt_result_free(plain);
    vt_result_free(r);
    vt_result_free(again);
    vt_result_free(as_auto);
}

static void image_is_near_when_int8(void **state)
{
    (void)state;
    expect_image_above("int8", KLEIN_INT8_DB);
}

static void image_is_near_when_fp8(void **state)
{
    (void)state;
    expect_image_above("fp8", KLEIN_FP8_DB);
}

static struct vt_layers_result *take_apart(struct vt_image image, const char *compute)
{
    struct vt_layers_request rq = vt_layers_request_defaults();
    struct vt_layers_result *r = NULL;
    struct vt_error err = {0};
    rq.model = LAYERED;
    rq.image = image;
    rq.prompt = "two shapes";
    rq.layers = 2;
    rq.steps = 4;
    rq.resolution = SIDE;
    rq.seed = 1;
    rq.keep_empty = 1;
    rq.compute = compute;
    if (vt_layers(engine, &rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static void layers_are_near_when_of_eight_bits(void **state)
{
    static const struct {
        const char *compute;
        double least;
    } modes[] = {{"int8", LAYERED_INT8_DB}, {"fp8", LAYERED_FP8_DB}};
    (void)state;
    struct vt_result *image = made("default");
    struct vt_layers_result *plain = take_apart(vt_result_image(image, 0), "default");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct vt_layers_result *r = take_apart(vt_result_image(image, 0), modes[i].compute);
        double db = psnr(vt_layers_composite(plain), vt_layers_composite(r));
        print_message("layers in %s: %.1f dB\n", modes[i].compute, db);
        assert_true(db > modes[i].least && !isinf(db));
        vt_layers_result_free(r);
    }
    vt_layers_result_free(plain);
    vt_result_free(image);
}

static struct vt_plan plan_of(const char *compute)
{
    struct vt_request rq = request(compute);
    struct vt_plan plan;
    struct vt_error err;
    if (vt_plan_picture(engine, &rq, &plan, &err) != VT_OK)
        fail_msg("%s", err.text);
    return plan;
}

static uint64_t planned(const char *compute)
{
    return plan_of(compute).peak_bytes;
}

/* Whatever was there before. */
static void memory_is_as_planned(void **state)
{
    static const char *const modes[] = {"int8", "fp8", "default", "int8"};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        uint64_t peak = planned(modes[i]);
        struct vt_result *r = made(modes[i]);
        assert_int_equal(vt_result_stats(r)->device_peak_bytes, peak);
        vt_result_free(r);
    }
    assert_true(planned("int8") < planned("default"));
}

/* A decoder in bands may round a value or two the other way. */
static void streaming_changes_nothing(void **state)
{
    static const double BANDS_DB = 85;
    (void)state;
    struct vt_error err;
    uint64_t streamed = 0;
    struct vt_result *whole = made("int8");
    for (uint64_t kib = 3 << 10; kib <= 5 << 10; kib += 1 << 10) {
        vt_engine_release(engine);
        assert_int_equal(vt_engine_set_budget(engine, OWN + (kib << 10), &err), VT_OK);
        struct vt_plan plan = plan_of("int8");
        for (int i = 0; i < plan.stage_count; i++)
            streamed += plan.stages[i].streamed_bytes;
        struct vt_result *r = made("int8");
        assert_true(apart(r, whole) > BANDS_DB);
        vt_result_free(r);
    }
    assert_true(streamed > 0);
    vt_result_free(whole);
}

static void expect_refused(const char *compute, const char *words)
{
    struct vt_request rq = request(compute);
    struct vt_result *r = NULL;
    struct vt_error err = {0};
    assert_int_equal(vt_generate(engine, &rq, NULL, &r, &err), VT_ERR_ARG);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void fp8_is_refused_where_the_card_lacks_it(void **state)
{
    struct nn_device_info list[4];
    struct err e = {0};
    size_t n = 0;
    (void)state;
    assert_int_equal(nn_device_list(list, sizeof list / sizeof list[0], &n, &e), ERR_OK);
    assert_true(n > 0 && list[0].is_card && !list[0].has_fp8); /* and is not listed there */
    expect_refused("fp8", "cuda0");
    expect_refused("fp8", "--compute int8");
    expect_image_above("int8", KLEIN_INT8_DB);
}

#define TEST(name, up) cmocka_unit_test_setup_teardown(name, up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(image_is_near_when_int8, set_up),
        TEST(image_is_near_when_fp8, set_up),
        TEST(layers_are_near_when_of_eight_bits, set_up),
        TEST(memory_is_as_planned, set_up),
        TEST(streaming_changes_nothing, set_up),
        TEST(fp8_is_refused_where_the_card_lacks_it, set_up_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* nvidia_engine_test.c - an image on a card that is none: plans are what is taken, streaming changes nothing, a device that
 * is lost at any launch is one clear error and a working next run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_card.h"
#include "nn/nvidia/card.h"
#include "pipeline/engine_internal.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"

/* Held from the start. */
static const uint64_t BLOCKS = (uint64_t)NV_LANES * NV_ROWS_BYTES + NV_TICKETS * sizeof(int32_t);
/* With what the fake's context takes, and with room for recordings. */
static const uint64_t OWN = ((uint64_t)300 << 20) + BLOCKS + NV_RECORD_ROOM;

static struct vt_engine *engine;

static int set_up(void **state)
{
    const struct vt_engine_options options = {.device = "cuda", .threads = 1, .model = KLEIN};
    struct vt_error err;
    (void)state;
    if (!fake_card_driver())
        return -1;
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    assert_int_equal(fake_card_driver()->complaints, 0);
    assert_int_equal(fake_card_driver()->held, 0);
    return 0;
}

static struct vt_request request(void)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = KLEIN;
    rq.prompt = "a red star";
    rq.width = rq.height = 64;
    rq.steps = 2;
    rq.seed = 1;
    return rq;
}

static struct vt_result *made(const struct vt_request *rq)
{
    struct vt_error err;
    struct vt_result *r = NULL;
    if (vt_generate(engine, rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static bool same_image(const struct vt_result *a, const struct vt_result *b)
{
    struct vt_image x = vt_result_image(a, 0), y = vt_result_image(b, 0);
    return x.width == y.width && x.height == y.height &&
           memcmp(x.pixels, y.pixels, (size_t)x.width * (size_t)x.height * 3) == 0;
}

static void budgets_hold_and_change_nothing(void **state)
{
    (void)state;
    struct vt_request rq = request();
    struct vt_result *whole = made(&rq);
    for (uint64_t mib = 6; mib <= 12; mib += 3) {
        struct vt_error err;
        struct vt_plan plan;
        vt_engine_release(engine);
        assert_int_equal(vt_engine_set_budget(engine, OWN + (mib << 20), &err), VT_OK);
        assert_int_equal(vt_plan_picture(engine, &rq, &plan, &err), VT_OK);
        fake_card_driver()->peak = fake_card_driver()->held;
        struct vt_result *r = made(&rq);
        assert_true(same_image(r, whole));
        assert_true(fake_card_driver()->peak <= plan.peak_bytes + BLOCKS);
        assert_true(plan.peak_bytes <= mib << 20);
        vt_result_free(r);
    }
    vt_result_free(whole);
}

static void a_budget_below_the_contexts_share_is_refused(void **state)
{
    (void)state;
    struct vt_error err;
    assert_int_not_equal(vt_engine_set_budget(engine, OWN, &err), VT_OK);
    assert_non_null(strstr(err.text, "cuda0"));
}

/* Also in the middle of uploads of the text encoder's run and of decoding. */
static void a_lost_device_is_one_error_and_the_next_run_works(void **state)
{
    (void)state;
    struct vt_request rq = request();
    struct vt_error err;
    struct vt_result *r = NULL, *whole = made(&rq);
    long before = fake_card_driver()->launches;
    vt_result_free(made(&rq));
    long all = fake_card_driver()->launches - before;
    for (int i = 1; i <= 4; i++) {
        fake_card_driver()->fail_launch = all * i / 4;
        assert_int_equal(vt_generate(engine, &rq, NULL, &r, &err), VT_ERR_DEVICE);
        assert_non_null(strstr(err.text, "ILLEGAL_ADDRESS"));
        assert_int_equal(fake_card_driver()->fail_launch, 0);
        struct vt_result *next = made(&rq);
        assert_true(same_image(next, whole));
        vt_result_free(next);
    }
    vt_result_free(whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(budgets_hold_and_change_nothing),
        TEST(a_budget_below_the_contexts_share_is_refused),
        TEST(a_lost_device_is_one_error_and_the_next_run_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* memory_test.c - budgets and plans with the micro models: what is planned is what is taken, streaming changes
 * nothing, every refused allocation ends cleanly, and nothing stays behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "pipeline/engine_internal.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered"

#ifdef __SANITIZE_ADDRESS__ /* where each run takes ten times as long */
enum { ROUNDS = 10 };
#else
enum { ROUNDS = 100 };
#endif

static struct vt_engine *engine;
static unsigned char pixels[64 * 64 * 3];

static int set_up(void **state)
{
    /* VT_TEST_ISOLATED: the program in whose process it runs. */
    const struct vt_engine_options options = {.device = "cpu",
                                              .threads = 1,
                                              .isolated = getenv("VT_TEST_ISOLATED") != NULL,
                                              .program = getenv("VT_TEST_ISOLATED")};
    struct vt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(i * 31 ^ i >> 6);
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    return 0;
}

static void reopen(void)
{
    assert_int_equal(tear_down(NULL), 0);
    assert_int_equal(set_up(NULL), 0);
}

static struct vt_request request(int side, bool edit)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = KLEIN;
    rq.prompt = "a red star";
    rq.width = rq.height = side;
    rq.steps = 2;
    rq.seed = 1;
    if (edit) {
        rq.images[0] = (struct vt_image){64, 64, 3, pixels, 8, NULL};
        rq.image_count = 1;
    }
    return rq;
}

static struct vt_result *made(const struct vt_request *rq)
{
    struct vt_error err;
    struct vt_result *r = NULL;
    enum vt_status st = rq->image_count ? vt_edit(engine, rq, NULL, &r, &err)
                                        : vt_generate(engine, rq, NULL, &r, &err);
    if (st != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static struct vt_plan planned(const struct vt_request *rq)
{
    struct vt_error err;
    struct vt_plan plan;
    if (vt_plan_picture(engine, rq, &plan, &err) != VT_OK)
        fail_msg("%s", err.text);
    return plan;
}

static void set_budget(uint64_t bytes)
{
    struct vt_error err;
    vt_engine_release(engine);
    if (vt_engine_set_budget(engine, bytes, &err) != VT_OK)
        fail_msg("%s", err.text);
}

static void assert_same_image(const struct vt_result *a, const struct vt_result *b)
{
    struct vt_image x = vt_result_image(a, 0), y = vt_result_image(b, 0);
    assert_int_equal(x.width, y.width);
    assert_int_equal(x.height, y.height);
    assert_memory_equal(x.pixels, y.pixels, (size_t)x.width * (size_t)x.height * 3);
}

/* ---- planned and taken -------------------------------------------------------------------------------- */

/* One request at one budget: measured <= planned <= budget, within 5 %, and the same image. */
static bool holds(const struct vt_request *rq, uint64_t budget, const struct vt_result *whole)
{
    reopen(); /* no prompt is known: the text encoder runs */
    set_budget(budget);
    struct vt_plan plan = planned(rq);
    if (plan.verdict == VT_REFUSED)
        return false;
    struct vt_result *r = made(rq);
    const struct vt_stats *s = vt_result_stats(r);
    if (s->device_peak_bytes > plan.peak_bytes || plan.peak_bytes > budget ||
        (double)plan.peak_bytes > 1.05 * (double)s->device_peak_bytes)
        fail_msg("taken %llu, planned %llu, budget %llu", (unsigned long long)s->device_peak_bytes,
                 (unsigned long long)plan.peak_bytes, (unsigned long long)budget);
    assert_same_image(r, whole);
    vt_result_free(r);
    return true;
}

static void budgets_down_to_the_least_give_the_same_image(void **state)
{
    (void)state;
    static const struct {
        int side;
        bool edit;
        int count;
    } table[] = {{64, false, 1}, {128, false, 2}, {64, true, 1}};
    static const int percent[] = {100, 75, 60, 50, 40};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct vt_request rq = request(table[i].side, table[i].edit);
        rq.count = table[i].count;
        reopen();
        struct vt_result *whole = made(&rq);
        uint64_t peak = vt_result_stats(whole)->device_peak_bytes;
        for (size_t k = 0; k < sizeof percent / sizeof percent[0]; k++)
            assert_true(holds(&rq, peak * (uint64_t)percent[k] / 100, whole));
        assert_false(holds(&rq, peak / 20, whole));
        vt_result_free(whole);
    }
    set_budget(0);
}

/* A LoRA of micro-klein's attention, of random numbers; the caller removes it. */
static void write_lora(const char *path)
{
    enum { RANK = 8, DIM = 128, MODULES = 2 };
    static const char *const names[] = {"transformer_blocks.0.attn.to_q",
                                        "single_transformer_blocks.1.attn.to_k"};
    char header[1200] = "{";
    size_t n = 1, at = 0, bytes = (size_t)RANK * DIM * sizeof(float);
    for (int i = 0; i < MODULES; i++)
        for (int up = 0; up < 2; up++, at += bytes)
            n += (size_t)snprintf(header + n, sizeof header - n,
                                  "%s\"%s.lora_%c.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],"
                                  "\"data_offsets\":[%zu,%zu]}",
                                  n > 1 ? "," : "", names[i], up ? 'B' : 'A', up ? DIM : RANK,
                                  up ? RANK : DIM, at, at + bytes);
    n += (size_t)snprintf(header + n, sizeof header - n, "}");
    const uint64_t length = n;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(&length, 1, sizeof length, f), sizeof length);
    assert_int_equal(fwrite(header, 1, n, f), n);
    for (size_t i = 0; i < at / sizeof(float); i++) {
        float v = (float)((int)(i * 7919 % 1001) - 500) / 1000.0f;
        assert_int_equal(fwrite(&v, 1, sizeof v, f), sizeof v);
    }
    assert_int_equal(fclose(f), 0);
}

/* Resident and streamed: what it takes is planned, and the image is the same. */
static void loras_are_planned(void **state)
{
    (void)state;
    char path[] = "/tmp/vt-lora-XXXXXX";
    static const int percent[] = {100, 75, 60, 50};
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    write_lora(path);
    struct vt_request rq = request(64, false);
    reopen();
    uint64_t without = planned(&rq).peak_bytes;
    struct vt_result *plain = made(&rq);
    rq.count = 2;
    rq.loras = (struct vt_loras){.count = 1, .of = {{.name = path, .strength = 0}}};
    reopen();
    struct vt_result *none = made(&rq);
    assert_same_image(none, plain);
    rq.loras.of[0].strength = 0.8;
    assert_true(planned(&rq).peak_bytes >= without);
    struct vt_result *whole = made(&rq);
    struct vt_image a = vt_result_image(whole, 0), b = vt_result_image(plain, 0);
    assert_memory_not_equal(a.pixels, b.pixels, (size_t)a.width * (size_t)a.height * 3);
    reopen();
    uint64_t peak = planned(&rq).peak_bytes;
    for (size_t k = 0; k < sizeof percent / sizeof percent[0]; k++)
        assert_true(holds(&rq, peak * (uint64_t)percent[k] / 100, whole));
    assert_false(holds(&rq, peak / 20, whole));
    vt_result_free(plain);
    vt_result_free(none);
    vt_result_free(whole);
    set_budget(0);
    assert_int_equal(unlink(path), 0);
}

static void count_previews(const struct vt_preview *preview, void *user)
{
    (void)preview;
    ++*(int *)user;
}

/* The first run that shows previews encodes a pattern for them, and the encoder stays beside what follows. */
static void previews_are_planned(void **state)
{
    (void)state;
    int shown = 0;
    const struct vt_callbacks cb = {.preview = count_previews, .user = &shown};
    struct vt_error err;
    for (int i = 0; i < 3; i++) {
        struct vt_request rq = request(64, i == 2);
        struct vt_result *r = NULL;
        if (i != 1) /* the second run finds what the first one fitted */
            reopen();
        set_budget(0);
        rq.count = i == 0 ? 2 : 1;
        uint64_t without = planned(&rq).peak_bytes;
        rq.previews = 1;
        struct vt_plan plan = planned(&rq);
        enum vt_status st = rq.image_count ? vt_edit(engine, &rq, &cb, &r, &err)
                                           : vt_generate(engine, &rq, &cb, &r, &err);
        if (st != VT_OK)
            fail_msg("%s", err.text);
        uint64_t taken = vt_result_stats(r)->device_peak_bytes;
        if (taken > plan.peak_bytes || (double)plan.peak_bytes > 1.01 * (double)taken)
            fail_msg("taken %llu, planned %llu", (unsigned long long)taken,
                     (unsigned long long)plan.peak_bytes);
        assert_true(plan.peak_bytes >= without && (i != 0 || plan.peak_bytes > without));
        assert_int_equal(shown, rq.count * rq.steps);
        shown = 0;
        vt_result_free(r);
    }
}

/* Traced blocks are results that are kept: another graph beside the step's, and a decoder without bands. */
static void traces_are_planned(void **state)
{
    (void)state;
    char path[] = "/tmp/vt-memory-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    for (int i = 0; i < 5; i++) {
        struct vt_request rq = request(64, i == 4);
        reopen();
        set_budget(i % 2 ? 6 << 20 : 0); /* streamed; resident */
        uint64_t without = planned(&rq).peak_bytes;
        rq.trace_path = path;
        rq.trace_blocks = i > 1;
        struct vt_plan plan = planned(&rq);
        struct vt_result *r = made(&rq);
        assert_int_equal(vt_result_stats(r)->device_peak_bytes, plan.peak_bytes);
        assert_true(i > 1 ? plan.peak_bytes > without : plan.peak_bytes == without);
        vt_result_free(r);
    }
    assert_int_equal(unlink(path), 0);
    set_budget(0);
}

static void a_trace_without_room_is_refused_beforehand(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct vt_result *r = NULL;
    struct vt_error err;
    reopen();
    set_budget(4 << 20);
    assert_int_equal(planned(&rq).verdict, VT_STREAMED);
    rq.trace_path = "/nowhere/at/all";
    rq.trace_blocks = 1;
    assert_int_equal(planned(&rq).verdict, VT_REFUSED);
    assert_int_equal(vt_generate(engine, &rq, NULL, &r, &err), VT_ERR_NOMEM);
    assert_null(r);
    set_budget(0);
}

static void refusal_has_numbers_and_advice(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct vt_error err;
    struct vt_result *r = NULL;
    set_budget(1 << 20);
    struct vt_plan plan = planned(&rq);
    assert_int_equal(plan.verdict, VT_REFUSED);
    assert_true(plan.advice_count > 0);
    assert_int_equal(vt_generate(engine, &rq, NULL, &r, &err), VT_ERR_NOMEM);
    assert_null(r);
    assert_non_null(strstr(err.text, "1.00 MiB"));
    assert_non_null(strstr(err.text, plan.advice[0]));
    set_budget(0);
    vt_result_free(made(&rq));
}

static void advised_budget_suffices(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    set_budget(1 << 20);
    struct vt_plan plan = planned(&rq);
    double mib = 0;
    const char *number = strpbrk(plan.advice[0], "0123456789");
    assert_non_null(number);
    mib = strtod(number, NULL);
    set_budget((uint64_t)(mib * 1024 * 1024));
    assert_int_not_equal(planned(&rq).verdict, VT_REFUSED);
    vt_result_free(made(&rq));
    set_budget(0);
}

static void plan_streams_only_what_does_not_fit(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    set_budget(0);
    struct vt_plan plan = planned(&rq);
    assert_int_equal(plan.verdict, VT_RESIDENT);
    set_budget(5 << 20);
    plan = planned(&rq);
    assert_int_equal(plan.verdict, VT_STREAMED);
    for (int i = 0; i < plan.stage_count; i++)
        assert_true((plan.stages[i].streamed_bytes > 0) ==
                    (strcmp(plan.stages[i].component, "transformer") == 0));
    set_budget(0);
}

/* ---- keeping and letting go --------------------------------------------------------------------------- */

static void second_run_brings_nothing_anew(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    set_budget(0);
    rq.prompt = "a green square"; /* not seen before: the text encoder runs */
    vt_result_free(made(&rq));
    struct governor_usage before, after;
    governor_usage(engine->placement.governors.of[0], &before);
    rq.prompt = "a blue circle";
    vt_result_free(made(&rq));
    governor_usage(engine->placement.governors.of[0], &after);
    assert_int_equal(after.moved, before.moved);
    assert_int_equal(planned(&rq).swap_bytes, 0);
}

static void smaller_budget_lets_weights_go_at_once(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct vt_memory m;
    set_budget(0);
    vt_result_free(made(&rq));
    vt_engine_memory(engine, &m);
    assert_true(m.current > 4 << 20);
    struct vt_error err;
    assert_int_equal(vt_engine_set_budget(engine, 4 << 20, &err), VT_OK);
    vt_engine_memory(engine, &m);
    assert_true(m.current <= 4 << 20);
    vt_engine_release(engine);
    vt_engine_memory(engine, &m);
    assert_int_equal(m.current, 0);
    set_budget(0);
}

static void a_plan_changes_nothing(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct vt_memory before, after;
    set_budget(0);
    struct vt_result *a = made(&rq);
    vt_engine_memory(engine, &before);
    struct vt_request larger = request(128, false);
    (void)planned(&larger);
    vt_engine_memory(engine, &after);
    assert_int_equal(before.current, after.current);
    struct vt_result *b = made(&rq);
    assert_same_image(a, b);
    vt_result_free(a);
    vt_result_free(b);
}

/* Two models in turn, again and again: what is held after a round is what was held after the first. */
static void alternating_models_leaves_no_byte_behind(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct vt_layers_request lq = vt_layers_request_defaults();
    struct vt_error err;
    struct vt_memory first = {0}, now;
    rq.steps = 1;
    lq.model = LAYERED;
    lq.image = (struct vt_image){64, 64, 3, pixels, 8, NULL};
    lq.prompt = "shapes";
    lq.layers = 1;
    lq.steps = 2; /* the least that its schedule takes */
    lq.resolution = 32;
    lq.guidance = 1;
    lq.seed = 1;
    set_budget(6 << 20);
    for (int i = 0; i < ROUNDS; i++) {
        struct vt_layers_result *r = NULL;
        vt_result_free(made(&rq));
        if (vt_layers(engine, &lq, NULL, &r, &err) != VT_OK)
            fail_msg("%s", err.text);
        vt_layers_result_free(r);
        vt_engine_memory(engine, &now);
        assert_true(now.peak <= 6 << 20);
        if (i == 0)
            first = now;
        assert_int_equal(now.current, first.current);
    }
    set_budget(0);
    vt_engine_memory(engine, &now);
    assert_int_equal(now.current, 0);
}

/* ---- failures ------------------------------------------------------------------------------------------- */

static void every_refused_request_ends_cleanly(void **state)
{
    (void)state;
    struct vt_request rq = request(64, true);
    set_budget(0);
    struct vt_result *whole = made(&rq);
    set_budget(5 << 20);
    struct vt_error err;
    uint64_t n = 1;
    for (;; n++) {
        struct vt_result *r = NULL;
        vt_engine_release(engine);
        governor_fail_at(engine->placement.governors.of[0], n);
        enum vt_status st = vt_edit(engine, &rq, NULL, &r, &err);
        governor_fail_at(engine->placement.governors.of[0], 0);
        if (st == VT_OK) {
            assert_same_image(r, whole);
            vt_result_free(r);
            break;
        }
        assert_int_equal(st, VT_ERR_NOMEM);
        assert_null(r);
        struct vt_memory m;
        vt_engine_release(engine);
        vt_engine_memory(engine, &m);
        assert_int_equal(m.current, 0);
    }
    assert_true(n > 10);
    struct vt_result *again = made(&rq);
    assert_same_image(again, whole);
    vt_result_free(again);
    vt_result_free(whole);
    set_budget(0);
}

static void cancel_at_once(const struct vt_progress *p, void *user)
{
    bool *went_on = user;
    *went_on |= p->stage != VT_STAGE_LOAD;
    vt_engine_cancel(engine);
}

static void loading_stops_when_it_is_cancelled(void **state)
{
    (void)state;
    bool went_on = false;
    const struct vt_callbacks cb = {.progress = cancel_at_once, .user = &went_on};
    struct vt_request rq = request(64, false);
    struct vt_result *r = NULL;
    struct vt_error err;
    struct vt_memory m;
    reopen();
    assert_int_equal(vt_generate(engine, &rq, &cb, &r, &err), VT_ERR_CANCELLED);
    assert_null(r);
    assert_false(went_on);
    vt_engine_memory(engine, &m);
    assert_int_equal(m.current, 0);
    vt_result_free(made(&rq));
}

/* However far the plan came. */
static void nothing_streams_when_it_was_only_planned(void **state)
{
    (void)state;
    struct vt_request rq = request(64, false);
    struct governor *g = engine->placement.governors.of[0];
    struct vt_error err;
    struct vt_plan plan;
    enum vt_status st;
    set_budget(4 << 20);
    uint64_t n = 0;
    do {
        governor_fail_at(g, ++n);
        st = vt_plan_picture(engine, &rq, &plan, &err);
        governor_fail_at(g, 0);
        assert_null(nn_device_streaming(engine->placement.all[0]));
    } while (st != VT_OK);
    assert_true(n > 10);
    assert_int_equal(plan.verdict, VT_STREAMED);
    set_budget(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_down_to_the_least_give_the_same_image),
        cmocka_unit_test(loras_are_planned),
        cmocka_unit_test(previews_are_planned),
        cmocka_unit_test(traces_are_planned),
        cmocka_unit_test(a_trace_without_room_is_refused_beforehand),
        cmocka_unit_test(refusal_has_numbers_and_advice),
        cmocka_unit_test(advised_budget_suffices),
        cmocka_unit_test(plan_streams_only_what_does_not_fit),
        cmocka_unit_test(second_run_brings_nothing_anew),
        cmocka_unit_test(smaller_budget_lets_weights_go_at_once),
        cmocka_unit_test(a_plan_changes_nothing),
        cmocka_unit_test(alternating_models_leaves_no_byte_behind),
        cmocka_unit_test(every_refused_request_ends_cleanly),
        cmocka_unit_test(loading_stops_when_it_is_cancelled),
        cmocka_unit_test(nothing_streams_when_it_was_only_planned),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

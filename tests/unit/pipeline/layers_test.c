/* layers_test.c - taking apart with the embedded micro model: previews that grow, progress that only goes on, and
 * plans that count the previews. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "image/load.h"
#include "pipeline/engine_internal.h"

#define LAYERED VT_SOURCE_DIR "/models/micro-layered"
#define SCENE VT_SOURCE_DIR "/tests/data/micro/layered/scene-00-input.png"

enum { LAYERS = 3, STEPS = 4, RESOLUTION = 64, SCALE = 8, FAST_STEPS = 16 };

static struct vt_engine *engine;
static struct image scene;

static int set_up(void **state)
{
    /* VT_TEST_ISOLATED: the program in whose process it runs. */
    const struct vt_engine_options options = {.device = "cpu",
                                              .threads = 1,
                                              .isolated = getenv("VT_TEST_ISOLATED") != NULL,
                                              .program = getenv("VT_TEST_ISOLATED")};
    struct vt_error err;
    struct image_info info;
    struct err e = {0};
    (void)state;
    if (image_load_file(SCENE, NULL, &info, &scene, &e) != ERR_OK)
        return -1;
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    image_free(&scene);
    return 0;
}

static void reopen(void)
{
    assert_int_equal(tear_down(NULL), 0);
    assert_int_equal(set_up(NULL), 0);
}

static struct vt_layers_request request(void)
{
    struct vt_layers_request rq = vt_layers_request_defaults();
    rq.model = LAYERED;
    rq.image = (struct vt_image){scene.w, scene.h, scene.channels, scene.p, 8, NULL};
    rq.prompt = "shapes";
    rq.layers = LAYERS;
    rq.steps = STEPS;
    rq.resolution = RESOLUTION;
    rq.seed = 1;
    return rq;
}

static struct vt_layers_result *made(const struct vt_layers_request *rq,
                                     const struct vt_callbacks *cb)
{
    struct vt_error err;
    struct vt_layers_result *r = NULL;
    if (vt_layers(engine, rq, cb, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static struct vt_plan planned(const struct vt_layers_request *rq)
{
    struct vt_error err;
    struct vt_plan plan;
    if (vt_plan_layers(engine, rq, &plan, &err) != VT_OK)
        fail_msg("%s", err.text);
    return plan;
}

/* ---- previews ---------------------------------------------------------------------------------------- */

struct seen {
    int n, steps_told;
    struct image last;
};

static void on_preview(const struct vt_preview *p, void *user)
{
    struct seen *s = user;
    struct err e = {0};
    struct image im = {.w = p->image.width,
                       .h = p->image.height,
                       .channels = p->image.channels,
                       .stride = (size_t)p->image.width * (size_t)p->image.channels,
                       .p = (unsigned char *)(uintptr_t)p->image.pixels};
    assert_int_equal(p->step, ++s->n);
    assert_int_equal(p->step, s->steps_told + 1); /* before the step's progress */
    assert_int_equal(p->tiles, LAYERS);
    assert_int_equal(im.channels, 3);
    assert_int_equal(im.w, LAYERS * RESOLUTION / SCALE);
    assert_int_equal(im.h, RESOLUTION / SCALE);
    image_free(&s->last);
    assert_int_equal(image_copy(&im, &s->last, &e), ERR_OK);
}

static void on_step(const struct vt_progress *p, void *user)
{
    struct seen *s = user;
    if (p->stage == VT_STAGE_STEPS)
        s->steps_told = p->step;
}

/* Mean difference between a preview's tile and the layer that came of it, on the chequer's mean where transparent. */
static double distance(const struct image *sheet, int tile, const struct vt_image *layer)
{
    double sum = 0;
    int side = RESOLUTION / SCALE;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < 3; c++) {
                double mean = 0;
                for (int i = 0; i < SCALE * SCALE; i++) {
                    const uint8_t *p = layer->pixels + 4 * ((y * SCALE + i / SCALE) * layer->width +
                                                            x * SCALE + i % SCALE);
                    double alpha = p[3] / 255.0;
                    mean += alpha * p[c] + (1 - alpha) * 230;
                }
                mean /= SCALE * SCALE;
                sum += abs((int)image_row(sheet, y)[3 * (tile * side + x) + c] - (int)mean);
            }
    return sum / (3 * side * side);
}

static void previews_show_each_layer_as_it_grows(void **state)
{
    (void)state;
    struct seen s = {0};
    const struct vt_callbacks cb = {.progress = on_step, .preview = on_preview, .user = &s};
    struct vt_layers_request rq = request();
    rq.keep_empty = 1;
    for (int i = 0; i < 2; i++) { /* the second time with the map of the first */
        struct vt_layers_result *r = made(&rq, &cb);
        assert_int_equal(s.n, STEPS);
        assert_int_equal(vt_layers_count(r), LAYERS);
        for (int k = 0; k < LAYERS; k++) {
            struct vt_layer l = vt_layers_layer(r, k), other = vt_layers_layer(r, (k + 1) % LAYERS);
            assert_int_equal(l.image.width, RESOLUTION);
            double own = distance(&s.last, k, &l.image);
            assert_true(own < 30 && own < distance(&s.last, k, &other.image));
        }
        vt_layers_result_free(r);
        image_free(&s.last);
        s = (struct seen){0};
    }
}

/* The first run that shows previews encodes a pattern for them, which is larger than the image. */
static void previews_are_planned(void **state)
{
    (void)state;
    struct seen s = {0};
    const struct vt_callbacks cb = {.progress = on_step, .preview = on_preview, .user = &s};
    struct vt_layers_request rq = request();
    reopen();
    for (int i = 0; i < 2; i++) {
        rq = request();
        uint64_t without = planned(&rq).peak_bytes;
        rq.previews = 1;
        struct vt_plan plan = planned(&rq);
        struct vt_layers_result *r = made(&rq, &cb);
        assert_int_equal(vt_layers_stats(r)->device_peak_bytes, plan.peak_bytes);
        if (i == 0)
            assert_true(plan.peak_bytes > without);
        else /* the map is there */
            assert_int_equal(plan.peak_bytes, without);
        vt_layers_result_free(r);
        image_free(&s.last);
        s = (struct seen){0};
    }
}

/* ---- progress ---------------------------------------------------------------------------------------- */

struct course {
    int told[VT_STAGE_DECODE + 1]; /* reports */
    int decoded;                   /* images */
    struct vt_progress last;
};

/* Within a stage nothing goes back. */
static void on_progress(const struct vt_progress *p, void *user)
{
    struct course *c = user;
    assert_true(p->done >= 0 && p->done <= 1);
    if (c->told[p->stage] && c->last.stage == p->stage) {
        assert_true(p->done >= c->last.done);
        assert_true(p->step >= c->last.step);
    }
    if (p->stage == VT_STAGE_DECODE) {
        assert_int_equal(p->step_count, LAYERS + 1);
        c->decoded = p->step;
    }
    c->told[p->stage]++;
    c->last = *p;
}

static void progress_only_goes_on(void **state)
{
    (void)state;
    uint64_t budget = 0;
    struct vt_error err;
    for (int i = 0; i < 2; i++) { /* the second time with weights that are streamed */
        struct course c = {0};
        const struct vt_callbacks cb = {.progress = on_progress, .user = &c};
        reopen();
        struct vt_layers_request rq = request(); /* of the image that was loaded anew */
        assert_int_equal(vt_engine_set_budget(engine, budget, &err), VT_OK);
        struct vt_plan plan = planned(&rq);
        assert_int_equal(plan.verdict, i == 0 ? VT_RESIDENT : VT_STREAMED);
        budget = plan.peak_bytes / 2;
        struct vt_layers_result *r = made(&rq, &cb);
        assert_int_equal(c.last.stage, VT_STAGE_DECODE);
        assert_true(c.last.done == 1);
        assert_int_equal(c.decoded, LAYERS + 1);
        assert_in_range(c.told[VT_STAGE_DECODE], 50, 101 + LAYERS + 1); /* one a per cent at most */
        assert_in_range(c.told[VT_STAGE_TEXT], 10, 102);
        assert_in_range(c.told[VT_STAGE_ENCODE], 10, 101);
        assert_int_equal(c.told[VT_STAGE_STEPS], STEPS + 1);
        vt_layers_result_free(r);
    }
}

/* ---- fast -------------------------------------------------------------------------------------------- */

/* Mean difference of all layers, colours weighted by alpha. */
static double apart(const struct vt_layers_result *a, const struct vt_layers_result *b)
{
    double sum = 0;
    size_t count = 0;
    assert_int_equal(vt_layers_count(a), vt_layers_count(b));
    for (int i = 0; i < vt_layers_count(a); i++) {
        struct vt_image x = vt_layers_layer(a, i).image, y = vt_layers_layer(b, i).image;
        size_t n = (size_t)x.width * (size_t)x.height;
        assert_true(x.width == y.width && x.height == y.height);
        for (size_t k = 0; k < 4 * n; k++) {
            int at = k % 4 == 3 ? 255 : 255 & x.pixels[k | 3],
                bt = k % 4 == 3 ? 255 : 255 & y.pixels[k | 3];
            sum += abs(x.pixels[k] * at - y.pixels[k] * bt) / 255.0;
        }
        count += 4 * n;
    }
    return sum / (double)count;
}

static void fast_leaves_passes_out_and_changes_little(void **state)
{
    (void)state;
    reopen();
    struct vt_layers_request rq = request();
    rq.prompt = NULL; /* the model's own prompt and size: what it was trained for is smooth */
    rq.resolution = VT_DEFAULT;
    rq.steps = FAST_STEPS;
    rq.guidance = 1;
    rq.keep_empty = 1;
    struct vt_layers_result *exact = made(&rq, NULL);
    assert_int_equal(vt_layers_stats(exact)->passes, FAST_STEPS);
    assert_int_equal(vt_layers_stats(exact)->passes_left_out, 0);
    rq.fast = 2;
    struct vt_layers_result *fast = made(&rq, NULL);
    assert_int_equal(vt_layers_stats(fast)->passes, FAST_STEPS);
    assert_true(vt_layers_stats(fast)->passes_left_out >= 5);
    assert_true(apart(exact, fast) < 2);
    vt_layers_result_free(exact);
    vt_layers_result_free(fast);
}

static void fast_takes_what_its_plan_says(void **state)
{
    (void)state;
    reopen();
    struct vt_layers_request rq = request();
    rq.fast = 2;
    rq.guidance = 2;
    rq.steps = 8;
    struct vt_plan plan = planned(&rq);
    struct vt_layers_result *r = made(&rq, NULL);
    assert_true(vt_layers_stats(r)->device_peak_bytes == plan.peak_bytes);
    assert_int_equal(vt_layers_stats(r)->passes, 16);
    vt_layers_result_free(r);
}

static void a_level_that_there_is_not_is_refused(void **state)
{
    (void)state;
    struct vt_layers_request rq = request();
    struct vt_layers_result *r = NULL;
    struct vt_error err;
    rq.fast = VT_MAX_FAST + 1;
    assert_int_equal(vt_layers(engine, &rq, NULL, &r, &err), VT_ERR_ARG);
    assert_non_null(strstr(err.text, "fast is 4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(previews_show_each_layer_as_it_grows),
        cmocka_unit_test(previews_are_planned),
        cmocka_unit_test(progress_only_goes_on),
        cmocka_unit_test(fast_leaves_passes_out_and_changes_little),
        cmocka_unit_test(fast_takes_what_its_plan_says),
        cmocka_unit_test(a_level_that_there_is_not_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

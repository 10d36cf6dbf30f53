/* compute_test.c - the parameter `compute`: images and layers in int8 stay near those of the default, whatever the
 * number of threads, take what was planned, and leave nothing behind for the next request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cpu/cpu.h"
#include "pipeline/engine_internal.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered"

/* Measured: 58.3 and 53.1 dB. */
static const double KLEIN_LEAST_DB = 48, LAYERED_LEAST_DB = 43;

enum { SIDE = 128 };

static struct vt_engine *open_engine(int threads)
{
    const struct vt_engine_options options = {.device = "cpu", .threads = threads};
    struct vt_engine *g = NULL;
    struct vt_error err;
    assert_int_equal(vt_engine_open(&options, &g, &err), VT_OK);
    return g;
}

static struct vt_request image_request(const char *compute)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = KLEIN;
    rq.prompt = "a red star on a white background";
    rq.width = rq.height = SIDE;
    rq.seed = 1;
    rq.compute = compute;
    return rq;
}

static struct vt_result *generate(struct vt_engine *g, const struct vt_request *rq)
{
    struct vt_result *r = NULL;
    struct vt_error err = {0};
    if (vt_generate(g, rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static size_t bytes_of(const struct vt_image *im)
{
    return (size_t)im->width * (size_t)im->height * (size_t)im->channels;
}

static double psnr(struct vt_image a, struct vt_image b)
{
    double sum = 0;
    size_t n = bytes_of(&a);
    assert_int_equal(n, bytes_of(&b));
    for (size_t i = 0; i < n; i++) {
        double d = (double)a.pixels[i] - (double)b.pixels[i];
        sum += d * d;
    }
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : HUGE_VAL;
}

static void expect_same(const struct vt_result *a, const struct vt_result *b)
{
    assert_true(isinf(psnr(vt_result_image(a, 0), vt_result_image(b, 0))));
}

static void image_is_near_when_int8(void **state)
{
    (void)state;
    struct vt_engine *g = open_engine(1), *two = open_engine(2);
    struct vt_request plain = image_request(NULL), int8 = image_request("int8");
    struct vt_result *before = generate(g, &plain), *r = generate(g, &int8),
                     *of_two = generate(two, &int8), *after = generate(g, &plain);
    double db = psnr(vt_result_image(before, 0), vt_result_image(r, 0));
    print_message("image in int8: %.1f dB\n", db);
    assert_true(db > KLEIN_LEAST_DB);
    assert_int_equal(isinf(db) != 0, !nn_cpu_has_int8());
    expect_same(r, of_two);
    expect_same(before, after);
    vt_result_free(before);
    vt_result_free(r);
    vt_result_free(of_two);
    vt_result_free(after);
    vt_engine_close(g);
    vt_engine_close(two);
}

static void memory_is_as_planned_when_int8(void **state)
{
    (void)state;
    struct vt_engine *g = open_engine(2);
    struct vt_request rq = image_request("int8");
    struct vt_plan plan;
    struct vt_error err;
    assert_int_equal(vt_plan_picture(g, &rq, &plan, &err), VT_OK);
    struct vt_result *r = generate(g, &rq);
    assert_int_equal(vt_result_stats(r)->device_peak_bytes, plan.peak_bytes);
    vt_result_free(r);
    vt_engine_close(g);
}

static struct vt_layers_result *take_apart(struct vt_engine *g, struct vt_image image,
                                           const char *compute)
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
    if (vt_layers(g, &rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

static void layers_are_near_when_int8(void **state)
{
    (void)state;
    struct vt_engine *g = open_engine(2);
    struct vt_request plain = image_request("default");
    struct vt_result *image = generate(g, &plain);
    struct vt_layers_result *a = take_apart(g, vt_result_image(image, 0), "default"),
                            *b = take_apart(g, vt_result_image(image, 0), "int8");
    double db = psnr(vt_layers_composite(a), vt_layers_composite(b));
    print_message("layers in int8: %.1f dB\n", db);
    assert_true(db > LAYERED_LEAST_DB);
    assert_int_equal(isinf(db) != 0, !nn_cpu_has_int8());
    vt_layers_result_free(a);
    vt_layers_result_free(b);
    vt_result_free(image);
    vt_engine_close(g);
}

static void note(const char *text, void *user)
{
    *(bool *)user |= strstr(text, "int8") != NULL;
}

static void words_are_refused_when_unknown(void **state)
{
    (void)state;
    struct vt_engine *g = open_engine(1);
    struct vt_request rq = image_request("int4");
    struct vt_result *r = NULL;
    struct vt_error err = {0};
    bool told = false;
    assert_int_equal(vt_generate(g, &rq, NULL, &r, &err), VT_ERR_ARG);
    assert_non_null(strstr(err.text, "default, int8, fp8 or auto"));
    rq.compute = "int8";
    rq.steps = 1;
    const struct vt_callbacks cb = {.note = note, .user = &told};
    assert_int_equal(vt_generate(g, &rq, &cb, &r, &err), VT_OK);
    assert_int_equal(told, !nn_cpu_has_int8());
    vt_result_free(r);
    vt_engine_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_is_near_when_int8),
        cmocka_unit_test(memory_is_as_planned_when_int8),
        cmocka_unit_test(layers_are_near_when_int8),
        cmocka_unit_test(words_are_refused_when_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

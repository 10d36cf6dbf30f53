/* micro_test.c - the embedded model, end to end: prompts and edits of scenes that it was not trained on, through
 * the public library, against the reference's images, and against what the prompt says.
 *
 * tests/data/micro/klein/manifest.json lists the cases. VT_MICRO_CASES=N runs the first N of each kind, 0 all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "image/composite.h"
#include "image/load.h"
#include "veetance.h"

enum { TOLERANCE = 2, DEFAULT_PROMPTS = 10, DEFAULT_EDITS = 6 };
enum { BACKGROUND_LEVELS = 40 };

static const char folder[] = VT_SOURCE_DIR "/tests/data/micro/klein";
static struct vt_engine *engine;
static yyjson_doc *manifest;

static int set_up(void **state)
{
    const struct vt_engine_options options = {.device = "cpu", .threads = 2};
    char path[1200];
    struct vt_error err;
    struct err e = {0};
    (void)state;
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    if (json_read_file(path, 16u << 20, &manifest, &e) != ERR_OK) {
        print_error("%s\n", e.text);
        return -1;
    }
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    yyjson_doc_free(manifest);
    return 0;
}

static const char *text(yyjson_val *c, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(c, key));
}

static int number(yyjson_val *c, const char *key)
{
    return (int)yyjson_get_sint(yyjson_obj_get(c, key));
}

static struct image load(const char *file)
{
    char path[1200];
    struct image im;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    if (image_load_file(path, NULL, NULL, &im, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return im;
}

/* ---- what an image should show --------------------------------------------------------------------- */

static int distance(const unsigned char *p, yyjson_val *rgb)
{
    int sum = 0;
    for (size_t i = 0; i < 3; i++)
        sum += abs(p[i] - (int)yyjson_get_sint(yyjson_arr_get(rgb, i)));
    return sum;
}

static const unsigned char *pixel(const struct image *im, yyjson_val *at)
{
    int x = (int)yyjson_get_sint(yyjson_arr_get(at, 0));
    int y = (int)yyjson_get_sint(yyjson_arr_get(at, 1));
    assert_true(x >= 0 && x < im->w && y >= 0 && y < im->h);
    return image_row(im, y) + x * im->channels;
}

static bool is_nearest(const unsigned char *p, yyjson_val *palette, const char *color)
{
    size_t idx, max;
    yyjson_val *key, *rgb;
    int own = distance(p, yyjson_obj_get(palette, color));
    yyjson_obj_foreach(palette, idx, max, key, rgb)
    {
        if (distance(p, rgb) < own)
            return false;
    }
    return true;
}

/* Most probes of each object have its colour, most of the background's have the background's. */
static bool shows(const struct image *im, yyjson_val *c)
{
    yyjson_val *palette = yyjson_obj_get(yyjson_doc_get_root(manifest), "palette");
    yyjson_val *expect = yyjson_obj_get(c, "expect"), *object, *probe;
    size_t i, n, k, probes, right = 0, all = 0;
    bool ok = true;
    yyjson_arr_foreach(yyjson_obj_get(expect, "objects"), i, n, object)
    {
        size_t good = 0;
        yyjson_arr_foreach(yyjson_obj_get(object, "probes"), k, probes, probe)
        {
            good += is_nearest(pixel(im, probe), palette, text(object, "color"));
        }
        if (2 * good < probes) {
            print_error("%s: where the %s %s should be it is not\n", text(c, "id"),
                        text(object, "color"), text(object, "shape"));
            ok = false;
        }
    }
    yyjson_arr_foreach(yyjson_obj_get(expect, "background_probes"), k, probes, probe)
    {
        all++;
        right += distance(pixel(im, yyjson_obj_get(probe, "at")), yyjson_obj_get(probe, "rgb")) <
                 3 * BACKGROUND_LEVELS;
    }
    if (2 * right < all) {
        print_error("%s: another background\n", text(c, "id"));
        ok = false;
    }
    return ok;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static bool run_case(yyjson_val *c)
{
    struct vt_request rq = vt_request_defaults();
    struct vt_result *res = NULL;
    struct vt_error err;
    struct err e = {0};
    struct image source = {0}, want = load(text(c, "result"));
    struct image_difference d;
    rq.model = VT_SOURCE_DIR "/models/micro-klein";
    rq.prompt = text(c, "prompt");
    rq.matte = "none"; /* images as the reference prepares them */
    rq.width = number(c, "width");
    rq.height = number(c, "height");
    rq.steps = number(c, "steps");
    rq.seed = number(c, "seed");
    rq.max_tokens = number(c, "max_sequence_length");
    rq.guidance = yyjson_get_num(yyjson_obj_get(c, "guidance"));
    if (text(c, "image")) {
        source = load(text(c, "image"));
        rq.images[rq.image_count++] =
            (struct vt_image){source.w, source.h, source.channels, source.p, 8, NULL};
    }
    enum vt_status st = rq.image_count ? vt_edit(engine, &rq, NULL, &res, &err)
                                       : vt_generate(engine, &rq, NULL, &res, &err);
    if (st != VT_OK)
        fail_msg("%s: %s", text(c, "id"), err.text);
    struct vt_image got = vt_result_image(res, 0);
    struct image view = {.w = got.width,
                         .h = got.height,
                         .channels = got.channels,
                         .stride = (size_t)got.width * (size_t)got.channels,
                         .p = (unsigned char *)(uintptr_t)got.pixels};
    if (image_compare(&want, &view, &d, &e) != ERR_OK)
        fail_msg("%s: %s", text(c, "id"), e.text);
    bool ok = d.max <= TOLERANCE;
    if (!ok)
        print_error("%s: %d levels off at %d, %d (mean %.3f)\n", text(c, "id"), d.max, d.max_x,
                    d.max_y, d.mean);
    if (yyjson_get_bool(yyjson_obj_get(c, "reference_right")))
        ok = shows(&view, c) && ok;
    vt_result_free(res);
    image_free(&source);
    image_free(&want);
    return ok;
}

static void run_kind(bool edits, int most)
{
    yyjson_val *cases = yyjson_obj_get(yyjson_doc_get_root(manifest), "cases"), *c;
    const char *limit = getenv("VT_MICRO_CASES");
    size_t i, n;
    int done = 0, wrong = 0;
    if (limit)
        most = (int)strtol(limit, NULL, 10);
    yyjson_arr_foreach(cases, i, n, c)
    {
        if ((text(c, "image") != NULL) != edits || (most && done == most))
            continue;
        wrong += !run_case(c);
        done++;
    }
    assert_true(done > 0);
    assert_int_equal(wrong, 0);
}

static void images_of_prompts_agree_with_the_reference(void **state)
{
    (void)state;
    run_kind(false, DEFAULT_PROMPTS);
}

static void edits_agree_with_the_reference(void **state)
{
    (void)state;
    run_kind(true, DEFAULT_EDITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_of_prompts_agree_with_the_reference),
        cmocka_unit_test(edits_agree_with_the_reference),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* klein_test.c - whole runs of the klein pipelines against the reference, through the public library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "image/composite.h"
#include "image/load.h"
#include "support/case.h"
#include "support/device.h"
#include "veetance.h"

static struct vt_engine *engine;

static struct image load_image(const struct parity_case *c, const char *file)
{
    char path[1200];
    struct image im;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, file);
    if (image_load_file(path, NULL, NULL, &im, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return im;
}

static struct vt_image view(const struct image *im)
{
    return (struct vt_image){im->w, im->h, im->channels, im->p, 8, NULL};
}

static bool has_input(const struct parity_case *c, const char *name)
{
    return yyjson_obj_get(yyjson_obj_get(c->root, "input_images"), name) != NULL;
}

static const char *input_file(const struct parity_case *c, const char *name)
{
    yyjson_val *v = yyjson_obj_get(yyjson_obj_get(c->root, "input_images"), name);
    return yyjson_get_str(yyjson_obj_get(v, "file"));
}

static void fill_numbers(yyjson_val *args, struct vt_request *rq)
{
    const struct {
        const char *key;
        int *out;
    } ints[] = {{"num_inference_steps", &rq->steps},
                {"max_sequence_length", &rq->max_tokens},
                {"width", &rq->width},
                {"height", &rq->height}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        if (yyjson_obj_get(args, ints[i].key))
            *ints[i].out = (int)yyjson_get_sint(yyjson_obj_get(args, ints[i].key));
    if (yyjson_obj_get(args, "guidance_scale"))
        rq->guidance = yyjson_get_num(yyjson_obj_get(args, "guidance_scale"));
    if (yyjson_obj_get(args, "strength"))
        rq->strength = yyjson_get_num(yyjson_obj_get(args, "strength"));
}

/* The parts of a traced tensor that cases keep to save space, by the ending of their names. */
static const struct part {
    const char *ending;
    size_t first, last; /* so many rows from the start, or from the end */
    size_t every;       /* every so many rows */
    size_t pixels;      /* every so many pixels of [1, 3, h, w] */
} parts[] = {
    {.ending = "_first_24_rows", .first = 24},
    {.ending = "_last_4_rows", .last = 4},
    {.ending = "_every_4th_token", .every = 4},
    {.ending = "_subsampled", .pixels = 8},
};

/* Splits "NAME_ENDING" (name is cut); NULL when the whole tensor is kept. */
static const struct part *part_of(char *name)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *at = strstr(name, parts[i].ending);
        if (at) {
            *at = 0;
            return &parts[i];
        }
    }
    return NULL;
}

/* The values that the part keeps, in order; their count to *n. Caller frees. */
static float *take_part(const struct weights_tensor *t, const struct part *p, size_t *n)
{
    const float *data = (const float *)(const void *)t->data;
    size_t all = t->bytes / 4, row = (size_t)t->dims[t->n_dims - 1], rows = all / row;
    float *out = calloc(all, sizeof *out);
    *n = 0;
    for (size_t r = 0; r < rows; r++) {
        size_t y = p && p->pixels ? r % (size_t)t->dims[2] : r;
        bool keep = !p || (p->first && r < p->first) || (p->last && r + p->last >= rows) ||
                    (p->every && r % p->every == 0) || (p->pixels && y % p->pixels == 0);
        for (size_t x = 0; keep && x < row; x += p && p->pixels ? p->pixels : 1)
            out[(*n)++] = data[r * row + x];
    }
    return out;
}

/* Every expected tensor, whole or as the part that the case keeps. */
static void check_trace(const struct parity_case *c, const char *path)
{
    struct checkpoint *got;
    struct err e = {0};
    if (checkpoint_open(path, &got, &e) != ERR_OK)
        fail_msg("%s", e.text);
    size_t idx, max, n;
    bool ok = true;
    yyjson_val *key, *spec;
    yyjson_obj_foreach(c->expected, idx, max, key, spec)
    {
        char name[128];
        (void)snprintf(name, sizeof name, "%s", yyjson_get_str(key));
        const struct part *part = part_of(name);
        const struct weights_tensor *t = checkpoint_find(got, name);
        if (!t)
            fail_msg("%s: the trace has no '%s'", c->name, name);
        if (t->dtype != DTYPE_F32)
            continue;
        float *values = take_part(t, part, &n);
        ok = parity_check(c, yyjson_get_str(key), values, n) && ok;
        free(values);
    }
    checkpoint_close(got);
    assert_true(ok);
}

/* The image within the case's tolerance; where a mask kept pixels, only if the reference has them too. */
static void check_image(const struct parity_case *c, struct vt_image got, bool masked)
{
    yyjson_val *spec =
        yyjson_obj_get(yyjson_obj_get(yyjson_obj_get(c->root, "expected"), "images"), "out_0");
    if (!spec || masked)
        return;
    struct image want = load_image(c, yyjson_get_str(yyjson_obj_get(spec, "file")));
    struct image have = {.w = got.width,
                         .h = got.height,
                         .channels = got.channels,
                         .stride = (size_t)got.width * (size_t)got.channels,
                         .p = (unsigned char *)(uintptr_t)got.pixels};
    struct image_difference d;
    struct err e = {0};
    if (want.w != have.w) { /* the case keeps every so many pixels */
        image_free(&want);
        return;
    }
    if (image_compare(&want, &have, &d, &e) != ERR_OK)
        fail_msg("%s: %s", c->name, e.text);
    assert_true(d.max <= yyjson_get_sint(yyjson_obj_get(spec, "tol_max_lsb")));
    image_free(&want);
}

static void run_case(const struct parity_case *c)
{
    yyjson_val *args = yyjson_obj_get(c->call, "args");
    struct vt_request rq = vt_request_defaults();
    struct vt_result *res = NULL;
    struct vt_error err;
    struct image images[VT_MAX_IMAGES], mask = {0};
    char trace[] = "/tmp/vt-parity-XXXXXX";
    int fd = mkstemp(trace);
    assert_true(fd >= 0);
    close(fd);
    rq.model = parity_path(yyjson_get_str(yyjson_obj_get(c->call, "model")));
    rq.prompt = yyjson_get_str(yyjson_obj_get(args, "prompt"));
    rq.seed = yyjson_get_sint(yyjson_obj_get(c->call, "seed"));
    rq.trace_path = trace;
    rq.matte = "none"; /* images as the reference prepares them */
    fill_numbers(args, &rq);
    static const char *const names[] = {"image", "reference", "ref0", "ref1", "ref2", "ref3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (has_input(c, names[i])) {
            images[rq.image_count] = load_image(c, input_file(c, names[i]));
            rq.images[rq.image_count] = view(&images[rq.image_count]);
            rq.image_count++;
        }
    if (has_input(c, "mask")) {
        mask = load_image(c, input_file(c, "mask"));
        rq.mask = view(&mask);
    }
    enum vt_status st = rq.image_count ? vt_edit(engine, &rq, NULL, &res, &err)
                                       : vt_generate(engine, &rq, NULL, &res, &err);
    if (st != VT_OK)
        fail_msg("%s: %s", c->name, err.text);
    check_trace(c, trace);
    check_image(c, vt_result_image(res, 0), mask.p != NULL);
    vt_result_free(res);
    for (int i = 0; i < rq.image_count; i++)
        image_free(&images[i]);
    image_free(&mask);
    unlink(trace);
}

/* Several images from one draw of noise are not what `count` means here (seeds S, S + 1, ...). */
static bool one_draw_for_several(const struct parity_case *c)
{
    return yyjson_obj_get(yyjson_obj_get(c->call, "args"), "num_images_per_prompt") != NULL;
}

static void run_unless_one_draw(const struct parity_case *c)
{
    if (!one_draw_for_several(c))
        run_case(c);
}

static void runs_agree_with_the_reference(void **state)
{
    (void)state;
    size_t n = parity_run_kind("klein", run_unless_one_draw);
    n += parity_run_kind("klein_inpaint", run_unless_one_draw);
    assert_true(n > 0 || getenv("VT_PARITY_ONLY"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_agree_with_the_reference)};
    struct vt_engine_options opt = {.device = getenv("VT_TEST_DEVICE")};
    struct vt_error err;
    if (opt.device && !parity_device_works(opt.device))
        return 77;
    if (!opt.device)
        opt.device = "cpu";
    if (vt_engine_open(&opt, &engine, &err) != VT_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    vt_engine_close(engine);
    return rc;
}

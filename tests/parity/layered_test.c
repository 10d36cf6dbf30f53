/* layered_test.c - whole runs of the layered pipeline against the reference, over all cases that the root holds:
 * every tensor on the way, and the layers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/composite.h"
#include "image/load.h"
#include "pipeline/layered/layered.h"
#include "pipeline/layered/stack.h"
#include "support/case.h"

static struct nn_device *device;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

static struct image load_image(const struct parity_case *c, const char *file)
{
    char path[1200];
    struct image im;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, file);
    must(image_load_file(path, NULL, NULL, &im, &e), &e);
    return im;
}

/* ---- request ----------------------------------------------------------------------------------------- */

/* The cases that work below 640 pixels squared say so as an area. */
static int resolution_of(const struct parity_case *c, yyjson_val *args)
{
    int64_t area = yyjson_get_sint(yyjson_obj_get(c->call, "target_area"));
    for (int n = LAYERED_SIDE_UNIT; area && n <= LAYERED_MAX_RESOLUTION; n += LAYERED_SIDE_UNIT)
        if ((int64_t)n * n == area)
            return n;
    return area ? -1 : (int)yyjson_get_sint(yyjson_obj_get(args, "resolution"));
}

static struct layered_request read_request(const struct parity_case *c)
{
    yyjson_val *args = yyjson_obj_get(c->call, "args");
    const char *negative = yyjson_get_str(yyjson_obj_get(args, "negative_prompt"));
    const char *prompt = yyjson_get_str(yyjson_obj_get(args, "prompt"));
    return (struct layered_request){
        .prompt = str_from(prompt ? prompt : ""),
        .language =
            yyjson_get_bool(yyjson_obj_get(args, "use_en_prompt")) ? CHAT_ENGLISH : CHAT_CHINESE,
        .negative = str_from(negative ? negative : ""),
        .guided = negative != NULL,
        .guidance = yyjson_get_num(yyjson_obj_get(args, "true_cfg_scale")),
        .cfg_normalize = yyjson_get_bool(yyjson_obj_get(args, "cfg_normalize")),
        .layers = (int)yyjson_get_sint(yyjson_obj_get(args, "layers")),
        .steps = (int)yyjson_get_sint(yyjson_obj_get(args, "num_inference_steps")),
        .max_tokens = 512,
        .resolution = resolution_of(c, args),
        .seed = (uint64_t)yyjson_get_sint(yyjson_obj_get(c->call, "seed")),
    };
}

/* ---- comparing --------------------------------------------------------------------------------------- */

/* Picks every n-th of `rows` rows; returns how many. In place. */
static size_t every_nth_row(float *x, size_t rows, size_t row, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows; i += n, kept++)
        memmove(x + kept * row, x + i * row, row * sizeof *x);
    return kept;
}

/* Every n-th pixel of planes of h x w, both ways. In place; returns how many are left. */
static size_t every_nth_pixel(float *x, size_t planes, size_t h, size_t w, size_t n)
{
    size_t kept = 0;
    for (size_t p = 0; p < planes; p++)
        for (size_t y = 0; y < h; y += n)
            for (size_t col = 0; col < w; col += n)
                x[kept++] = x[(p * h + y) * w + col];
    return kept;
}

static size_t last_dim(const struct parity_case *c, const char *name)
{
    const struct weights_tensor *t = checkpoint_find(c->golden, name);
    return (size_t)t->dims[t->n_dims - 1];
}

/* The traced tensor that the case keeps under this name, cut down as the case cut it. */
static float *traced(const struct parity_case *c, const char *name, const struct trace *trace,
                     const struct layered_result *r, size_t *n)
{
    static const char *const endings[] = {"_every_4th_token", "_first_24_rows", "_last_4_rows",
                                          "_subsampled"};
    char plain[128];
    int64_t count;
    int how = -1;
    (void)snprintf(plain, sizeof plain, "%s", name);
    for (int i = 0; i < 4; i++) {
        char *at = strstr(plain, endings[i]);
        if (at) {
            *at = 0;
            how = i;
        }
    }
    const float *data = trace_find_f32(trace, plain, &count);
    if (!data)
        fail_msg("%s: the trace has no '%s'", c->name, plain);
    size_t row = last_dim(c, name), rows = (size_t)count / row;
    float *x = calloc((size_t)count, sizeof *x);
    memcpy(x, data, (size_t)count * sizeof *x);
    *n = (size_t)count;
    if (how == 0)
        *n = row * every_nth_row(x, rows, row, 4);
    if (how == 1)
        *n = 24 * row;
    if (how == 2) {
        *n = 4 * row;
        memmove(x, x + (rows - 4) * row, *n * sizeof *x);
    }
    if (how == 3)
        *n = every_nth_pixel(x, 4 * (size_t)r->layers, (size_t)r->h, (size_t)r->w,
                             yyjson_get_uint(yyjson_obj_get(c->call, "subsample")));
    return x;
}

static void check_tensors(const struct parity_case *c, const struct trace *trace,
                          const struct layered_result *r)
{
    size_t idx, max, n;
    yyjson_val *key, *spec;
    bool ok = true;
    yyjson_obj_foreach(c->expected, idx, max, key, spec)
    {
        const char *name = yyjson_get_str(key);
        if (strncmp(name, "caption_", strlen("caption_")) == 0)
            continue; /* ids: the words that they make are compared */
        float *x = traced(c, name, trace, r, &n);
        ok = parity_check(c, name, x, n) && ok;
        free(x);
    }
    assert_true(ok);
}

/* The automatic caption, where the case has one. */
static void check_caption(const struct parity_case *c, const struct layered_result *r)
{
    char path[1200];
    struct err e = {0};
    yyjson_doc *doc;
    if (!yyjson_obj_get(yyjson_obj_get(c->root, "expected"), "json")) {
        assert_int_equal(r->caption.n, 0);
        return;
    }
    (void)snprintf(path, sizeof path, "%s/expected.json", c->dir);
    must(json_read_file(path, 1 << 20, &doc, &e), &e);
    const char *want = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "caption"));
    assert_int_equal(r->caption.n, strlen(want));
    assert_memory_equal(r->caption.p, want, r->caption.n);
    yyjson_doc_free(doc);
}

static void check_layer(const struct parity_case *c, int i, const struct layered_result *r)
{
    char name[32];
    struct err e = {0};
    struct image got, want;
    struct image_difference d;
    (void)snprintf(name, sizeof name, "layer_%d", i);
    yyjson_val *images = yyjson_obj_get(yyjson_obj_get(c->root, "expected"), "images");
    yyjson_val *spec = yyjson_obj_get(images, name);
    int step = (int)yyjson_get_sint(yyjson_obj_get(c->call, "subsample"));
    must(layered_to_image(r->planes + (size_t)i * 4 * (size_t)r->w * (size_t)r->h, r->w, r->h, &got,
                          &e),
         &e);
    want = load_image(c, yyjson_get_str(yyjson_obj_get(spec, "file")));
    if (step > 1) { /* every step-th pixel */
        for (int y = 0; y < want.h; y++)
            for (int x = 0; x < want.w; x++)
                memmove(image_row(&got, y) + 4 * x, image_row(&got, y * step) + 4 * x * step, 4);
        got.w = want.w;
        got.h = want.h;
    }
    must(image_compare(&want, &got, &d, &e), &e);
    assert_true(d.max <= yyjson_get_sint(yyjson_obj_get(spec, "tol_max_lsb")));
    image_free(&got);
    image_free(&want);
}

/* ---- a case ------------------------------------------------------------------------------------------ */

struct model {
    struct model_dir *dir;
    struct layered *l;
};

static struct model open_model(const struct parity_case *c)
{
    struct err e = {0};
    struct model m = {.dir = mem_alloc(sizeof *m.dir)};
    const char *path = parity_path(yyjson_get_str(yyjson_obj_get(c->call, "model")));
    must(model_dir_open(path, m.dir, &e), &e);
    must(layered_open(m.dir, devices_all(device), NULL, &m.l, &e), &e);
    return m;
}

static void close_model(struct model *m)
{
    layered_free(m->l);
    mem_free(m->dir);
}

static void run_case(const struct parity_case *c)
{
    struct err e = {0};
    struct trace *trace;
    struct layered_result r;
    struct vt_stats stats = {0};
    struct model m = open_model(c);
    struct image image = load_image(c, "image.png");
    struct layered_request rq = read_request(c);
    rq.image = &image;
    must(trace_new(&trace, &e), &e);
    struct layered_run run = {.trace = trace, .stats = &stats};
    must(layered_decompose(m.l, &rq, &run, &r, &e), &e);
    check_tensors(c, trace, &r);
    check_caption(c, &r);
    for (int i = 0; i < r.layers; i++)
        check_layer(c, i, &r);
    layered_result_free(&r);
    trace_free(trace);
    image_free(&image);
    close_model(&m);
}

static void layers_agree_with_the_reference(void **state)
{
    (void)state;
    assert_true(parity_run_kind("layered", run_case) > 0 || getenv("VT_PARITY_ONLY"));
}

/* ---- what the reference has no case for -------------------------------------------------------------- */

static struct parity_case small_case(void)
{
    struct parity_case c;
    assert_true(parity_case_open("layered-b-rgba-3", &c));
    return c;
}

static void run_variant(struct model *m, const struct layered_request *rq,
                        struct layered_result *out)
{
    struct err e = {0};
    struct vt_stats stats = {0};
    struct layered_run run = {.stats = &stats};
    must(layered_decompose(m->l, rq, &run, out, &e), &e);
}

static void modulation_in_place_gives_the_same_layers(void **state)
{
    (void)state;
    struct parity_case c = small_case();
    struct model m = open_model(&c);
    struct image image = load_image(&c, "image.png");
    struct layered_request rq = read_request(&c);
    struct layered_result a, b;
    rq.image = &image;
    run_variant(&m, &rq, &a);
    rq.in_place_modulation = true;
    run_variant(&m, &rq, &b);
    size_t n = (size_t)a.layers * 4 * (size_t)a.w * (size_t)a.h;
    assert_true(a.table_bytes > 0 && b.table_bytes == 0);
    assert_memory_equal(a.planes, b.planes, n * sizeof *a.planes);
    layered_result_free(&a);
    layered_result_free(&b);
    image_free(&image);
    close_model(&m);
    parity_case_close(&c);
}

static void bad_requests_are_refused_with_reasons(void **state)
{
    (void)state;
    struct parity_case c = small_case();
    struct model m = open_model(&c);
    struct image strip, empty = {0};
    struct layered_request good = read_request(&c);
    struct layered_result r;
    struct vt_stats stats = {0};
    struct layered_run run = {.stats = &stats};
    struct err e = {0};
    must(image_new(&strip, 1, 4000, 4, &e), &e);
    struct layered_request bad[5];
    for (size_t i = 0; i < 5; i++) {
        bad[i] = good;
        bad[i].image = &strip;
    }
    bad[1].layers = 0;
    bad[2].layers = LAYERED_MAX_LAYERS + 1;
    bad[3].resolution = 100;
    bad[4].image = &empty;
    const char *const reasons[] = {"too narrow", "0 layers", "11 layers", "resolution is 100",
                                   "no pixels"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(layered_decompose(m.l, &bad[i], &run, &r, &e), ERR_ARG);
        assert_non_null(strstr(e.text, reasons[i]));
        assert_null(r.planes);
    }
    image_free(&strip);
    close_model(&m);
    parity_case_close(&c);
}

struct stop {
    atomic_bool cancel;
    int step;
};

static void stop_after_a_step(const struct vt_progress *p, void *user)
{
    struct stop *s = user;
    if (p->stage == VT_STAGE_STEPS && p->step == 1) {
        atomic_store(&s->cancel, true);
        s->step++;
    }
    if (p->stage == VT_STAGE_DECODE)
        s->step = 100;
}

static void a_run_stops_when_cancelled(void **state)
{
    (void)state;
    struct parity_case c = small_case();
    struct model m = open_model(&c);
    struct image image = load_image(&c, "image.png");
    struct layered_request rq = read_request(&c);
    struct layered_result r;
    struct stop stop = {.step = 0};
    struct vt_stats stats = {0};
    struct vt_callbacks callbacks = {.progress = stop_after_a_step, .user = &stop};
    struct layered_run run = {.cancel = &stop.cancel, .callbacks = &callbacks, .stats = &stats};
    struct err e = {0};
    rq.image = &image;
    assert_int_equal(layered_decompose(m.l, &rq, &run, &r, &e), ERR_CANCELLED);
    assert_int_equal(stop.step, 1);
    assert_null(r.planes);
    image_free(&image);
    close_model(&m);
    parity_case_close(&c);
}

/* ---- stacks ------------------------------------------------------------------------------------------ */

enum { SIDE = 32 };

static void fill(float *planes, const float rgba[4], int left, int right)
{
    for (int c = 0; c < 4; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = left; x < right; x++)
                planes[(c * SIDE + y) * SIDE + x] = rgba[c];
}

/* Blue everywhere, then nothing, then red on the left half; the frame is what that makes. */
static struct layered_result flat_result(void)
{
    static const float blue[4] = {-1, -1, 1, 1}, red[4] = {1, -1, -1, 1}, none[4] = {1, 1, 1, -1};
    struct err e = {0};
    struct layered_result r = {.w = SIDE, .h = SIDE, .layers = 3};
    size_t plane = (size_t)4 * SIDE * SIDE;
    r.planes = mem_try_array(3 * plane, sizeof *r.planes);
    r.frame = mem_try_array(plane, sizeof *r.frame);
    fill(r.planes, blue, 0, SIDE);
    fill(r.planes + plane, none, 0, SIDE);
    fill(r.planes + 2 * plane, none, 0, SIDE);
    fill(r.planes + 2 * plane, red, 0, SIDE / 2);
    fill(r.frame, blue, 0, SIDE);
    fill(r.frame, red, 0, SIDE / 2);
    must(layered_to_image(r.frame, SIDE, SIDE, &r.image, &e), &e);
    return r;
}

static void empty_layers_go_and_the_rest_adds_up(void **state)
{
    (void)state;
    struct err e = {0};
    struct layered_stack s;
    struct layered_result r = flat_result();
    struct layered_stack_options o = {.source = &r.image};
    must(layered_stack_make(&r, &o, &s, &e), &e);
    assert_int_equal(s.dropped, 1);
    assert_int_equal(s.stack.n, 2);
    assert_true(isinf(s.source.psnr_db) && isinf(s.frame.psnr_db));
    assert_string_equal(s.stack.layers[0].name, "background");
    assert_memory_equal(image_row(&s.composite, 3), image_row(&r.image, 3), 4 * SIDE);
    layered_stack_deinit(&s);
    o.keep_empty = true;
    must(layered_stack_make(&r, &o, &s, &e), &e);
    assert_int_equal(s.stack.n, 3);
    layered_stack_deinit(&s);
    layered_result_free(&r);
}

static void full_size_brings_layers_to_the_source(void **state)
{
    (void)state;
    struct err e = {0};
    struct layered_stack s;
    struct image source;
    struct layered_result r = flat_result();
    must(image_new(&source, 3 * SIDE, 2 * SIDE, 3, &e), &e);
    image_fill(&source, (const unsigned char[]){0, 0, 255});
    for (int y = 0; y < source.h; y++)
        for (int x = 0; x < source.w / 2; x++)
            memcpy(image_row(&source, y) + 3 * x, (const unsigned char[]){255, 0, 0}, 3);
    struct layered_stack_options o = {.source = &source, .full_size = true};
    must(layered_stack_make(&r, &o, &s, &e), &e);
    assert_int_equal(s.stack.w, source.w);
    assert_int_equal(s.composite.h, source.h);
    assert_true(s.source.psnr_db > 25); /* the soft edge in the middle is the model's */
    layered_stack_deinit(&s);
    image_free(&source);
    layered_result_free(&r);
}

int main(void)
{
    struct err e = {0};
    const char *want = getenv("VT_TEST_DEVICE");
    if (nn_device_open(want ? want : "cpu", 2, &device, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_agree_with_the_reference),
        cmocka_unit_test(modulation_in_place_gives_the_same_layers),
        cmocka_unit_test(bad_requests_are_refused_with_reasons),
        cmocka_unit_test(a_run_stops_when_cancelled),
        cmocka_unit_test(empty_layers_go_and_the_rest_adds_up),
        cmocka_unit_test(full_size_brings_layers_to_the_source),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    nn_device_close(device);
    return rc;
}

/* micro_layered_test.c - the layered model that comes with the program, on held-out scenes whose true layers are
 * known: what it takes apart must be right, not only equal to the reference. The thresholds lie a little under
 * what its card says (models/micro-layered/MODEL_CARD.md). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "image/composite.h"
#include "image/load.h"
#include "pipeline/layered/layered.h"
#include "pipeline/layered/stack.h"

#define MODEL VT_SOURCE_DIR "/models/micro-layered"
#define SCENES VT_SOURCE_DIR "/tests/data/micro/layered"

/* The first scenes also have the reference's own layers. */
enum { N_SCENES = 6 };

static const double MIN_MEAN_IOU = 0.88, MIN_IOU = 0.70; /* measured: 0.936, 0.839 */
static const double MIN_MEAN_PSNR = 30, MIN_PSNR = 26;   /* composite; measured: 33.3, 29.7 */
static const double MIN_REFERENCE_PSNR = 60; /* a layer against the reference's; measured: 91.9 */
static const double MIN_Q5_0_PSNR =
    36; /* a composite against that of the full weights; measured: 41.7 */

static struct nn_device *device;
static yyjson_doc *manifest;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

static struct image load_scene(yyjson_val *file)
{
    char path[1200];
    struct image any, rgba;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", SCENES, yyjson_get_str(file));
    must(image_load_file(path, NULL, NULL, &any, &e), &e);
    must(image_convert(&any, 4, &rgba, &e), &e);
    image_free(&any);
    return rgba;
}

static yyjson_val *scene(size_t i)
{
    return yyjson_arr_get(yyjson_obj_get(yyjson_doc_get_root(manifest), "cases"), i);
}

/* ---- taking apart -------------------------------------------------------------------------------------- */

struct model {
    struct model_dir *dir;
    struct layered *l;
};

static struct model open_model(const char *path)
{
    struct err e = {0};
    struct model m = {.dir = mem_alloc(sizeof *m.dir)};
    must(model_dir_open(path, m.dir, &e), &e);
    must(layered_open(m.dir, devices_all(device), NULL, &m.l, &e), &e);
    return m;
}

static void close_model(struct model *m)
{
    layered_free(m->l);
    mem_free(m->dir);
}

static struct layered_stack take_apart(const struct model *m, yyjson_val *c)
{
    struct err e = {0};
    struct vt_stats stats = {0};
    struct layered_result r;
    struct layered_stack made;
    struct image source = load_scene(yyjson_obj_get(c, "image"));
    struct layered_request rq = {
        .image = &source,
        .prompt = str_from(yyjson_get_str(yyjson_obj_get(c, "prompt"))),
        .guidance = yyjson_get_num(yyjson_obj_get(c, "cfg")),
        .layers = (int)yyjson_get_sint(yyjson_obj_get(c, "layers")),
        .steps = (int)yyjson_get_sint(yyjson_obj_get(c, "steps")),
        .max_tokens = 512,
        .resolution = (int)yyjson_get_sint(yyjson_obj_get(c, "resolution")),
        .seed = yyjson_get_uint(yyjson_obj_get(c, "seed")),
    };
    struct layered_run run = {.stats = &stats};
    struct layered_stack_options options = {.source = &source, .keep_empty = true};
    must(layered_decompose(m->l, &rq, &run, &r, &e), &e);
    must(layered_stack_make(&r, &options, &made, &e), &e);
    layered_result_free(&r);
    image_free(&source);
    return made;
}

/* ---- judging ------------------------------------------------------------------------------------------- */

static double alpha_iou(const struct image *a, const struct image *b)
{
    size_t both = 0, any = 0;
    assert_true(a->w == b->w && a->h == b->h);
    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++) {
            bool in_a = image_row(a, y)[4 * x + 3] > 127, in_b = image_row(b, y)[4 * x + 3] > 127;
            both += in_a && in_b;
            any += in_a || in_b;
        }
    return any ? (double)both / (double)any : 1;
}

/* Colours count by their alpha: what is transparent has none. */
static double premultiplied_psnr(const struct image *a, const struct image *b)
{
    double sum = 0;
    assert_true(a->w == b->w && a->h == b->h);
    for (int y = 0; y < a->h; y++) {
        const unsigned char *p = image_row(a, y), *q = image_row(b, y);
        for (int x = 0; x < a->w; x++, p += 4, q += 4)
            for (int c = 0; c < 4; c++) {
                double u = c < 3 ? p[c] * p[3] / 255.0 : p[3],
                       v = c < 3 ? q[c] * q[3] / 255.0 : q[3];
                sum += (u - v) * (u - v);
            }
    }
    return sum > 0 ? 10 * log10(255.0 * 255.0 * 4 * a->w * a->h / sum) : (double)INFINITY;
}

struct verdict {
    double iou_sum, iou_min, psnr_sum, psnr_min, reference_min;
    size_t shapes;
};

static void judge(yyjson_val *c, const struct layered_stack *made, struct verdict *v)
{
    yyjson_val *truth = yyjson_obj_get(c, "true_layers"), *reference = yyjson_obj_get(c, "result");
    for (size_t k = 0; k < made->stack.n; k++) {
        struct image t = load_scene(yyjson_arr_get(truth, k));
        struct image r = load_scene(yyjson_arr_get(reference, k));
        const struct image *got = &made->stack.layers[k].image;
        double same = premultiplied_psnr(got, &r);
        if (k > 0) {
            double iou = alpha_iou(got, &t);
            v->iou_sum += iou;
            v->iou_min = fmin(v->iou_min, iou);
            v->shapes++;
        }
        v->reference_min = fmin(v->reference_min, same);
        image_free(&t);
        image_free(&r);
    }
    v->psnr_sum += made->source.psnr_db;
    v->psnr_min = fmin(v->psnr_min, made->source.psnr_db);
}

static void scenes_come_apart_into_their_true_layers(void **state)
{
    (void)state;
    struct model m = open_model(MODEL);
    struct verdict v = {.iou_min = 1, .psnr_min = 999, .reference_min = 999};
    for (size_t i = 0; i < N_SCENES; i++) {
        struct layered_stack made = take_apart(&m, scene(i));
        judge(scene(i), &made, &v);
        layered_stack_deinit(&made);
    }
    close_model(&m);
    print_message("alpha IoU mean %.3f, least %.3f; composite PSNR mean %.2f dB, least %.2f dB; "
                  "layers against the reference's: least %.2f dB\n",
                  v.iou_sum / (double)v.shapes, v.iou_min, v.psnr_sum / N_SCENES, v.psnr_min,
                  v.reference_min);
    assert_true(v.iou_sum / (double)v.shapes >= MIN_MEAN_IOU && v.iou_min >= MIN_IOU);
    assert_true(v.psnr_sum / N_SCENES >= MIN_MEAN_PSNR && v.psnr_min >= MIN_PSNR);
    assert_true(v.reference_min >= MIN_REFERENCE_PSNR);
}

/* ---- Q5_0 ---------------------------------------------------------------------------------------------- */

/* A folder whose veetance.json takes the transformer from the GGUF file and all else from MODEL. */
static void write_q5_0_model(const char *dir)
{
    char path[1200], text[2400];
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/veetance.json", dir);
    (void)snprintf(text, sizeof text,
                   "{\"pipeline\":\"layered\",\"base\":\"%s\","
                   "\"components\":{\"transformer\":\"%s/transformer-Q5_0.gguf\"}}",
                   MODEL, MODEL);
    must(file_write_atomic(path, text, strlen(text), &e), &e);
}

static void quantised_weights_give_nearly_the_same_layers(void **state)
{
    (void)state;
    struct err e = {0};
    char dir[] = "/tmp/veetance-q5.XXXXXX", path[1200];
    struct image_difference d;
    assert_non_null(mkdtemp(dir));
    write_q5_0_model(dir);
    struct model full = open_model(MODEL), q5 = open_model(dir);
    struct layered_stack a = take_apart(&full, scene(0)), b = take_apart(&q5, scene(0));
    must(image_compare(&a.composite, &b.composite, &d, &e), &e);
    print_message("Q5_0 against bfloat16: composite %.2f dB\n", d.psnr_db);
    assert_true(d.psnr_db >= MIN_Q5_0_PSNR);
    for (size_t k = 1; k < a.stack.n; k++)
        assert_true(alpha_iou(&a.stack.layers[k].image, &b.stack.layers[k].image) >= 0.9);
    layered_stack_deinit(&a);
    layered_stack_deinit(&b);
    close_model(&full);
    close_model(&q5);
    (void)snprintf(path, sizeof path, "%s/veetance.json", dir);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    struct err e = {0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes_come_apart_into_their_true_layers),
        cmocka_unit_test(quantised_weights_give_nearly_the_same_layers),
    };
    if (nn_device_open("cpu", 0, &device, &e) != ERR_OK ||
        json_read_file(SCENES "/manifest.json", 1 << 22, &manifest, &e) != ERR_OK) {
        print_error("%s\n", e.text);
        return 1;
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    yyjson_doc_free(manifest);
    nn_device_close(device);
    return rc;
}

/* qwen_image_test.c - the Qwen-Image transformer and VAE against the reference, over all cases that the root
 * holds; and modulation tables against modulation in place, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "image/load.h"
#include "model/qwen_image/transformer.h"
#include "model/qwen_image/vae.h"
#include "support/case.h"
#include "support/device.h"

static struct nn_device *device;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

static const char *call_str(const struct parity_case *c, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(c->call, key));
}

static yyjson_doc *read_config(const struct parity_case *c, const char *part)
{
    char path[1400];
    struct err e = {0};
    yyjson_doc *doc = NULL;
    (void)snprintf(path, sizeof path, "%s/%s/config.json", parity_path(call_str(c, "model")), part);
    must(json_read_file(path, 1 << 20, &doc, &e), &e);
    return doc;
}

static struct component *open_component(const struct parity_case *c, const char *part,
                                        enum component_kind kind)
{
    char path[1400];
    struct err e = {0};
    struct component *comp;
    const char *gguf = call_str(c, "gguf");
    if (gguf)
        (void)snprintf(path, sizeof path, "%s", parity_path(gguf));
    else
        (void)snprintf(path, sizeof path, "%s/%s", parity_path(call_str(c, "model")), part);
    must(component_open(path, kind, &comp, &e), &e);
    return comp;
}

/* ---- transformer --------------------------------------------------------------------------------------- */

struct model {
    struct component *comp;
    struct qwen_image_config cfg;
    struct qwen_image_transformer *m;
};

static struct model open_transformer(const struct parity_case *c, enum nn_precision precision)
{
    struct err e = {0};
    struct model o = {.comp = open_component(c, "transformer", COMPONENT_QWEN_IMAGE_TRANSFORMER)};
    yyjson_doc *doc = read_config(c, "transformer");
    must(qwen_image_config_read(yyjson_doc_get_root(doc), c->name, o.comp, &o.cfg, &e), &e);
    must(qwen_image_transformer_new(o.comp, device, precision, &o.cfg, &o.m, &e), &e);
    must(nn_params_engage(qwen_image_transformer_params(o.m), &e), &e);
    yyjson_doc_free(doc);
    return o;
}

static void close_transformer(struct model *o)
{
    qwen_image_transformer_free(o->m);
    component_close(o->comp);
}

static void check_mids(const struct parity_case *c, const struct nn_graph *g)
{
    for (size_t i = 0; i < g->n_mids; i++) {
        size_t n = (size_t)ggml_nelements(g->mids[i].t);
        float *f = calloc(n, sizeof *f);
        nn_graph_get(g, g->mids[i].t, f);
        assert_true(parity_check(c, g->mids[i].name, f, n));
        free(f);
    }
}

static struct qwen_image_layout read_layout(const struct parity_case *c, int64_t n_text)
{
    yyjson_val *shapes = yyjson_obj_get(c->call, "img_shapes");
    size_t n = yyjson_arr_size(shapes);
    yyjson_val *first = yyjson_arr_get(shapes, 0), *last = yyjson_arr_get(shapes, n - 1);
    return (struct qwen_image_layout){
        .n_text = n_text,
        .frames = (int64_t)n - 1,
        .rows = yyjson_get_sint(yyjson_arr_get(first, 1)),
        .cols = yyjson_get_sint(yyjson_arr_get(first, 2)),
        .cond_rows = yyjson_get_sint(yyjson_arr_get(last, 1)),
        .cond_cols = yyjson_get_sint(yyjson_arr_get(last, 2)),
    };
}

/* The reference's tables are (cos, sin) a (token, pair), text and image apart. */
static void check_rope(const struct parity_case *c, const struct model *o,
                       const struct qwen_image_layout *l)
{
    int64_t half = o->cfg.head_dim / 2, n = l->n_text + qwen_image_tokens(l);
    float *cos = calloc((size_t)(n * half), sizeof *cos), *sin = calloc((size_t)(n * half), 4);
    float *pairs = calloc((size_t)(2 * n * half), sizeof *pairs);
    qwen_image_rope_tables(&o->cfg, l, cos, sin);
    for (int64_t i = 0; i < n * half; i++) {
        pairs[2 * i] = cos[i];
        pairs[2 * i + 1] = sin[i];
    }
    size_t text = (size_t)(2 * l->n_text * half);
    assert_true(parity_check(c, "mid.rope_txt", pairs, text));
    assert_true(parity_check(c, "mid.rope_img", pairs + text, (size_t)(2 * n * half) - text));
    free(cos);
    free(sin);
    free(pairs);
}

struct inputs {
    float *x, *text, *time, *cond, *mask;
    size_t n_x, n_text, batch;
};

static struct inputs read_inputs(const struct parity_case *c)
{
    struct inputs in;
    size_t n;
    in.x = parity_input(c, "hidden_states", &in.n_x);
    in.text = parity_input(c, "encoder_hidden_states", &in.n_text);
    in.time = parity_input(c, "timestep", &in.batch);
    in.cond = parity_input(c, "additional_t_cond", &n);
    in.mask = parity_input(c, "encoder_hidden_states_mask", &n);
    return in;
}

static void free_inputs(struct inputs *in)
{
    free(in->x);
    free(in->text);
    free(in->time);
    free(in->cond);
    free(in->mask);
}

/* One sample of a batch; text that a mask hides (padding on the right) is left away instead. */
static void run_sample(const struct parity_case *c, struct model *o, const struct inputs *in,
                       size_t b, float *out)
{
    struct err e = {0};
    struct qwen_image_tables *tables;
    struct qwen_image_pass *p;
    size_t rows = in->n_text / in->batch / (size_t)o->cfg.joint_dim, n_text = rows;
    while (in->mask && n_text > 0 && in->mask[b * rows + n_text - 1] == 0)
        n_text--;
    struct qwen_image_layout l = read_layout(c, (int64_t)n_text);
    assert_int_equal(in->n_x / in->batch, qwen_image_tokens(&l) * o->cfg.in_channels);
    must(qwen_image_tables_build(o->m, &in->time[b], 1, (int64_t)in->cond[b], NULL, &tables, &e),
         &e);
    struct qwen_image_pass_options options = {.tables = tables, .trace = in->batch == 1};
    must(qwen_image_pass_new(o->m, &l, &options, &p, &e), &e);
    must(qwen_image_pass_run(p, in->x + b * (in->n_x / in->batch),
                             in->text + b * (in->n_text / in->batch), in->time[b], out, NULL, &e),
         &e);
    if (in->batch == 1) {
        check_rope(c, o, &l);
        check_mids(c, qwen_image_pass_graph(p));
    }
    assert_null(nn_graph_first_bad_mid(qwen_image_pass_graph(p)));
    qwen_image_pass_free(p);
    qwen_image_tables_free(tables);
}

static void run_transformer(const struct parity_case *c)
{
    struct model o = open_transformer(c, parity_precision());
    struct inputs in = read_inputs(c);
    float *out = calloc(in.n_x, sizeof *out);
    for (size_t b = 0; b < in.batch; b++)
        run_sample(c, &o, &in, b, out + b * (in.n_x / in.batch));
    assert_true(parity_check(c, "output", out, in.n_x));
    free(out);
    free_inputs(&in);
    close_transformer(&o);
}

/* ---- modulation tables --------------------------------------------------------------------------------- */

static void tables_are_bit_equal_to_evaluation_in_place(void **state)
{
    (void)state;
    struct parity_case c;
    struct err e = {0};
    static const float times[] = {1.0f, 0.4f, 0.0625f};
    struct qwen_image_tables *tables;
    struct qwen_image_pass *with, *in_place;
    assert_true(parity_case_open("qwen-transformer-3-layered-b", &c));
    struct model o = open_transformer(&c, NN_PRECISION_STORED);
    struct inputs in = read_inputs(&c);
    int64_t n_text = (int64_t)in.n_text / o.cfg.joint_dim;
    struct qwen_image_layout l = read_layout(&c, n_text);
    must(qwen_image_tables_build(o.m, times, 3, 0, NULL, &tables, &e), &e);
    assert_int_equal(qwen_image_tables_bytes(tables), 3 * 12 * o.cfg.n_blocks * o.cfg.dim * 4);
    must(qwen_image_pass_new(o.m, &l, &(struct qwen_image_pass_options){.tables = tables}, &with,
                             &e),
         &e);
    for (int64_t i = 0; i < o.cfg.n_blocks; i++) {
        assert_false(nn_params_engaged(qwen_image_modulation_params(o.m, i)));
        must(nn_params_engage(qwen_image_modulation_params(o.m, i), &e), &e);
    }
    must(qwen_image_pass_new(o.m, &l, &(struct qwen_image_pass_options){0}, &in_place, &e), &e);
    float *a = calloc(in.n_x, sizeof *a), *b = calloc(in.n_x, sizeof *b);
    for (int i = 0; i < 3; i++) {
        must(qwen_image_pass_run(with, in.x, in.text, times[i], a, NULL, &e), &e);
        must(qwen_image_pass_run(in_place, in.x, in.text, times[i], b, NULL, &e), &e);
        assert_memory_equal(a, b, in.n_x * sizeof *a);
    }
    assert_int_equal(qwen_image_pass_run(with, in.x, in.text, 0.5f, a, NULL, &e), ERR_INTERNAL);
    free(a);
    free(b);
    qwen_image_pass_free(with);
    qwen_image_pass_free(in_place);
    qwen_image_tables_free(tables);
    free_inputs(&in);
    close_transformer(&o);
    parity_case_close(&c);
}

/* ---- VAE ------------------------------------------------------------------------------------------------ */

static void check_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                      void *user)
{
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    assert_true(parity_check(user, name, data, n));
}

static struct qwen_image_vae *open_vae(const struct parity_case *c, struct component **comp)
{
    struct err e = {0};
    struct qwen_image_vae_config cfg;
    struct qwen_image_vae *v;
    yyjson_doc *doc = read_config(c, "vae");
    *comp = open_component(c, "vae", COMPONENT_QWEN_IMAGE_VAE);
    must(qwen_image_vae_config_read(yyjson_doc_get_root(doc), c->name, *comp, &cfg, &e), &e);
    must(qwen_image_vae_new(*comp, device, parity_precision(), &cfg, VAE_ENCODER | VAE_DECODER, &v,
                            &e),
         &e);
    must(nn_params_engage(vae_params(qwen_image_vae_net(v), VAE_ENCODER), &e), &e);
    must(nn_params_engage(vae_params(qwen_image_vae_net(v), VAE_DECODER), &e), &e);
    assert_int_equal(component_leftovers(*comp, NULL, 0), 0);
    yyjson_doc_free(doc);
    return v;
}

static void run_vae_decode(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct qwen_image_vae *v = open_vae(c, &comp);
    const struct qwen_image_vae_config *cfg = qwen_image_vae_config(v);
    const struct weights_tensor *t = checkpoint_find(c->inputs, "normalized");
    size_t n, s = (size_t)qwen_image_vae_scale(cfg);
    float *latents = parity_input(c, "normalized", &n);
    assert_non_null(t);
    int64_t h = t->dims[3], w = t->dims[4];
    size_t n_out = 4 * (size_t)(h * w) * s * s;
    float *out = calloc(n_out, sizeof *out);
    qwen_image_vae_denormalize(cfg, latents, h * w);
    assert_true(parity_check(c, "latents", latents, n));
    struct vae_call run = {.mid = check_mid, .user = (void *)(uintptr_t)c};
    must(vae_decode(qwen_image_vae_net(v), latents, h, w, out, &run, &e), &e);
    assert_true(parity_check(c, "image", out, n_out));
    free(latents);
    free(out);
    qwen_image_vae_free(v);
    component_close(comp);
}

/* The case's image as [4, h, w], -1 to 1. */
static float *load_image(const struct parity_case *c, int64_t *h, int64_t *w)
{
    char path[1200];
    struct image im;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/image.png", c->dir);
    must(image_load_file(path, NULL, NULL, &im, &e), &e);
    assert_int_equal(im.channels, 4);
    float *planes = calloc(4 * (size_t)im.w * (size_t)im.h, sizeof *planes);
    for (int y = 0; y < im.h; y++)
        for (int x = 0; x < im.w; x++)
            for (int k = 0; k < 4; k++)
                planes[(k * im.h + y) * im.w + x] =
                    (float)image_row(&im, y)[4 * x + k] / 255.0f * 2.0f - 1.0f;
    *h = im.h;
    *w = im.w;
    image_free(&im);
    return planes;
}

static void run_vae_encode(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct qwen_image_vae *v = open_vae(c, &comp);
    const struct qwen_image_vae_config *cfg = qwen_image_vae_config(v);
    size_t n;
    int64_t h, w, s = qwen_image_vae_scale(cfg);
    float *image = load_image(c, &h, &w), *moments = parity_golden(c, "moments", &n);
    assert_true(parity_check(c, "image", image, (size_t)(4 * h * w)));
    struct vae_call run = {.mid = check_mid, .user = (void *)(uintptr_t)c};
    must(vae_encode(qwen_image_vae_net(v), image, h, w, moments, &run, &e), &e);
    assert_true(parity_check(c, "moments", moments, n));
    assert_true(parity_check(c, "latents", moments, n / 2));
    h /= s;
    w /= s;
    qwen_image_vae_normalize(cfg, moments, h * w);
    assert_true(parity_check(c, "normalized", moments, n / 2));
    float *packed = calloc(n / 2, sizeof *packed), *back = calloc(n / 2, sizeof *back);
    qwen_image_pack(moments, cfg->latent_channels, h, w, packed);
    assert_true(parity_check(c, "packed", packed, n / 2));
    qwen_image_unpack(packed, cfg->latent_channels, h, w, back);
    assert_memory_equal(back, moments, n / 2 * sizeof *back);
    free(packed);
    free(back);
    free(image);
    free(moments);
    qwen_image_vae_free(v);
    component_close(comp);
}

/* ---- what does not belong here -------------------------------------------------------------------------- */

static yyjson_doc *parse(const char *text)
{
    struct err e = {0};
    yyjson_doc *doc = NULL;
    must(json_parse(str_from(text), "config.json", &doc, &e), &e);
    return doc;
}

static void a_transformer_that_is_not_layered_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *reason;
    } bad[] = {
        {"{\"use_additional_t_cond\": true}", "plain Qwen-Image"},
        {"{\"use_additional_t_cond\": true, \"use_layer3d_rope\": true, \"zero_cond_t\": true}",
         "zero_cond_t"},
        {"{\"use_additional_t_cond\": true, \"use_layer3d_rope\": true, \"num_layers\": 60}",
         "num_layers is 60, the weights have 3"},
        {"{\"use_additional_t_cond\": true, \"use_layer3d_rope\": true, "
         "\"axes_dims_rope\": [4, 8, 8]}",
         "adds up to 20"},
    };
    struct parity_case c;
    struct err e = {0};
    struct qwen_image_config cfg;
    assert_true(parity_case_open("qwen-transformer-3-layered-b", &c));
    struct component *comp = open_component(&c, "transformer", COMPONENT_QWEN_IMAGE_TRANSFORMER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yyjson_doc *doc = parse(bad[i].json);
        enum err_code rc =
            qwen_image_config_read(yyjson_doc_get_root(doc), "config.json", comp, &cfg, &e);
        assert_int_equal(rc, ERR_FORMAT);
        assert_non_null(strstr(e.text, bad[i].reason));
        yyjson_doc_free(doc);
    }
    component_close(comp);
    parity_case_close(&c);
}

static void a_vae_without_alpha_or_statistics_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *reason;
    } bad[] = {
        {"{\"input_channels\": 3}", "3 channels, layers need 4"},
        {"{\"latents_mean\": [0, 0]}", "latents_mean has 2 entries"},
        {"{}", "the VAE has 8 latent channels"}, /* the published statistics are for 16 */
        {"{\"latents_mean\": [0,0,0,0,0,0,0,0], \"latents_std\": [1,1,1,0,1,1,1,1]}", "entry 3"},
    };
    struct parity_case c;
    struct err e = {0};
    struct qwen_image_vae_config cfg;
    assert_true(parity_case_open("qwen-vae-decode-2-layered-b", &c));
    struct component *comp = open_component(&c, "vae", COMPONENT_QWEN_IMAGE_VAE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yyjson_doc *doc = parse(bad[i].json);
        enum err_code rc =
            qwen_image_vae_config_read(yyjson_doc_get_root(doc), "config.json", comp, &cfg, &e);
        assert_int_equal(rc, ERR_FORMAT);
        assert_non_null(strstr(e.text, bad[i].reason));
        yyjson_doc_free(doc);
    }
    component_close(comp);
    parity_case_close(&c);
}

/* ---- all cases ----------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    void (*run)(const struct parity_case *c);
} kinds[] = {
    {"qwen_transformer", run_transformer},
    {"qwen_vae_decode", run_vae_decode},
    {"qwen_vae_encode", run_vae_encode},
};

static void networks_agree_with_the_reference(void **state)
{
    size_t i = (size_t)(uintptr_t)*state;
    assert_true(parity_run_kind(kinds[i].kind, kinds[i].run) > 0 || getenv("VT_PARITY_ONLY"));
}

enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

int main(void)
{
    struct err e = {0};
    const char *want = getenv("VT_TEST_DEVICE");
    if (want && !parity_device_works(want))
        return 77;
    if (nn_device_open(want ? want : "cpu", 0, &device, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest others[] = {
        cmocka_unit_test(tables_are_bit_equal_to_evaluation_in_place),
        cmocka_unit_test(a_transformer_that_is_not_layered_is_refused),
        cmocka_unit_test(a_vae_without_alpha_or_statistics_is_refused),
    };
    struct CMUnitTest tests[N_KINDS + sizeof others / sizeof others[0]];
    for (size_t i = 0; i < N_KINDS; i++)
        tests[i] = (struct CMUnitTest){kinds[i].kind, networks_agree_with_the_reference, NULL, NULL,
                                       (void *)(uintptr_t)i};
    memcpy(tests + N_KINDS, others, sizeof others);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    nn_device_close(device);
    return rc;
}

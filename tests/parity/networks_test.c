/* networks_test.c - every network against the reference, one forward pass at a time, over all cases that the
 * root holds. */
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
#include "model/flux2/transformer.h"
#include "model/flux2/vae.h"
#include "model/qwen3/qwen3.h"
#include "support/case.h"
#include "support/device.h"

static struct nn_device *device;

static yyjson_doc *read_config(const char *component_dir)
{
    char path[1400];
    struct err e = {0};
    yyjson_doc *doc = NULL;
    (void)snprintf(path, sizeof path, "%s/config.json", component_dir);
    if (json_read_file(path, 1 << 20, &doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

static const char *call_str(const struct parity_case *c, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(c->call, key));
}

/* "models/klein" + part, or the single file that the call names. */
static const char *component_path(const struct parity_case *c, const char *part)
{
    static char path[1400];
    const char *file = call_str(c, "single_file");
    if (file)
        (void)snprintf(path, sizeof path, "%s", parity_path(file));
    else
        (void)snprintf(path, sizeof path, "%s/%s", parity_path(call_str(c, "model")), part);
    return path;
}

static const char *config_dir(const struct parity_case *c, const char *part)
{
    static char path[1400];
    (void)snprintf(path, sizeof path, "%s/%s", parity_path(call_str(c, "model")), part);
    return path;
}

/* ---- Qwen3 ------------------------------------------------------------------------------------------- */

static void run_qwen3(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct qwen3_config cfg;
    struct qwen3 *m;
    size_t n, n_mask;
    yyjson_doc *doc = read_config(config_dir(c, "text_encoder"));
    must(component_open(component_path(c, "text_encoder"), COMPONENT_QWEN3, &comp, &e), &e);
    must(qwen3_config_read(yyjson_doc_get_root(doc), c->name, comp, &cfg, &e), &e);
    must(qwen3_new(comp, device, parity_precision(), &cfg, 27, &m, &e), &e);
    must(nn_params_engage(qwen3_params(m), &e), &e);
    float *ids_f = parity_golden(c, "input_ids", &n),
          *mask_f = parity_golden(c, "attention_mask", &n_mask);
    int32_t *ids = calloc(n, sizeof *ids), *mask = calloc(n, sizeof *mask);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)ids_f[i];
        mask[i] = (int32_t)mask_f[i];
    }
    float *out = calloc(n * 3 * (size_t)cfg.hidden, sizeof *out);
    must(qwen3_encode(m, ids, mask, (int64_t)n, (int64_t[]){9, 18, 27}, 3, out, NULL, &e), &e);
    assert_true(parity_check(c, "prompt_embeds", out, n * 3 * (size_t)cfg.hidden));
    for (int64_t k = 0; k < 27; k++) {
        char name[40];
        (void)snprintf(name, sizeof name, "hidden_states.%d", (int)k);
        must(qwen3_encode(m, ids, mask, (int64_t)n, &k, 1, out, NULL, &e), &e);
        assert_true(parity_check(c, name, out, n * (size_t)cfg.hidden));
    }
    free(ids_f);
    free(mask_f);
    free(ids);
    free(mask);
    free(out);
    qwen3_free(m);
    component_close(comp);
    yyjson_doc_free(doc);
}

/* ---- FLUX.2 transformer ------------------------------------------------------------------------------ */

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

/* A card records the second run of a graph, and replays it in those after it: with what they are given, not with what the
 * second one was. */
static void run_with_others(struct flux2_pass *p, const float *x, size_t n, const float *text,
                            float time, float *out)
{
    struct err e = {0};
    float *other = calloc(n, sizeof *other);
    for (size_t i = 0; i < n; i++)
        other[i] = 0.5f - x[i];
    for (int i = 0; nn_device_card(device) && i < 2; i++)
        must(flux2_pass_run(p, other, text, time / (float)(i + 2), out, NULL, &e), &e);
    free(other);
}

static void run_flux2_transformer(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct flux2_config cfg;
    struct flux2_transformer *m;
    struct flux2_pass *p;
    size_t n_x, n_text, n_ids, n_t;
    yyjson_doc *doc = read_config(config_dir(c, "transformer"));
    must(component_open(component_path(c, "transformer"), COMPONENT_FLUX2_TRANSFORMER, &comp, &e),
         &e);
    must(flux2_config_read(yyjson_doc_get_root(doc), c->name, comp, &cfg, &e), &e);
    must(flux2_transformer_new(comp, device, parity_precision(), &cfg, &m, &e), &e);
    must(nn_params_engage(flux2_transformer_params(m), &e), &e);
    float *x = parity_input(c, "hidden_states", &n_x);
    float *text = parity_input(c, "encoder_hidden_states", &n_text);
    float *ids_f = parity_input(c, "img_ids", &n_ids), *t = parity_input(c, "timestep", &n_t);
    int64_t tokens = (int64_t)n_x / cfg.in_channels, n_txt = (int64_t)n_text / cfg.joint_dim;
    assert_int_equal(n_ids, tokens * FLUX2_AXES);
    struct flux2_id *ids = calloc((size_t)tokens, sizeof *ids);
    for (int64_t i = 0; i < tokens; i++)
        for (int a = 0; a < FLUX2_AXES; a++)
            ids[i].axis[a] = (int32_t)ids_f[i * FLUX2_AXES + a];
    struct flux2_pass_spec spec = {.n_text = n_txt, .n_img = tokens, .img_ids = ids, .trace = true};
    must(flux2_pass_new(m, &spec, &p, &e), &e);
    float *out = calloc((size_t)(tokens * cfg.out_channels), sizeof *out);
    run_with_others(p, x, n_x, text, t[0], out);
    must(flux2_pass_run(p, x, text, t[0], out, NULL, &e), &e);
    check_mids(c, flux2_pass_graph(p));
    assert_true(parity_check(c, "output", out, (size_t)(tokens * cfg.out_channels)));
    assert_null(nn_graph_first_bad_mid(flux2_pass_graph(p)));
    free(x);
    free(text);
    free(ids_f);
    free(t);
    free(ids);
    free(out);
    flux2_pass_free(p);
    flux2_transformer_free(m);
    component_close(comp);
    yyjson_doc_free(doc);
}

/* ---- FLUX.2 transformer with references that are computed once ----------------------------------------- */

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* The last half of the tokens are references. */
struct with_references {
    struct flux2_transformer *m;
    struct flux2_id *ids;
    struct flux2_kv *kv;
    int64_t n_text, n_img, n_ref;
    const float *x, *text;
};

/* Runs often enough to be recorded, and replayed, on a card. */
static void run_mode(const struct with_references *w, enum flux2_mode mode, float *out)
{
    struct err e = {0};
    struct flux2_pass *p;
    struct flux2_pass_spec spec = {
        .n_text = w->n_text,
        .n_img = w->n_img + (mode == FLUX2_KV_EXTRACT ? w->n_ref : 0),
        .img_ids = w->ids,
        .mode = mode,
        .n_ref = w->n_ref,
        .kv = w->kv,
    };
    must(flux2_pass_new(w->m, &spec, &p, &e), &e);
    for (int i = 3; i > 0; i--)
        must(flux2_pass_run(p, w->x, w->text, 0.3f * (float)i, out, NULL, &e), &e);
    flux2_pass_free(p);
}

static void run_flux2_references(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct flux2_config cfg;
    struct with_references w = {0};
    size_t n_x, n_text;
    yyjson_doc *doc = read_config(config_dir(c, "transformer"));
    must(component_open(component_path(c, "transformer"), COMPONENT_FLUX2_TRANSFORMER, &comp, &e),
         &e);
    must(flux2_config_read(yyjson_doc_get_root(doc), c->name, comp, &cfg, &e), &e);
    must(flux2_transformer_new(comp, device, parity_precision(), &cfg, &w.m, &e), &e);
    must(nn_params_engage(flux2_transformer_params(w.m), &e), &e);
    float *x = parity_input(c, "hidden_states", &n_x);
    float *text = parity_input(c, "encoder_hidden_states", &n_text);
    int64_t tokens = (int64_t)n_x / cfg.in_channels;
    w.x = x;
    w.text = text;
    w.n_text = (int64_t)n_text / cfg.joint_dim;
    w.n_ref = tokens / 2;
    w.n_img = tokens - w.n_ref;
    w.ids = calloc((size_t)tokens, sizeof *w.ids);
    for (int64_t i = 0; i < tokens; i++)
        w.ids[i] = (struct flux2_id){.axis = {i < w.n_img ? 0 : 10, 0, (int32_t)(i % w.n_img), 0}};
    must(flux2_kv_new(w.m, w.n_ref, &w.kv, &e), &e);
    size_t own = (size_t)(w.n_img * cfg.out_channels);
    float *kept = calloc(own, sizeof *kept), *cached = calloc(own, sizeof *cached);
    run_mode(&w, FLUX2_KV_EXTRACT, kept);
    run_mode(&w, FLUX2_KV_CACHED, cached);
    float most = largest(kept, own);
    float bound = parity_precision() == NN_PRECISION_F32 ? 1e-5f : 1e-2f;
    assert_true(most > 0);
    for (size_t i = 0; i < own; i++)
        assert_true(fabsf(kept[i] - cached[i]) <= bound * most);
    free(kept);
    free(cached);
    free(x);
    free(text);
    free(w.ids);
    flux2_kv_free(w.kv);
    flux2_transformer_free(w.m);
    component_close(comp);
    yyjson_doc_free(doc);
}

/* ---- FLUX.2 VAE --------------------------------------------------------------------------------------- */

static void check_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                      void *user)
{
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    assert_true(parity_check(user, name, data, n));
}

static struct flux2_vae *open_vae(const struct parity_case *c, struct component **comp)
{
    struct err e = {0};
    struct flux2_vae_config cfg;
    struct flux2_vae *v;
    yyjson_doc *doc = read_config(config_dir(c, "vae"));
    must(component_open(component_path(c, "vae"), COMPONENT_FLUX2_VAE, comp, &e), &e);
    must(flux2_vae_config_read(yyjson_doc_get_root(doc), c->name, *comp, &cfg, &e), &e);
    must(flux2_vae_new(*comp, device, parity_precision(), &cfg, VAE_ENCODER | VAE_DECODER, &v, &e),
         &e);
    must(nn_params_engage(vae_params(flux2_vae_net(v), VAE_ENCODER), &e), &e);
    must(nn_params_engage(vae_params(flux2_vae_net(v), VAE_DECODER), &e), &e);
    yyjson_doc_free(doc);
    return v;
}

static void run_flux2_vae_decode(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct flux2_vae *v = open_vae(c, &comp);
    size_t n;
    int64_t h = 2 * yyjson_get_sint(yyjson_obj_get(c->call, "token_rows"));
    int64_t w = 2 * yyjson_get_sint(yyjson_obj_get(c->call, "token_cols"));
    float *packed = parity_input(c, "packed", &n);
    assert_non_null(packed);
    int s = flux2_vae_scale(flux2_vae_config(v));
    size_t n_out = (size_t)(3 * h * w * s * s);
    float *latents = calloc(n, sizeof *latents), *out = calloc(n_out, sizeof *out);
    flux2_vae_unpack(v, packed, h, w, latents);
    assert_true(parity_check(c, "latents", latents, n));
    struct vae_call run = {.mid = check_mid, .user = (void *)(uintptr_t)c};
    must(vae_decode(flux2_vae_net(v), latents, h, w, out, &run, &e), &e);
    assert_true(parity_check(c, "image", out, n_out));
    free(packed);
    free(latents);
    free(out);
    flux2_vae_free(v);
    component_close(comp);
}

static void run_flux2_vae_encode(const struct parity_case *c)
{
    struct err e = {0};
    struct component *comp;
    struct flux2_vae *v = open_vae(c, &comp);
    const struct flux2_vae_config *cfg = flux2_vae_config(v);
    const struct weights_tensor *t = checkpoint_find(c->golden, "image");
    size_t n_in, n;
    float *image = parity_golden(c, "image", &n_in), *moments = parity_golden(c, "moments", &n);
    if (t && image && moments) {
        int64_t h = t->dims[2], w = t->dims[3], s = flux2_vae_scale(cfg), lh = h / s, lw = w / s;
        struct vae_call run = {.mid = check_mid, .user = (void *)(uintptr_t)c};
        must(vae_encode(flux2_vae_net(v), image, h, w, moments, &run, &e), &e);
        assert_true(parity_check(c, "moments", moments, n));
        assert_true(parity_check(c, "latents", moments, n / 2));
        float *packed = calloc(n / 2, sizeof *packed);
        flux2_vae_pack(v, moments, lh, lw, packed);
        assert_true(parity_check(c, "packed", packed, n / 2));
        free(packed);
    }
    free(image);
    free(moments);
    flux2_vae_free(v);
    component_close(comp);
}

/* ---- all cases ----------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    void (*run)(const struct parity_case *c);
} kinds[] = {
    {"qwen3_encode", run_qwen3},
    {"flux2_transformer", run_flux2_transformer},
    {"flux2_transformer", run_flux2_references},
    {"flux2_vae_decode", run_flux2_vae_decode},
    {"flux2_vae_encode", run_flux2_vae_encode},
};

static void networks_agree_with_the_reference(void **state)
{
    size_t i = (size_t)(uintptr_t)*state;
    assert_true(parity_run_kind(kinds[i].kind, kinds[i].run) > 0 || getenv("VT_PARITY_ONLY"));
}

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
    struct CMUnitTest tests[sizeof kinds / sizeof kinds[0]];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        tests[i] = (struct CMUnitTest){kinds[i].kind, networks_agree_with_the_reference, NULL, NULL,
                                       (void *)(uintptr_t)i};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    nn_device_close(device);
    return rc;
}

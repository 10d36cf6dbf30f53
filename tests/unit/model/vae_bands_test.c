/* vae_bands_test.c - autoencoders inside limits of memory: the same bits as without one, no byte above the
 * limit, and what was planned is what is taken. VT_TEST_DEVICE names another device than the CPU, where values
 * agree but for rounding. */
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
#include "model/flux2/vae.h"
#include "model/qwen_image/vae.h"

#define MODELS VT_SOURCE_DIR "/tests/parity/models/"

static struct nn_device *device;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

/* ---- both models behind one face --------------------------------------------------------------------- */

struct subject {
    struct component *component;
    struct flux2_vae *flux2;
    struct qwen_image_vae *qwen;
    const struct vae *net;          /* of either */
    int64_t latents, pixels, scale; /* channels; pixels per latent */
};

static yyjson_doc *read_config(const char *dir)
{
    char path[1024];
    struct err e = {0};
    yyjson_doc *doc = NULL;
    (void)snprintf(path, sizeof path, "%s/config.json", dir);
    must(json_read_file(path, 1 << 20, &doc, &e), &e);
    return doc;
}

static void engage(const struct vae *net)
{
    struct err e = {0};
    must(nn_params_engage(vae_params(net, VAE_ENCODER), &e), &e);
    must(nn_params_engage(vae_params(net, VAE_DECODER), &e), &e);
}

static struct subject open_flux2(const char *dir, enum nn_precision precision)
{
    struct err e = {0};
    struct subject v = {0};
    struct flux2_vae_config cfg;
    yyjson_doc *doc = read_config(dir);
    must(component_open(dir, COMPONENT_FLUX2_VAE, &v.component, &e), &e);
    must(flux2_vae_config_read(yyjson_doc_get_root(doc), dir, v.component, &cfg, &e), &e);
    must(flux2_vae_new(v.component, device, precision, &cfg, VAE_ENCODER | VAE_DECODER, &v.flux2,
                       &e),
         &e);
    v.net = flux2_vae_net(v.flux2);
    engage(v.net);
    v.latents = cfg.latent_channels;
    v.pixels = 3;
    v.scale = flux2_vae_scale(&cfg);
    yyjson_doc_free(doc);
    return v;
}

static struct subject open_qwen(const char *dir, enum nn_precision precision)
{
    struct err e = {0};
    struct subject v = {0};
    struct qwen_image_vae_config cfg;
    yyjson_doc *doc = read_config(dir);
    must(component_open(dir, COMPONENT_QWEN_IMAGE_VAE, &v.component, &e), &e);
    must(qwen_image_vae_config_read(yyjson_doc_get_root(doc), dir, v.component, &cfg, &e), &e);
    must(qwen_image_vae_new(v.component, device, precision, &cfg, VAE_ENCODER | VAE_DECODER,
                            &v.qwen, &e),
         &e);
    v.net = qwen_image_vae_net(v.qwen);
    engage(v.net);
    v.latents = cfg.latent_channels;
    v.pixels = QWEN_IMAGE_VAE_CHANNELS;
    v.scale = qwen_image_vae_scale(&cfg);
    yyjson_doc_free(doc);
    return v;
}

static struct subject open_vae(const char *model, enum nn_precision precision)
{
    char dir[512];
    (void)snprintf(dir, sizeof dir, MODELS "%s/vae", model);
    return strncmp(model, "layered", 7) == 0 ? open_qwen(dir, precision)
                                             : open_flux2(dir, precision);
}

static void close_vae(struct subject *v)
{
    flux2_vae_free(v->flux2);
    qwen_image_vae_free(v->qwen);
    component_close(v->component);
}

static enum vae_side side_of(bool decode)
{
    return decode ? VAE_DECODER : VAE_ENCODER;
}

/* h, w: of the input. */
static enum err_code run(const struct subject *v, bool decode, const float *in, int64_t h,
                         int64_t w, float *out, struct vae_limits limits, struct err *e)
{
    struct vae_call call = {.limits = limits};
    return decode ? vae_decode(v->net, in, h, w, out, &call, e)
                  : vae_encode(v->net, in, h, w, out, &call, e);
}

static enum err_code need(const struct subject *v, bool decode, int64_t h, int64_t w,
                          struct vae_limits limits, struct vae_need *n, struct err *e)
{
    return vae_need(v->net, side_of(decode), h, w, limits, n, e);
}

static size_t smallest(const struct subject *v, bool decode, int64_t h, int64_t w)
{
    struct err e = {0};
    size_t n = 0;
    must(vae_smallest(v->net, side_of(decode), h, w, &n, &e), &e);
    return n;
}

static float *noise(size_t n)
{
    float *x = malloc(n * sizeof *x);
    uint32_t s = 12345;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(s >> 8) / (float)(1 << 23) - 1.0f;
    }
    return x;
}

/* ---- what is really taken ---------------------------------------------------------------------------- */

struct count {
    uint64_t now, peak;
};

static enum err_code take(void *user, enum nn_memory_kind kind, uint64_t bytes, const char *what,
                          struct err *e)
{
    struct count *c = user;
    (void)what;
    (void)e;
    if (kind == NN_MEMORY_COMPUTE) {
        c->now += bytes;
        c->peak = c->now > c->peak ? c->now : c->peak;
    }
    return ERR_OK;
}

static void give(void *user, enum nn_memory_kind kind, uint64_t bytes)
{
    struct count *c = user;
    if (kind == NN_MEMORY_COMPUTE)
        c->now -= bytes;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

struct image {
    int64_t h, w; /* latents */
};

static bool same(float a, float b)
{
    uint32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    if (nn_device_is_cpu(device))
        return x == y;
    return fabsf(a - b) <= 2e-3f * fmaxf(1, fabsf(b));
}

struct told {
    double last, largest_step;
};

static void on_done(void *user, double done)
{
    struct told *t = user;
    assert_true(done >= t->last && done <= 1);
    t->largest_step = fmax(t->largest_step, done - t->last);
    t->last = done;
}

/* One size: under limits from just below what the whole takes to the smallest. */
static void check_size(const struct subject *v, bool decode, struct image p)
{
    struct err e = {0};
    struct count c = {0};
    struct nn_accountant accountant = {.take = take, .give = give, .user = &c};
    int64_t h = decode ? p.h : p.h * v->scale, w = decode ? p.w : p.w * v->scale;
    size_t n_latents = (size_t)(p.h * p.w * (decode ? v->latents : 2 * v->latents));
    size_t n_pixels = (size_t)(p.h * p.w * v->scale * v->scale * v->pixels);
    size_t n_in = decode ? n_latents : n_pixels, n_out = decode ? n_pixels : n_latents;
    float *in = noise(n_in), *whole = calloc(n_out, sizeof *whole);
    float *out = malloc(n_out * sizeof *out);
    struct vae_need all, n;
    must(need(v, decode, h, w, (struct vae_limits){0}, &all, &e), &e);
    assert_false(all.banded);
    must(run(v, decode, in, h, w, whole, (struct vae_limits){0}, &e), &e);
    size_t least = smallest(v, decode, h, w);
    assert_true(least <= all.device_bytes);
    for (int i = 0; i < 5; i++) {
        static const int eighths[] = {0, 1, 2, 4, 8};
        size_t limit = least + (all.device_bytes - least) / 8 * (size_t)eighths[i];
        if (limit >= all.device_bytes)
            limit = all.device_bytes - 1;
        struct vae_limits limits = {.compute = limit < least ? least : limit};
        must(need(v, decode, h, w, limits, &n, &e), &e);
        memset(out, 0x5a, n_out * sizeof *out);
        c = (struct count){0};
        struct told told = {0};
        nn_device_set_accountant(device, &accountant);
        nn_device_set_watch(device, &(struct nn_watch){on_done, &told});
        must(run(v, decode, in, h, w, out, limits, &e), &e);
        nn_device_set_watch(device, NULL);
        nn_device_set_accountant(device, NULL);
        assert_true(told.last == 1 && told.largest_step < 0.5);
        for (size_t at = 0; at < n_out; at++)
            if (!same(out[at], whole[at]))
                fail_msg("%s %lld x %lld in %zu of %zu bytes: value %zu of %zu is %.9g, not %.9g",
                         decode ? "decode" : "encode", (long long)w, (long long)h, limits.compute,
                         all.device_bytes, at, n_out, (double)out[at], (double)whole[at]);
        assert_true(n.device_bytes <= limits.compute);
        assert_int_equal(c.peak, n.device_bytes);
        assert_int_equal(c.now, 0);
    }
    if (least < all.device_bytes && least > 1)
        assert_int_equal(need(v, decode, h, w, (struct vae_limits){.compute = least - 1}, &n, &e),
                         ERR_NOMEM);
    free(in);
    free(out);
    free(whole);
}

static void check_model(const char *model, enum nn_precision precision)
{
    static const struct image sizes[] = {{1, 1}, {2, 3}, {9, 5}, {4, 21}, {17, 12}};
    struct subject v = open_vae(model, precision);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int decode = 0; decode < 2; decode++)
            check_size(&v, decode, sizes[i]);
    close_vae(&v);
}

static void bands_equal_the_whole_when_norms_are_over_groups(void **state)
{
    (void)state;
    check_model("klein-base", NN_PRECISION_F32);
    check_model("klein", NN_PRECISION_F32);
}

static void bands_equal_the_whole_when_norms_are_over_channels(void **state)
{
    (void)state;
    check_model("layered-b", NN_PRECISION_F32);
}

static void bands_equal_the_whole_when_weights_stay_as_stored(void **state)
{
    (void)state;
    check_model("klein-base", NN_PRECISION_STORED);
    check_model("layered-b", NN_PRECISION_STORED);
}

static void a_large_image_fits_when_the_limit_is_small(void **state)
{
    /* Random weights; six levels, so that attention has few tokens. */
    (void)state;
    struct err e = {0};
    struct subject v =
        open_flux2(VT_SOURCE_DIR "/tests/unit/model/data/tiny-vae", NN_PRECISION_F32);
    int64_t side = 4096 / v.scale;
    size_t n_out = (size_t)(3 * 4096) * 4096;
    float *in = noise((size_t)(v.latents * side * side)), *out = malloc(n_out * sizeof *out);
    struct vae_limits limits = {.compute = (size_t)64 << 20};
    struct vae_need n;
    must(need(&v, true, side, side, limits, &n, &e), &e);
    assert_true(n.banded && n.device_bytes <= limits.compute);
    must(run(&v, true, in, side, side, out, limits, &e), &e);
    for (size_t i = 0; i < n_out; i += 997)
        assert_true(out[i] > -100 && out[i] < 100);
    free(in);
    free(out);
    close_vae(&v);
}

/* A large image, in no time: nothing is computed, no map is there. */
static void check_dry(const char *model, bool decode)
{
    struct err e = {0};
    struct count c = {0};
    struct nn_accountant accountant = {.take = take, .give = give, .user = &c};
    struct subject v = open_vae(model, NN_PRECISION_F32);
    int64_t side = decode ? 2048 / v.scale : 2048;
    float *in = calloc((size_t)(4 * 2048) * 2048, sizeof *in);
    float *out = calloc((size_t)(4 * 2048) * 2048, sizeof *out);
    struct vae_need n;
    nn_device_set_dry(device, true);
    nn_params_begin_dry(vae_params(v.net, side_of(decode)));
    must(nn_params_engage(vae_params(v.net, side_of(decode)), &e), &e);
    struct vae_limits limits = {.compute = smallest(&v, decode, side, side) + (4 << 20)};
    must(need(&v, decode, side, side, limits, &n, &e), &e);
    nn_device_set_accountant(device, &accountant);
    must(run(&v, decode, in, side, side, out, limits, &e), &e);
    nn_device_set_accountant(device, NULL);
    nn_params_release(vae_params(v.net, side_of(decode)));
    nn_device_set_dry(device, false);
    assert_int_equal(c.peak, n.device_bytes);
    assert_int_equal(c.now, 0);
    assert_true(n.banded && n.spill_file_bytes + n.spill_host_bytes > 0);
    free(in);
    free(out);
    close_vae(&v);
}

static void a_dry_run_takes_what_is_planned_when_banded(void **state)
{
    (void)state;
    check_dry("klein-base", true);
    check_dry("layered-b", false);
}

static void a_stopped_run_leaves_nothing_when_in_bands(void **state)
{
    (void)state;
    struct err e = {0};
    struct count c = {0};
    struct nn_accountant accountant = {.take = take, .give = give, .user = &c};
    struct subject v = open_vae("klein-base", NN_PRECISION_F32);
    atomic_bool cancel = true;
    float *in = noise((size_t)(v.latents * 16 * 16)), *out = calloc(3 * 64 * 64, sizeof *out);
    struct vae_call r = {.cancel = &cancel, .limits = {.compute = smallest(&v, true, 16, 16)}};
    nn_device_set_accountant(device, &accountant);
    assert_int_equal(vae_decode(v.net, in, 16, 16, out, &r, &e), ERR_CANCELLED);
    nn_device_set_accountant(device, NULL);
    assert_int_equal(c.now, 0);
    free(in);
    free(out);
    close_vae(&v);
}

static int open_device(void **state)
{
    struct err e = {0};
    (void)state;
    const char *want = getenv("VT_TEST_DEVICE");
    return nn_device_open(want ? want : "cpu", 2, &device, &e) == ERR_OK ? 0 : -1;
}

static int close_device(void **state)
{
    (void)state;
    nn_device_close(device);
    return 0;
}

/* An argument, a pattern, chooses tests by their names. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bands_equal_the_whole_when_norms_are_over_groups),
        cmocka_unit_test(bands_equal_the_whole_when_norms_are_over_channels),
        cmocka_unit_test(bands_equal_the_whole_when_weights_stay_as_stored),
        cmocka_unit_test(a_large_image_fits_when_the_limit_is_small),
        cmocka_unit_test(a_dry_run_takes_what_is_planned_when_banded),
        cmocka_unit_test(a_stopped_run_leaves_nothing_when_in_bands),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, open_device, close_device);
}

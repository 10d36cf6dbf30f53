/* convert_test.c - conversions of the embedded models, byte by byte. */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>
#include <gguf.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "nn/params.h"
#include "nn/quantise.h"
#include "pipeline/convert/convert.h"
#include "weights/convert_types.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein/"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered/"

static char folder[] = "/tmp/vt-convert-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    nn_quantise_free();
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The result lives until the fourth call from now. */
static const char *at(const char *name)
{
    static char paths[4][200];
    static int next;
    char *p = paths[next++ % 4];
    (void)snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static enum err_code try_convert(const char *from, const char *to, enum dtype type,
                                 const char *naming, struct err *e)
{
    struct convert_result r;
    const struct convert_request rq = {
        .source = from, .target = to, .type = type, .naming = naming, .threads = 2, .force = true};
    return convert_run(&rq, &r, e);
}

static void convert(const char *from, const char *to, enum dtype type, const char *naming)
{
    struct err e = {0};
    if (try_convert(from, to, type, naming, &e) != ERR_OK)
        fail_msg("%s -> %s: %s", from, to, e.text);
}

static void expect_same_bytes(const char *a, const char *b)
{
    struct file_map x, y;
    struct err e = {0};
    assert_int_equal(file_map(a, &x, &e), ERR_OK);
    assert_int_equal(file_map(b, &y, &e), ERR_OK);
    if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0)
        fail_msg("'%s' and '%s' differ", a, b);
    file_unmap(&x);
    file_unmap(&y);
}

/* Same tensors, bit by bit, wherever they lie in their files. */
static void expect_same_tensors(const char *a, const char *b)
{
    struct checkpoint *x, *y;
    struct err e = {0};
    assert_int_equal(checkpoint_open(a, &x, &e), ERR_OK);
    assert_int_equal(checkpoint_open(b, &y, &e), ERR_OK);
    assert_int_equal(checkpoint_count(x), checkpoint_count(y));
    for (size_t i = 0; i < checkpoint_count(x); i++) {
        const struct weights_tensor *s = checkpoint_at(x, i), *t = checkpoint_at(y, i);
        assert_string_equal(s->name, t->name);
        assert_int_equal(s->dtype, t->dtype);
        if (s->n_dims > 0) /* a GGUF file has no scalars */
            assert_int_equal(s->n_dims, t->n_dims);
        assert_memory_equal(s->dims, t->dims, (size_t)s->n_dims * sizeof s->dims[0]);
        assert_int_equal(s->bytes, t->bytes);
        assert_memory_equal(s->data, t->data, s->bytes);
    }
    checkpoint_close(x);
    checkpoint_close(y);
}

static const char *const networks[] = {
    KLEIN "transformer",   KLEIN "text_encoder",   KLEIN "vae",
    LAYERED "transformer", LAYERED "text_encoder", LAYERED "vae",
};
enum { N_NETWORKS = sizeof networks / sizeof networks[0] };

static int leftovers(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        n += strstr(e->d_name, "tmp-") != NULL;
    closedir(d);
    return n;
}

/* ---- round trips ------------------------------------------------------------------------------------- */

static void containers_round_trip_bit_by_bit(void **state)
{
    static const enum dtype types[] = {DTYPE_INVALID, DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    (void)state;
    for (int i = 0; i < N_NETWORKS; i++) {
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
            convert(networks[i], at("a.safetensors"), types[k], "keep");
            convert(at("a.safetensors"), at("b.gguf"), types[k], "keep");
            convert(at("b.gguf"), at("c.safetensors"), types[k], "keep");
            expect_same_tensors(at("a.safetensors"), at("c.safetensors"));
        }
        /* as stored, and float32 and back, nothing is lost */
        convert(networks[i], at("a.safetensors"), DTYPE_INVALID, "keep");
        expect_same_tensors(networks[i], at("a.safetensors"));
        convert(networks[i], at("a.safetensors"), DTYPE_BF16, "keep");
        convert(at("a.safetensors"), at("b.gguf"), DTYPE_F32, "keep");
        convert(at("b.gguf"), at("c.safetensors"), DTYPE_BF16, "keep");
        expect_same_tensors(at("a.safetensors"), at("c.safetensors"));
    }
}

static void namings_round_trip_bit_by_bit(void **state)
{
    static const char *const words[] = {
        "original", "gguf", "transformers-bare", "transformers-nested", "llama.cpp", "wan"};
    (void)state;
    for (int i = 0; i < N_NETWORKS; i++) {
        convert(networks[i], at("a.safetensors"), DTYPE_INVALID, "diffusers");
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            convert(networks[i], at("b.gguf"), DTYPE_INVALID, words[k]);
            convert(at("b.gguf"), at("c.safetensors"), DTYPE_INVALID, "diffusers");
            if (strstr(words[k], "llama") || strcmp(words[k], "gguf") == 0)
                continue; /* has no place for everything: a vision tower */
            expect_same_tensors(at("a.safetensors"), at("c.safetensors"));
        }
    }
}

/* What llama.cpp's naming has a place for comes back, too. */
static void a_language_model_comes_back_from_llama_cpp_s_naming(void **state)
{
    (void)state;
    convert(KLEIN "text_encoder", at("a.safetensors"), DTYPE_BF16, "diffusers");
    convert(at("a.safetensors"), at("b.gguf"), DTYPE_BF16, "gguf");
    convert(at("b.gguf"), at("c.safetensors"), DTYPE_BF16, "diffusers");
    expect_same_tensors(at("a.safetensors"), at("c.safetensors"));
}

static void the_number_of_threads_makes_no_difference(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETWORKS; i++) {
        for (int threads = 1; threads <= 5; threads += 2) {
            struct convert_result r;
            struct err e = {0};
            char name[20];
            (void)snprintf(name, sizeof name, "%d.gguf", threads);
            struct convert_request rq = {.source = networks[i],
                                         .target = at(name),
                                         .type = DTYPE_Q4_K,
                                         .threads = threads,
                                         .force = true};
            assert_int_equal(convert_run(&rq, &r, &e), ERR_OK);
        }
        expect_same_bytes(at("1.gguf"), at("3.gguf"));
        expect_same_bytes(at("1.gguf"), at("5.gguf"));
    }
}

/* ---- quantised ---------------------------------------------------------------------------------------- */

/* Every quantised tensor is what ggml makes of the stored one in one go. */
static void quantised_tensors_are_ggml_s(void **state)
{
    static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q5_0, DTYPE_Q4_K, DTYPE_Q2_K};
    (void)state;
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        struct checkpoint *x, *y;
        struct err e = {0};
        size_t quantised = 0;
        convert(KLEIN "transformer", at("q.gguf"), types[k], NULL);
        assert_int_equal(checkpoint_open(KLEIN "transformer", &x, &e), ERR_OK);
        assert_int_equal(checkpoint_open(at("q.gguf"), &y, &e), ERR_OK);
        for (size_t i = 0; i < checkpoint_count(x); i++) {
            const struct weights_tensor *s = checkpoint_at(x, i), *t = checkpoint_find(y, s->name);
            assert_non_null(t);
            if (!dtype_info(t->dtype)->quantised)
                continue;
            size_t n = (size_t)(s->dims[0] * s->dims[1]);
            float *f = mem_alloc(n * sizeof *f);
            unsigned char *bytes = mem_alloc((size_t)t->bytes);
            assert_true(dtype_plain_to_f32(s->dtype, s->data, f, n));
            assert_int_equal(nn_quantise_rows(t->dtype, f, s->dims[0], s->dims[1], bytes, "t", &e),
                             ERR_OK);
            assert_memory_equal(bytes, t->data, t->bytes);
            mem_free(f);
            mem_free(bytes);
            quantised++;
        }
        assert_int_equal(quantised, 32);
        checkpoint_close(x);
        checkpoint_close(y);
    }
}

static void a_quantised_file_says_what_it_is(void **state)
{
    struct component *c;
    struct str s;
    int64_t v;
    struct err e = {0};
    (void)state;
    convert(LAYERED "transformer", at("q.gguf"), DTYPE_Q5_0, NULL);
    assert_int_equal(component_open(at("q.gguf"), COMPONENT_QWEN_IMAGE_TRANSFORMER, &c, &e),
                     ERR_OK);
    const struct checkpoint *cp = component_checkpoint(c);
    assert_true(checkpoint_meta_str(cp, "general.architecture", &s) && str_eq_z(s, "qwen_image"));
    assert_true(checkpoint_meta_i64(cp, "general.file_type", &v) && v == 8);
    assert_true(checkpoint_meta_i64(cp, "general.quantization_version", &v) && v == 2);
    assert_int_equal(checkpoint_find(cp, "transformer_blocks.0.img_mod.1.weight")->dtype,
                     DTYPE_Q5_0);
    assert_int_equal(checkpoint_find(cp, "transformer_blocks.0.img_mod.1.bias")->dtype, DTYPE_F32);
    assert_int_equal(checkpoint_find(cp, "proj_out.weight")->dtype, DTYPE_BF16);
    component_close(c);
}

/* ggml's own reader, which other programs use, finds the same tensors at the same places. */
static void ggml_s_reader_takes_what_we_write(void **state)
{
    static const enum dtype types[] = {DTYPE_INVALID, DTYPE_BF16, DTYPE_Q5_0, DTYPE_Q4_K};
    (void)state;
    for (int i = 0; i < N_NETWORKS * 4; i++) {
        struct checkpoint *cp;
        struct err e = {0};
        uint64_t n;
        convert(networks[i / 4], at("g.gguf"), types[i % 4], i % 2 ? "gguf" : "diffusers");
        struct gguf_context *g =
            gguf_init_from_file(at("g.gguf"), (struct gguf_init_params){.no_alloc = true});
        assert_non_null(g);
        assert_int_equal(checkpoint_open(at("g.gguf"), &cp, &e), ERR_OK);
        assert_int_equal(gguf_get_n_tensors(g), checkpoint_count(cp));
        const unsigned char *base = checkpoint_file_bytes(cp, 0, &n);
        for (size_t k = 0; k < checkpoint_count(cp); k++) {
            const struct weights_tensor *t = checkpoint_at(cp, k);
            int64_t id = gguf_find_tensor(g, t->name);
            assert_true(id >= 0);
            assert_int_equal(gguf_get_tensor_type(g, id), dtype_info(t->dtype)->gguf_id);
            assert_int_equal(gguf_get_tensor_size(g, id), t->bytes);
            assert_ptr_equal(base + gguf_get_data_offset(g) + gguf_get_tensor_offset(g, id),
                             t->data);
        }
        assert_true(gguf_find_key(g, "general.architecture") >= 0);
        gguf_free(g);
        checkpoint_close(cp);
    }
}

/* A tokenizer in the metadata goes along from GGUF to GGUF. */
static void metadata_go_along(void **state)
{
    struct checkpoint *x, *y;
    struct str s, t;
    struct err e = {0};
    (void)state;
    convert(LAYERED "transformer-Q5_0.gguf", at("m.gguf"), DTYPE_Q4_0, NULL);
    assert_int_equal(checkpoint_open(LAYERED "transformer-Q5_0.gguf", &x, &e), ERR_OK);
    assert_int_equal(checkpoint_open(at("m.gguf"), &y, &e), ERR_OK);
    assert_true(checkpoint_meta_str(x, "general.architecture", &s));
    assert_true(checkpoint_meta_str(y, "general.architecture", &t) && str_eq(s, t));
    assert_int_equal(checkpoint_find(y, "transformer_blocks.0.attn.to_q.weight")->dtype,
                     DTYPE_Q4_0);
    assert_int_equal(checkpoint_find(y, "norm_out.linear.weight")->dtype, DTYPE_Q5_0);
    checkpoint_close(x);
    checkpoint_close(y);
    assert_int_equal(
        try_convert(LAYERED "transformer-Q5_0.gguf", at("m.safetensors"), DTYPE_INVALID, NULL, &e),
        ERR_ARG);
    assert_non_null(strstr(e.text, "safetensors file cannot hold"));
    convert(LAYERED "transformer-Q5_0.gguf", at("m.safetensors"), DTYPE_F16, NULL);
}

/* ---- float8 -------------------------------------------------------------------------------------------- */

enum { F8_ROWS = 64, F8_ROW = 96 };

static const char f8_mark[] = "{\"format\": \"float8_e5m2\"}";

static float f8_scale(int row, bool by_row)
{
    return by_row ? 0.25f + (float)row / 8 : 0.375f;
}

/* A language model of one layer whose projections are float8 with scales: one a tensor, one a row. */
static void write_float8(const char *path)
{
    struct write_tensor t[] = {
        {.name = "model.embed_tokens.weight", .dtype = DTYPE_BF16, .n_dims = 2, .dims = {4, 96}},
        {.name = "model.layers.0.self_attn.q_norm.weight",
         .dtype = DTYPE_F32,
         .n_dims = 1,
         .dims = {32}},
        {.name = "model.layers.0.self_attn.q_proj.weight",
         .dtype = DTYPE_F8_E4M3,
         .n_dims = 2,
         .dims = {F8_ROWS, F8_ROW}},
        {.name = "model.layers.0.self_attn.q_proj.weight_scale", .dtype = DTYPE_F32, .n_dims = 0},
        {.name = "model.layers.0.self_attn.k_proj.weight",
         .dtype = DTYPE_F8_E5M2,
         .n_dims = 2,
         .dims = {F8_ROWS, F8_ROW}},
        {.name = "model.layers.0.self_attn.k_proj.weight_scale",
         .dtype = DTYPE_F32,
         .n_dims = 2,
         .dims = {F8_ROWS, 1}},
        {.name = "model.layers.0.self_attn.k_proj.comfy_quant",
         .dtype = DTYPE_U8,
         .n_dims = 1,
         .dims = {sizeof f8_mark - 1}},
    };
    enum { N = sizeof t / sizeof t[0] };
    struct buf h;
    uint64_t size;
    struct err e = {0};
    float scale = f8_scale(0, false);
    assert_int_equal(safetensors_write_header(t, N, NULL, 0, &h, &size, &e), ERR_OK);
    unsigned char *p = mem_alloc((size_t)size);
    memcpy(p, h.p, h.n);
    for (int i = 0; i < F8_ROWS * F8_ROW; i++) /* every code but NaN and infinity */
        p[t[2].offset + (size_t)i] = p[t[4].offset + (size_t)i] =
            (unsigned char)((i * 7) % 0x7c | (i % 2 ? 0x80 : 0));
    memcpy(p + t[3].offset, &scale, sizeof scale);
    memcpy(p + t[6].offset, f8_mark, sizeof f8_mark - 1);
    for (int i = 0; i < F8_ROWS; i++) {
        scale = f8_scale(i, true);
        memcpy(p + t[5].offset + (size_t)i * sizeof scale, &scale, sizeof scale);
    }
    assert_int_equal(file_write_atomic(path, p, (size_t)size, &e), ERR_OK);
    mem_free(p);
    buf_deinit(&h);
}

static void float8_is_multiplied_out(void **state)
{
    struct checkpoint *x, *y;
    struct err e = {0};
    (void)state;
    write_float8(at("f8.safetensors"));
    convert(at("f8.safetensors"), at("f32.safetensors"), DTYPE_F32, NULL);
    convert(at("f8.safetensors"), at("bf16.gguf"), DTYPE_INVALID, NULL);
    convert(at("f8.safetensors"), at("q.gguf"), DTYPE_Q8_0, NULL);
    assert_int_equal(checkpoint_open(at("f8.safetensors"), &x, &e), ERR_OK);
    assert_int_equal(checkpoint_open(at("f32.safetensors"), &y, &e), ERR_OK);
    assert_int_equal(checkpoint_count(y), 4);
    for (int by_row = 0; by_row < 2; by_row++) {
        const char *name = by_row ? "model.layers.0.self_attn.k_proj.weight"
                                  : "model.layers.0.self_attn.q_proj.weight";
        const struct weights_tensor *s = checkpoint_find(x, name), *t = checkpoint_find(y, name);
        for (int i = 0; i < F8_ROWS * F8_ROW; i++) {
            float f,
                wanted = by_row ? dtype_e5m2_to_f32(s->data[i]) : dtype_e4m3_to_f32(s->data[i]);
            memcpy(&f, t->data + (size_t)i * sizeof f, sizeof f);
            assert_true(f == wanted * f8_scale(i / F8_ROW, by_row));
        }
    }
    checkpoint_close(y);
    assert_int_equal(checkpoint_open(at("bf16.gguf"), &y, &e), ERR_OK);
    assert_int_equal(checkpoint_find(y, "model.layers.0.self_attn.q_proj.weight")->dtype,
                     DTYPE_BF16);
    checkpoint_close(y);
    assert_int_equal(checkpoint_open(at("q.gguf"), &y, &e), ERR_OK);
    assert_int_equal(checkpoint_find(y, "model.layers.0.self_attn.k_proj.weight")->dtype,
                     DTYPE_Q8_0);
    checkpoint_close(y);
    checkpoint_close(x);
}

/* ---- refusing and stopping ----------------------------------------------------------------------------- */

static void nothing_is_replaced_unasked(void **state)
{
    struct convert_result r;
    struct err e = {0};
    struct convert_request rq = {.source = KLEIN "transformer", .target = at("n.gguf")};
    (void)state;
    assert_int_equal(convert_run(&rq, &r, &e), ERR_OK);
    assert_int_equal(convert_run(&rq, &r, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "--force"));
    rq.force = true;
    rq.target = folder;
    assert_int_equal(convert_run(&rq, &r, &e), ERR_ARG);
    rq.target = at("n.bin");
    assert_int_equal(convert_run(&rq, &r, &e), ERR_ARG);
    rq.target = at("n.safetensors");
    rq.type = DTYPE_Q8_0;
    assert_int_equal(convert_run(&rq, &r, &e), ERR_ARG);
    rq.target = at("n.gguf");
    rq.type = DTYPE_IQ1_S;
    assert_int_equal(convert_run(&rq, &r, &e), ERR_ARG);
    rq.type = DTYPE_INVALID;
    rq.target = at("no/such/folder.gguf");
    assert_int_equal(convert_run(&rq, &r, &e), ERR_IO);
    rq.source = at("no-such-file");
    assert_int_equal(convert_run(&rq, &r, &e), ERR_NOTFOUND);
    assert_int_equal(leftovers(), 0);
}

/* A file may be replaced by its own conversion: it stays mapped until the end. */
static void a_file_can_replace_itself(void **state)
{
    (void)state;
    convert(KLEIN "vae", at("s.gguf"), DTYPE_BF16, NULL);
    convert(at("s.gguf"), at("s.gguf"), DTYPE_F32, NULL);
    convert(KLEIN "vae", at("t.gguf"), DTYPE_F32, NULL);
    expect_same_tensors(at("s.gguf"), at("t.gguf"));
}

struct stopper {
    atomic_bool cancel;
    int left;
};

static void stop_after(uint64_t done, uint64_t total, void *user)
{
    struct stopper *s = user;
    assert_true(done <= total);
    if (--s->left <= 0)
        atomic_store(&s->cancel, true);
}

static void a_stopped_conversion_leaves_nothing(void **state)
{
    (void)state;
    for (int after = 1; after < 50; after += 12) {
        struct stopper s = {.left = after};
        struct convert_result r;
        struct err e = {0};
        const struct convert_request rq = {.source = KLEIN "transformer",
                                           .target = at("stopped.gguf"),
                                           .type = DTYPE_Q5_0,
                                           .threads = 1,
                                           .cancel = &s.cancel,
                                           .progress = stop_after,
                                           .user = &s};
        assert_int_equal(convert_run(&rq, &r, &e), ERR_CANCELLED);
        assert_false(file_exists(at("stopped.gguf")));
        assert_int_equal(leftovers(), 0);
    }
}

/* As on a full disk: the room is taken before any work. */
static void a_file_that_does_not_fit_leaves_nothing(void **state)
{
    struct rlimit old, small = {1 << 20, 1 << 20};
    struct err e = {0};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err_code rc = try_convert(KLEIN "transformer", at("full.gguf"), DTYPE_F32, NULL, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, ERR_IO);
    assert_false(file_exists(at("full.gguf")));
    assert_int_equal(leftovers(), 0);
}

static void failed_allocations_are_errors(void **state)
{
    (void)state;
    enum err_code rc = ERR_NOMEM;
    int failed = 0;
    for (long n = 1; rc != ERR_OK && n < 2000; n += n < 60 ? 1 : 37) {
        struct convert_result r;
        struct err e = {0};
        const struct convert_request rq = {.source = KLEIN "transformer",
                                           .target = at("nomem.gguf"),
                                           .type = DTYPE_Q5_0,
                                           .threads = 1,
                                           .force = true};
        mem_fail_after(n);
        rc = convert_run(&rq, &r, &e);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        assert_true(rc == ERR_OK || !file_exists(at("nomem.gguf")));
        failed += rc != ERR_OK;
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(failed > 10);
    assert_int_equal(leftovers(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_round_trip_bit_by_bit),
        cmocka_unit_test(namings_round_trip_bit_by_bit),
        cmocka_unit_test(a_language_model_comes_back_from_llama_cpp_s_naming),
        cmocka_unit_test(the_number_of_threads_makes_no_difference),
        cmocka_unit_test(quantised_tensors_are_ggml_s),
        cmocka_unit_test(a_quantised_file_says_what_it_is),
        cmocka_unit_test(ggml_s_reader_takes_what_we_write),
        cmocka_unit_test(metadata_go_along),
        cmocka_unit_test(float8_is_multiplied_out),
        cmocka_unit_test(nothing_is_replaced_unasked),
        cmocka_unit_test(a_file_can_replace_itself),
        cmocka_unit_test(a_stopped_conversion_leaves_nothing),
        cmocka_unit_test(a_file_that_does_not_fit_leaves_nothing),
        cmocka_unit_test(failed_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

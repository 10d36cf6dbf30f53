/* The counters of veetance bench against counts by hand, and its synthetic models at tiny dims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bench/weights.h"
#include "bench/klein.h"
#include "bench/layered.h"
#include "bench/memory.h"
#include "bench/synthetic.h"
#include "nn/peak.h"
#include "weights/checkpoint.h"

static const char TOKENIZER[] = VT_SOURCE_DIR "/models/micro-klein/tokenizer";

/* ---- a folder for each test ------------------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/veetance-bench-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void in_folder(char *out, size_t size, const char *name)
{
    assert_int_equal(file_join(out, size, folder, name, NULL), ERR_OK);
}

/* ---- counting --------------------------------------------------------------------------------------- */

static void count_of_text_encoder_is_that_by_hand(void **state)
{
    (void)state;
    const struct bench_synthetic *s = bench_synthetic_find("klein-4b");
    struct bench_flops f = bench_flops_qwen3(&s->text, 27, 512);
    /* q, k, v: 2560 -> 4096 + 1024 + 1024; o: 4096 -> 2560; gate, up, down: 2560 x 9728 */
    double layer = 2.0 * 512 * 2560 * 6144 + 2.0 * 512 * 4096 * 2560 + 6.0 * 512 * 2560 * 9728;
    assert_true(layer == 103347650560.0);
    assert_true(f.matmul == 27 * layer);
    assert_true(f.attention == 27 * 4.0 * 512 * 512 * 4096);
    assert_true(f.conv == 0);
}

static void count_of_klein_4b_step_is_that_by_hand(void **state)
{
    (void)state;
    const struct bench_synthetic *s = bench_synthetic_find("klein-4b");
    struct bench_flops f = bench_flops_flux2(&s->transformer, 512, 256);
    assert_true(f.matmul == 4735945408512.0);
    assert_true(f.attention == 181193932800.0);
    assert_true(bench_flops_total(&f) == 4735945408512.0 + 181193932800.0);
}

/* 640 x 640, four layers: 40 x 40 tokens of five frames and of the condition. */
static void count_of_qwen_layered_step_is_that_by_hand(void **state)
{
    (void)state;
    const struct qwen_image_config c = bench_layered_config();
    const struct qwen_image_layout l = {512, 5, 40, 40, 40, 40};
    struct bench_flops f = bench_flops_qwen_image(&c, &l);
    double d = 3072, token = 2 * (4 * d * d + 2 * d * 12288), n = 9600 + 512;
    double ends = 2 * 9600 * 64 * d * 2 + 2 * 512 * 3584 * d, once = 2 * (256 * d + 3 * d * d);
    double last = 512 * 2 * (2 * d * d + 2 * d * 12288); /* all but keys and values */
    assert_true(fabs(f.matmul / (60 * n * token - last + ends + once) - 1) < 1e-12);
    assert_true(fabs(f.attention / (4 * d * n * (59 * n + 9600)) - 1) < 1e-12);
    assert_true(f.conv == 0);
}

static struct flux2_vae_config two_levels(void)
{
    return (struct flux2_vae_config){.latent_channels = 2,
                                     .in_channels = 3,
                                     .out_channels = 3,
                                     .layers_per_block = 1,
                                     .norm_groups = 2,
                                     .n_levels = 2,
                                     .encoder_channels = {4, 8},
                                     .decoder_channels = {4, 8}};
}

static void count_of_decoder_is_that_by_hand(void **state)
{
    (void)state;
    struct flux2_vae_config c = two_levels();
    struct bench_flops f = bench_flops_vae_decode(&c, 2, 2);
    double at_2x2 = 2.0 * 4 * 9 * 2 * 8          /* conv_in */
                    + 8 * (2.0 * 4 * 9 * 8 * 8), /* two resnets in the middle, two in the level */
        up = 2.0 * 16 * 9 * 8 * 8,               /* after the upsampling to 4 x 4 */
        first = 2.0 * 16 * 9 * 8 * 4 + 2.0 * 16 * 9 * 4 * 4 + 2.0 * 16 * 8 * 4, /* 8 -> 4 */
        second = 2 * (2.0 * 16 * 9 * 4 * 4), out = 2.0 * 16 * 9 * 4 * 3;
    assert_true(at_2x2 + up + first + second + out == 83968.0);
    assert_true(f.conv == 83968.0);
    assert_true(f.matmul == 0 && f.attention == 0);
}

static void count_of_decoder_has_attention_when_config_has(void **state)
{
    (void)state;
    struct flux2_vae_config c = two_levels();
    c.mid_attention = true;
    c.use_post_quant_conv = true;
    struct bench_flops f = bench_flops_vae_decode(&c, 2, 2);
    assert_true(f.conv == 83968.0 + 2.0 * 4 * 2 * 2);
    assert_true(f.matmul == 4 * 2.0 * 4 * 8 * 8);
    assert_true(f.attention == 4.0 * 4 * 4 * 8);
}

/* ---- weights ---------------------------------------------------------------------------------------- */

static void fill_rounds_as_the_plain_conversion(void **state)
{
    enum { N = 1021 };
    float src[N];
    uint16_t got[N + 1];
    (void)state;
    for (int i = 0; i < N; i++)
        src[i] = sinf((float)i * 0.37f) * powf(2.0f, (float)(i % 40 - 20));
    src[0] = 0.0f;
    src[1] = 1.00390625f; /* half way between two bf16 numbers: to the even one */
    src[2] = 1.01171875f;
    got[N] = 0x1234;
    bench_fill_bf16_kern(src, N, 0.75f, got);
    for (int i = 0; i < N; i++)
        assert_int_equal(got[i], dtype_f32_to_bf16(0.75f * src[i]));
    bench_fill_bf16_kern(src, 3, 1.0f, got);
    assert_int_equal(got[1], 0x3f80);
    assert_int_equal(got[2], 0x3f82);
    assert_int_equal(got[N], 0x1234);
}

static double mean_square(const struct weights_tensor *t)
{
    double sum = 0;
    for (uint64_t i = 0; i < t->bytes / 2; i++) {
        uint16_t h;
        memcpy(&h, t->data + 2 * i, 2);
        double v = (double)dtype_bf16_to_f32(h);
        sum += v * v;
    }
    uint64_t values = t->bytes / 2;
    return sum / (double)values;
}

static void written_weights_are_sound_when_threads_share_the_file(void **state)
{
    char path[128];
    struct bench_weights w;
    struct checkpoint *c;
    struct err e = {0};
    const struct bench_writing run = {.threads = 3};
    (void)state;
    in_folder(path, sizeof path, "w.safetensors");
    bench_weights_init(&w);
    bench_weights_add(&w, BENCH_RANDOM, 2, (int64_t[]){3001, 1700}, "layers.%d.big", 7);
    bench_weights_add(&w, BENCH_ONES, 1, (int64_t[]){13}, "ones");
    bench_weights_add(&w, BENCH_ZEROS, 1, (int64_t[]){5}, "zeros");
    bench_weights_add(&w, BENCH_RANDOM, 4, (int64_t[]){64, 8, 3, 3}, "kernel");
    assert_int_equal(bench_weights_write(&w, path, &run, &e), ERR_OK);
    bench_weights_deinit(&w);

    assert_int_equal(checkpoint_open(path, &c, &e), ERR_OK);
    assert_int_equal(checkpoint_count(c), 4);
    const struct weights_tensor *big = checkpoint_find(c, "layers.7.big");
    assert_int_equal(big->dims[0], 3001);
    assert_int_equal(big->dims[1], 1700);
    assert_true(fabs(mean_square(big) * 1700 - 1) < 0.01);
    assert_true(fabs(mean_square(checkpoint_find(c, "kernel")) * 72 - 1) < 0.1);
    assert_true(mean_square(checkpoint_find(c, "ones")) == 1);
    assert_true(mean_square(checkpoint_find(c, "zeros")) == 0);
    checkpoint_close(c);
}

/* ---- synthetic models ------------------------------------------------------------------------------- */

static struct bench_synthetic tiny(void)
{
    return (struct bench_synthetic){
        .name = "tiny",
        .transformer = {.in_channels = 16,
                        .out_channels = 16,
                        .joint_dim = 96,
                        .heads = 2,
                        .head_dim = 16,
                        .dim = 32,
                        .mlp_dim = 96,
                        .time_channels = 32,
                        .n_double = 1,
                        .n_single = 2,
                        .axes_dims = {4, 4, 4, 4},
                        .rope_theta = 2000,
                        .eps = 1e-6},
        .text = {.hidden = 32,
                 .intermediate = 64,
                 .layers = 27,
                 .heads = 2,
                 .kv_heads = 1,
                 .head_dim = 16,
                 .vocab = 2048,
                 .rms_eps = 1e-6,
                 .rope_theta = 1e6},
        .vae = {.latent_channels = 4,
                .in_channels = 3,
                .out_channels = 3,
                .layers_per_block = 1,
                .norm_groups = 4,
                .n_levels = 4,
                .encoder_channels = {8, 8, 16, 16},
                .decoder_channels = {8, 8, 8, 16},
                .use_quant_conv = true,
                .use_post_quant_conv = true,
                .mid_attention = true,
                .batch_norm_eps = 1e-4},
    };
}

static void synthetic_model_runs_when_written(void **state)
{
    struct bench_synthetic s = tiny();
    struct err e = {0};
    char path[128];
    const struct bench_writing writing = {.threads = 2};
    struct bench_result *r = mem_alloc(sizeof *r);
    (void)state;
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, &e),
                     ERR_OK);
    const struct bench_request rq = {.model = path,
                                     .sizes = {64, 96},
                                     .n_sizes = 2,
                                     .steps = 2,
                                     .max_tokens = 40,
                                     .device = "cpu",
                                     .threads = 1};
    if (bench_run(&rq, r, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_string_equal(r->model, "synthetic tiny");
    assert_int_equal(r->n_images, 2);
    assert_int_equal(r->images[1].width, 96);
    assert_int_equal(r->images[1].height, 96);
    assert_true(r->text.seconds > 0 && r->text.anonymous_bytes > 0);
    assert_true(r->text.cpu_seconds > 0 && r->images[0].step.cpu_seconds > 0);
    struct bench_flops step = bench_flops_flux2(&s.transformer, 40, 6 * 6);
    struct bench_flops decode = bench_flops_vae_decode(&s.vae, 12, 12);
    assert_true(bench_flops_total(&r->images[1].step.flops) == bench_flops_total(&step));
    assert_true(bench_flops_total(&r->images[1].decode.flops) == bench_flops_total(&decode));
    for (int i = 0; i < 2; i++) {
        const struct bench_image *p = &r->images[i];
        assert_true(p->step.seconds > 0 && p->step.seconds <= p->mean_step_seconds);
        assert_true(p->decode.seconds > 0 && p->compute_bytes > 0);
        assert_true(p->step.anonymous_bytes > 0 && p->step.file_bytes > 0);
    }
    assert_true(r->anonymous_bytes >= r->images[0].decode.anonymous_bytes);
    mem_free(r);
}

static struct qwen_image_config tiny_layered(void)
{
    return (struct qwen_image_config){.in_channels = 16,
                                      .out_channels = 16,
                                      .joint_dim = 48,
                                      .heads = 2,
                                      .head_dim = 32,
                                      .dim = 64,
                                      .mlp_dim = 128,
                                      .time_channels = 32,
                                      .n_blocks = 2,
                                      .axes_dims = {4, 14, 14},
                                      .rope_theta = 10000,
                                      .eps = 1e-6};
}

/* Queries, 64 x 64: two blocks of 22 bytes a row. */
static void check_q5_0(const struct weights_tensor *t)
{
    double sum = 0;
    assert_int_equal(t->dtype, DTYPE_Q5_0);
    assert_int_equal(t->bytes, 64 * 2 * 22);
    for (uint64_t i = 0; i < t->bytes; i += 22) {
        uint32_t high;
        memcpy(&high, t->data + i + 2, sizeof high);
        for (int k = 0; k < 32; k++) {
            int low = k < 16 ? t->data[i + 6 + k] & 15 : t->data[i + 6 + k - 16] >> 4;
            int q = low | (int)(high >> k & 1) << 4;
            sum += (q - 16) * (q - 16);
        }
    }
    assert_true(fabs(sum / (64 * 64) / 85.5 - 1) < 0.06); /* (32^2 - 1) / 12 + (1/2)^2 */
}

static void layered_step_runs_when_written(void **state)
{
    const struct qwen_image_config c = tiny_layered();
    const struct bench_writing writing = {.threads = 1};
    struct bench_layered_result *r = mem_alloc(sizeof *r);
    struct checkpoint *cp;
    struct err e = {0};
    struct stat st;
    char path[128];
    (void)state;
    if (bench_layered_get(&c, "tiny", folder, &writing, path, sizeof path, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, bench_layered_bytes(&c));
    assert_int_equal(checkpoint_open(path, &cp, &e), ERR_OK);
    check_q5_0(checkpoint_find(cp, "transformer_blocks.1.attn.to_q.weight"));
    checkpoint_close(cp);
    const struct bench_layered_request rq = {.weights = path,
                                             .side = 64,
                                             .layers = 2,
                                             .text_tokens = 7,
                                             .steps = 2,
                                             .device = "cpu",
                                             .threads = 1,
                                             .profile = true};
    if (bench_layered_run(&rq, r, &e) != ERR_OK)
        fail_msg("%s", e.text);
    const struct qwen_image_layout l = {7, 3, 4, 4, 4, 4};
    struct bench_flops f = bench_flops_qwen_image(&c, &l);
    assert_int_equal(r->image_tokens, 4 * 16);
    assert_true(bench_flops_total(&r->step.flops) == bench_flops_total(&f));
    assert_true(r->step.seconds > 0 && r->step.seconds <= r->mean_step_seconds);
    assert_true(r->compute_bytes > 0 && r->mapped_bytes + r->own_bytes > 0 && r->profile.n > 0);
    mem_free(r);
}

static void layered_model_is_refused_when_memory_is_too_small(void **state)
{
    struct qwen_image_config c = tiny_layered();
    struct err e = {0};
    (void)state;
    c.mlp_dim = (int64_t)1 << 36;
    assert_int_equal(bench_layered_check_memory(&c, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "a step of qwen-layered needs "));
    assert_non_null(strstr(e.text, "this machine has "));
}

static void synthetic_model_is_kept_when_whole(void **state)
{
    struct bench_synthetic s = tiny();
    char path[128], file[256];
    struct stat first, second;
    const struct bench_writing writing = {.threads = 1};
    (void)state;
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, NULL),
                     ERR_OK);
    (void)snprintf(file, sizeof file, "%s/vae/diffusion_pytorch_model.safetensors", path);
    assert_int_equal(stat(file, &first), 0);
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, NULL),
                     ERR_OK);
    assert_int_equal(stat(file, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    assert_true(first.st_mtim.tv_nsec == second.st_mtim.tv_nsec);
}

static void synthetic_model_is_written_again_when_left_half(void **state)
{
    struct bench_synthetic s = tiny();
    char path[128], partial[128], inner[128], junk[128];
    const struct bench_writing writing = {.threads = 1};
    (void)state;
    in_folder(partial, sizeof partial, "tiny.partial");
    in_folder(inner, sizeof inner, "tiny.partial/vae");
    in_folder(junk, sizeof junk, "tiny.partial/vae/junk");
    assert_int_equal(mkdir(partial, 0777), 0);
    assert_int_equal(mkdir(inner, 0777), 0);
    assert_int_equal(file_write_atomic(junk, "x", 1, NULL), ERR_OK);
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, NULL),
                     ERR_OK);
    assert_false(file_exists(partial));
    in_folder(junk, sizeof junk, "tiny/vae/junk");
    assert_false(file_exists(junk));
}

static void synthetic_model_leaves_nothing_when_cancelled(void **state)
{
    struct bench_synthetic s = tiny();
    char path[128], partial[128];
    struct err e = {0};
    atomic_bool cancel = true;
    const struct bench_writing writing = {.threads = 2, .cancel = &cancel};
    (void)state;
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, &e),
                     ERR_CANCELLED);
    in_folder(partial, sizeof partial, "tiny.partial");
    assert_false(file_exists(path));
    assert_false(file_exists(partial));
}

static void synthetic_model_is_refused_when_disk_is_too_small(void **state)
{
    struct bench_synthetic s = tiny();
    char path[128];
    struct err e = {0};
    const struct bench_writing writing = {.threads = 1};
    (void)state;
    s.text.vocab = (int64_t)1 << 32;
    s.text.hidden = 1 << 16; /* an embedding of 512 TiB */
    assert_int_equal(bench_synthetic_get(&s, TOKENIZER, folder, &writing, path, sizeof path, &e),
                     ERR_IO);
    assert_non_null(strstr(e.text, "GB free"));
    assert_false(file_exists(path));
}

static void names_of_synthetic_models_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; bench_synthetic_name(i); i++)
        assert_string_equal(bench_synthetic_find(bench_synthetic_name(i))->name,
                            bench_synthetic_name(i));
    assert_null(bench_synthetic_find("klein-5b"));
    /* The published files: 7.75 GB; 27 of 36 layers: 6.23 of 8.04 GB; 0.17 GB. */
    double gb = (double)bench_synthetic_bytes(bench_synthetic_find("klein-4b")) * 1e-9;
    assert_true(gb > 14.1 && gb < 14.2);
}

/* ---- the machine ------------------------------------------------------------------------------------ */

static void memory_counts_to_the_slot_that_was_current(void **state)
{
    enum { BYTES = 64 << 20 };
    struct bench_memory m;
    (void)state;
    assert_int_equal(bench_memory_start(&m, NULL), ERR_OK);
    bench_memory_slot(&m, 3);
    unsigned char *p = mem_try_alloc(BYTES);
    assert_non_null(p);
    memset(p, 1, BYTES);
    bench_memory_slot(&m, 4);
    mem_free(p);
    bench_memory_stop(&m);
    assert_true(m.peaks[3].anonymous_bytes >= m.peaks[0].anonymous_bytes + BYTES / 4 * 3);
    assert_int_equal(m.peaks[5].anonymous_bytes, 0);
}

static void product_has_a_rate_when_onednn_is_there(void **state)
{
    const struct nn_peak_shape shape = {48, 96, 64};
    struct nn_peak_result r;
    struct err e = {0};
    (void)state;
    enum err_code rc = nn_peak_matmul(NN_PEAK_F32, &shape, 1, 0, NULL, &r, &e);
    if (rc == ERR_NOTFOUND)
        skip();
    assert_int_equal(rc, ERR_OK);
    assert_true(r.seconds > 0 && isfinite(r.flops_per_second));
    assert_true(r.flops_per_second == 2.0 * 48 * 96 * 64 / r.seconds);
    atomic_bool cancel = true;
    assert_int_equal(nn_peak_matmul(NN_PEAK_F32, &shape, 1, 0, &cancel, &r, &e), ERR_CANCELLED);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_of_text_encoder_is_that_by_hand),
        cmocka_unit_test(count_of_klein_4b_step_is_that_by_hand),
        cmocka_unit_test(count_of_qwen_layered_step_is_that_by_hand),
        cmocka_unit_test(count_of_decoder_is_that_by_hand),
        cmocka_unit_test(count_of_decoder_has_attention_when_config_has),
        cmocka_unit_test(fill_rounds_as_the_plain_conversion),
        IN_FOLDER(written_weights_are_sound_when_threads_share_the_file),
        IN_FOLDER(synthetic_model_runs_when_written),
        IN_FOLDER(layered_step_runs_when_written),
        cmocka_unit_test(layered_model_is_refused_when_memory_is_too_small),
        IN_FOLDER(synthetic_model_is_kept_when_whole),
        IN_FOLDER(synthetic_model_is_written_again_when_left_half),
        IN_FOLDER(synthetic_model_leaves_nothing_when_cancelled),
        IN_FOLDER(synthetic_model_is_refused_when_disk_is_too_small),
        cmocka_unit_test(names_of_synthetic_models_are_found),
        cmocka_unit_test(memory_counts_to_the_slot_that_was_current),
        cmocka_unit_test(product_has_a_rate_when_onednn_is_there),
    };
    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}

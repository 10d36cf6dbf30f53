/* synthetic.c - the folder of a synthetic klein model: dims of the published ones, written file by file.
 *
 * The dims are in one table. bench/synthetic_list.c turns them into tensor names and config.json, bench/weights.c
 * into files, and bench/cache.c makes the folder appear only when it is whole. The tokenizer is copied from an
 * embedded model: nothing that is measured depends on the words.
 */
#include "bench/synthetic.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json_text.h"
#include "bench/cache.h"

enum {
    PATH_BYTES = 4096,
    TOKENIZER_MAX_BYTES = 64 << 20,
    LAYERS_NEEDED = 27, /* of the text encoder: the last tapped hidden state */
};

/* ---- what there is ---------------------------------------------------------------------------------- */

#define KLEIN_VAE                                                                                  \
    {                                                                                              \
        .latent_channels = 32, .in_channels = 3, .out_channels = 3, .layers_per_block = 2,         \
        .norm_groups = 32, .n_levels = 4, .encoder_channels = {128, 256, 512, 512},                \
        .decoder_channels = {128, 256, 512, 512}, .use_quant_conv = true,                          \
        .use_post_quant_conv = true, .mid_attention = true, .batch_norm_eps = 1e-4,                \
    }

static const struct bench_synthetic models[] = {
    {
        .name = "klein-4b",
        .transformer = {.in_channels = 128,
                        .out_channels = 128,
                        .joint_dim = 7680,
                        .heads = 24,
                        .head_dim = 128,
                        .dim = 3072,
                        .mlp_dim = 9216,
                        .time_channels = 256,
                        .n_double = 5,
                        .n_single = 20,
                        .axes_dims = {32, 32, 32, 32},
                        .rope_theta = 2000,
                        .eps = 1e-6},
        .text = {.hidden = 2560,
                 .intermediate = 9728,
                 .layers = LAYERS_NEEDED,
                 .heads = 32,
                 .kv_heads = 8,
                 .head_dim = 128,
                 .vocab = 151936,
                 .rms_eps = 1e-6,
                 .rope_theta = 1e6},
        .vae = KLEIN_VAE,
    },
    {
        .name = "klein-9b",
        .transformer = {.in_channels = 128,
                        .out_channels = 128,
                        .joint_dim = 12288,
                        .heads = 32,
                        .head_dim = 128,
                        .dim = 4096,
                        .mlp_dim = 12288,
                        .time_channels = 256,
                        .n_double = 8,
                        .n_single = 24,
                        .axes_dims = {32, 32, 32, 32},
                        .rope_theta = 2000,
                        .eps = 1e-6},
        .text = {.hidden = 4096,
                 .intermediate = 12288,
                 .layers = LAYERS_NEEDED,
                 .heads = 32,
                 .kv_heads = 8,
                 .head_dim = 128,
                 .vocab = 151936,
                 .rms_eps = 1e-6,
                 .rope_theta = 1e6},
        .vae = KLEIN_VAE,
    },
};

enum { MODELS = sizeof models / sizeof models[0] };

const char *bench_synthetic_name(size_t i)
{
    return i < MODELS ? models[i].name : NULL;
}

const struct bench_synthetic *bench_synthetic_find(const char *name)
{
    for (size_t i = 0; i < MODELS; i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}

static const struct part {
    const char *folder, *file;
    void (*list)(const struct bench_synthetic *s, struct bench_weights *w);
    void (*config)(const struct bench_synthetic *s, struct buf *b);
} parts[] = {
    {"vae", "diffusion_pytorch_model.safetensors", bench_list_vae, bench_config_vae},
    {"text_encoder", "model.safetensors", bench_list_text, bench_config_text},
    {"transformer", "diffusion_pytorch_model.safetensors", bench_list_transformer,
     bench_config_transformer},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

uint64_t bench_synthetic_bytes(const struct bench_synthetic *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < PARTS; i++) {
        struct bench_weights w;
        bench_weights_init(&w);
        parts[i].list(s, &w);
        n += bench_weights_bytes(&w);
        bench_weights_deinit(&w);
    }
    return n;
}

/* ---- writing a model -------------------------------------------------------------------------------- */

static enum err_code write_text(const char *dir, const char *name, struct str text, struct err *e)
{
    char path[PATH_BYTES];
    TRY(file_join(path, sizeof path, dir, name, e));
    return file_write_atomic(path, text.p, text.n, e);
}

static enum err_code write_part(const struct bench_synthetic *s, const struct part *part,
                                const char *model, struct bench_writing *run, struct err *e)
{
    char dir[PATH_BYTES], path[PATH_BYTES];
    struct bench_weights w;
    struct buf config;
    TRY(file_join(dir, sizeof dir, model, part->folder, e));
    TRY(folder_make(dir, 0777, e));
    TRY(file_join(path, sizeof path, dir, part->file, e));
    bench_weights_init(&w);
    buf_init(&config, 1 << 16);
    part->list(s, &w);
    part->config(s, &config);
    enum err_code rc = ERR_OK;
    if (buf_failed(&config)) {
        rc = err_set(e, ERR_NOMEM, "no memory for a config");
        goto done;
    }
    TRY_GOTO(write_text(dir, "config.json", buf_str(&config), e), done);
    rc = bench_weights_write(&w, path, run, e);
done:
    run->done_before += bench_weights_bytes(&w);
    buf_deinit(&config);
    bench_weights_deinit(&w);
    return rc;
}

static enum err_code copy_tokenizer(const char *from, const char *model, struct err *e)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json", "vocab.json",
                                        "merges.txt", "added_tokens.json"};
    char to[PATH_BYTES], path[PATH_BYTES];
    enum err_code rc = file_join(to, sizeof to, model, "tokenizer", e);
    if (rc == ERR_OK)
        rc = folder_make(to, 0777, e);
    for (size_t i = 0; rc == ERR_OK && i < sizeof files / sizeof files[0]; i++) {
        struct buf b;
        rc = file_join(path, sizeof path, from, files[i], e);
        if (rc != ERR_OK || !file_exists(path))
            continue;
        rc = file_read(path, TOKENIZER_MAX_BYTES, &b, e);
        if (rc != ERR_OK)
            break;
        rc = write_text(to, files[i], buf_str(&b), e);
        buf_deinit(&b);
    }
    return rc;
}

static enum err_code write_small_files(const struct bench_synthetic *s, const char *model,
                                       struct err *e)
{
    char scheduler[PATH_BYTES], name[80];
    struct buf own;
    (void)snprintf(name, sizeof name, "synthetic %.64s", s->name);
    buf_init(&own, 1 << 12);
    json_object(&own, NULL);
    json_put_z(&own, "name", name);
    json_put_z(&own, "pipeline", "klein");
    json_object(&own, "defaults");
    json_put_int(&own, "width", 256);
    json_put_int(&own, "height", 256);
    json_end_object(&own);
    json_end_object(&own);
    buf_add_byte(&own, '\n');
    enum err_code rc = write_text(model, "veetance.json", buf_str(&own), e);
    buf_deinit(&own);
    TRY(rc);
    TRY(write_text(model, "model_index.json",
                   STR_LIT("{\"_class_name\":\"Flux2KleinPipeline\",\"is_distilled\":true}\n"), e));
    TRY(file_join(scheduler, sizeof scheduler, model, "scheduler", e));
    TRY(folder_make(scheduler, 0777, e));
    return write_text(scheduler, "scheduler_config.json",
                      STR_LIT("{\"_class_name\":\"FlowMatchEulerDiscreteScheduler\","
                              "\"num_train_timesteps\":1000,\"shift\":3.0,"
                              "\"use_dynamic_shifting\":true}\n"),
                      e);
}

static enum err_code write_model(const struct bench_synthetic *s, const char *tokenizer_dir,
                                 const char *model, const struct bench_writing *run, struct err *e)
{
    struct bench_writing r = *run;
    r.done_before = 0;
    r.total = bench_synthetic_bytes(s);
    TRY(write_small_files(s, model, e));
    TRY(copy_tokenizer(tokenizer_dir, model, e));
    for (size_t i = 0; i < PARTS; i++)
        TRY(write_part(s, &parts[i], model, &r, e));
    return ERR_OK;
}

struct write_request {
    const struct bench_synthetic *model;
    const char *tokenizer_dir;
};

static enum err_code write_into(const void *user, const char *dir, const struct bench_writing *run,
                                struct err *e)
{
    const struct write_request *w = user;
    return write_model(w->model, w->tokenizer_dir, dir, run, e);
}

enum err_code bench_synthetic_get(const struct bench_synthetic *s, const char *tokenizer_dir,
                                  const char *cache_dir, const struct bench_writing *run, char *out,
                                  size_t out_size, struct err *e)
{
    const struct write_request w = {s, tokenizer_dir};
    const struct bench_cached what = {
        .name = s->name, .bytes = bench_synthetic_bytes(s), .write = write_into, .user = &w};
    return bench_cache_get(&what, cache_dir, run, out, out_size, e);
}

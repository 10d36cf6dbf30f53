/* qwen_vl_gguf_test.c - a Qwen2.5-VL as llama.cpp stores it (language model and vision tower in a GGUF file
 * each, tokenizer and numbers in their metadata) says what the same model says from its transformers folder.
 * The files are made here from that folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "image/load.h"
#include "nn/params.h"
#include "pipeline/caption/caption.h"
#include "support/case.h"
#include "support/gguf_write.h"

static struct nn_device *device;
static char folder[200]; /* of the files made */

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

/* ---- making the files --------------------------------------------------------------------------------- */

struct rename {
    const char *stored, *canonical; /* up to %d and behind it */
};

static const struct rename language_layers[] = {
    {"blk.%d.attn_norm.weight", "model.layers.%d.input_layernorm.weight"},
    {"blk.%d.ffn_norm.weight", "model.layers.%d.post_attention_layernorm.weight"},
    {"blk.%d.attn_q.weight", "model.layers.%d.self_attn.q_proj.weight"},
    {"blk.%d.attn_q.bias", "model.layers.%d.self_attn.q_proj.bias"},
    {"blk.%d.attn_k.weight", "model.layers.%d.self_attn.k_proj.weight"},
    {"blk.%d.attn_k.bias", "model.layers.%d.self_attn.k_proj.bias"},
    {"blk.%d.attn_v.weight", "model.layers.%d.self_attn.v_proj.weight"},
    {"blk.%d.attn_v.bias", "model.layers.%d.self_attn.v_proj.bias"},
    {"blk.%d.attn_output.weight", "model.layers.%d.self_attn.o_proj.weight"},
    {"blk.%d.ffn_gate.weight", "model.layers.%d.mlp.gate_proj.weight"},
    {"blk.%d.ffn_up.weight", "model.layers.%d.mlp.up_proj.weight"},
    {"blk.%d.ffn_down.weight", "model.layers.%d.mlp.down_proj.weight"},
};

static const struct rename vision_blocks[] = {
    {"v.blk.%d.ln1.weight", "visual.blocks.%d.norm1.weight"},
    {"v.blk.%d.ln2.weight", "visual.blocks.%d.norm2.weight"},
    {"v.blk.%d.attn_q.weight", "visual.blocks.%d.attn.q.weight"},
    {"v.blk.%d.attn_q.bias", "visual.blocks.%d.attn.q.bias"},
    {"v.blk.%d.attn_k.weight", "visual.blocks.%d.attn.k.weight"},
    {"v.blk.%d.attn_k.bias", "visual.blocks.%d.attn.k.bias"},
    {"v.blk.%d.attn_v.weight", "visual.blocks.%d.attn.v.weight"},
    {"v.blk.%d.attn_v.bias", "visual.blocks.%d.attn.v.bias"},
    {"v.blk.%d.attn_out.weight", "visual.blocks.%d.attn.proj.weight"},
    {"v.blk.%d.attn_out.bias", "visual.blocks.%d.attn.proj.bias"},
    {"v.blk.%d.ffn_gate.weight", "visual.blocks.%d.mlp.gate_proj.weight"},
    {"v.blk.%d.ffn_gate.bias", "visual.blocks.%d.mlp.gate_proj.bias"},
    {"v.blk.%d.ffn_up.weight", "visual.blocks.%d.mlp.up_proj.weight"},
    {"v.blk.%d.ffn_up.bias", "visual.blocks.%d.mlp.up_proj.bias"},
    {"v.blk.%d.ffn_down.weight", "visual.blocks.%d.mlp.down_proj.weight"},
    {"v.blk.%d.ffn_down.bias", "visual.blocks.%d.mlp.down_proj.bias"},
};

/* A canonical tensor's values and shape. */
static float *values(struct component *c, const char *name, struct weights_view *v)
{
    struct err e = {0};
    int64_t rows = 1, n;
    must(component_find(c, name, -1, NULL, v, &e), &e);
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    n = rows * v->dims[v->n_dims - 1];
    float *f = calloc((size_t)n, sizeof *f);
    must(nn_view_rows_f32(v, 0, rows, f, &e), &e);
    return f;
}

static void copy(struct gguf_writer *g, const char *stored, struct component *c,
                 const char *canonical)
{
    struct weights_view v;
    float *f = values(c, canonical, &v);
    gguf_tensor(g, stored, v.dims, v.n_dims, f);
    free(f);
}

/* PATTERN with its %d as a number. */
static const char *numbered(const char *pattern, int i)
{
    static char out[2][160];
    static int next;
    const char *at = strstr(pattern, "%d");
    assert_non_null(at);
    next = !next;
    (void)snprintf(out[next], sizeof out[next], "%.*s%d%s", (int)(at - pattern), pattern, i,
                   at + 2);
    return out[next];
}

static void copy_blocks(struct gguf_writer *g, struct component *c, const struct rename *r,
                        size_t n, int64_t blocks)
{
    for (int b = 0; b < (int)blocks; b++)
        for (size_t i = 0; i < n; i++)
            copy(g, numbered(r[i].stored, b), c, numbered(r[i].canonical, b));
}

/* Kernel [out, channels, frames, h, w] as a tensor a frame. */
static void copy_kernel(struct gguf_writer *g, struct component *c)
{
    static const char *const names[] = {"v.patch_embd.weight", "v.patch_embd.weight.1"};
    struct weights_view v;
    float *f = values(c, "visual.patch_embed.proj.weight", &v);
    int64_t planes = v.dims[0] * v.dims[1], area = v.dims[3] * v.dims[4];
    float *one = calloc((size_t)(planes * area), sizeof *one);
    for (int64_t frame = 0; frame < 2; frame++) {
        for (int64_t p = 0; p < planes; p++)
            memcpy(one + p * area, f + (p * 2 + frame) * area, (size_t)area * sizeof *one);
        gguf_tensor(g, names[frame], (int64_t[]){v.dims[0], v.dims[1], v.dims[3], v.dims[4]}, 4,
                    one);
    }
    free(one);
    free(f);
}

/* ---- tokenizer.json as GGUF arrays -------------------------------------------------------------------- */

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, MAX_TOKENS = 4096 };

static struct str str_of(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static void write_tokens(struct gguf_writer *g, yyjson_val *root, size_t n)
{
    struct str *tokens = calloc(n, sizeof *tokens);
    uint32_t *types = calloc(n, sizeof *types);
    static char padding[MAX_TOKENS][32];
    size_t i, max;
    yyjson_val *key, *v;
    assert_true(n <= MAX_TOKENS);
    for (i = 0; i < n; i++) { /* embeddings that no token has */
        (void)snprintf(padding[i], sizeof padding[i], "[PAD%zu]", i);
        tokens[i] = str_from(padding[i]);
        types[i] = UNUSED;
    }
    yyjson_obj_foreach(yyjson_obj_get(yyjson_obj_get(root, "model"), "vocab"), i, max, key, v)
    {
        size_t id = (size_t)yyjson_get_sint(v);
        tokens[id] = str_of(key);
        types[id] = NORMAL;
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "added_tokens"), i, max, v)
    {
        size_t id = (size_t)yyjson_get_sint(yyjson_obj_get(v, "id"));
        tokens[id] = str_of(yyjson_obj_get(v, "content"));
        types[id] = yyjson_get_bool(yyjson_obj_get(v, "special")) ? CONTROL : USER_DEFINED;
    }
    gguf_str_array(g, "tokenizer.ggml.tokens", tokens, n);
    gguf_u32_array(g, "tokenizer.ggml.token_type", types, n);
    free(tokens);
    free(types);
}

/* Merges are "a b" or ["a", "b"] there. */
static void write_merges(struct gguf_writer *g, yyjson_val *root)
{
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(root, "model"), "merges"), *v;
    size_t i, max, n = yyjson_arr_size(list);
    struct str *merges = calloc(n, sizeof *merges);
    struct buf joined;
    buf_init(&joined, 1 << 20);
    assert_non_null(buf_grow(&joined, 1 << 19)); /* so that it never moves */
    buf_clear(&joined);
    yyjson_arr_foreach(list, i, max, v)
    {
        size_t at = joined.n;
        if (yyjson_is_str(v)) {
            buf_add_str(&joined, str_of(v));
        } else {
            buf_add_str(&joined, str_of(yyjson_arr_get(v, 0)));
            buf_add_byte(&joined, ' ');
            buf_add_str(&joined, str_of(yyjson_arr_get(v, 1)));
        }
        merges[i] = (struct str){joined.p + at, joined.n - at};
    }
    assert_false(buf_failed(&joined));
    gguf_str_array(g, "tokenizer.ggml.merges", merges, n);
    buf_deinit(&joined);
    free(merges);
}

static void write_tokenizer(struct gguf_writer *g, const char *path, size_t n_vocab)
{
    struct err e = {0};
    yyjson_doc *doc;
    must(json_read_file(path, 16 << 20, &doc, &e), &e);
    gguf_str(g, "tokenizer.ggml.model", "gpt2");
    gguf_str(g, "tokenizer.ggml.pre", "qwen2");
    write_tokens(g, yyjson_doc_get_root(doc), n_vocab);
    write_merges(g, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

/* ---- the two files ------------------------------------------------------------------------------------ */

static void write_language(struct component *c, const struct qwen_vl_config *cfg,
                           const char *tokenizer, const char *path)
{
    struct gguf_writer g;
    uint32_t sections[4] = {(uint32_t)cfg->mrope[0], (uint32_t)cfg->mrope[1],
                            (uint32_t)cfg->mrope[2], 0};
    gguf_begin(&g);
    gguf_str(&g, "general.architecture", "qwen2vl");
    gguf_u32(&g, "qwen2vl.block_count", (uint32_t)cfg->layers);
    gguf_u32(&g, "qwen2vl.attention.head_count", (uint32_t)cfg->heads);
    gguf_u32(&g, "qwen2vl.attention.head_count_kv", (uint32_t)cfg->kv_heads);
    gguf_f32(&g, "qwen2vl.rope.freq_base", (float)cfg->rope_theta);
    gguf_f32(&g, "qwen2vl.attention.layer_norm_rms_epsilon", (float)cfg->rms_eps);
    gguf_u32_array(&g, "qwen2vl.rope.dimension_sections", sections, 4);
    write_tokenizer(&g, tokenizer, (size_t)cfg->vocab);
    copy(&g, "token_embd.weight", c, "model.embed_tokens.weight");
    copy(&g, "output_norm.weight", c, "model.norm.weight");
    copy(&g, "output.weight", c, "lm_head.weight");
    copy_blocks(&g, c, language_layers, sizeof language_layers / sizeof language_layers[0],
                cfg->layers);
    gguf_end(&g, path);
}

static void write_vision(struct component *c, const struct qwen_vl_vision_config *cfg,
                         const char *path)
{
    struct gguf_writer g;
    uint32_t full_every = 1;
    while (!cfg->full[full_every - 1])
        full_every++;
    gguf_begin(&g);
    gguf_str(&g, "general.architecture", "clip");
    gguf_str(&g, "clip.projector_type", "qwen2.5vl_merger");
    gguf_u32(&g, "clip.vision.attention.head_count", (uint32_t)cfg->heads);
    gguf_u32(&g, "clip.vision.n_wa_pattern", full_every);
    gguf_u32(&g, "clip.vision.window_size", (uint32_t)cfg->window);
    copy_kernel(&g, c);
    copy(&g, "v.post_ln.weight", c, "visual.merger.ln_q.weight");
    copy(&g, "mm.0.weight", c, "visual.merger.mlp.0.weight");
    copy(&g, "mm.0.bias", c, "visual.merger.mlp.0.bias");
    copy(&g, "mm.2.weight", c, "visual.merger.mlp.2.weight");
    copy(&g, "mm.2.bias", c, "visual.merger.mlp.2.bias");
    copy_blocks(&g, c, vision_blocks, sizeof vision_blocks / sizeof vision_blocks[0], cfg->depth);
    gguf_end(&g, path);
}

static const char *in_folder(const char *name)
{
    static char out[2][300];
    static int next;
    next = !next;
    (void)snprintf(out[next], sizeof out[next], "%s/%s", folder, name);
    return out[next];
}

/* Both files from models/layered-b. */
static int make_files(void **state)
{
    struct err e = {0};
    struct component *c;
    struct qwen_vl_config language;
    struct qwen_vl_vision_config vision;
    yyjson_doc *doc;
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/veetance-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    must(component_open(parity_path("models/layered-b/text_encoder"), COMPONENT_QWEN2_5_VL, &c, &e),
         &e);
    must(
        json_read_file(parity_path("models/layered-b/text_encoder/config.json"), 1 << 20, &doc, &e),
        &e);
    must(qwen_vl_config_read(yyjson_doc_get_root(doc), "config.json", c, &language, &e), &e);
    must(qwen_vl_vision_config_read(yyjson_doc_get_root(doc), "config.json", c, &vision, &e), &e);
    write_language(c, &language, parity_path("models/layered-b/tokenizer/tokenizer.json"),
                   in_folder("language.gguf"));
    write_vision(c, &vision, in_folder("mmproj.gguf"));
    yyjson_doc_free(doc);
    component_close(c);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(in_folder("language.gguf"));
    (void)unlink(in_folder("mmproj.gguf"));
    return rmdir(folder);
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void caption_is_the_same(const char *model)
{
    struct err e = {0};
    struct parity_case c;
    struct caption_files *files = calloc(1, sizeof *files);
    struct captioner *cap;
    struct image image = {0};
    struct caption_result r;
    char path[1200];
    size_t n;
    assert_true(parity_case_open("qwen25vl-caption-2-layered-b", &c));
    (void)snprintf(path, sizeof path, "%s/image.png", c.dir);
    must(image_load_file(path, NULL, NULL, &image, &e), &e);
    must(caption_files_find(model, files, &e), &e);
    must(caption_open(files, device, &cap, &e), &e);
    float *want = parity_golden(&c, "new_ids", &n);
    struct caption_request rq = {.language = CHAT_ENGLISH, .max_new_tokens = (int64_t)n};
    must(caption_run(cap, &image, &rq, &r, &e), &e);
    assert_int_equal(r.generated.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r.generated.ids[i], (int32_t)want[i]);
    free(want);
    caption_result_deinit(&r);
    caption_close(cap);
    image_free(&image);
    parity_case_close(&c);
    free(files);
}

static void caption_is_the_same_when_a_folder_holds_two_gguf_files(void **state)
{
    (void)state;
    caption_is_the_same(folder);
}

static void vision_tower_is_found_when_the_language_model_is_named(void **state)
{
    (void)state;
    caption_is_the_same(in_folder("language.gguf"));
}

static void missing_vision_tower_is_said_when_a_caption_is_wanted(void **state)
{
    struct err e = {0};
    struct caption_files *files = calloc(1, sizeof *files);
    struct captioner *cap;
    (void)state;
    must(caption_files_find(in_folder("language.gguf"), files, &e), &e);
    files->vision[0] = 0;
    assert_int_equal(caption_open(files, device, &cap, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "has no vision tower"));
    free(files);
}

static void caption_stops_when_cancelled(void **state)
{
    struct err e = {0};
    struct caption_files *files = calloc(1, sizeof *files);
    struct captioner *cap;
    struct image image = {0};
    struct caption_result r;
    atomic_bool cancel = true;
    (void)state;
    must(caption_files_find(folder, files, &e), &e);
    must(caption_open(files, device, &cap, &e), &e);
    must(image_new(&image, 60, 40, 4, &e), &e);
    struct caption_request rq = {.max_new_tokens = 4, .cancel = &cancel};
    assert_int_equal(caption_run(cap, &image, &rq, &r, &e), ERR_CANCELLED);
    assert_int_equal(r.generated.n, 0);
    caption_close(cap);
    image_free(&image);
    free(files);
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
        cmocka_unit_test(caption_is_the_same_when_a_folder_holds_two_gguf_files),
        cmocka_unit_test(vision_tower_is_found_when_the_language_model_is_named),
        cmocka_unit_test(missing_vision_tower_is_said_when_a_caption_is_wanted),
        cmocka_unit_test(caption_stops_when_cancelled),
    };
    int rc = cmocka_run_group_tests(tests, make_files, remove_files);
    nn_device_close(device);
    return rc;
}

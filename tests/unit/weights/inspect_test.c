#include "weights/inspect.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/file.h"
#include "networks.h"

/* A folder with sub-folders; everything that was made is removed in reverse order. */
struct tree {
    char root[200];
    char made[32][400];
    int n;
};

static void tree_make(struct tree *t)
{
    *t = (struct tree){0};
    (void)snprintf(t->root, sizeof t->root, "/tmp/vt-inspect-XXXXXX");
    assert_non_null(mkdtemp(t->root));
}

static const char *tree_path(struct tree *t, const char *name)
{
    char *path = t->made[t->n++];
    assert_int_equal(file_join(path, sizeof t->made[0], t->root, name, NULL), ERR_OK);
    return path;
}

static const char *tree_file(struct tree *t, const char *name, const void *p, size_t n)
{
    const char *path = tree_path(t, name);
    assert_int_equal(file_write_atomic(path, p, n, NULL), ERR_OK);
    return path;
}

static const char *tree_build(struct tree *t, const char *name, struct build *b)
{
    struct buf bytes;
    build_end(b, &bytes);
    const char *path = tree_file(t, name, bytes.p, bytes.n);
    buf_deinit(&bytes);
    return path;
}

static void tree_dir(struct tree *t, const char *name)
{
    assert_int_equal(mkdir(tree_path(t, name), 0700), 0);
}

static void tree_remove(struct tree *t)
{
    while (t->n > 0)
        (void)remove(t->made[--t->n]);
    (void)rmdir(t->root);
}

static yyjson_doc *inspect_json_of(const char *path)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, 1 << 20);
    if (inspect_path(path, true, 0, &out, &e) != ERR_OK)
        fail_msg("%s", e.text);
    yyjson_doc *doc = yyjson_read(buf_z(&out), out.n, 0);
    if (!doc)
        fail_msg("no JSON: %s", buf_z(&out));
    buf_deinit(&out);
    return doc;
}

static void inspect_text_of(const char *path, size_t max_tensors, struct buf *out)
{
    struct err e = {0};
    buf_init(out, 1 << 20);
    if (inspect_path(path, false, max_tensors, out, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static const char *get(yyjson_val *obj, const char *key)
{
    const char *s = yyjson_get_str(yyjson_obj_get(obj, key));
    return s ? s : "(none)";
}

static void a_checkpoint_is_described_in_json(void **state)
{
    struct tree t;
    struct build b;
    (void)state;
    tree_make(&t);
    build_begin(&b);
    add_flux2_bfl(&b, "");
    build_tensor(&b, "scaled_fp8", "F8_E4M3", "0", 0);
    yyjson_doc *doc = inspect_json_of(tree_build(&t, "x.safetensors", &b));
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(get(root, "format"), "safetensors");
    assert_string_equal(get(root, "kind"), "flux2_transformer");
    assert_string_equal(get(root, "naming"), "bfl");
    assert_string_equal(get(root, "path"), t.made[0]);
    assert_string_equal(yyjson_get_str(yyjson_arr_get(yyjson_obj_get(root, "serves"), 0)),
                        "flux2-klein/transformer");
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "problems")), 0);
    yyjson_val *tensors = yyjson_obj_get(root, "tensors");
    uint64_t n = 0, bytes = yyjson_get_uint(yyjson_obj_get(root, "bytes"));
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(tensors, i, max, item)
    {
        n += yyjson_get_uint(yyjson_obj_get(item, "bytes"));
        assert_string_equal(get(item, "file"), "x.safetensors");
        assert_true(yyjson_is_arr(yyjson_obj_get(item, "shape")));
    }
    assert_int_equal(n, bytes);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "parameters")) * 4, bytes);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_obj_get(root, "bytes_by_dtype"), "F32")),
                     bytes);
    yyjson_doc_free(doc);
    tree_remove(&t);
}

static void problems_are_listed_when_blocks_differ(void **state)
{
    struct tree t;
    struct build b;
    struct buf out;
    (void)state;
    tree_make(&t);
    build_begin(&b);
    add_lm(&b, 0, false, "model.", 2);
    BUILD_F32(&b, "model.layers.2.mlp.up_proj.weight", 8, 9);
    build_tensor(&b, "odd.weight", "U8", "4", 4);
    inspect_text_of(tree_build(&t, "x.safetensors", &b), 3, &out);
    assert_non_null(strstr(buf_z(&out), "Qwen3 text encoder (hidden 8, 2 layers)"));
    assert_non_null(strstr(buf_z(&out), "'model.layers.2.mlp.gate_proj.weight' is missing"));
    assert_non_null(strstr(buf_z(&out), "'model.layers.2.mlp.up_proj.weight' is [8, 9]"));
    assert_non_null(strstr(buf_z(&out), "'odd.weight' is not used"));
    assert_non_null(strstr(buf_z(&out), "... and 23 more"));
    buf_deinit(&out);
    tree_remove(&t);
}

static void an_unknown_network_is_still_listed(void **state)
{
    struct tree t;
    struct build b;
    (void)state;
    tree_make(&t);
    build_begin(&b);
    BUILD_F32(&b, "na\\u00efve \\\"name\\\"", 2, 2);
    yyjson_doc *doc = inspect_json_of(tree_build(&t, "x.safetensors", &b));
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(get(root, "kind"), "unknown");
    assert_true(yyjson_is_null(yyjson_obj_get(root, "naming")));
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "problems")), 1);
    assert_string_equal(get(yyjson_arr_get(yyjson_obj_get(root, "tensors"), 0), "name"),
                        "na\xc3\xafve \"name\"");
    yyjson_doc_free(doc);
    tree_remove(&t);
}

static void gguf_metadata_is_shown_shortened(void **state)
{
    struct tree t;
    struct buf b;
    char text[1000];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tree_make(&t);
    gguf_begin(&b, 3, 1, 4);
    gguf_key_string(&b, "general.architecture", "flux");
    gguf_key_string(&b, "long", text);
    gguf_key_string(&b, "bad", "\xff\n");
    put_string(&b, "tokens");
    put_u32(&b, 9);
    put_u32(&b, 8);
    put_u64(&b, 1);
    put_string(&b, "a");
    gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    yyjson_doc *doc = inspect_json_of(tree_file(&t, "x.gguf", b.p, b.n));
    yyjson_val *meta = yyjson_obj_get(yyjson_doc_get_root(doc), "metadata");
    assert_string_equal(get(meta, "general.architecture"), "flux");
    assert_string_equal(get(meta, "tokens"), "1 strings");
    assert_string_equal(get(meta, "bad"), "\xef\xbf\xbd\n");
    assert_int_equal(yyjson_get_len(yyjson_obj_get(meta, "long")), 203);
    assert_string_equal(get(meta, "long") + 199, "x...");
    yyjson_doc_free(doc);
    buf_deinit(&b);
    tree_remove(&t);
}

static void a_pipeline_lists_its_parts_and_what_is_wrong(void **state)
{
    static const char index[] = "{\"_class_name\":\"Flux2KleinPipeline\",\"is_distilled\":true,"
                                "\"scheduler\":[\"diffusers\",\"S\"],"
                                "\"text_encoder\":[\"transformers\",\"Qwen3ForCausalLM\"],"
                                "\"transformer\":[\"diffusers\",\"Flux2Transformer2DModel\"],"
                                "\"vae\":[\"diffusers\",\"AutoencoderKLFlux2\"],"
                                "\"../vae\":[\"diffusers\",\"X\"],\"safety\":[null,null]}";
    struct tree t;
    struct build b;
    struct buf out;
    (void)state;
    tree_make(&t);
    tree_file(&t, "model_index.json", index, sizeof index - 1);
    tree_dir(&t, "scheduler");
    tree_dir(&t, "transformer");
    tree_dir(&t, "text_encoder");
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    tree_build(&t, "text_encoder/model.safetensors", &b);
    yyjson_doc *doc = inspect_json_of(t.root);
    yyjson_val *root = yyjson_doc_get_root(doc), *parts = yyjson_obj_get(root, "components");
    assert_string_equal(get(root, "pipeline"), "Flux2KleinPipeline");
    assert_int_equal(yyjson_arr_size(parts), 4);
    static const char *const says[] = {"", "a FLUX.2 transformer stands where the text_encoder",
                                       "holds no checkpoint", "is missing"};
    for (size_t i = 0; i < 4; i++) {
        yyjson_val *problems = yyjson_obj_get(yyjson_arr_get(parts, i), "problems");
        assert_int_equal(yyjson_arr_size(problems), says[i][0] != '\0');
        if (says[i][0])
            assert_non_null(strstr(yyjson_get_str(yyjson_arr_get(problems, 0)), says[i]));
    }
    yyjson_doc_free(doc);
    inspect_text_of(t.root, 1, &out);
    assert_non_null(strstr(buf_z(&out), "\nvae: AutoencoderKLFlux2\n  problems    the folder"));
    buf_deinit(&out);
    tree_remove(&t);
}

static void nothing_readable_is_an_error(void **state)
{
    struct buf out;
    struct err e = {0};
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(inspect_path("/nonexistent", true, 0, &out, &e), ERR_NOTFOUND);
    assert_int_equal(out.n, 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_described_in_json),
        cmocka_unit_test(problems_are_listed_when_blocks_differ),
        cmocka_unit_test(an_unknown_network_is_still_listed),
        cmocka_unit_test(gguf_metadata_is_shown_shortened),
        cmocka_unit_test(a_pipeline_lists_its_parts_and_what_is_wrong),
        cmocka_unit_test(nothing_readable_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

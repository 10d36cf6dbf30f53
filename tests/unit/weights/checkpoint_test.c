#include "weights/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "build.h"

/* A fresh folder under the build's temporary place, removed file by file at the end. */
struct folder {
    char path[200];
    char files[16][300];
    int n;
};

static void folder_make(struct folder *f)
{
    *f = (struct folder){0};
    (void)snprintf(f->path, sizeof f->path, "/tmp/vt-checkpoint-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}

static const char *folder_add(struct folder *f, const char *name, const void *p, size_t n)
{
    char *path = f->files[f->n++];
    assert_int_equal(file_join(path, sizeof f->files[0], f->path, name, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path, p, n, NULL), ERR_OK);
    return path;
}

static const char *folder_add_text(struct folder *f, const char *name, const char *text)
{
    return folder_add(f, name, text, strlen(text));
}

/* A checkpoint with one float32 tensor of 4 elements. */
static const char *folder_add_tensor(struct folder *f, const char *file, const char *tensor)
{
    struct build b;
    struct buf bytes;
    build_begin(&b);
    BUILD_F32(&b, tensor, 4);
    build_end(&b, &bytes);
    const char *path = folder_add(f, file, bytes.p, bytes.n);
    buf_deinit(&bytes);
    return path;
}

static void folder_remove(struct folder *f)
{
    while (f->n > 0)
        (void)unlink(f->files[--f->n]);
    (void)rmdir(f->path);
}

static void expect_refusal(const char *path, enum err_code code, const char *says)
{
    struct checkpoint *c;
    struct err e = {0};
    enum err_code rc = checkpoint_open(path, &c, &e);
    if (rc != code || !strstr(e.text, says))
        fail_msg("expected '%s', got %s: %s", says, err_code_name(rc), e.text);
    assert_null(c);
}

static void expect_first_tensor(const char *path, const char *name)
{
    struct checkpoint *c;
    struct err e = {0};
    if (checkpoint_open(path, &c, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_string_equal(checkpoint_at(c, 0)->name, name);
    checkpoint_close(c);
}

#define INDEX "model.safetensors.index.json"
#define MAP(text) "{\"metadata\":{\"total_size\":32},\"weight_map\":{" text "}}"

static void shards_become_one_catalogue_when_an_index_names_them(void **state)
{
    struct folder f;
    struct checkpoint *c;
    (void)state;
    folder_make(&f);
    folder_add_tensor(&f, "model-00001-of-00002.safetensors", "a");
    folder_add_tensor(&f, "model-00002-of-00002.safetensors", "b");
    const char *index = folder_add_text(&f, INDEX,
                                        MAP("\"a\":\"model-00001-of-00002.safetensors\","
                                            "\"b\":\"model-00002-of-00002.safetensors\""));
    const char *paths[] = {f.path, index};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(checkpoint_open(paths[i], &c, NULL), ERR_OK);
        assert_int_equal(checkpoint_file_count(c), 2);
        assert_int_equal(checkpoint_count(c), 2);
        const struct weights_tensor *b = checkpoint_find(c, "b");
        assert_true(str_ends(str_from(checkpoint_file_path(c, (size_t)b->file)),
                             STR_LIT("model-00002-of-00002.safetensors")));
        uint64_t n = 0;
        const unsigned char *base = checkpoint_file_bytes(c, (size_t)b->file, &n);
        assert_true(b->data > base && b->data + b->bytes == base + n);
        checkpoint_close(c);
    }
    folder_remove(&f);
}

static void an_index_is_refused_when_it_leads_astray(void **state)
{
    static const struct {
        const char *rule, *text;
        enum err_code code;
        const char *says;
    } rows[] = {
        {"shard_missing", MAP("\"a\":\"a.safetensors\",\"c\":\"gone.safetensors\""), ERR_NOTFOUND,
         "the shard 'gone.safetensors'"},
        {"parent_folder", MAP("\"a\":\"../a.safetensors\""), ERR_FORMAT,
         "no file beside the index"},
        {"absolute_path", MAP("\"a\":\"/etc/passwd\""), ERR_FORMAT, "no file beside the index"},
        {"dots", MAP("\"a\":\"..\""), ERR_FORMAT, "no file beside the index"},
        {"subfolder", MAP("\"a\":\"sub/a.safetensors\""), ERR_FORMAT, "no file beside the index"},
        {"empty_name", MAP("\"a\":\"\""), ERR_FORMAT, "no file beside the index"},
        {"nul_in_name", MAP("\"a\":\"a.safetensors\\u0000x\""), ERR_FORMAT, "no file beside"},
        {"file_is_a_number", MAP("\"a\":1"), ERR_FORMAT, "the file of tensor 'a' is no string"},
        {"no_weight_map", "{\"metadata\":{}}", ERR_FORMAT, "has no 'weight_map'"},
        {"empty_weight_map", MAP(""), ERR_FORMAT, "has no 'weight_map'"},
        {"weight_map_is_a_list", "{\"weight_map\":[]}", ERR_FORMAT, "has no 'weight_map'"},
        {"no_json", "weight_map", ERR_FORMAT, "not valid JSON"},
        {"tensor_not_in_its_shard", MAP("\"a\":\"a.safetensors\",\"x\":\"a.safetensors\""),
         ERR_FORMAT, "tensor 'x' is in 'a.safetensors', it is not"},
        {"tensor_in_another_shard", MAP("\"a\":\"b.safetensors\",\"b\":\"a.safetensors\""),
         ERR_FORMAT, "it is not"},
        {"tensor_in_two_shards", MAP("\"a\":\"a.safetensors\",\"b\":\"again.safetensors\""),
         ERR_FORMAT, "'a' is in two shards"},
        {"formats_mixed", MAP("\"a\":\"a.safetensors\",\"b\":\"z.gguf\""), ERR_FORMAT,
         "different formats"},
    };
    struct folder f;
    struct buf gguf;
    (void)state;
    folder_make(&f);
    folder_add_tensor(&f, "a.safetensors", "a");
    folder_add_tensor(&f, "b.safetensors", "b");
    folder_add_tensor(&f, "again.safetensors", "a");
    gguf_begin(&gguf, 3, 1, 0);
    gguf_tensor(&gguf, "b", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&gguf, 32, 32);
    folder_add(&f, "z.gguf", gguf.p, gguf.n);
    buf_deinit(&gguf);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct checkpoint *c;
        struct err e = {0};
        const char *index = folder_add_text(&f, INDEX, rows[i].text);
        enum err_code rc = checkpoint_open(index, &c, &e);
        if (rc != rows[i].code || !strstr(e.text, rows[i].says))
            fail_msg("%s: %s: %s", rows[i].rule, err_code_name(rc), e.text);
        f.n--;
    }
    f.n++;
    folder_remove(&f);
}

static void a_folder_is_read_when_the_choice_is_clear(void **state)
{
    struct folder f;
    (void)state;
    folder_make(&f);
    folder_add_text(&f, "config.json", "{}");
    expect_refusal(f.path, ERR_NOTFOUND, "holds no checkpoint");
    folder_add_tensor(&f, "anything.safetensors", "only");
    expect_first_tensor(f.path, "only");
    folder_add_tensor(&f, "diffusion_pytorch_model.fp16.safetensors", "variant");
    expect_refusal(f.path, ERR_ARG, "'anything.safetensors', 'diffusion_pytorch_model.fp16");
    folder_add_tensor(&f, "diffusion_pytorch_model.safetensors", "usual");
    expect_first_tensor(f.path, "usual");
    folder_add_text(&f, "diffusion_pytorch_model.safetensors.index.json",
                    MAP("\"only\":\"anything.safetensors\""));
    expect_first_tensor(f.path, "only");
    folder_remove(&f);
}

static void a_folder_of_shards_without_their_index_is_refused(void **state)
{
    struct folder f;
    (void)state;
    folder_make(&f);
    folder_add_tensor(&f, "model-00001-of-00002.safetensors", "a");
    folder_add_tensor(&f, "model-00002-of-00002.safetensors", "b");
    expect_refusal(f.path, ERR_NOTFOUND, "shards without their index.json");
    folder_remove(&f);
}

static void a_pipeline_folder_is_refused_with_a_hint(void **state)
{
    struct folder f;
    (void)state;
    folder_make(&f);
    folder_add_text(&f, "model_index.json", "{}");
    expect_refusal(f.path, ERR_ARG, "whole pipeline");
    folder_remove(&f);
}

static void things_that_are_no_files_are_refused(void **state)
{
    struct folder f;
    (void)state;
    folder_make(&f);
    expect_refusal("/nonexistent/model.safetensors", ERR_NOTFOUND, "cannot open");
    expect_refusal("/dev/null", ERR_ARG, "not a regular file");
    expect_refusal(folder_add_text(&f, "empty.safetensors", ""), ERR_FORMAT, "empty");
    folder_remove(&f);
}

static void the_format_is_told_from_the_bytes_not_the_name(void **state)
{
    struct folder f;
    struct buf gguf;
    (void)state;
    folder_make(&f);
    gguf_begin(&gguf, 3, 1, 0);
    gguf_tensor(&gguf, "inside", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&gguf, 32, 32);
    expect_first_tensor(folder_add(&f, "x.safetensors", gguf.p, gguf.n), "inside");
    buf_deinit(&gguf);
    expect_first_tensor(folder_add_tensor(&f, "y.gguf", "inside"), "inside");
    folder_remove(&f);
}

/* ---- the parts of a split GGUF ------------------------------------------------------------------ */

static const char *folder_add_part(struct folder *f, const char *file, const char *tensor,
                                   uint32_t parts, uint32_t all)
{
    struct buf b;
    gguf_begin(&b, 3, 1, 2);
    gguf_key_u32(&b, "split.count", parts);
    gguf_key_u32(&b, "split.tensors.count", all);
    gguf_tensor(&b, tensor, 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    const char *path = folder_add(f, file, b.p, b.n);
    buf_deinit(&b);
    return path;
}

static void a_split_gguf_is_opened_whole_by_any_part(void **state)
{
    struct folder f;
    const char *paths[3];
    (void)state;
    folder_make(&f);
    paths[0] = folder_add_part(&f, "x-00001-of-00002.gguf", "a", 2, 2);
    paths[1] = folder_add_part(&f, "x-00002-of-00002.gguf", "b", 2, 2);
    paths[2] = f.path;
    for (int i = 0; i < 3; i++) {
        struct checkpoint *c = NULL;
        struct err e = {0};
        if (checkpoint_open(paths[i], &c, &e) != ERR_OK)
            fail_msg("%s", e.text);
        assert_int_equal(checkpoint_file_count(c), 2);
        assert_int_equal(checkpoint_count(c), 2);
        assert_int_equal(checkpoint_find(c, "b")->file, 1);
        checkpoint_close(c);
    }
    assert_true(checkpoint_is_later_part(paths[1]));
    assert_false(checkpoint_is_later_part(paths[0]));
    assert_false(checkpoint_is_later_part("x-00001-of-00001.gguf"));
    folder_remove(&f);
}

static void a_split_gguf_that_is_not_whole_is_refused(void **state)
{
    struct folder f;
    (void)state;
    folder_make(&f);
    const char *last = folder_add_part(&f, "x-00003-of-00003.gguf", "a", 3, 3);
    expect_refusal(last, ERR_NOTFOUND, "part 1 of 3 of a split GGUF is missing");
    expect_refusal(folder_add_part(&f, "renamed.gguf", "a", 3, 3), ERR_FORMAT, "one of 3 parts");
    (void)folder_add_part(&f, "y-00001-of-00002.gguf", "a", 2, 3);
    expect_refusal(folder_add_part(&f, "y-00002-of-00002.gguf", "b", 2, 3), ERR_FORMAT,
                   "3 are promised");
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_gguf_is_opened_whole_by_any_part),
        cmocka_unit_test(a_split_gguf_that_is_not_whole_is_refused),
        cmocka_unit_test(shards_become_one_catalogue_when_an_index_names_them),
        cmocka_unit_test(an_index_is_refused_when_it_leads_astray),
        cmocka_unit_test(a_folder_is_read_when_the_choice_is_clear),
        cmocka_unit_test(a_folder_of_shards_without_their_index_is_refused),
        cmocka_unit_test(a_pipeline_folder_is_refused_with_a_hint),
        cmocka_unit_test(things_that_are_no_files_are_refused),
        cmocka_unit_test(the_format_is_told_from_the_bytes_not_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

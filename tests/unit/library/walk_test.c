/* One walk through all that people have; the same model in two places; which klein a file is. */
#include "models_tree.h"

#include <errno.h>
#include <sys/stat.h>

#include "library/impl.h"

#define TRANSFORMER "micro-klein/transformer/diffusion_pytorch_model.safetensors"
#define HUB_REPO "tree/hub/models--some--klein-hub/"

/* Another network of the same shapes: a byte differs, in a place of its own for each i below 16. */
static void put_other(const char *from, const char *to, int i)
{
    char path[512];
    struct buf b;
    struct err e = {0};
    put(from, to);
    at(path, to);
    buf_init(&b, 16u << 20);
    assert_int_equal(file_read(path, 16u << 20, &b, &e), ERR_OK);
    b.p[b.n / 16 * (size_t)i] ^= 1;
    assert_int_equal(file_write_atomic(path, b.p, b.n, &e), ERR_OK);
    buf_deinit(&b);
}

static void put_link(const char *target, const char *to)
{
    char path[512];
    struct err e = {0};
    at(path, to);
    assert_int_equal(folder_make_parents(path, 0700, &e), ERR_OK);
    assert_int_equal(unlink(path) == 0 || errno == ENOENT, 1);
    assert_int_equal(symlink(target, path), 0);
}

/* ---- reports --------------------------------------------------------------------------------------- */

struct heard {
    char text[8192];
};

static void hear(const struct models_report *r, void *user)
{
    struct heard *h = user;
    size_t n = strlen(h->text);
    (void)snprintf(h->text + n, sizeof h->text - n, "[%d] %s: %s\n", (int)r->news, r->text,
                   r->path);
}

static struct models *scanned_and_heard(const char *dir, struct heard *h)
{
    const struct models_options o = {.distilled = -1, .report = hear, .user = h};
    char path[512];
    struct models *m = open_store();
    struct err e = {0};
    h->text[0] = 0;
    at(path, dir);
    assert_int_equal(models_scan(m, path, &o, &e), ERR_OK);
    return again(m);
}

/* ---- the one walk ---------------------------------------------------------------------------------- */

static void put_kv_folder(const char *dir, int i)
{
    char to[300];
    put_folder(dir);
    (void)snprintf(to, sizeof to, "%s/transformer/diffusion_pytorch_model.safetensors", dir);
    put_other(TRANSFORMER, to, i);
    (void)snprintf(to, sizeof to, "%s/model_index.json", dir);
    put_text(to, "{\"_class_name\": \"Flux2KleinKVPipeline\"}");
}

/* A repository in the hub's cache: names in a snapshot lead to blobs. */
static void put_hub(int i)
{
    char path[512], blob[512];
    put_folder(HUB_REPO "snapshots/0123abc");
    put_text(HUB_REPO "refs/main", "0123abc");
    put_other(TRANSFORMER, HUB_REPO "blobs/00112233", i);
    at(blob, HUB_REPO "blobs/00112233");
    at(path, HUB_REPO "snapshots/0123abc/transformer/diffusion_pytorch_model.safetensors");
    put_link("../../../blobs/00112233",
             HUB_REPO "snapshots/0123abc/transformer/diffusion_pytorch_model.safetensors");
    assert_true(file_exists(path) && file_exists(blob));
}

static const struct models_model *must_find(const struct models *m, const char *name)
{
    const struct models_model *x = models_find(m, name);
    if (!x)
        fail_msg("no model '%s'", name);
    return x;
}

static void put_tree(void)
{
    put_kv_folder("tree/FLUX.2-klein-9b-kv", 1);
    put_other(TRANSFORMER, "tree/FLUX.2-klein-9b-kv/flux-2-klein-9b-kv.safetensors", 2);
    put_hub(3);
    put_other(TRANSFORMER, "tree/lmstudio/models/someone/klein-GGUF/klein-lm.gguf", 4);
    put_other(TRANSFORMER, "tree/ComfyUI/models/unet/klein-comfy.safetensors", 5);
    put_other(TRANSFORMER, "elsewhere/deep/klein-linked.safetensors", 6);
    put_other(TRANSFORMER, "tree/.cache/klein-hidden.safetensors", 7);
    put_link("../elsewhere", "tree/other drive");
    put_link("..", "tree/ComfyUI/loop");
    put_link("/nowhere/at/all.safetensors", "tree/gone.safetensors");
    put_link("self", "tree/self");
}

static void every_layout_is_found_in_one_walk(void **state)
{
    static const char *const names[] = {"FLUX.2-klein-9b-kv", "klein-hub", "klein-lm",
                                        "klein-comfy", "klein-linked"};
    struct heard h;
    (void)state;
    put_tree();
    for (int pass = 0; pass < 2; pass++) { /* the second finds nothing new */
        struct models *m = scanned_and_heard("tree", &h);
        assert_int_equal(m->n_models, sizeof names / sizeof names[0]);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            assert_int_equal(models_model_state(m, must_find(m, names[i]), NULL), MODELS_READY);
        const struct models_model *kv = must_find(m, names[0]);
        assert_non_null(strstr(kv->settings, "\"reference_cache\":true") ||
                                strstr(kv->settings, "\"reference_cache\": true")
                            ? kv->settings
                            : NULL);
        assert_string_equal(kv->layout, "folder");
        assert_string_equal(must_find(m, "klein-hub")->layout, "hub");
        assert_string_equal(must_find(m, "klein-lm")->layout, "assembled");
        assert_null(models_find(m, "klein-hidden"));
        assert_non_null(strstr(h.text, "leads nowhere"));
        assert_non_null(strstr(h.text, "tree/self"));
        models_free(m);
    }
}

/* ---- one model in two places ------------------------------------------------------------------------- */

static void a_copy_is_the_same_model_unless_it_gets_a_name(void **state)
{
    char path[512];
    struct err e = {0};
    struct heard h;
    (void)state;
    put_folder("folder/klein");
    put_folder("second/klein");
    models_free(scanned("folder"));
    struct models *m = scanned_and_heard("second", &h);
    assert_int_equal(m->n_models, 1);
    assert_non_null(strstr(h.text, "the same as 'klein'"));
    assert_non_null(strstr(h.text, "folder/klein', which is used"));
    at(path, "folder/klein");
    assert_string_equal(m->models[0].path, path);
    const struct models_options o = {.name = "mine", .distilled = -1};
    at(path, "second/klein");
    assert_int_equal(models_add(m, path, &o, &e), ERR_OK);
    assert_string_equal(must_find(m, "mine")->path, path);
    models_free(m);
}

static void the_copy_that_is_whole_is_used(void **state)
{
    char path[512];
    struct heard h;
    (void)state;
    put_folder("folder/klein");
    put_folder("second/klein");
    models_free(scanned("folder"));
    at(path, "folder/klein/vae/diffusion_pytorch_model.safetensors");
    assert_int_equal(unlink(path), 0);
    struct models *m = scanned_and_heard("second", &h);
    assert_int_equal(m->n_models, 1);
    assert_non_null(strstr(h.text, "which is not whole: used from here"));
    at(path, "second/klein");
    assert_string_equal(must_find(m, "klein")->path, path);
    assert_int_equal(models_model_state(m, &m->models[0], NULL), MODELS_READY);
    models_free(m);
}

static void folders_that_say_different_things_are_different_models(void **state)
{
    struct heard h;
    (void)state;
    put_folder("folder/klein");
    put_folder("second/klein");
    put_text("second/klein/model_index.json",
             "{\"_class_name\": \"Flux2KleinPipeline\", \"is_distilled\": false}");
    models_free(scanned("folder"));
    struct models *m = scanned_and_heard("second", &h);
    assert_int_equal(m->n_models, 2);
    assert_null(strstr(h.text, "the same as"));
    models_free(m);
}

static void a_file_with_several_parts_counts_once(void **state)
{
    struct models *m = models_new();
    (void)state;
    static const char *const ids[] = {"t-1", "e-1", "v-1"};
    static const char *const quick[] = {"aa", "aa", "bb"};
    static struct models_file files[3];
    for (int i = 0; i < 3; i++) {
        struct models_component *c = models_more_components(m);
        files[i].bytes = 1000;
        memcpy(files[i].quick, quick[i], 3);
        *c = (struct models_component){.id = ids[i], .files = &files[i], .n_files = 1};
    }
    struct models_model x = {.parts = {ids[0], ids[1], ids[2]}};
    assert_int_equal(models_model_bytes(m, &x), 2000);
    models_free(m);
}

/* ---- which klein ---------------------------------------------------------------------------------------- */

static void the_published_files_are_known_by_hash_and_size(void **state)
{
    static const struct {
        const char *sha256, *path;
        uint64_t bytes;
        enum models_klein is;
    } rows[] = {
        {"33f7da5625a00798349a719742999d3c7dd20c1a7eda14663922c363640728f1",
         "/x/flux-2-klein-9b.sft", 9818935984, KLEIN_KV},
        {"", "/x/flux-2-klein-9b.sft", 9818935984, KLEIN_KV},
        {"00f7da5625a00798349a719742999d3c7dd20c1a7eda14663922c363640728f1", "/x/mine.sft",
         9818935984, KLEIN_UNKNOWN},
        {"4a54fad7f5f741b99eee217198daac20b8d8e515e2a1f5b064fd51cf074f95bd", "/x/klein-kv.sft",
         18157185168, KLEIN_BASE},
        {"0975d6b77b5f510b99547d6724a208e36527df654e8f6134f59ece3f9f30da58", "/x/my-base.sft",
         18157185168, KLEIN_DISTILLED},
        {"", "/x/my-base.sft", 18157185168, KLEIN_BASE},
        {"", "/x/klein-9b-kv-fp8.sft", 5, KLEIN_KV},
        {"", "/x/mkv.sft", 5, KLEIN_UNKNOWN},
        {"", "/x/any.sft", 4089498488, KLEIN_BASE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct models_file f = {.bytes = rows[i].bytes};
        memcpy(f.sha256, rows[i].sha256, strlen(rows[i].sha256) + 1);
        const struct models_component c = {.files = &f, .n_files = 1};
        assert_int_equal(models_klein_of(&c, rows[i].path), rows[i].is);
    }
}

static void put_titled(const char *to, const char *key, const char *title)
{
    char path[512], json[400], file[440];
    struct err e = {0};
    uint64_t n = (uint64_t)snprintf(
        json, sizeof json,
        "{\"__metadata__\":{\"%s\":\"%s\"},\"x\":{\"dtype\":\"U8\",\"shape\":[1],"
        "\"data_offsets\":[0,1]}}",
        key, title);
    for (int i = 0; i < 8; i++)
        file[i] = (char)(n >> (8 * i));
    memcpy(file + 8, json, (size_t)n);
    file[8 + n] = 0;
    at(path, to);
    assert_int_equal(folder_make_parents(path, 0700, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, file, (size_t)n + 9, &e), ERR_OK);
}

static void a_title_in_the_file_goes_before_its_name(void **state)
{
    struct models_file f = {.bytes = 5};
    const struct models_component c = {.files = &f, .n_files = 1};
    char path[512];
    (void)state;
    at(path, "klein-base.safetensors");
    put_titled("klein-base.safetensors", "modelspec.title", "FLUX.2 [klein] 9B KV");
    assert_int_equal(models_klein_of(&c, path), KLEIN_KV);
    put_titled("klein-base.safetensors", "modelspec.title", "a name that says nothing");
    assert_int_equal(models_klein_of(&c, path), KLEIN_BASE);
    put_titled("klein-base.safetensors", "general.name", "klein 4B base");
    assert_int_equal(models_klein_of(&c, path), KLEIN_BASE);
}

int main(void)
{
#define CASE(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(every_layout_is_found_in_one_walk),
        CASE(a_copy_is_the_same_model_unless_it_gets_a_name),
        CASE(the_copy_that_is_whole_is_used),
        CASE(folders_that_say_different_things_are_different_models),
        CASE(a_file_with_several_parts_counts_once),
        CASE(the_published_files_are_known_by_hash_and_size),
        CASE(a_title_in_the_file_goes_before_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The model store on copies of the embedded micro models, laid out as people have them. */
#include "models_tree.h"

/* ComfyUI's tree, under names that say nothing. */
static void put_comfy(void)
{
    put("micro-klein/transformer/diffusion_pytorch_model.safetensors", "comfy/unet/a.sft");
    put("micro-klein/text_encoder/model.safetensors", "comfy/clip/b.safetensors");
    put("micro-klein/vae/diffusion_pytorch_model.safetensors", "comfy/vae/c.bin");
    put_text("comfy/vae/notes.txt", "not weights at all");
    put_text("comfy/loras/broken.safetensors", "\2\0\0\0\0\0\0\0{}");
}

static void single_files_make_a_model_when_they_fit(void **state)
{
    char out[MODELS_PATH_BYTES], path[512];
    struct err e = {0};
    (void)state;
    put_comfy();
    struct models *m = scanned("comfy");
    assert_int_equal(m->n_models, 1);
    assert_int_equal(m->n_components, 3);
    assert_string_equal(m->models[0].name, "a");
    assert_string_equal(m->models[0].pipeline, "klein");
    assert_true(m->models[0].distilled);
    assert_int_equal(models_model_state(m, &m->models[0], NULL), MODELS_INCOMPLETE);
    assert_int_equal(models_resolve_in(m, "a", out, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "no tokenizer"));
    at(path, "tok");
    put("micro-klein/tokenizer/tokenizer.json", "tok/tokenizer.json");
    assert_int_equal(models_add(m, path, NULL, &e), ERR_OK);
    assert_int_equal(models_model_state(m, &m->models[0], NULL), MODELS_READY);
    assert_int_equal(models_resolve_in(m, "a", out, &e), ERR_OK);
    at(path, "home/linked/a");
    assert_string_equal(out, path);
    at(path, "home/linked/a/veetance.json");
    assert_true(file_exists(path));
    models_free(m);
}

static void components_are_shared_when_their_bytes_are_the_same(void **state)
{
    struct err e = {0};
    char path[512];
    (void)state;
    put_comfy();
    put_folder("folder");
    struct models *m = scanned("comfy");
    at(path, "folder");
    struct models_options o = {.name = "whole", .hash = true, .distilled = -1};
    assert_int_equal(models_add(m, path, &o, &e), ERR_OK);
    m = again(m);
    assert_int_equal(m->n_models, 2);
    const struct models_model *a = models_find(m, "a"), *whole = models_find(m, "whole");
    for (int r = 0; r <= MODELS_VAE; r++)
        assert_string_equal(a->parts[r], whole->parts[r]);
    const struct models_component *c = models_component(m, whole->parts[MODELS_TEXT_ENCODER]);
    assert_int_equal(models_users(m, c), 2);
    assert_int_equal(c->n_places, 2);
    assert_int_equal(strlen(c->files[0].sha256), 64);
    models_free(m);
}

static void a_folder_is_the_model_itself_when_it_is_whole(void **state)
{
    char out[MODELS_PATH_BYTES], path[512];
    struct err e = {0};
    (void)state;
    put_folder("folder");
    struct models *m = scanned("folder");
    at(path, "folder");
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    assert_string_equal(out, path);
    models_free(m);
}

static void a_folders_own_words_stay_when_a_part_comes_from_elsewhere(void **state)
{
    char out[MODELS_PATH_BYTES], path[512];
    struct err e = {0};
    struct buf text;
    (void)state;
    put_folder("folder");
    put_text("folder/veetance.json",
             "{\"is_distilled\": true, \"defaults\": {\"steps\": 7}, \"components\": {}}");
    at(path, "folder/tokenizer/tokenizer.json");
    assert_int_equal(unlink(path), 0);
    put("micro-klein/tokenizer/tokenizer.json", "tok/tokenizer.json");
    struct models *m = scanned("folder");
    at(path, "tok");
    assert_int_equal(models_add(m, path, NULL, &e), ERR_OK);
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    at(path, "home/linked/folder/veetance.json");
    buf_init(&text, 1 << 16);
    assert_int_equal(file_read(path, 1 << 16, &text, &e), ERR_OK);
    assert_non_null(strstr(buf_z(&text), "\"steps\": 7"));
    assert_non_null(strstr(buf_z(&text), "\"is_distilled\": true"));
    assert_non_null(strstr(buf_z(&text), "/tok\""));
    buf_deinit(&text);
    models_free(m);
}

/* Renames below the root. */
static void move(const char *from, const char *to)
{
    char a[512], b[512];
    struct err e = {0};
    at(a, from);
    at(b, to);
    assert_int_equal(folder_make_parents(b, 0700, &e), ERR_OK);
    assert_int_equal(rename(a, b), 0);
}

/* What the generated veetance.json of the model says. */
static void assert_assembled_says(const char *name, const char *words)
{
    char path[512], file[128];
    struct buf text;
    struct err e = {0};
    (void)snprintf(file, sizeof file, "home/linked/%s/veetance.json", name);
    at(path, file);
    buf_init(&text, 1 << 16);
    assert_int_equal(file_read(path, 1 << 16, &text, &e), ERR_OK);
    assert_non_null(strstr(buf_z(&text), words));
    buf_deinit(&text);
}

/* ---- looking through folders ---- */

struct told {
    int left_out, refused;
    char why[200];
};

static void note_told(const struct models_report *r, void *user)
{
    struct told *t = user;
    t->refused += r->news == MODELS_REFUSED;
    t->left_out += r->news == MODELS_LEFT_OUT;
    if (r->news == MODELS_LEFT_OUT)
        (void)snprintf(t->why, sizeof t->why, "%s: %s", r->text, r->path);
}

static void link_to(const char *target, const char *name)
{
    char to[512], path[512];
    struct err e = {0};
    at(to, target);
    at(path, name);
    assert_int_equal(folder_make_parents(path, 0700, &e), ERR_OK);
    assert_int_equal(symlink(to, path), 0);
}

static void linked_folders_are_scanned_once_when_they_form_a_circle(void **state)
{
    char path[512];
    struct told told = {0};
    struct err e = {0};
    const struct models_options o = {.distilled = -1, .report = note_told, .user = &told};
    (void)state;
    put_folder("drive/folder");
    link_to("drive", "comfy/models");
    link_to("drive/folder", "comfy/again");
    link_to("comfy", "drive/back");
    link_to("comfy", "comfy/self");
    struct models *m = open_store();
    at(path, "comfy");
    assert_int_equal(models_scan(m, path, &o, &e), ERR_OK);
    assert_int_equal(m->n_models, 1);
    at(path, "drive/folder");
    assert_string_equal(m->models[0].path, path);
    assert_int_equal(told.left_out, 0);
    models_free(m);
}

/* "DIR/d/d/.../d". */
static const char *deep(const char *dir, int levels)
{
    static char path[400];
    size_t n = strlen(dir);
    memcpy(path, dir, n + 1);
    for (int i = 0; i < levels; i++, n += 2)
        memcpy(path + n, "/d", 3);
    return path;
}

static void what_is_not_looked_at_is_told_when_scanned(void **state)
{
    char path[512];
    struct told told = {0};
    struct err e = {0};
    const struct models_options o = {.distilled = -1, .report = note_told, .user = &told};
    (void)state;
    put_folder(deep("scanned/a", 30));
    struct models *m = open_store();
    at(path, "scanned");
    assert_int_equal(models_scan(m, path, &o, &e), ERR_OK);
    assert_int_equal(m->n_models, 1);
    assert_int_equal(told.left_out, 0);
    put_folder(deep("scanned/b", 70));
    assert_int_equal(models_scan(m, path, &o, &e), ERR_OK);
    assert_int_equal(m->n_models, 1);
    assert_int_equal(told.left_out, 1);
    assert_non_null(strstr(told.why, "folders deep"));
    link_to("nowhere", "scanned/a/dangling");
    assert_int_equal(models_scan(m, path, &o, &e), ERR_OK);
    assert_int_equal(told.left_out, 3);
    models_free(m);
}

/* ---- changing from several processes ---- */

static void nothing_is_lost_when_many_processes_add(void **state)
{
    enum { ADDERS = 8 };
    char path[512];
    pid_t pids[ADDERS];
    (void)state;
    put_folder("folder");
    at(path, "folder");
    for (int i = 0; i < ADDERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        char name[16], home[512];
        struct models *m = NULL;
        at(home, "home");
        (void)snprintf(name, sizeof name, "m%d", i);
        const struct models_options o = {.name = name, .distilled = -1};
        bool good = models_load_to_change(home, &o, &m, NULL) == ERR_OK &&
                    models_add(m, path, &o, NULL) == ERR_OK && models_save(m, NULL) == ERR_OK;
        models_free(m);
        _exit(good ? 0 : 1);
    }
    for (int i = 0; i < ADDERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct models *m = open_store();
    assert_int_equal(m->n_models, ADDERS);
    models_free(m);
}

static void saving_is_refused_when_not_loaded_to_change(void **state)
{
    char home[512];
    struct models *m = NULL;
    (void)state;
    at(home, "home");
    assert_int_equal(models_load(home, &m, NULL), ERR_OK);
    assert_int_equal(models_save(m, NULL), ERR_INTERNAL);
    models_free(m);
}

static void a_moved_folder_keeps_its_name_and_settings_when_scanned(void **state)
{
    char out[MODELS_PATH_BYTES], path[512];
    struct err e = {0};
    (void)state;
    put_folder("folder");
    models_free(scanned("folder"));
    move("folder", "other/place");
    struct models *m = scanned("other");
    assert_int_equal(m->n_models, 1);
    assert_string_equal(m->models[0].name, "folder");
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    at(path, "other/place");
    assert_string_equal(out, path);
    models_free(m);
}

static void settings_stay_when_the_folder_is_gone_and_its_parts_are_not(void **state)
{
    char out[MODELS_PATH_BYTES], path[512];
    struct err e = {0};
    (void)state;
    put_folder("folder");
    put_text("folder/veetance.json", "{\"defaults\": {\"steps\": 7}}");
    models_free(scanned("folder"));
    move("folder/model_index.json", "away/model_index.json");
    move("folder/veetance.json", "away/veetance.json");
    move("folder/scheduler", "away/scheduler");
    move("folder", "parts");
    struct models *m = scanned("parts");
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    assert_assembled_says("folder", "\"is_distilled\": true");
    assert_assembled_says("folder", "\"steps\": 7");
    at(path, "home/linked/folder/scheduler/scheduler_config.json");
    assert_true(file_exists(path));
    models_free(m);
}

/* A manifest of an earlier version has no settings. */
static void a_model_is_refused_when_its_settings_are_not_known(void **state)
{
    char out[MODELS_PATH_BYTES];
    struct err e = {0};
    (void)state;
    put_folder("folder");
    struct models *m = scanned("folder");
    m->models[0].settings = NULL;
    models_free(again(m));
    move("folder/model_index.json", "away/model_index.json");
    m = open_store();
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "distilled"));
    models_free(m);
    /* The folder is the one around the parts when it has moved as a whole. */
    move("away/model_index.json", "folder/model_index.json");
    m = open_store();
    m->models[0].path = "/nonexistent/folder";
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    assert_assembled_says("folder", "\"is_distilled\": true");
    models_free(m);
}

static void the_hubs_cache_is_read_in_place_when_added(void **state)
{
    static const char blob[] = "0011223344556677889900aabbccddeeff00112233445566778899aabbccddee";
    char out[MODELS_PATH_BYTES], path[512], target[512];
    struct err e = {0};
    (void)state;
    put_folder(HUB "snapshots/0123abc");
    put_text(HUB "refs/main", "0123abc\n");
    put("micro-klein/vae/diffusion_pytorch_model.safetensors",
        HUB "blobs/0011223344556677889900aabbccddeeff00112233445566778899aabbccddee");
    at(path, HUB "snapshots/0123abc/vae/diffusion_pytorch_model.safetensors");
    (void)snprintf(target, sizeof target, "../../../blobs/%s", blob);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(target, path), 0);
    struct models *m = scanned("hub");
    assert_int_equal(m->n_models, 1);
    assert_string_equal(m->models[0].name, "micro-klein");
    assert_string_equal(m->models[0].layout, "hub");
    const struct models_component *vae = models_component(m, m->models[0].parts[MODELS_VAE]);
    assert_string_equal(vae->files[0].sha256, blob);
    assert_int_equal(models_resolve_in(m, "micro-klein", out, &e), ERR_OK);
    at(path, "home/linked/micro-klein");
    assert_string_equal(out, path);
    models_free(m);
}

static void a_moved_file_is_found_when_scanned(void **state)
{
    char from[512], to[512], out[MODELS_PATH_BYTES];
    struct err e = {0};
    (void)state;
    put_comfy();
    put("micro-klein/tokenizer/tokenizer.json", "comfy/tok/tokenizer.json");
    struct models *m = scanned("comfy");
    assert_int_equal(models_resolve_in(m, "a", out, &e), ERR_OK);
    at(from, "comfy/clip/b.safetensors");
    put_text("other/x", "");
    at(to, "other/renamed");
    assert_int_equal(rename(from, to), 0);
    enum models_role fault;
    assert_int_equal(models_model_state(m, &m->models[0], &fault), MODELS_MISSING);
    assert_int_equal(fault, MODELS_TEXT_ENCODER);
    assert_int_equal(models_resolve_in(m, "a", out, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "scan"));
    models_free(m);
    m = scanned("other");
    assert_int_equal(m->n_models, 1);
    assert_int_equal(models_resolve_in(m, "a", out, &e), ERR_OK);
    models_free(m);
}

/* A drive in a drawer: nothing is mounted where its files were. */
static void set_volume(struct models *m, const char *volume, const char *path)
{
    struct models_component *c = models_component(m, m->models[0].parts[MODELS_TRANSFORMER]);
    c->places[0].volume = volume;
    c->places[0].path = path;
}

static void a_model_is_away_when_its_drive_is(void **state)
{
    char out[MODELS_PATH_BYTES];
    struct err e = {0};
    (void)state;
    put_folder("folder");
    put_folder("second");
    struct models *m = scanned("folder");
    set_volume(m, "/nonexistent/usb", "/nonexistent/usb/klein/transformer");
    assert_int_equal(models_model_state(m, &m->models[0], NULL), MODELS_AWAY);
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "offline"));
    assert_non_null(strstr(e.text, "/nonexistent/usb"));
    assert_int_equal(models_verify(m, NULL), 0);
    m = again(m);
    /* A second copy of the parts: the model works from there. */
    char path[512];
    at(path, "second/transformer");
    assert_int_equal(models_add(m, path, NULL, &e), ERR_OK);
    assert_int_equal(models_resolve_in(m, "folder", out, &e), ERR_OK);
    models_free(m);
}

static void a_drive_is_found_when_it_is_mounted_elsewhere(void **state)
{
    char path[MODELS_PATH_BYTES], gone[600], want[512];
    (void)state;
    put_folder("folder");
    struct models *m = scanned("folder");
    at(want, "folder/transformer");
    (void)snprintf(gone, sizeof gone, "/nonexistent/usb%s", want);
    set_volume(m, "/nonexistent/usb", gone);
    struct models_component *c = models_component(m, m->models[0].parts[MODELS_TRANSFORMER]);
    /* Its path below the old mount point is one below "/" here. */
    assert_int_equal(models_component_state(c, path), MODELS_READY);
    assert_string_equal(path, want);
    assert_int_equal(models_verify(m, NULL), 0);
    assert_string_equal(c->places[0].path, want);
    models_free(m);
}

static void changed_bytes_are_found_when_verified(void **state)
{
    char path[512];
    struct models_options o = {.hash = true, .distilled = -1};
    (void)state;
    put_folder("folder");
    struct models *m = scanned("folder");
    assert_int_equal(models_verify(m, &o), 0);
    m = again(m);
    at(path, "folder/vae/diffusion_pytorch_model.safetensors");
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    /* Between the samples: only the whole hash sees it. */
    assert_int_equal(fseek(f, 40000, SEEK_SET), 0);
    int old = fgetc(f);
    assert_int_equal(fseek(f, 40000, SEEK_SET), 0);
    assert_int_not_equal(fputc(old ^ 1, f), EOF);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(models_verify(m, &o), 1);
    models_free(m);
}

static void names_are_kept_apart_when_they_collide(void **state)
{
    char path[512];
    struct err e = {0};
    (void)state;
    put_folder("one/klein");
    put_folder("two/klein");
    put_text("two/klein/model_index.json", /* another model: the same weights, but not distilled */
             "{\"_class_name\": \"Flux2KleinPipeline\", \"is_distilled\": false}");
    struct models *m = scanned("one");
    at(path, "two/klein");
    struct models_options o = {.name = "klein", .distilled = -1};
    assert_int_equal(models_add(m, path, &o, &e), ERR_BUSY);
    o.name = "../x";
    assert_int_equal(models_add(m, path, &o, &e), ERR_ARG);
    o.name = NULL;
    assert_int_equal(models_add(m, path, &o, &e), ERR_OK);
    assert_non_null(models_find(m, "klein-2"));
    /* Adding again changes nothing. */
    assert_int_equal(models_add(m, path, &o, &e), ERR_OK);
    assert_int_equal(m->n_models, 2);
    assert_int_equal(models_remove(m, "klein", &e), ERR_OK);
    assert_int_equal(models_remove(m, "klein", &e), ERR_NOTFOUND);
    assert_int_equal(m->n_components, 4);
    assert_int_equal(models_remove(m, "klein-2", &e), ERR_OK);
    assert_int_equal(m->n_components, 0);
    at(path, "one/klein/vae/config.json");
    assert_true(file_exists(path));
    models_free(m);
}

static void a_manifest_is_refused_when_it_is_wrong(void **state)
{
#define COMPONENT(places)                                                                          \
    "{\"veetance_models\":1,\"components\":[{\"id\":\"x\",\"kind\":\"vae\",\"files\":[{\"bytes\":" \
    "1}],"                                                                                         \
    "\"places\":" places "}]}"
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"veetance_models\":2}",
        "{\"veetance_models\":1,\"models\":{}}",
        "{\"veetance_models\":1,\"models\":[{\"name\":\"../x\",\"pipeline\":\"klein\"}]}",
        "{\"veetance_models\":1,\"models\":[{\"name\":\"x\",\"pipeline\":\"other\"}]}",
        "{\"veetance_models\":1,\"models\":[{\"name\":\"x\",\"pipeline\":\"klein\",\"parts\":"
        "{\"vae\":\"unlisted\"}}]}",
        "{\"veetance_models\":1,\"components\":[{\"id\":\"x\",\"kind\":\"vae\"}]}",
        "{\"veetance_models\":1,\"components\":[7]}",
        COMPONENT("[{\"path\":\"relative\"}]"),
        COMPONENT("[{}]"),
        COMPONENT("[{\"path\":\"/x\",\"names\":[\"a/b\"]}]"),
        COMPONENT("[{\"path\":\"/x\",\"names\":[\"a\",\"b\"]}]"),
        "{\"veetance_models\":1,\"components\":[{\"id\":\"x\",\"kind\":\"vae\",\"files\":"
        "[{\"bytes\":1,\"sha256\":\"abc\"}]}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct models *m = models_new();
        struct err e = {0};
        assert_int_equal(models_parse(m, str_from(bad[i]), &e), ERR_FORMAT);
        models_free(m);
    }
    struct models *m = models_new();
    struct err e = {0};
    assert_int_equal(models_parse(m, STR_LIT(COMPONENT("[{\"path\":\"/x\"}]")), &e), ERR_OK);
    models_free(m);
}

static void what_is_no_name_stays_when_resolved(void **state)
{
    char out[MODELS_PATH_BYTES], home[512];
    struct err e = {0};
    (void)state;
    at(home, "home");
    (void)setenv("VEETANCE_HOME", home, 1);
    assert_int_equal(models_resolve("micro-klein", out, &e), ERR_OK);
    assert_string_equal(out, "micro-klein");
    assert_int_equal(models_resolve("./a/path", out, &e), ERR_OK);
    assert_string_equal(out, "./a/path");
    /* A downloaded set needs no adding. */
    put_folder("home/models/fetched");
    assert_int_equal(models_resolve("fetched", out, &e), ERR_OK);
    at(home, "home/models/fetched");
    assert_string_equal(out, home);
    (void)unsetenv("VEETANCE_HOME");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(linked_folders_are_scanned_once_when_they_form_a_circle),
        CASE(what_is_not_looked_at_is_told_when_scanned),
        CASE(nothing_is_lost_when_many_processes_add),
        CASE(saving_is_refused_when_not_loaded_to_change),
        CASE(single_files_make_a_model_when_they_fit),
        CASE(components_are_shared_when_their_bytes_are_the_same),
        CASE(a_folder_is_the_model_itself_when_it_is_whole),
        CASE(a_folders_own_words_stay_when_a_part_comes_from_elsewhere),
        CASE(a_moved_folder_keeps_its_name_and_settings_when_scanned),
        CASE(settings_stay_when_the_folder_is_gone_and_its_parts_are_not),
        CASE(a_model_is_refused_when_its_settings_are_not_known),
        CASE(the_hubs_cache_is_read_in_place_when_added),
        CASE(a_moved_file_is_found_when_scanned),
        CASE(a_model_is_away_when_its_drive_is),
        CASE(a_drive_is_found_when_it_is_mounted_elsewhere),
        CASE(changed_bytes_are_found_when_verified),
        CASE(names_are_kept_apart_when_they_collide),
        CASE(a_manifest_is_refused_when_it_is_wrong),
        CASE(what_is_no_name_stays_when_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

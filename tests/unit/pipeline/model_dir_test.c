/* model_dir_test.c - finding a model's files: diffusers folders, veetance.json, embedded names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipeline/model_dir.h"

static char root[PATH_MAX];
static struct model_dir *dir;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static int set_up(void **state)
{
    char made[] = "/tmp/vt-model-XXXXXX";
    (void)state;
    dir = mem_alloc(sizeof *dir);
    return mkdtemp(made) && realpath(made, root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mem_free(dir);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *at(const char *name)
{
    static char path[4][PATH_MAX + 256];
    static int next;
    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static void put(const char *name, const char *text)
{
    struct err e = {0};
    if (file_write_atomic(at(name), text, strlen(text), &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static void folder(const char *name)
{
    assert_true(mkdir(at(name), 0777) == 0 || file_is_dir(at(name)));
}

/* A folder that has every component, empty. */
static void diffusers(const char *name)
{
    static const char *const parts[] = {"transformer", "text_encoder", "vae", "tokenizer",
                                        "scheduler"};
    char path[256];
    folder(name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", name, parts[i]);
        folder(path);
    }
}

static void open_ok(const char *name)
{
    struct err e = {0};
    if (model_dir_open(at(name), dir, &e) != ERR_OK)
        fail_msg("%s: %s", name, e.text);
}

static void open_fails(const char *name, enum err_code code, const char *with)
{
    struct err e = {0};
    enum err_code rc = model_dir_open(name[0] == '/' ? name : at(name), dir, &e);
    if (rc != code || !strstr(e.text, with))
        fail_msg("%s: code %d, '%s'; expected code %d, '%s'", name, (int)rc, e.text, (int)code,
                 with);
}

static void a_diffusers_folder_is_read_when_it_is_complete(void **state)
{
    (void)state;
    diffusers("plain");
    put("plain/model_index.json", "{\"_class_name\":\"Flux2KleinPipeline\",\"is_distilled\":true}");
    put("plain/transformer/config.json", "{}");
    put("plain/scheduler/scheduler_config.json",
        "{\"shift\":3.0,\"num_train_timesteps\":500,\"use_dynamic_shifting\":false}");
    open_ok("plain");
    assert_string_equal(dir->name, "plain");
    assert_int_equal(dir->pipeline, MODEL_PIPELINE_KLEIN);
    assert_true(dir->is_distilled);
    assert_string_equal(dir->transformer.weights, at("plain/transformer"));
    assert_string_equal(dir->transformer.config, at("plain/transformer/config.json"));
    assert_string_equal(dir->vae.config, "");
    assert_string_equal(dir->tokenizer, at("plain/tokenizer"));
    assert_int_equal(dir->schedule.num_train_timesteps, 500);
    assert_false(dir->schedule.use_dynamic_shifting);
    assert_true(dir->schedule.shift == 3.0);
    assert_int_equal(dir->defaults.steps, 0);
    assert_true(dir->defaults.guidance < 0);
}

static void the_index_decides_the_pipeline_when_there_is_one(void **state)
{
    (void)state;
    diffusers("layers");
    put("layers/model_index.json", "{\"_class_name\":\"QwenImageLayeredPipeline\"}");
    open_ok("layers");
    assert_int_equal(dir->pipeline, MODEL_PIPELINE_LAYERED);
    put("layers/model_index.json", "{\"_class_name\":\"StableDiffusionPipeline\"}");
    open_fails("layers", ERR_FORMAT, "StableDiffusionPipeline");
}

static void a_component_is_named_when_it_is_missing(void **state)
{
    static const char *const parts[] = {"transformer", "text_encoder", "vae"};
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64], path[128];
        (void)snprintf(name, sizeof name, "without-%s", parts[i]);
        diffusers(name);
        (void)snprintf(path, sizeof path, "%s/%s", name, parts[i]);
        assert_int_equal(rmdir(at(path)), 0);
        (void)snprintf(path, sizeof path, "has no %s", parts[i]);
        open_fails(name, ERR_NOTFOUND, path);
    }
}

static void the_programs_tokenizer_is_used_when_there_is_none(void **state)
{
    struct err e = {0};
    (void)state;
    diffusers("untold");
    assert_int_equal(rmdir(at("untold/tokenizer")), 0);
    assert_int_equal(model_dir_open(at("untold"), dir, &e), ERR_OK);
    assert_string_equal(dir->tokenizer, "builtin:qwen3");
}

static void components_lie_elsewhere_when_veetance_json_says_so(void **state)
{
    char text[PATH_MAX + 512];
    (void)state;
    diffusers("base");
    put("base/vae/config.json", "{}");
    put("base/transformer/config.json", "{}");
    put("base/model_index.json", "{\"is_distilled\":true}");
    folder("own");
    put("vae.safetensors", "");
    put("t.safetensors", "");
    put("t.json", "{}");
    (void)snprintf(text, sizeof text,
                   "{\"name\":\"mine\",\"base\":\"../base\",\"is_distilled\":false,\"components\":{"
                   "\"vae\":\"../vae.safetensors\","
                   "\"transformer\":{\"weights\":\"%s\",\"config\":\"../t.json\"},"
                   "\"text_encoder\":null},"
                   "\"defaults\":{\"width\":256,\"height\":128,\"steps\":7,\"max_tokens\":99,"
                   "\"guidance\":2.5}}",
                   at("t.safetensors"));
    put("own/veetance.json", text);
    open_ok("own");
    assert_string_equal(dir->name, "mine");
    assert_false(dir->is_distilled);
    assert_string_equal(dir->transformer.weights, at("t.safetensors"));
    assert_string_equal(dir->transformer.config, at("own/../t.json"));
    assert_string_equal(dir->vae.weights, at("own/../vae.safetensors"));
    assert_string_equal(dir->vae.config, at("own/../base/vae/config.json"));
    assert_string_equal(dir->text_encoder.weights, at("own/../base/text_encoder"));
    assert_int_equal(dir->defaults.width, 256);
    assert_int_equal(dir->defaults.height, 128);
    assert_int_equal(dir->defaults.steps, 7);
    assert_int_equal(dir->defaults.max_tokens, 99);
    assert_true(dir->defaults.guidance == 2.5);
}

static void veetance_json_is_refused_when_something_in_it_is_wrong(void **state)
{
    static const struct {
        const char *text, *with;
        enum err_code code;
    } cases[] = {
        {"", "veetance.json", ERR_FORMAT},
        {"{", "not valid JSON", ERR_FORMAT},
        {"[]", "veetance.json should be an object", ERR_FORMAT},
        {"{\"components\":7}", "components should be an object", ERR_FORMAT},
        {"{\"components\":{\"vae\":7}}", "component 'vae'", ERR_FORMAT},
        {"{\"components\":{\"vae\":\"\"}}", "has no transformer", ERR_NOTFOUND},
        {"{\"components\":{\"vae\":\"a\\u0000b\"}}", "zero byte", ERR_FORMAT},
        {"{\"components\":{\"vae\":{\"weights\":[]}}}", "'weights' should be a string", ERR_FORMAT},
        {"{\"components\":{\"vae\":{\"config\":1}}}", "'config' should be a string", ERR_FORMAT},
        {"{\"components\":{\"tokenizer\":{}}}", "'tokenizer' should be a string", ERR_FORMAT},
        {"{\"base\":1}", "'base' should be a string", ERR_FORMAT},
        {"{\"base\":\"nowhere\"}", "is not a folder", ERR_NOTFOUND},
        {"{\"pipeline\":\"other\"}", "'other'", ERR_FORMAT},
        {"{\"name\":1}", "'name' should be a string", ERR_FORMAT},
        {"{\"is_distilled\":\"yes\"}", "'is_distilled'", ERR_FORMAT},
        {"{\"defaults\":[]}", "defaults should be an object", ERR_FORMAT},
        {"{\"defaults\":{\"width\":4096}}", "'width' is 4096", ERR_FORMAT},
        {"{\"defaults\":{\"height\":0}}", "'height' is 0", ERR_FORMAT},
        {"{\"defaults\":{\"steps\":1e3}}", "'steps' should be an integer", ERR_FORMAT},
        {"{\"defaults\":{\"max_tokens\":18446744073709551615}}", "'max_tokens'", ERR_FORMAT},
        {"{\"defaults\":{\"guidance\":-0.5}}", "'guidance' is -0.5", ERR_FORMAT},
    };
    (void)state;
    folder("wrong");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("wrong/veetance.json", cases[i].text);
        open_fails("wrong", cases[i].code, cases[i].with);
    }
}

static void a_path_in_veetance_json_is_refused_when_it_is_too_long(void **state)
{
    static char text[3 * MODEL_PATH_BYTES];
    char path[MODEL_PATH_BYTES + 1];
    (void)state;
    folder("long");
    for (size_t n = MODEL_PATH_BYTES - 1; n <= MODEL_PATH_BYTES; n++) {
        memset(path, 'd', n);
        path[0] = '/';
        path[n] = 0;
        (void)snprintf(text, sizeof text, "{\"components\":{\"transformer\":\"%s\"}}", path);
        put("long/veetance.json", text);
        open_fails("long", n == MODEL_PATH_BYTES ? ERR_FORMAT : ERR_NOTFOUND, "");
        (void)snprintf(text, sizeof text, "{\"components\":{\"transformer\":\"%s\"}}", path + 1);
        put("long/veetance.json", text);
        open_fails("long", ERR_LIMIT, "too long");
    }
}

static void the_scheduler_is_refused_when_it_does_not_fit(void **state)
{
    static const struct {
        const char *text, *with;
    } cases[] = {
        {"7", "should be an object"},
        {"{\"num_train_timesteps\":0}", "'num_train_timesteps' is 0"},
        {"{\"shift\":0}", "'shift' is 0"},
        {"{\"base_image_seq_len\":-1}", "'base_image_seq_len' is -1"},
        {"{\"time_shift_type\":\"sideways\"}", "sideways"},
        {"{\"use_beta_sigmas\":true}", "use_beta_sigmas"},
        {"{\"invert_sigmas\":true}", "invert_sigmas"},
    };
    (void)state;
    diffusers("sched");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("sched/scheduler/scheduler_config.json", cases[i].text);
        open_fails("sched", ERR_FORMAT, cases[i].with);
    }
}

static void a_model_is_not_found_when_its_name_leads_out_of_the_shelf(void **state)
{
    static const char *const names[] = {"..", ".", "../base", ".hidden", "a/../../base", "nowhere"};
    struct err e;
    (void)state;
    diffusers("shelf");
    diffusers("shelf/micro");
    diffusers("shelf/.hidden");
    assert_int_equal(setenv("VEETANCE_MODELS", at("shelf"), 1), 0);
    assert_int_equal(chdir("/proc/self/task"), 0); /* no folder of such a name here */
    assert_int_equal(model_dir_open("micro", dir, &e), ERR_OK);
    assert_string_equal(dir->path, at("shelf/micro"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(model_dir_open(names[i], dir, &e), ERR_NOTFOUND);
    assert_int_equal(model_dir_open("", dir, &e), ERR_ARG);
    assert_int_equal(model_dir_open(NULL, dir, &e), ERR_ARG);
    put("file", "x");
    open_fails("file", ERR_ARG, "is a file");
    assert_int_equal(unsetenv("VEETANCE_MODELS"), 0);
}

static void opening_fails_cleanly_when_memory_runs_out(void **state)
{
    struct err e = {0};
    long n = 1;
    enum err_code rc = ERR_NOMEM;
    (void)state;
    diffusers("memory");
    put("memory/model_index.json", "{\"_class_name\":\"Flux2KleinPipeline\"}");
    put("memory/scheduler/scheduler_config.json", "{}");
    put("memory/veetance.json", "{\"name\":\"m\"}");
    for (; n < 1000 && rc != ERR_OK; n++) {
        mem_fail_after(n);
        rc = model_dir_open(at("memory"), dir, &e);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_diffusers_folder_is_read_when_it_is_complete),
        cmocka_unit_test(the_index_decides_the_pipeline_when_there_is_one),
        cmocka_unit_test(a_component_is_named_when_it_is_missing),
        cmocka_unit_test(the_programs_tokenizer_is_used_when_there_is_none),
        cmocka_unit_test(components_lie_elsewhere_when_veetance_json_says_so),
        cmocka_unit_test(veetance_json_is_refused_when_something_in_it_is_wrong),
        cmocka_unit_test(a_path_in_veetance_json_is_refused_when_it_is_too_long),
        cmocka_unit_test(the_scheduler_is_refused_when_it_does_not_fit),
        cmocka_unit_test(a_model_is_not_found_when_its_name_leads_out_of_the_shelf),
        cmocka_unit_test(opening_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

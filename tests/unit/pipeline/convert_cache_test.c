/* convert_cache_test.c - converted copies: made once, told apart, made anew when they do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipeline/convert_cache.h"
#include "weights/checkpoint.h"

static char folder[] = "/tmp/vt-cache-XXXXXX";

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
    char command[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || setenv("VEETANCE_HOME", folder, 1) != 0)
        return -1;
    shell("cp -r %s/models/micro-klein %s/model", VT_SOURCE_DIR, folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shell("rm -rf %s", folder);
    return 0;
}

struct seen {
    int made, other;
};

static void note(const char *text, void *user)
{
    struct seen *s = user;
    if (strncmp(text, "converting the", 14) == 0)
        s->made++;
    else
        s->other++;
}

/* Which file stands for the transformer; how often one was made. */
static enum err_code use(const char *type, char *path, struct seen *s, struct err *e)
{
    const struct vt_callbacks cb = {.note = note, .user = s};
    const struct convert_cache_run run = {.type = type, .threads = 2, .callbacks = &cb};
    *s = (struct seen){0};
    (void)snprintf(path, MODEL_PATH_BYTES, "%s/model/transformer", folder);
    return convert_cache_part("transformer", path, &run, e);
}

static struct seen must_use(const char *type, char *path)
{
    struct seen s;
    struct err e = {0};
    if (use(type, path, &s, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return s;
}

static void a_copy_is_made_once(void **state)
{
    char a[MODEL_PATH_BYTES], b[MODEL_PATH_BYTES];
    struct stat st, again;
    (void)state;
    assert_int_equal(must_use(NULL, a).made, 0);
    assert_true(file_is_dir(a)); /* as it was */
    assert_int_equal(must_use("q5_0", a).made, 1);
    assert_int_equal(stat(a, &st), 0);
    assert_int_equal(must_use("q5_0", b).made, 0);
    assert_string_equal(a, b);
    assert_int_equal(stat(a, &again), 0);
    assert_int_equal(st.st_ino, again.st_ino);
    assert_int_equal(must_use("q8_0", b).made, 1);
    assert_string_not_equal(a, b);
}

static void a_broken_copy_is_made_anew(void **state)
{
    char path[MODEL_PATH_BYTES];
    (void)state;
    (void)must_use("q5_0", path);
    assert_int_equal(truncate(path, 100000), 0);
    assert_int_equal(must_use("q5_0", path).made, 1);
    assert_int_equal(must_use("q5_0", path).made, 0);
    shell("echo nonsense > %s", path);
    assert_int_equal(must_use("q5_0", path).made, 1);
    /* the copy of another source under this name */
    shell("cp %s/cache/weights/*-q8_0.gguf %s", folder, path);
    assert_int_equal(must_use("q5_0", path).made, 1);
}

static void a_changed_source_has_a_copy_of_its_own(void **state)
{
    char before[MODEL_PATH_BYTES], after[MODEL_PATH_BYTES];
    (void)state;
    (void)must_use("q5_0", before);
    shell("touch %s/model/transformer/diffusion_pytorch_model.safetensors", folder);
    assert_int_equal(must_use("q5_0", after).made, 1);
    assert_string_not_equal(before, after);
}

static void what_is_quantised_or_of_that_type_stays(void **state)
{
    char path[MODEL_PATH_BYTES], copy[MODEL_PATH_BYTES];
    struct seen s = {0};
    struct err e = {0};
    const struct vt_callbacks cb = {.note = note, .user = &s};
    struct convert_cache_run run = {.type = "q4_0", .callbacks = &cb};
    (void)state;
    (void)must_use("q5_0", path);
    memcpy(copy, path, sizeof copy);
    assert_int_equal(convert_cache_part("transformer", copy, &run, &e), ERR_OK);
    assert_string_equal(copy, path);
    assert_int_equal(s.made, 0);
    assert_int_equal(s.other, 1);
    assert_int_equal(must_use("bf16", path).made, 0);
    assert_true(file_is_dir(path));
}

static void nonsense_is_refused(void **state)
{
    char path[MODEL_PATH_BYTES];
    struct seen s;
    struct err e = {0};
    (void)state;
    assert_int_equal(use("q9_9", path, &s, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "q5_0"));
    assert_int_equal(convert_cache_check(NULL, &e), ERR_OK);
    assert_int_equal(convert_cache_check("iq1_s", &e), ERR_ARG);
    atomic_bool cancel = true;
    const struct convert_cache_run run = {.type = "q4_1", .cancel = &cancel};
    (void)snprintf(path, sizeof path, "%s/model/transformer", folder);
    assert_int_equal(convert_cache_part("transformer", path, &run, &e), ERR_CANCELLED);
}

static void a_model_s_vae_stays(void **state)
{
    struct model_dir *m = mem_alloc(sizeof *m);
    char model[200];
    struct err e = {0};
    const struct convert_cache_run run = {.type = "q5_1"};
    (void)state;
    (void)snprintf(model, sizeof model, "%s/model", folder);
    assert_int_equal(model_dir_open(model, m, &e), ERR_OK);
    assert_int_equal(convert_cache_model(m, &run, &e), ERR_OK);
    assert_true(strstr(m->transformer.weights, "/cache/weights/flux2_transformer-") != NULL);
    assert_true(strstr(m->text_encoder.weights, "/cache/weights/qwen3-") != NULL);
    assert_true(strstr(m->vae.weights, "/model/vae") != NULL);
    assert_true(strstr(m->transformer.config, "/model/transformer/config.json") != NULL);
    mem_free(m);
}

/* Six processes want the same copy at the same moment: one makes it. */
static void processes_wait_for_each_other(void **state)
{
    enum { N = 6 };
    pid_t pids[N];
    int made = 0;
    (void)state;
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            char path[MODEL_PATH_BYTES];
            struct seen s;
            struct checkpoint *cp = NULL;
            bool good = use("q6_k", path, &s, NULL) == ERR_OK &&
                        checkpoint_open(path, &cp, NULL) == ERR_OK && checkpoint_count(cp) == 57;
            checkpoint_close(cp);
            _exit(good ? s.made : 100);
        }
    }
    for (int i = 0; i < N; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        made += WEXITSTATUS(status);
    }
    assert_int_equal(made, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_made_once),
        cmocka_unit_test(a_broken_copy_is_made_anew),
        cmocka_unit_test(a_changed_source_has_a_copy_of_its_own),
        cmocka_unit_test(what_is_quantised_or_of_that_type_stays),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_model_s_vae_stays),
        cmocka_unit_test(processes_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

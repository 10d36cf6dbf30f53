/* convert_cache_test.c - converted copies: made once, told apart, made anew when they do not fit. */
#include <fcntl.h>
#include <ftw.h>
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
#include "pipeline/convert/cache.h"
#include "weights/checkpoint.h"

static char folder[] = "/tmp/vt-cache-XXXXXX";

/* FOLDER/NAME; lives until the fourth call from now. */
static const char *in(const char *name)
{
    static char paths[4][300];
    static int next;
    char *p = paths[next++ % 4];
    (void)snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static void copy(const char *from, const char *to)
{
    struct buf b;
    struct err e = {0};
    if (file_read(from, 64u << 20, &b, &e) != ERR_OK ||
        file_write_atomic(to, b.p, b.n, &e) != ERR_OK)
        fail_msg("%s", e.text);
    buf_deinit(&b);
}

/* A model of its own, whose files may be touched; those that these tests do not read are left out. */
static int set_up(void **state)
{
    static const char *const folders[] = {"", "/transformer", "/text_encoder", "/vae",
                                          "/tokenizer"};
    static const char *const files[] = {
        "veetance.json", "model_index.json", "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"};
    char from[300], name[200];
    (void)state;
    if (!mkdtemp(folder) || setenv("VEETANCE_HOME", folder, 1) != 0)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(name, sizeof name, "model%s", folders[i]);
        assert_int_equal(mkdir(in(name), 0777), 0);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(from, sizeof from, VT_SOURCE_DIR "/models/micro-klein/%s", files[i]);
        (void)snprintf(name, sizeof name, "model/%s", files[i]);
        copy(from, in(name));
    }
    return 0;
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
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
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
    copy(in("model/veetance.json"), path);
    assert_int_equal(must_use("q5_0", path).made, 1);
    /* the copy of another source under this name */
    char other[MODEL_PATH_BYTES];
    (void)must_use("q8_0", other);
    copy(other, path);
    assert_int_equal(must_use("q5_0", path).made, 1);
}

static void a_changed_source_has_a_copy_of_its_own(void **state)
{
    char before[MODEL_PATH_BYTES], after[MODEL_PATH_BYTES];
    (void)state;
    (void)must_use("q5_0", before);
    assert_int_equal(
        utimensat(AT_FDCWD, in("model/transformer/diffusion_pytorch_model.safetensors"), NULL, 0),
        0);
    assert_int_equal(must_use("q5_0", after).made, 1);
    assert_string_not_equal(before, after);
}

static void what_is_quantised_or_of_that_type_stays(void **state)
{
    char path[MODEL_PATH_BYTES], again[MODEL_PATH_BYTES];
    struct seen s = {0};
    struct err e = {0};
    const struct vt_callbacks cb = {.note = note, .user = &s};
    struct convert_cache_run run = {.type = "q4_0", .callbacks = &cb};
    (void)state;
    (void)must_use("q5_0", path);
    memcpy(again, path, sizeof again);
    assert_int_equal(convert_cache_part("transformer", again, &run, &e), ERR_OK);
    assert_string_equal(again, path);
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
    struct err e = {0};
    const struct convert_cache_run run = {.type = "q5_1"};
    (void)state;
    assert_int_equal(model_dir_open(in("model"), m, &e), ERR_OK);
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

/* models_tree.h - copies of the embedded micro models in a folder of their own, laid out as people have them. */
#ifndef VT_TESTS_MODELS_TREE_H
#define VT_TESTS_MODELS_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "library/models.h"

#define MICRO VT_SOURCE_DIR "/models/"
#define HUB "hub/models--some--micro-klein/"

static char root[64];

static inline void at(char out[512], const char *name)
{
    (void)snprintf(out, 512, "%s/%.440s", root, name);
}

/* Copies a file of the micro models to a path below the root. */
static inline void put(const char *from, const char *to)
{
    char source[1024], path[512];
    struct buf b;
    struct err e = {0};
    (void)snprintf(source, sizeof source, MICRO "%s", from);
    at(path, to);
    buf_init(&b, 16u << 20);
    assert_int_equal(file_read(source, 16u << 20, &b, &e), ERR_OK);
    assert_int_equal(folder_make_parents(path, 0700, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, b.p, b.n, &e), ERR_OK);
    buf_deinit(&b);
}

static inline void put_text(const char *to, const char *text)
{
    char path[512];
    struct err e = {0};
    at(path, to);
    assert_int_equal(folder_make_parents(path, 0700, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, text, strlen(text), &e), ERR_OK);
}

static inline void put_folder(const char *dir)
{
    static const char *const files[] = {
        "model_index.json",         "scheduler/scheduler_config.json",
        "text_encoder/config.json", "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json",
        "transformer/config.json",  "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",          "vae/diffusion_pytorch_model.safetensors"};
    char from[200], to[300];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(from, sizeof from, "micro-klein/%s", files[i]);
        (void)snprintf(to, sizeof to, "%s/%s", dir, files[i]);
        put(from, to);
    }
}

static inline int setup(void **state)
{
    (void)state;
    memcpy(root, "/tmp/veetance-models.XXXXXX", 28);
    return mkdtemp(root) ? 0 : -1;
}

static inline int teardown(void **state)
{
    int status = 1;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", root, (char *)NULL);
        _exit(1);
    }
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static inline struct models *open_store(void)
{
    char dir[512];
    struct models *m = NULL;
    struct err e = {0};
    at(dir, "home");
    assert_int_equal(models_load_to_change(dir, NULL, &m, &e), ERR_OK);
    return m;
}

/* Saved and loaded: every case also proves that the manifest keeps everything. */
static inline struct models *again(struct models *m)
{
    struct err e = {0};
    assert_int_equal(models_save(m, &e), ERR_OK);
    models_free(m);
    return open_store();
}

static inline struct models *scanned(const char *dir)
{
    char path[512];
    struct models *m = open_store();
    struct err e = {0};
    at(path, dir);
    assert_int_equal(models_scan(m, path, NULL, &e), ERR_OK);
    return again(m);
}

#endif

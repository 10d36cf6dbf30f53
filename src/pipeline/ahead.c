#include "pipeline/ahead.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/model_dir.h"
#include "pipeline/tokenizer_gguf.h"

struct ahead {
    pthread_t thread;
    bool joined;
    char *model;
    struct model_dir dir; /* the thread's, until it is joined */
    struct tokenizer *tokenizer;
};

static void *read_ahead(void *arg)
{
    struct ahead *a = arg;
    if (model_dir_open(a->model, &a->dir, NULL) != ERR_OK ||
        tokenizer_from_path(a->dir.tokenizer, &a->tokenizer, NULL) != ERR_OK)
        a->tokenizer = NULL;
    return NULL;
}

struct ahead *ahead_begin(const char *model)
{
    struct ahead *a = model && *model ? mem_try_alloc(sizeof *a) : NULL;
    if (!a)
        return NULL;
    a->model = mem_try_strndup(model, strlen(model));
    if (a->model && pthread_create(&a->thread, NULL, read_ahead, a) == 0)
        return a;
    mem_free(a->model);
    mem_free(a);
    return NULL;
}

static void join(struct ahead *a)
{
    if (!a->joined)
        (void)pthread_join(a->thread, NULL);
    a->joined = true;
}

enum err_code ahead_tokenizer(struct ahead *a, const char *path, struct tokenizer **out,
                              struct err *e)
{
    if (a)
        join(a);
    if (!a || !a->tokenizer || strcmp(a->dir.tokenizer, path) != 0)
        return tokenizer_from_path(path, out, e);
    *out = a->tokenizer;
    a->tokenizer = NULL;
    return ERR_OK;
}

void ahead_end(struct ahead *a)
{
    if (!a)
        return;
    join(a);
    tokenizer_free(a->tokenizer);
    mem_free(a->model);
    mem_free(a);
}

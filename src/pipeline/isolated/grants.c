/* grants.c - from a model's name to the paths that opening it touches.
 *
 * Rules of the kernel are about what a path really leads to, so a folder of links (as the Hugging Face cache has them)
 * needs its links' targets named, too. A component that is a file brings what is read along with it: its other shards,
 * its index and the config.json beside it. Reading too much here only grants more; nothing of a model is parsed but its
 * veetance.json.
 */
#include "pipeline/isolated/grants.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/mem.h"
#include "pipeline/model_dir.h"

enum {
    MAX_DEPTH = 4,      /* of folders, and of veetance.json files that name others */
    MAX_ENTRIES = 4096, /* looked at in a folder */
    JSON_MAX_BYTES = 4 << 20,
};

void grants_deinit(struct grants *g)
{
    for (int i = 0; i < g->read.n; i++)
        mem_free((void *)(uintptr_t)g->read.paths[i]);
    for (int i = 0; i < g->write.n; i++)
        mem_free((void *)(uintptr_t)g->write.paths[i]);
    *g = (struct grants){0};
}

/* ---- lists ----------------------------------------------------------------------------------------------- */

static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 &&
           (path[n] == 0 || path[n] == '/' || strcmp(folder, "/") == 0);
}

static bool has(const struct grant_list *l, const char *path)
{
    for (int i = 0; i < l->n; i++)
        if (lies_in(path, l->paths[i]))
            return true;
    return false;
}

static enum err_code put(struct grant_list *l, const char *path, struct err *e)
{
    if (has(l, path))
        return ERR_OK;
    if (l->n == GRANTS_MAX)
        return err_set(e, ERR_LIMIT, "a model lies in more than %d places", GRANTS_MAX);
    l->paths[l->n] = mem_try_strndup(path, strlen(path));
    if (!l->paths[l->n])
        return err_set(e, ERR_NOMEM, "no memory for the paths of a model");
    l->n++;
    return ERR_OK;
}

static bool covers(const struct grant_list *a, const struct grant_list *b)
{
    for (int i = 0; i < b->n; i++)
        if (!has(a, b->paths[i]))
            return false;
    return true;
}

bool grants_cover(const struct grants *a, const struct grants *b)
{
    return covers(&a->read, &b->read) && covers(&a->write, &b->write);
}

enum err_code grants_join(struct grants *a, const struct grants *b, struct err *e)
{
    for (int i = 0; i < b->read.n; i++)
        TRY(put(&a->read, b->read.paths[i], e));
    for (int i = 0; i < b->write.n; i++)
        TRY(put(&a->write, b->write.paths[i], e));
    return ERR_OK;
}

enum err_code grants_add_read(struct grants *g, const char *path, struct err *e)
{
    char real[PATH_MAX];
    return realpath(path, real) ? put(&g->read, real, e) : ERR_OK;
}

enum err_code grants_add_written(struct grants *g, const char *path, struct err *e)
{
    char real[PATH_MAX];
    return realpath(path, real) ? put(&g->write, real, e) : ERR_OK;
}

enum err_code grants_add_write(struct grants *g, const char *folder, struct err *e)
{
    if (!folder || !*folder)
        return ERR_OK;
    TRY(folder_make(folder, 0700, e));
    return grants_add_written(g, folder, e);
}

/* ---- what a folder leads to -------------------------------------------------------------------------------- */

/* Where the links in it lead, and those in the folders below. */
static enum err_code add_links(struct grants *g, const char *folder, int depth, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    enum err_code rc = ERR_OK;
    int seen = 0;
    DIR *d = depth < MAX_DEPTH ? opendir(folder) : NULL;
    for (struct dirent *f = d ? readdir(d) : NULL; f && rc == ERR_OK && seen < MAX_ENTRIES;
         f = readdir(d), seen++) {
        struct stat st;
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0 ||
            file_join(path, sizeof path, folder, f->d_name, NULL) != ERR_OK ||
            lstat(path, &st) != 0)
            continue;
        if (S_ISLNK(st.st_mode))
            rc = grants_add_read(g, path, e);
        else if (S_ISDIR(st.st_mode))
            rc = add_links(g, path, depth + 1, e);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

/* How much of a shard's name all shards share: "model-" of "model-00001-of-00004.safetensors"; else the whole name
 * without its ending, for "x.safetensors.index.json". */
static size_t shared_part(const char *name)
{
    const char *of = strstr(name, "-of-"), *dot = strrchr(name, '.');
    if (of) {
        while (of > name && of[-1] >= '0' && of[-1] <= '9')
            of--;
        return (size_t)(of - name);
    }
    return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

/* A checkpoint's file, and what is read with it. */
static enum err_code add_file(struct grants *g, const char *path, struct err *e)
{
    char folder[MODEL_PATH_BYTES], beside[MODEL_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    TRY(grants_add_read(g, path, e));
    if (!slash || folder_of(path, folder, NULL) != ERR_OK)
        return ERR_OK;
    enum err_code rc = ERR_OK;
    size_t n = shared_part(slash + 1);
    DIR *d = opendir(folder);
    for (struct dirent *f = d ? readdir(d) : NULL; f && rc == ERR_OK; f = readdir(d)) {
        bool wanted = strcmp(f->d_name, "config.json") == 0 ||
                      strncmp(f->d_name, "tokenizer", 9) == 0 ||
                      (n && strncmp(f->d_name, slash + 1, n) == 0);
        if (wanted && file_join(beside, sizeof beside, folder, f->d_name, NULL) == ERR_OK)
            rc = grants_add_read(g, beside, e);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

static enum err_code add_place(struct grants *g, const char *path, int depth, struct err *e);

/* Every text in it that is the path of something. */
static enum err_code add_named(struct grants *g, const char *folder, yyjson_val *v, int depth,
                               struct err *e)
{
    char native[MODEL_PATH_BYTES], path[MODEL_PATH_BYTES];
    size_t i, max;
    yyjson_val *key, *item;
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, i, max, key, item)
        {
            TRY(add_named(g, folder, item, depth, e));
        }
    }
    if (!yyjson_is_str(v) || !file_native_path(yyjson_get_str(v), native, sizeof native) ||
        !native[0])
        return ERR_OK;
    bool fits = native[0] == '/' ? (size_t)snprintf(path, sizeof path, "%s", native) < sizeof path
                                 : file_join(path, sizeof path, folder, native, NULL) == ERR_OK;
    return fits && file_exists(path) ? add_place(g, path, depth + 1, e) : ERR_OK;
}

static enum err_code add_place(struct grants *g, const char *path, int depth, struct err *e)
{
    char real[PATH_MAX], file[MODEL_PATH_BYTES];
    yyjson_doc *doc = NULL;
    if (depth > MAX_DEPTH || !realpath(path, real))
        return ERR_OK;
    if (!file_is_dir(real))
        return add_file(g, path, e);
    if (has(&g->read, real))
        return ERR_OK;
    TRY(put(&g->read, real, e));
    TRY(add_links(g, real, 0, e));
    if (file_join(file, sizeof file, real, "veetance.json", NULL) != ERR_OK ||
        json_read_file(file, JSON_MAX_BYTES, &doc, NULL) != ERR_OK)
        return ERR_OK;
    enum err_code rc = add_named(g, real, yyjson_doc_get_root(doc), depth, e);
    yyjson_doc_free(doc);
    return rc;
}

enum err_code grants_add_model(struct grants *g, const char *model, struct err *e)
{
    char found[MODEL_PATH_BYTES];
    if (!model || !*model)
        return ERR_OK;
    if (!file_exists(model)) {
        if (!model_embedded_find(model, found))
            return ERR_OK;
        model = found;
    }
    return add_place(g, model, 0, e);
}

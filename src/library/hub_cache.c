/* hub_cache.c - the hub's cache: models--ORG--NAME/snapshots/REVISION, of which refs/main names the newest.
 *
 * A revision that was not downloaded whole has links that lead nowhere, or lacks files. Then an older one that is
 * whole is better than none. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "library/discover.h"
#include "weights/checkpoint.h"

enum { MAX_REVISIONS = 64, INDEX_MAX_BYTES = 1 << 20 };

static const char prefix[] = "models--";

static bool inside(const char *dir, const char *name, char out[MODELS_PATH_BYTES])
{
    return file_join(out, MODELS_PATH_BYTES, dir, name, NULL) == ERR_OK && file_exists(out);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* ---- is a revision whole? -------------------------------------------------------------------------- */

static bool has_weights(const char *dir, const char *part)
{
    char path[MODELS_PATH_BYTES];
    struct checkpoint *cp = NULL;
    bool ok = inside(dir, part, path) && checkpoint_open(path, &cp, NULL) == ERR_OK;
    checkpoint_close(cp);
    return ok;
}

static bool has_tokenizer(const char *dir)
{
    char tokenizer[MODELS_PATH_BYTES], path[MODELS_PATH_BYTES];
    return inside(dir, "tokenizer", tokenizer) &&
           (inside(tokenizer, "tokenizer.json", path) || inside(tokenizer, "vocab.json", path));
}

/* Every part that model_index.json names and that this program needs. */
static bool folder_is_whole(const char *dir, const char *index)
{
    static const char *const parts[] = {"transformer", "text_encoder", "vae"};
    yyjson_doc *doc = NULL;
    if (json_read_file(index, INDEX_MAX_BYTES, &doc, NULL) != ERR_OK)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool whole = !yyjson_obj_get(root, "tokenizer") || has_tokenizer(dir);
    for (size_t i = 0; whole && i < sizeof parts / sizeof parts[0]; i++)
        whole = !yyjson_obj_get(root, parts[i]) || has_weights(dir, parts[i]);
    yyjson_doc_free(doc);
    return whole;
}

static bool is_weights_name(const char *name)
{
    struct str s = str_from(name);
    return name[0] != '.' &&
           (str_ends(s, STR_LIT(".safetensors")) || str_ends(s, STR_LIT(".gguf")));
}

/* Single files: there is one, and none is a link to nothing. */
static bool files_are_whole(const char *dir)
{
    char path[MODELS_PATH_BYTES];
    size_t there = 0, gone = 0;
    DIR *d = opendir(dir);
    for (struct dirent *ent = d ? readdir(d) : NULL; ent; ent = readdir(d)) {
        if (!is_weights_name(ent->d_name))
            continue;
        bool ok = inside(dir, ent->d_name, path);
        there += ok;
        gone += !ok;
    }
    if (d)
        (void)closedir(d);
    return there > 0 && gone == 0;
}

static bool is_whole(const char *dir)
{
    char index[MODELS_PATH_BYTES];
    return inside(dir, "model_index.json", index) ? folder_is_whole(dir, index)
                                                  : files_are_whole(dir);
}

/* ---- which revision -------------------------------------------------------------------------------- */

struct revision {
    char path[MODELS_PATH_BYTES];
    struct timespec changed;
    bool main;
};

static int newest_first(const void *a, const void *b)
{
    const struct revision *x = a, *y = b;
    if (x->main != y->main)
        return x->main ? -1 : 1;
    if (x->changed.tv_sec != y->changed.tv_sec)
        return x->changed.tv_sec > y->changed.tv_sec ? -1 : 1;
    if (x->changed.tv_nsec != y->changed.tv_nsec)
        return x->changed.tv_nsec > y->changed.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void read_ref(const char *repo, char out[256])
{
    char path[MODELS_PATH_BYTES];
    struct buf text;
    buf_init(&text, 256);
    out[0] = 0;
    if (inside(repo, "refs/main", path) && file_read(path, 200, &text, NULL) == ERR_OK) {
        struct str s = buf_str(&text);
        while (s.n && isspace((unsigned char)s.p[s.n - 1]))
            s.n--;
        (void)snprintf(out, 256, "%.*s", STR_ARG(s));
    }
    buf_deinit(&text);
}

/* All revisions, the one that refs/main names first, then from the newest on. */
static size_t list_revisions(const char *repo, struct revision *list)
{
    char all[MODELS_PATH_BYTES], ref[256];
    size_t n = 0;
    if (!inside(repo, "snapshots", all))
        return 0;
    read_ref(repo, ref);
    DIR *d = opendir(all);
    for (struct dirent *ent = d ? readdir(d) : NULL; ent && n < MAX_REVISIONS; ent = readdir(d)) {
        struct stat st;
        if (ent->d_name[0] == '.' || !inside(all, ent->d_name, list[n].path) ||
            stat(list[n].path, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        list[n].changed = st.st_mtim;
        list[n++].main = strcmp(ent->d_name, ref) == 0;
    }
    if (d)
        (void)closedir(d);
    qsort(list, n, sizeof *list, newest_first);
    return n;
}

bool models_hub_snapshot(const char *repo, const struct models_options *o,
                         char out[MODELS_PATH_BYTES])
{
    struct revision *list;
    char text[200];
    if (strncmp(base_name(repo), prefix, strlen(prefix)) != 0)
        return false;
    list = mem_try_array(MAX_REVISIONS, sizeof *list);
    size_t n = list ? list_revisions(repo, list) : 0, whole = 0;
    while (whole < n && !is_whole(list[whole].path))
        whole++;
    if (whole > 0 && whole < n) {
        (void)snprintf(text, sizeof text, "revision %.40s is not whole; %.40s is used instead",
                       base_name(list[0].path), base_name(list[whole].path));
        models_say(o, MODELS_NOTE, repo, text);
    }
    if (n > 0)
        memcpy(out, list[whole < n ? whole : 0].path, MODELS_PATH_BYTES);
    mem_free(list);
    return n > 0;
}

/* walk.c - everything below a folder, links to folders included.
 *
 * A folder is entered once, by whatever path it is reached first, so that links in a circle end. What is not
 * looked at is reported: too deep, too many, a path too long for the store, a link to nothing. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "library/discover.h"
#include "weights/checkpoint.h"

enum { MAX_DEPTH = 64, MAX_ENTRIES = 2000000, FIRST_SLOTS = 256 };

/* A folder that was entered: device and number, as a hash table without removal. */
struct seen {
    dev_t dev;
    ino_t ino;
    bool used;
};

struct walk {
    struct models_scan scan;
    size_t entries;
    bool full; /* MAX_ENTRIES was reported */
    struct seen *seen;
    size_t n_seen, slots;
};

static void leave_out(const struct walk *w, const char *path, const char *why)
{
    models_say(w->scan.o, MODELS_LEFT_OUT, path, why);
}

static struct seen *slot_of(struct seen *table, size_t slots, const struct stat *st)
{
    const struct seen key = {.dev = st->st_dev, .ino = st->st_ino};
    uint64_t h = str_hash((struct str){(const char *)&key.ino, sizeof key.ino}) ^ key.dev;
    size_t i = (size_t)h & (slots - 1);
    while (table[i].used && (table[i].dev != key.dev || table[i].ino != key.ino))
        i = (i + 1) & (slots - 1);
    return &table[i];
}

static bool grow(struct walk *w)
{
    size_t slots = w->slots ? 2 * w->slots : FIRST_SLOTS;
    struct seen *table = mem_try_array(slots, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < w->slots; i++) {
        const struct stat st = {.st_dev = w->seen[i].dev, .st_ino = w->seen[i].ino};
        if (w->seen[i].used)
            *slot_of(table, slots, &st) = w->seen[i];
    }
    mem_free(w->seen);
    w->seen = table;
    w->slots = slots;
    return true;
}

/* Notes the folder; false when it was entered before. */
static bool is_new(struct walk *w, const char *dir)
{
    struct stat st;
    if (stat(dir, &st) != 0) {
        leave_out(w, dir, strerror(errno));
        return false;
    }
    if (2 * w->n_seen >= w->slots && !grow(w)) {
        leave_out(w, dir, "no memory");
        return false;
    }
    struct seen *s = slot_of(w->seen, w->slots, &st);
    if (s->used)
        return false;
    *s = (struct seen){.dev = st.st_dev, .ino = st.st_ino, .used = true};
    w->n_seen++;
    return true;
}

static void walk_folder(struct walk *w, const char *dir, int depth);

/* By the path behind the link: the drive that it lies on is what counts when it is not there. */
static void walk_link(struct walk *w, const char *path, int depth)
{
    char real[MODELS_PATH_BYTES];
    struct err why = {0};
    if (models_canonical(path, real, &why) == ERR_OK)
        walk_folder(w, real, depth);
    else
        leave_out(w, path, why.text);
}

static void walk_file(struct walk *w, const char *path, bool in_model, bool in_shards)
{
    struct err why = {0};
    if ((in_shards && strstr(path, "-of-")) || checkpoint_is_later_part(path) ||
        !models_seems_weights(path))
        return;
    w->scan.in_model = in_model;
    if (models_add_file(&w->scan, path, &why) != ERR_OK)
        models_say(w->scan.o, MODELS_REFUSED, path, why.text);
    w->scan.in_model = false;
}

static void walk_entry(struct walk *w, const char *path, bool in_model, bool in_shards, int depth)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        leave_out(w, path, strerror(errno));
        return;
    }
    bool link = S_ISLNK(st.st_mode);
    if (link && stat(path, &st) != 0)
        leave_out(w, path, errno == ENOENT ? "a link that leads nowhere" : strerror(errno));
    else if (S_ISREG(st.st_mode))
        walk_file(w, path, in_model, in_shards);
    else if (S_ISDIR(st.st_mode) && !in_model && link)
        walk_link(w, path, depth + 1);
    else if (S_ISDIR(st.st_mode) && !in_model)
        walk_folder(w, path, depth + 1);
}

static void walk_entries(struct walk *w, const char *dir, bool in_model, bool in_shards, int depth)
{
    char path[MODELS_PATH_BYTES];
    DIR *d = opendir(dir);
    if (!d) {
        leave_out(w, dir, strerror(errno));
        return;
    }
    for (struct dirent *ent = readdir(d); ent && w->entries < MAX_ENTRIES; ent = readdir(d)) {
        w->entries++;
        if (ent->d_name[0] == '.') /* hidden ones are of tools: .git, .cache */
            continue;
        if (file_join(path, sizeof path, dir, ent->d_name, NULL) == ERR_OK)
            walk_entry(w, path, in_model, in_shards, depth);
        else
            leave_out(w, dir, "paths in it are too long");
    }
    (void)closedir(d);
    if (w->entries >= MAX_ENTRIES && !w->full) {
        w->full = true;
        leave_out(w, dir,
                  "the scan ended here: it has seen 2000000 files; scan parts by themselves");
    }
}

static void walk_folder(struct walk *w, const char *dir, int depth)
{
    char path[MODELS_PATH_BYTES];
    struct err why = {0};
    if (depth > MAX_DEPTH) {
        leave_out(w, dir, "more than 64 folders deep; scan it by itself");
        return;
    }
    if (w->full || !is_new(w, dir))
        return;
    if (models_hub_snapshot(dir, w->scan.o, path)) {
        walk_folder(w, path, depth + 1);
        return;
    }
    bool model = models_is_folder(dir), shards = models_has_index(dir);
    if (model && models_add_folder(&w->scan, dir, &why) != ERR_OK) {
        models_say(w->scan.o, MODELS_REFUSED, dir, why.text);
        model = false; /* its parts may still serve others */
    }
    if (shards && models_add_file(&w->scan, dir, &why) != ERR_OK)
        models_say(w->scan.o, MODELS_REFUSED, dir, why.text);
    (void)models_add_small_parts(&w->scan, dir);
    walk_entries(w, dir, model, shards, depth);
}

enum err_code models_scan(struct models *m, const char *dir, const struct models_options *o,
                          struct err *e)
{
    char at[MODELS_PATH_BYTES];
    struct models_options unnamed = o ? *o : (struct models_options){.distilled = -1};
    struct walk w = {.scan = {.m = m, .o = &unnamed}};
    unnamed.name = NULL;
    TRY(models_canonical(dir, at, e));
    if (!file_is_dir(at))
        return err_set(e, ERR_ARG, "'%s' is no folder", dir);
    walk_folder(&w, at, 0);
    mem_free(w.seen);
    models_complete_all(m, o);
    return ERR_OK;
}

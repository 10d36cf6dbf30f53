/* get.c - a set of the catalogue into a folder, in two rounds; see get.h.
 *
 * The second round is needed for indexes: which shards a model has is known only when its index is there. In
 * order: lock the folder, note licences and set in fetch.json, take what the record vouches for, fetch missing
 * indexes, add the shards, fetch the rest, write veetance.json, remove the work folder. The record is saved after
 * each file, so that a run that was broken off goes on from there. Before each round the hub is asked about every
 * file, and the disk for room.
 */
#include "fetch/get.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/paths.h"

enum { MAX_WANTED = 1024 };

enum want_state { WANT_OPEN, WANT_THERE, WANT_ABSENT /* optional, and the repository has none */ };

struct want {
    const struct catalogue_source *source;
    struct catalogue_file file; /* strings in the catalogue or the arena */
    enum want_state state;
    bool expanded; /* an index whose files are in the list */
};

struct get {
    const struct catalogue *catalogue;
    const struct catalogue_set *set;
    const struct catalogue_choice *choices[16];
    struct get_request request;
    char dir[FETCH_PATH_BYTES], work[FETCH_PATH_BYTES];
    struct arena arena;
    struct want *wants;
    size_t want_count;
    struct hub hub;
    struct record record;
    struct download_file *files; /* of the round under way */
    size_t file_count, done_before;
    struct get_totals totals;
    int lock;
};

/* ---- what is wanted ------------------------------------------------------------------------------------------ */

static enum err_code add_want(struct get *g, const struct catalogue_source *source,
                              const struct catalogue_file *file, struct err *e)
{
    for (size_t i = 0; i < g->want_count; i++)
        if (strcmp(g->wants[i].file.to, file->to) == 0)
            return ERR_OK; /* two components may share a file */
    if (g->want_count == MAX_WANTED)
        return err_set(e, ERR_LIMIT, "a set of more than %d files", MAX_WANTED);
    g->wants[g->want_count++] = (struct want){.source = source, .file = *file};
    return ERR_OK;
}

static enum err_code choose(struct get *g, struct err *e)
{
    const struct get_request *r = &g->request;
    for (size_t i = 0; i < r->pick_count; i++)
        if (!catalogue_component_find(g->set, r->picks[i].component))
            return err_set(e, ERR_ARG, "the set %s has no %s to choose", g->set->name,
                           r->picks[i].component);
    for (size_t c = 0; c < g->set->component_count; c++) {
        const struct catalogue_component *k = &g->set->components[c];
        const char *name = NULL;
        for (size_t i = 0; i < r->pick_count; i++)
            if (strcmp(r->picks[i].component, k->name) == 0)
                name = r->picks[i].choice;
        TRY(catalogue_choice_find(k, name, &g->choices[c], e));
        for (size_t f = 0; f < g->choices[c]->file_count; f++)
            TRY(add_want(g, g->choices[c]->source, &g->choices[c]->files[f], e));
    }
    return ERR_OK;
}

static enum err_code choose_dir(struct get *g, struct err *e)
{
    char root[FETCH_PATH_BYTES];
    enum err_code rc;
    if (g->request.to) {
        int n = snprintf(g->dir, sizeof g->dir, "%s", g->request.to);
        rc = n > 0 && (size_t)n < sizeof g->dir - 1000
                 ? ERR_OK
                 : err_set(e, ERR_ARG, "the folder's path is empty or too long");
        while (rc == ERR_OK && n > 1 && g->dir[n - 1] == '/')
            g->dir[--n] = 0;
    } else if ((rc = path_models_root(root, e)) == ERR_OK) {
        rc = file_join(g->dir, sizeof g->dir - 1000, root, g->set->name, e);
    }
    return rc == ERR_OK ? file_join(g->work, sizeof g->work, g->dir, FETCH_WORK_DIR, e) : rc;
}

static enum err_code connect_hub(struct get *g, struct err *e)
{
    const char *base = g->request.mirror, *endpoint = getenv("HF_ENDPOINT");
    if (!base)
        base = endpoint && *endpoint ? endpoint : catalogue_hub(g->catalogue);
    enum err_code rc = hub_init(&g->hub, base, e);
    g->hub.stop = g->request.stop;
    g->hub.note = g->request.note;
    g->hub.user = g->request.user;
    g->hub.tries = g->request.tries;
    return rc;
}

enum err_code get_new(const struct catalogue *c, const struct get_request *r, struct get **out,
                      struct err *e)
{
    struct get *g = mem_alloc(sizeof *g);
    *out = NULL;
    g->catalogue = c;
    g->request = *r;
    g->lock = -1;
    arena_init(&g->arena, 16 << 20);
    g->wants = arena_array(&g->arena, MAX_WANTED, sizeof *g->wants);
    g->files = mem_try_array(MAX_WANTED, sizeof *g->files);
    enum err_code rc;
    TRY_GOTO(g->wants && g->files ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a set"), done);
    TRY_GOTO(catalogue_find(c, r->set, &g->set, e), done);
    TRY_GOTO(choose(g, e), done);
    TRY_GOTO(choose_dir(g, e), done);
    TRY_GOTO(record_load(g->dir, &g->record, e), done);
    if (*g->record.set && strcmp(g->record.set, g->set->name) != 0) {
        rc = err_set(e, ERR_ARG, "'%s' holds the set %s; name another folder with --to", g->dir,
                     g->record.set);
        goto done;
    }
    rc = connect_hub(g, e);
done:
    if (rc != ERR_OK) {
        get_free(g);
        return rc;
    }
    *out = g;
    return ERR_OK;
}

void get_free(struct get *g)
{
    if (!g)
        return;
    file_unlock(g->lock);
    hub_deinit(&g->hub);
    record_deinit(&g->record);
    arena_deinit(&g->arena);
    mem_free(g->files);
    mem_free(g);
}

/* ---- questions ------------------------------------------------------------------------------------------------ */

const char *get_dir(const struct get *g)
{
    return g->dir;
}

const char *get_base(const struct get *g)
{
    return g->hub.base;
}

size_t get_licences(const struct get *g, const struct catalogue_licence *out[GET_MAX_LICENCES],
                    bool *agreed)
{
    size_t n = 0;
    *agreed = true;
    for (size_t c = 0; c < g->set->component_count; c++) {
        const struct catalogue_licence *l = g->choices[c]->source->licence;
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || out[i] == l;
        if (known || n == GET_MAX_LICENCES)
            continue;
        out[n++] = l;
        *agreed = *agreed && record_has_licence(&g->record, l->id);
    }
    return n;
}

const struct download_file *get_files(const struct get *g, size_t *count)
{
    *count = g->file_count;
    return g->files;
}

struct get_totals get_totals(const struct get *g)
{
    return g->totals;
}

/* ---- what is there ---------------------------------------------------------------------------------------------- */

static enum err_code final_path(const struct get *g, const struct want *w,
                                char out[FETCH_PATH_BYTES], struct err *e)
{
    return file_join(out, FETCH_PATH_BYTES, g->dir, w->file.to, e);
}

static bool has_size(const char *path, uint64_t size)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* Recorded as downloaded from the same place, and still of its size: `verify` looks closer. */
static bool is_there(const struct get *g, const struct want *w)
{
    char path[FETCH_PATH_BYTES];
    const struct record_file *f = record_find(&g->record, w->file.to);
    return f && strcmp(f->repo, w->source->repo) == 0 &&
           strcmp(f->revision, w->source->revision) == 0 && strcmp(f->file, w->file.path) == 0 &&
           (!w->file.sha256 || strcmp(f->sha256, w->file.sha256) == 0 || g->request.trust_hub) &&
           final_path(g, w, path, NULL) == ERR_OK && has_size(path, f->size);
}

static enum err_code note_file(struct get *g, const struct want *w, const struct hub_file *at,
                               const char *sha256, struct err *e)
{
    const struct record_file f = {.path = w->file.to,
                                  .sha256 = sha256,
                                  .repo = w->source->repo,
                                  .revision = w->source->revision,
                                  .commit = at->commit,
                                  .file = w->file.path,
                                  .size = at->size};
    TRY(record_put(&g->record, &f, e));
    return record_save(&g->record, g->dir, e);
}

/* A file that lies there without a record (copied by hand, perhaps) is as good as a download if its digest is
 * the one wanted. */
static enum err_code adopt(struct get *g, struct want *w, const struct hub_file *at, struct err *e)
{
    char path[FETCH_PATH_BYTES], hex[SHA256_HEX_SIZE];
    const char *want = at->sum == HUB_SUM_SHA256 ? at->sum_hex : w->file.sha256;
    TRY(final_path(g, w, path, e));
    if (!want || !has_size(path, at->size) || sha256_file(path, hex, NULL) != ERR_OK ||
        strcmp(hex, want) != 0)
        return ERR_OK;
    w->state = WANT_THERE;
    g->totals.bytes_before += at->size;
    return note_file(g, w, at, hex, e);
}

/* ---- one round ------------------------------------------------------------------------------------------------- */

static enum err_code fill_file(struct get *g, const struct want *w, const struct hub_file *at,
                               struct download_file *f, struct err *e)
{
    char tmp[FETCH_PATH_BYTES];
    *f = (struct download_file){
        .source = w->source,
        .repo_path = w->file.path,
        .sha256 = g->request.trust_hub && at->sum == HUB_SUM_SHA256 ? NULL : w->file.sha256,
        .at = *at};
    (void)snprintf(f->to, sizeof f->to, "%s", w->file.to);
    TRY(final_path(g, w, f->path, e));
    TRY(file_join(tmp, sizeof tmp - 10, g->work, w->file.to, e));
    (void)snprintf(f->part_path, sizeof f->part_path, "%.*s.part", FETCH_PATH_BYTES - 10, tmp);
    (void)snprintf(f->state_path, sizeof f->state_path, "%.*s.state", FETCH_PATH_BYTES - 10, tmp);
    return download_check_pin(f, e);
}

static enum err_code resolve_one(struct get *g, struct want *w, struct err *e)
{
    struct hub_file at;
    struct err local = {0};
    enum err_code rc = hub_resolve(&g->hub, w->source, w->file.path, &at, &local);
    if (rc == ERR_NOTFOUND && w->file.optional) {
        w->state = WANT_ABSENT;
        return ERR_OK;
    }
    if (rc != ERR_OK) {
        if (e)
            *e = local;
        return rc;
    }
    g->totals.bytes += at.size;
    rc = adopt(g, w, &at, e);
    if (rc != ERR_OK || w->state == WANT_THERE)
        return rc;
    rc = fill_file(g, w, &at, &g->files[g->file_count], e);
    g->file_count += rc == ERR_OK;
    return rc;
}

/* What the parts have already taken counts as free. */
static enum err_code check_room(const struct get *g, struct err *e)
{
    uint64_t free_bytes = 0, need = 0;
    char a[32], b[32];
    enum err_code rc = path_free_bytes(g->dir, &free_bytes, e);
    for (size_t i = 0; i < g->file_count; i++) {
        struct stat st;
        uint64_t has = stat(g->files[i].part_path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
        if (g->files[i].at.size > has)
            need += g->files[i].at.size - has;
    }
    if (rc == ERR_OK && need > free_bytes)
        rc = err_set(e, ERR_IO, "not enough room for '%s': %s more are needed, %s are free", g->dir,
                     path_size_text(need, a), path_size_text(free_bytes, b));
    return rc;
}

static enum err_code on_published(struct download_file *f, void *user, struct err *e)
{
    struct get *g = user;
    for (size_t i = 0; i < g->want_count; i++)
        if (strcmp(g->wants[i].file.to, f->to) == 0) {
            g->wants[i].state = WANT_THERE;
            return note_file(g, &g->wants[i], &f->at, f->sha256_found, e);
        }
    return ERR_OK;
}

static void on_progress(void *user)
{
    const struct get *g = user;
    if (g->request.progress)
        g->request.progress(g->request.user);
}

static void on_note(const char *text, void *user)
{
    const struct get *g = user;
    if (g->request.note)
        g->request.note(text, g->request.user);
}

static enum err_code run_round(struct get *g, bool only_indexes, struct err *e)
{
    g->file_count = 0;
    for (size_t i = 0; i < g->want_count; i++) {
        struct want *w = &g->wants[i];
        if (w->state != WANT_OPEN || (only_indexes && !w->file.shards))
            continue;
        if (g->request.stop && atomic_load(g->request.stop))
            return err_set(e, ERR_CANCELLED, "stopped");
        TRY(resolve_one(g, w, e));
    }
    TRY(check_room(g, e));
    struct download_options o = {.hub = &g->hub,
                                 .connections = g->request.connections,
                                 .stop = g->request.stop,
                                 .progress = on_progress,
                                 .published = on_published,
                                 .note = on_note,
                                 .user = g};
    return download_run(g->files, g->file_count, &o, e);
}

/* ---- indexes ---------------------------------------------------------------------------------------------------- */

struct shard_context {
    struct get *g;
    const struct want *index;
};

/* NAME beside the index, there and here. */
static const char *beside(struct get *g, const char *index, const char *name)
{
    const char *slash = strrchr(index, '/');
    struct buf b;
    buf_init(&b, FETCH_NAME_BYTES);
    buf_printf(&b, "%.*s%s", slash ? (int)(slash + 1 - index) : 0, index, name);
    const char *out = buf_failed(&b) ? NULL : arena_strdup(&g->arena, buf_str(&b));
    buf_deinit(&b);
    return out;
}

static enum err_code add_shard(const char *name, void *user, struct err *e)
{
    const struct shard_context *c = user;
    struct catalogue_file f = {.path = beside(c->g, c->index->file.path, name),
                               .to = beside(c->g, c->index->file.to, name),
                               .size = -1};
    if (!f.path || !f.to)
        return err_set(e, ERR_LIMIT, "the name of a shard is too long");
    return add_want(c->g, c->index->source, &f, e);
}

static enum err_code expand_indexes(struct get *g, struct err *e)
{
    for (size_t i = 0; i < g->want_count; i++) {
        char path[FETCH_PATH_BYTES];
        struct want *w = &g->wants[i];
        if (!w->file.shards || w->expanded || w->state == WANT_OPEN)
            continue;
        w->expanded = true;
        if (w->state == WANT_ABSENT)
            continue;
        struct shard_context c = {.g = g, .index = w};
        TRY(final_path(g, w, path, e));
        TRY(layout_shards(path, add_shard, &c, e));
    }
    return ERR_OK;
}

/* Marks what the record vouches for; says whether an index is still to be fetched. */
static bool look_around(struct get *g)
{
    bool index_missing = false;
    for (size_t i = 0; i < g->want_count; i++) {
        struct want *w = &g->wants[i];
        if (w->state == WANT_OPEN && is_there(g, w)) {
            uint64_t size = record_find(&g->record, w->file.to)->size;
            w->state = WANT_THERE;
            g->totals.bytes += size;
            g->totals.bytes_before += size;
        }
        index_missing = index_missing || (w->state == WANT_OPEN && w->file.shards);
    }
    return index_missing;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static enum err_code take_lock(struct get *g, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    TRY(folder_make(g->work, 0777, e));
    TRY(file_join(path, sizeof path, g->work, "lock", e));
    enum err_code rc = file_lock(AT_FDCWD, path, 0666, false, &g->lock, e);
    if (rc == ERR_BUSY)
        rc = err_set(e, ERR_BUSY, "another veetance-fetch is downloading into '%s'", g->dir);
    return rc;
}

static enum err_code begin(struct get *g, struct err *e)
{
    const struct catalogue_licence *licences[GET_MAX_LICENCES];
    bool agreed;
    enum err_code rc = take_lock(g, e);
    size_t n = get_licences(g, licences, &agreed);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = record_add_licence(&g->record, licences[i]->id, e);
    if (rc == ERR_OK)
        rc = record_set(&g->record, &g->record.set, g->set->name, e);
    return rc == ERR_OK ? record_save(&g->record, g->dir, e) : rc;
}

static enum err_code finish(struct get *g, struct err *e)
{
    bool kept = false;
    TRY(layout_write(g->dir, g->set, g->choices, &g->record, &kept, e));
    if (kept && g->request.note)
        g->request.note("the folder's own veetance.json was left as it is", g->request.user);
    for (size_t i = 0; i < g->want_count; i++)
        g->totals.files += g->wants[i].state == WANT_THERE;
    folder_remove_tree(g->work);
    return ERR_OK;
}

enum err_code get_run(struct get *g, struct err *e)
{
    TRY(begin(g, e));
    if (look_around(g))
        TRY(run_round(g, true, e));
    TRY(expand_indexes(g, e));
    (void)look_around(g);
    TRY(run_round(g, false, e));
    return finish(g, e);
}

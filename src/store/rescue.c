/* rescue.c - when the database is broken or gone: the images come back from their files, projects and
 * jobs from whatever SQLite can still read of the old one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/schema.h"
#include "store/store_impl.h"

/* ---- aside -------------------------------------------------------------------------------------- */

static enum err_code move_one(const char *dir, const char *suffix, const char *to_suffix,
                              struct err *e)
{
    char from[4200], to[4300];
    snprintf(from, sizeof from, "%s/%s%s", dir, FILES_DB, suffix);
    snprintf(to, sizeof to, "%s/%s%s%s", dir, FILES_DB, to_suffix, suffix);
    if (rename(from, to) != 0 && errno != ENOENT)
        return err_set_sys(e, ERR_IO, errno, "cannot move the broken database aside");
    return ERR_OK;
}

enum err_code rescue_move_aside(const char *dir, char *moved, size_t moved_size, struct err *e)
{
    char mark[32];
    struct stat st;
    for (int n = 1;; n++) {
        snprintf(mark, sizeof mark, ".broken-%d", n);
        if ((size_t)snprintf(moved, moved_size, "%s/%s%s", dir, FILES_DB, mark) >= moved_size)
            return err_set(e, ERR_LIMIT, "the store's folder has too long a name");
        if (stat(moved, &st) != 0)
            break;
    }
    /* The log first: a database beside somebody else's log would be the worst of all. */
    TRY(move_one(dir, "-wal", mark, e));
    TRY(move_one(dir, "-shm", mark, e));
    return move_one(dir, "", mark, e);
}

/* ---- images ----------------------------------------------------------------------------------- */

struct finding {
    struct store *s;
    uint64_t n;
};

/* Header and times of a file in assets/; false when it is no image of ours. */
static bool probe(struct store *s, const char *name, struct asset *a)
{
    struct stat st;
    struct image_info info = {0};
    int fd = openat(s->files.assets, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    if (good) {
        const struct reader_file f = {.fd = fd, .bytes = (uint64_t)st.st_size};
        good = reader_image(s->reader, &f, READER_HEADER, &info, NULL, NULL) == ERR_OK;
    }
    close(fd);
    if (!good)
        return false;
    a->format = info.format;
    a->width = info.w;
    a->height = info.h;
    a->alpha = info.channels == 2 || info.channels == 4;
    a->bytes = (uint64_t)st.st_size;
    a->created_ms = (int64_t)st.st_mtim.tv_sec * 1000;
    return true;
}

static enum err_code enter(const char *name, void *user, struct err *e)
{
    struct finding *f = user;
    struct asset a = {.origin = "found"};
    if (strlen(name) != 3 + ASSET_ID_SIZE - 1 || !asset_is_id(name + 3) ||
        strncmp(name, name + 3, 2) != 0 || !probe(f->s, name, &a)) {
        log_warn("the store's file assets/%.80s is no image that it knows; it is left alone", name);
        return ERR_OK;
    }
    snprintf(a.id, sizeof a.id, "%s", name + 3);
    f->n++;
    return asset_row_put(f->s, NULL, &a, e);
}

enum err_code rescue_assets(struct store *s, uint64_t *n, struct err *e)
{
    struct finding f = {.s = s};
    enum err_code rc = store_begin(s, e);
    if (rc != ERR_OK)
        return rc;
    rc = db_end(&s->rw, files_walk(s->files.assets, true, enter, &f, e), e);
    *n = f.n;
    return rc;
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* Newer columns are in a list of their own: a database that was never migrated lacks them. */
static const struct table {
    const char *name, *columns, *newer;
    int n, n_newer;
    bool counts;
} tables[] = {
    {"jobs",
     "seq, id, turn, kind, model, state, attempts, request, result, error, created_ms, started_ms,"
     " finished_ms",
     ", project, layer, candidate, placed", 13, 4, true},
    {"projects", "seq, id, name, width, height, layers, revision, position, created_ms, updated_ms",
     "", 10, 0, true},
    {"history", "project, position, label, at_ms, doc", "", 5, 0, false},
    {"refs", "owner, asset", "", 2, 0, false},
    {"meta", "key, value", "", 2, 0, false},
};

/* One row of the old database into the new. What does not fit there (an image that is gone, a row twice)
 * is left out. */
static void copy_row(struct store *s, const char *insert, sqlite3_stmt *from, int columns,
                     uint64_t *n)
{
    sqlite3_stmt *to = NULL;
    if (sqlite3_prepare_v2(s->rw.h, insert, -1, &to, NULL) != SQLITE_OK)
        return;
    for (int i = 0; i < columns; i++)
        (void)sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
    if (sqlite3_step(to) == SQLITE_DONE)
        (*n)++;
    (void)sqlite3_finalize(to);
}

/* False: the old table lacks one of the columns. */
static bool copy_columns(struct store *s, struct db *old, const struct table *t, bool newer,
                         uint64_t *n)
{
    char sql[512], insert[512], marks[64] = "";
    sqlite3_stmt *st = NULL;
    const char *more = newer ? t->newer : "";
    int columns = t->n + (newer ? t->n_newer : 0);
    for (int i = 0; i < columns; i++)
        snprintf(marks + strlen(marks), sizeof marks - strlen(marks), i ? ", ?" : "?");
    snprintf(sql, sizeof sql, "SELECT %s%s FROM %s NOT INDEXED", t->columns, more, t->name);
    snprintf(insert, sizeof insert, "INSERT INTO %s (%s%s) VALUES (%s)", t->name, t->columns, more,
             marks);
    if (sqlite3_prepare_v2(old->h, sql, -1, &st, NULL) != SQLITE_OK)
        return false;
    while (sqlite3_step(st) == SQLITE_ROW)
        copy_row(s, insert, st, columns, n);
    (void)sqlite3_finalize(st);
    return true;
}

static void copy_table(struct store *s, struct db *old, const struct table *t, uint64_t *n)
{
    if (!copy_columns(s, old, t, true, n))
        (void)copy_columns(s, old, t, false, n);
}

/* What people and jobs said of images whose files are here. */
static void copy_marks(struct store *s, struct db *old, uint64_t *n)
{
    static const char from[] = "SELECT id, name, starred, trashed, job, task, model, prompt, seed"
                               " FROM assets NOT INDEXED";
    static const char to[] = "UPDATE assets SET name = ?2, starred = ?3, trashed = ?4, job = ?5,"
                             " task = ?6, model = ?7, prompt = ?8, seed = ?9 WHERE id = ?1";
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(old->h, from, -1, &st, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(st) == SQLITE_ROW)
        copy_row(s, to, st, 9, n);
    (void)sqlite3_finalize(st);
}

/* Projects without a readable state at their position would be listed and not open. */
static const char drop_empty[] = "DELETE FROM projects WHERE NOT EXISTS (SELECT 1 FROM history"
                                 " WHERE history.project = projects.id AND history.position = "
                                 "projects.position);" SCHEMA_RANK_PROJECTS;

enum err_code rescue_rows(struct store *s, const char *path, uint64_t *n, struct err *e)
{
    struct db old = {0};
    uint64_t others = 0;
    struct err ignored = {0};
    enum err_code rc = store_begin(s, e);
    if (rc != ERR_OK)
        return rc;
    if (db_open(&old, path, DB_LOOK, &ignored) == ERR_OK) {
        /* The broken file stays as it was found. */
        (void)sqlite3_db_config(old.h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
            copy_table(s, &old, &tables[i], tables[i].counts ? n : &others);
        copy_marks(s, &old, &others);
    }
    db_close(&old);
    rc = db_exec(&s->rw, drop_empty, e);
    return db_end(&s->rw, rc, e);
}

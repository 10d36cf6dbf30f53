/* gc.c - removing what nothing refers to.
 *
 * An asset goes row first, file second, under files_lock: whoever puts the same bytes in meanwhile waits,
 * and then finds neither. A crash between the two leaves a file without a row, which a later collection
 * takes as a stray. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/store_impl.h"

enum { BATCH = 256, BATCH_WITH_END = 8 };

struct collection {
    struct store *s;
    const struct store_gc_params *params;
    struct store_gc_result *out;
    int64_t before_ms; /* what was touched later stays */
};

#define ORPHANS                                                                                    \
    " FROM assets WHERE touched_ms <= ?1 AND (?2 OR origin <> 'found')"                            \
    " AND (NOT starred OR trashed)"                                                                \
    " AND NOT EXISTS (SELECT 1 FROM refs WHERE refs.asset = assets.id)"

static const int sides[] = {64, 128, 256, 512, 1024};

static void drop_thumbs(struct store *s, const char *id)
{
    char name[FILES_NAME_SIZE];
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        files_thumb_name(id, sides[i], name);
        (void)unlinkat(s->files.thumbs, name, 0);
    }
}

/* Something put in while the clock was in the future would otherwise be kept forever. */
static enum err_code pull_back(struct store *s, struct err *e)
{
    struct db_query q =
        db_query(&s->rw, "UPDATE assets SET touched_ms = ?1 WHERE touched_ms > ?1", e);
    db_bind_int(&q, 1, store_now_ms(s));
    return db_run(&q);
}

static void bind_orphans(struct db_query *q, const struct collection *c)
{
    db_bind_int(q, 1, c->before_ms);
    db_bind_int(q, 2, c->params->found_too);
}

static enum err_code count_orphans(struct collection *c, struct err *e)
{
    struct db_query q = db_query(&c->s->rw, "SELECT count(*), coalesce(sum(bytes), 0)" ORPHANS, e);
    bind_orphans(&q, c);
    if (db_row(&q)) {
        c->out->assets = (uint64_t)db_int(&q, 0);
        c->out->bytes += (uint64_t)db_int(&q, 1);
    }
    return db_done(&q);
}

struct orphan {
    char id[ASSET_ID_SIZE];
    uint64_t bytes;
};

/* Small where it is to end in time. */
static size_t batch_size(const struct collection *c)
{
    return c->params->enough ? BATCH_WITH_END : BATCH;
}

static bool is_stopped(const struct collection *c)
{
    return c->params->stop && atomic_load(c->params->stop);
}

/* Takes a batch of rows out, within a transaction. */
static enum err_code take_rows(struct collection *c, struct orphan *batch, size_t *n, struct err *e)
{
    struct db_query q = db_query(&c->s->rw,
                                 "DELETE FROM assets WHERE seq IN (SELECT seq" ORPHANS
                                 " ORDER BY touched_ms LIMIT ?3) RETURNING id, bytes",
                                 e);
    bind_orphans(&q, c);
    db_bind_int(&q, 3, batch_size(c));
    *n = 0;
    while (db_row(&q)) {
        db_text_into(&q, 0, batch[*n].id, sizeof batch[*n].id);
        batch[*n].bytes = (uint64_t)db_int(&q, 1);
        (*n)++;
    }
    return db_done(&q);
}

static enum err_code drop_batch(struct collection *c, struct orphan *batch, size_t *n,
                                struct err *e)
{
    struct store *s = c->s;
    store_lock_files(s);
    enum err_code rc;
    TRY_GOTO(store_begin(s, e), done);
    TRY_GOTO(db_end(&s->rw, take_rows(c, batch, n, e), e), done);
    for (size_t i = 0; i < *n; i++) {
        char name[FILES_NAME_SIZE];
        files_asset_name(batch[i].id, name);
        if (unlinkat(s->files.assets, name, 0) == 0)
            c->out->bytes += batch[i].bytes;
        drop_thumbs(s, batch[i].id);
        c->out->assets++;
    }
done:
    store_unlock_files(s);
    for (size_t i = 0; rc == ERR_OK && i < *n; i++)
        store_tell_asset(s, batch[i].id, true);
    return rc;
}

static bool has_enough(const struct collection *c)
{
    return c->params->enough && c->out->bytes >= c->params->enough;
}

static enum err_code collect_assets(struct collection *c, struct err *e)
{
    enum err_code rc = store_begin(c->s, e);
    if (rc != ERR_OK)
        return rc;
    rc = pull_back(c->s, e);
    if (rc == ERR_OK && c->params->dry_run)
        rc = count_orphans(c, e);
    rc = db_end(&c->s->rw, rc, e);
    if (rc != ERR_OK || c->params->dry_run)
        return rc;
    struct orphan *batch = mem_try_array(BATCH, sizeof *batch);
    size_t n;
    if (!batch)
        return err_set(e, ERR_NOMEM, "no memory for a list of %d assets", BATCH);
    n = batch_size(c);
    while (rc == ERR_OK && n == batch_size(c) && !has_enough(c))
        rc = is_stopped(c) ? err_set(e, ERR_CANCELLED, "stopped") : drop_batch(c, batch, &n, e);
    mem_free(batch);
    return rc;
}

/* ---- files that no row knows -------------------------------------------------------------------- */

/* The file system's clock and the store's are rounded in their own ways. */
enum { CLOCKS_DIFFER_MS = 10 };

/* Old by the file's own time; one from the future is as old as now. */
static bool is_old(const struct collection *c, int dir, const char *name, uint64_t *bytes)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    *bytes = (uint64_t)st.st_size;
    int64_t at = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    int64_t now = store_now_ms(c->s);
    return (at < now ? at : now) <= c->before_ms + CLOCKS_DIFFER_MS;
}

static enum err_code known(struct store *s, const char *id, bool *out, struct err *e)
{
    struct asset a;
    struct err ignored = {0};
    enum err_code rc = asset_get(s, id, &a, &ignored);
    *out = rc == ERR_OK;
    if (rc != ERR_OK && rc != ERR_NOTFOUND && e)
        *e = ignored;
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

static enum err_code see_asset(const char *name, void *user, struct err *e)
{
    struct collection *c = user;
    uint64_t bytes = 0;
    bool is_known = true;
    const char *id = strlen(name) > 3 ? name + 3 : "";
    /* A name that this program did not make is not removed: the file may be somebody else's. */
    if (is_stopped(c))
        return err_set(e, ERR_CANCELLED, "stopped");
    if (!asset_is_id(id) || !is_old(c, c->s->files.assets, name, &bytes))
        return ERR_OK;
    store_lock_files(c->s);
    enum err_code rc;
    TRY_GOTO(known(c->s, id, &is_known, e), done);
    if (!is_known) {
        if (!c->params->dry_run)
            (void)unlinkat(c->s->files.assets, name, 0);
        c->out->strays++;
        c->out->bytes += bytes;
    }
done:
    store_unlock_files(c->s);
    return rc;
}

/* A small version that was made while its image went. "ab/ID.256.webp" */
static enum err_code see_thumb(const char *name, void *user, struct err *e)
{
    struct collection *c = user;
    char id[ASSET_ID_SIZE] = "";
    uint64_t bytes = 0;
    bool is_known = true;
    if (strlen(name) > 3 + ASSET_ID_SIZE - 1 && name[3 + ASSET_ID_SIZE - 1] == '.')
        memcpy(id, name + 3, ASSET_ID_SIZE - 1);
    if (is_stopped(c))
        return err_set(e, ERR_CANCELLED, "stopped");
    if (!asset_is_id(id) || !is_old(c, c->s->files.thumbs, name, &bytes))
        return ERR_OK;
    TRY(known(c->s, id, &is_known, e));
    if (is_known)
        return ERR_OK;
    if (!c->params->dry_run)
        (void)unlinkat(c->s->files.thumbs, name, 0);
    c->out->thumbs++;
    c->out->bytes += bytes;
    return ERR_OK;
}

static enum err_code see_temp(const char *name, void *user, struct err *e)
{
    struct collection *c = user;
    uint64_t bytes = 0;
    (void)e;
    if (!files_temp_is_ours(name) || !files_temp_is_old(&c->s->files, name) ||
        !is_old(c, c->s->files.tmp, name, &bytes))
        return ERR_OK;
    if (!c->params->dry_run)
        files_temp_drop(&c->s->files, name);
    c->out->temporary++;
    c->out->bytes += bytes;
    return ERR_OK;
}

enum err_code store_gc(struct store *s, const struct store_gc_params *params,
                       struct store_gc_result *out, struct err *e)
{
    *out = (struct store_gc_result){0};
    if (params->grace_s < 0 || params->grace_s > INT64_MAX / 1000)
        return err_set(e, ERR_ARG, "a grace time of %lld seconds is out of range",
                       (long long)params->grace_s);
    struct collection c = {.s = s,
                           .params = params,
                           .out = out,
                           .before_ms = store_now_ms(s) - params->grace_s * 1000};
    TRY(collect_assets(&c, e));
    if (params->enough)
        return ERR_OK;
    TRY(files_walk(s->files.assets, true, see_asset, &c, e));
    if (s->files.thumbs >= 0)
        TRY(files_walk(s->files.thumbs, true, see_thumb, &c, e));
    if (!s->beside) /* what the owner writes now looks like what was left */
        TRY(files_walk(s->files.tmp, false, see_temp, &c, e));
    return ERR_OK;
}

/* ---- one image ---------------------------------------------------------------------------------- */

/* What refers to it, for a message. */
static void name_owner(struct str owner, char *out, size_t out_size)
{
    const char *what = owner.n && owner.p[0] == 'j' ? "job" : "project";
    struct str id = str_skip(owner, 2);
    const char *end = id.n ? memchr(id.p, ':', id.n) : NULL;
    snprintf(out, out_size, "%s %.*s", what, (int)(end ? (size_t)(end - id.p) : id.n), id.p);
}

static enum err_code delete_row(struct store *s, const char *id, struct err *e)
{
    char user[64] = "";
    bool there = false;
    struct db_query refs = db_query(&s->rw, "SELECT owner FROM refs WHERE asset = ?1 LIMIT 1", e);
    db_bind_text(&refs, 1, id);
    if (db_row(&refs))
        name_owner(db_text(&refs, 0), user, sizeof user);
    TRY(db_done(&refs));
    if (user[0])
        return err_set(e, ERR_BUSY, "asset %.12s... is used by %s", id, user);
    struct db_query q = db_query(&s->rw, "DELETE FROM assets WHERE id = ?1 RETURNING seq", e);
    db_bind_text(&q, 1, id);
    there = db_row(&q);
    TRY(db_run(&q));
    if (!there)
        return err_set(e, ERR_NOTFOUND, "there is no asset '%.80s'", id);
    return ERR_OK;
}

enum err_code asset_delete(struct store *s, const char *id, struct err *e)
{
    char name[FILES_NAME_SIZE];
    if (!asset_is_id(id))
        return err_set(e, ERR_NOTFOUND, "there is no asset '%.80s'", id);
    store_lock_files(s);
    enum err_code rc;
    TRY_GOTO(store_begin(s, e), done);
    TRY_GOTO(db_end(&s->rw, delete_row(s, id, e), e), done);
    files_asset_name(id, name);
    (void)unlinkat(s->files.assets, name, 0); /* one that stays is a stray */
    drop_thumbs(s, id);
done:
    store_unlock_files(s);
    if (rc == ERR_OK)
        store_tell_asset(s, id, true);
    return rc;
}

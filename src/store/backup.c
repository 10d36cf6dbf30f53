/* backup.c - the database first, by SQLite's own backup; then the files that the copy names. Assets never
 * change, so the only thing that can happen meanwhile is that a collection removes one which the copy still
 * lists as an orphan: its row is deleted from the copy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_impl.h"

static enum err_code see_any(const char *name, void *user, struct err *e)
{
    (void)user;
    return err_set(e, ERR_ARG, "the folder is not empty: it has '%.80s'", name);
}

static enum err_code copy_database(struct store *s, struct db *to, struct err *e)
{
    db_lock(&s->ro);
    sqlite3_backup *b = sqlite3_backup_init(to->h, "main", s->ro.h, "main");
    enum err_code rc = ERR_OK;
    if (!b) {
        rc = db_error(to->h, "copy the database", e);
    } else {
        int code = sqlite3_backup_step(b, -1);
        (void)sqlite3_backup_finish(b);
        if (code != SQLITE_DONE)
            rc = db_error(to->h, "copy the database", e);
    }
    db_unlock(&s->ro);
    return rc;
}

static enum err_code copy_bytes(int from, int to, struct err *e)
{
    for (;;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)1 << 24);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return err_set_sys(e, ERR_IO, errno, "cannot copy an asset");
    }
    if (fsync(to) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot copy an asset");
    return ERR_OK;
}

static enum err_code copy_asset(const struct files *from, const struct files *to, const char *id,
                                bool *gone, struct err *e)
{
    char name[FILES_NAME_SIZE], temp[FILES_NAME_SIZE];
    int out;
    files_asset_name(id, name);
    int in = openat(from->assets, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *gone = in < 0 && errno == ENOENT;
    if (in < 0)
        return *gone ? ERR_OK : err_set_sys(e, ERR_IO, errno, "cannot read asset %s", id);
    enum err_code rc = files_temp(to, temp, &out, e);
    if (rc == ERR_OK) {
        rc = copy_bytes(in, out, e);
        close(out);
        if (rc == ERR_OK)
            rc = files_settle(to, temp, to->assets, name, true, e);
        if (rc != ERR_OK)
            files_temp_drop(to, temp);
    }
    close(in);
    return rc;
}

/* Nobody else has the copy: one query over all its assets may stay open while files are copied. */
static enum err_code copy_assets(struct store *s, struct db *to, const struct files *files,
                                 uint64_t *n, struct err *e)
{
    struct db_query q = db_query(to, "SELECT id FROM assets", e);
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && db_row(&q)) {
        char id[ASSET_ID_SIZE];
        bool gone = false;
        db_text_into(&q, 0, id, sizeof id);
        rc = copy_asset(&s->files, files, id, &gone, e);
        if (rc == ERR_OK && gone) {
            struct db_query drop = db_query(to,
                                            "DELETE FROM assets WHERE id = ?1 AND NOT EXISTS"
                                            " (SELECT 1 FROM refs WHERE refs.asset = ?1)",
                                            e);
            db_bind_text(&drop, 1, id);
            rc = db_run(&drop);
        }
        *n += rc == ERR_OK && !gone;
    }
    enum err_code query_rc = db_done(&q);
    return rc != ERR_OK ? rc : query_rc;
}

static enum err_code copy_all(struct store *s, const char *to_dir, const struct files *files,
                              uint64_t *n, struct err *e)
{
    char path[4200];
    struct db to = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/%s", to_dir, FILES_DB) >= sizeof path)
        return err_set(e, ERR_LIMIT, "the folder has too long a name");
    enum err_code rc;
    TRY_GOTO(db_open(&to, path, DB_OWN, e), done);
    TRY_GOTO(copy_database(s, &to, e), done);
    rc = copy_assets(s, &to, files, n, e);
done:
    db_close(&to);
    return rc;
}

enum err_code store_backup(struct store *s, const char *to_dir, uint64_t *files_out, struct err *e)
{
    struct files files;
    uint64_t n = 0;
    int there = open(to_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err_code rc = ERR_OK;
    if (there >= 0) {
        rc = files_walk(there, false, see_any, NULL, e);
        close(there);
    }
    if (rc != ERR_OK)
        return e ? err_note(e, "%s", to_dir) : rc;
    TRY(files_open(&files, to_dir, false, e));
    rc = copy_all(s, to_dir, &files, &n, e);
    if (rc == ERR_OK && fsync(files.root) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write in '%s'", to_dir);
    files_close(&files);
    if (files_out)
        *files_out = n;
    return rc;
}

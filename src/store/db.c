/* db.c - SQLite: opening, errors in our codes, transactions, and statements that are used again.
 *
 * Settings are part of the promise in store.h: WAL with synchronous = FULL means that what was committed is on the
 * disk. The database file comes from outside after a restore or a crash, so trusted_schema is off, cell sizes are
 * checked, and attaching is forbidden. Each connection keeps 512 KiB of pages: the system keeps the file anyway, and a
 * larger bound looks like a leak until it is reached. Corruption is marked with its own errno (BROKEN_SYS), because only it makes
 * the store move the file aside; everything else is an ordinary failure.
 *
 * A prepared statement is kept in a small table by the hash of its text and taken out while it runs. All of a
 * struct db is guarded by its lock; callers hold it around queries.
 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* Marks ERR_FORMAT as "the database itself": no system call fails with this number here. */
#define BROKEN_SYS EUCLEAN

static const char settings[] = "PRAGMA busy_timeout = 10000;"
                               "PRAGMA foreign_keys = ON;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA cache_size = -512;"
                               "PRAGMA journal_size_limit = 16777216;";

enum err_code db_error(sqlite3 *h, const char *what, struct err *e)
{
    int code = h ? sqlite3_extended_errcode(h) : SQLITE_NOMEM;
    /* SQLite does not always tell the system's reason; then it is what its last call left, if anything:
     * every step here begins with errno = 0. */
    int sys = h && sqlite3_system_errno(h) ? sqlite3_system_errno(h) : errno;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set_sys(e, ERR_IO, ENOSPC, "cannot %s", what);
    case SQLITE_IOERR:
        return err_set_sys(e, ERR_IO, sys ? sys : EIO, "cannot %s", what);
    case SQLITE_READONLY:
        return err_set_sys(e, ERR_IO, sys ? sys : EROFS, "cannot %s", what);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return err_set_sys(e, ERR_IO, sys ? sys : EACCES, "cannot %s", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        (void)err_set(e, ERR_FORMAT, "cannot %s: %s", what, sqlite3_errmsg(h));
        if (e)
            e->sys = BROKEN_SYS;
        return ERR_FORMAT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_BUSY, "cannot %s: another process holds the database", what);
    case SQLITE_NOMEM:
        return err_set(e, ERR_NOMEM, "cannot %s: no memory", what);
    case SQLITE_TOOBIG:
        return err_set(e, ERR_LIMIT, "cannot %s: too large", what);
    default:
        return err_set(e, ERR_INTERNAL, "cannot %s: %s (%d)", what, sqlite3_errmsg(h), code);
    }
}

bool db_is_broken(const struct err *e)
{
    return e->code == ERR_FORMAT && e->sys == BROKEN_SYS;
}

/* SQLite would make the file 0644; the files beside it take its mode. What is wrong here SQLite tells. */
static void make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
}

enum err_code db_open(struct db *db, const char *path, enum db_mode mode, struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (mode == DB_OWN)
        flags |= SQLITE_OPEN_CREATE;
    pthread_mutex_init(&db->lock, NULL);
    TRY(late_open(&store_sqlite, e));
    if (mode == DB_OWN)
        make_private(path);
    errno = 0;
    if (sqlite3_open_v2(path, &db->h, flags, NULL) != SQLITE_OK)
        return db_error(db->h, "open the database", e);
    (void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(db->h, SQLITE_LIMIT_ATTACHED, 0);
    TRY(db_exec(db, settings, e));
    TRY(db_add_words(db, e));
    if (mode == DB_OWN)
        TRY(db_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", e));
    if (mode == DB_SHARE)
        TRY(db_exec(db, "PRAGMA synchronous = FULL;", e));
    if (mode == DB_LOOK)
        TRY(db_exec(db, "PRAGMA query_only = ON;", e));
    return ERR_OK;
}

void db_close(struct db *db)
{
    if (!db->h)
        return;
    for (size_t i = 0; i < DB_KEPT; i++)
        (void)sqlite3_finalize(db->kept[i]);
    memset(db->kept, 0, sizeof db->kept);
    (void)sqlite3_close(db->h);
    pthread_mutex_destroy(&db->lock);
    db->h = NULL;
}

void db_lock(struct db *db)
{
    pthread_mutex_lock(&db->lock);
}

void db_unlock(struct db *db)
{
    pthread_mutex_unlock(&db->lock);
}

enum err_code db_exec(struct db *db, const char *sql, struct err *e)
{
    errno = 0;
    if (sqlite3_exec(db->h, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_error(db->h, "use the database", e);
    return ERR_OK;
}

enum err_code db_number(struct db *db, const char *sql, int64_t *out, struct err *e)
{
    struct db_query q = db_query(db, sql, e);
    if (db_row(&q))
        *out = db_int(&q, 0);
    return db_done(&q);
}

enum err_code db_begin(struct db *db, struct err *e)
{
    db_lock(db);
    enum err_code rc = db_exec(db, "BEGIN IMMEDIATE", e);
    if (rc != ERR_OK)
        db_unlock(db);
    return rc;
}

enum err_code db_end(struct db *db, enum err_code rc, struct err *e)
{
    if (rc == ERR_OK)
        rc = db_exec(db, "COMMIT", e);
    /* Some failures, as a full disk, have already taken the transaction back. */
    if (rc != ERR_OK && !sqlite3_get_autocommit(db->h))
        (void)sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
    db_unlock(db);
    return rc;
}

/* ---- queries ---------------------------------------------------------------------------------- */

static void failed(struct db_query *q)
{
    q->rc = db_error(q->db->h, "use the database", q->e);
}

static size_t slot_of(const char *sql)
{
    return str_hash(str_from(sql)) % DB_KEPT;
}

/* A statement that is in use is in no slot, so nothing is ever run twice at once. */
static sqlite3_stmt *take_kept(struct db *db, const char *sql)
{
    sqlite3_stmt **slot = &db->kept[slot_of(sql)], *st = *slot;
    if (!st || strcmp(sqlite3_sql(st), sql) != 0)
        return NULL;
    *slot = NULL;
    return st;
}

struct db_query db_query(struct db *db, const char *sql, struct err *e)
{
    struct db_query q = {.st = take_kept(db, sql), .db = db, .e = e};
    errno = 0;
    if (!q.st &&
        sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &q.st, NULL) != SQLITE_OK)
        failed(&q);
    return q;
}

void db_bind_int(struct db_query *q, int at, int64_t v)
{
    if (q->rc == ERR_OK && sqlite3_bind_int64(q->st, at, v) != SQLITE_OK)
        failed(q);
}

void db_bind_str(struct db_query *q, int at, struct str s)
{
    if (q->rc == ERR_OK && sqlite3_bind_text64(q->st, at, s.p ? s.p : "", s.n, SQLITE_TRANSIENT,
                                               SQLITE_UTF8) != SQLITE_OK)
        failed(q);
}

void db_bind_text(struct db_query *q, int at, const char *z)
{
    db_bind_str(q, at, str_from(z));
}

bool db_row(struct db_query *q)
{
    if (q->rc != ERR_OK)
        return false;
    errno = 0;
    int code = sqlite3_step(q->st);
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        failed(q);
    return false;
}

int64_t db_int(struct db_query *q, int column)
{
    return sqlite3_column_int64(q->st, column);
}

struct str db_text(struct db_query *q, int column)
{
    const char *p = (const char *)sqlite3_column_text(q->st, column);
    if (!p)
        return STR_LIT("");
    return (struct str){p, (size_t)sqlite3_column_bytes(q->st, column)};
}

char *db_text_dup(struct db_query *q, int column)
{
    struct str s = db_text(q, column);
    char *copy = mem_try_strndup(s.p, s.n);
    if (!copy && q->rc == ERR_OK)
        q->rc = err_set(q->e, ERR_NOMEM, "no memory for %zu bytes of text", s.n);
    return copy;
}

void db_text_into(struct db_query *q, int column, char *out, size_t out_size)
{
    struct str s = db_text(q, column);
    size_t n = s.n < out_size ? s.n : out_size - 1;
    memcpy(out, s.p, n);
    out[n] = '\0';
}

enum err_code db_done(struct db_query *q)
{
    if (!q->st)
        return q->rc;
    sqlite3_stmt **slot = &q->db->kept[slot_of(sqlite3_sql(q->st))];
    if (q->rc != ERR_OK || *slot) {
        (void)sqlite3_finalize(q->st);
    } else {
        (void)sqlite3_reset(q->st);
        (void)sqlite3_clear_bindings(q->st);
        *slot = q->st;
    }
    q->st = NULL;
    return q->rc;
}

enum err_code db_run(struct db_query *q)
{
    while (db_row(q))
        continue;
    return db_done(q);
}

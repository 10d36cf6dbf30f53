/* db.h - SQLite with our errors. Only for this folder.
 *
 * A query fails once and stays failed, so a call reads as one line a step:
 *
 *     struct db_query q = db_query(db, "SELECT width FROM assets WHERE id = ?1", e);
 *     db_bind_text(&q, 1, id);
 *     if (db_row(&q))
 *         w = db_int(&q, 0);
 *     rc = db_done(&q);
 *
 * A struct db is a connection and the lock that guards it: between db_lock and db_unlock it belongs to
 * the thread. */
#ifndef VT_STORE_DB_H
#define VT_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/late.h"
#include "base/str.h"

/* late_sqlite.c */
extern struct late_library store_sqlite;

enum { DB_KEPT = 32 };

struct db {
    sqlite3 *h;
    pthread_mutex_t lock;
    /* Statements that are done, to be used again: to prepare one costs more than to run it. */
    sqlite3_stmt *kept[DB_KEPT];
};

enum db_mode {
    DB_OWN,   /* read and write, made when not there */
    DB_SHARE, /* read and write beside the owner */
    DB_LOOK,  /* no statement may write */
};

/* Caller: db_close, also after a failure. */
ERR_MUST_CHECK enum err_code db_open(struct db *db, const char *path, enum db_mode mode,
                                     struct err *e);
void db_close(struct db *db);
/* words.c: has_words(words, name, prompt) for the connection's statements. */
ERR_MUST_CHECK enum err_code db_add_words(struct db *db, struct err *e);
void db_lock(struct db *db);
void db_unlock(struct db *db);

/* What the connection's last failure means in our codes; `what` as in "cannot open the database". */
enum err_code db_error(sqlite3 *h, const char *what, struct err *e);
/* True when the failure says that the file is no database, or a damaged one. */
bool db_is_broken(const struct err *e);

/* One or more statements without results. */
ERR_MUST_CHECK enum err_code db_exec(struct db *db, const char *sql, struct err *e);
/* The one number that a statement gives. */
ERR_MUST_CHECK enum err_code db_number(struct db *db, const char *sql, int64_t *out, struct err *e);

/* Locks the connection and begins a transaction that may write. */
ERR_MUST_CHECK enum err_code db_begin(struct db *db, struct err *e);
/* Commits when rc is ERR_OK, takes all back otherwise, and unlocks. Returns rc, or why it could not commit. */
ERR_MUST_CHECK enum err_code db_end(struct db *db, enum err_code rc, struct err *e);

struct db_query {
    sqlite3_stmt *st;
    struct db *db;
    enum err_code rc;
    struct err *e;
};

struct db_query db_query(struct db *db, const char *sql, struct err *e);
void db_bind_int(struct db_query *q, int at, int64_t v);
void db_bind_str(struct db_query *q, int at, struct str s);
void db_bind_text(struct db_query *q, int at, const char *z);
/* True while there is a row. */
bool db_row(struct db_query *q);
int64_t db_int(struct db_query *q, int column);
/* Borrowed until the next db_row or db_done; never NULL. */
struct str db_text(struct db_query *q, int column);
/* Copied; the caller frees with mem_free. */
char *db_text_dup(struct db_query *q, int column);
/* Into a buffer, cut where it does not fit. */
void db_text_into(struct db_query *q, int column, char *out, size_t out_size);
/* Frees the query; ERR_OK when no step failed. */
enum err_code db_done(struct db_query *q);
/* Steps to the end, then db_done: for what gives no rows. */
enum err_code db_run(struct db_query *q);

#endif

/* store_impl.h - what the files of this folder know about an open store. Only for this folder.
 *
 * Two connections: `rw` writes, one transaction at a time; `ro` reads, so that reading an asset never
 * waits for somebody's fsync (WAL: readers see the last commit). Lock order: files_lock, rw, ro; nobody
 * holds rw and ro together but store_open and store_close. */
#ifndef VT_STORE_STORE_IMPL_H
#define VT_STORE_STORE_IMPL_H

#include "reader/reader.h"
#include "store/assets.h"
#include "store/db.h"
#include "store/files.h"
#include "store/store.h"
#include "store/tidy.h"

struct store {
    char dir[4096];
    bool look_only;
    int lock_fd;
    struct files files;
    struct db rw, ro;
    bool beside; /* another process owns the store */
    /* Held from moving an asset's file to its row, and from dropping the row to removing the file: by one thread,
     * and by one process, for whom it is a lock on the file. See store_lock_files. */
    pthread_mutex_t files_lock;
    int files_lock_fd;
    pthread_mutex_t thumbs_lock; /* one thumbnail is made at a time: each may hold a large image */
    int64_t wall_at_open_ms, boot_at_open_ms;
    struct store_listener listener;
    struct reader *reader; /* borrowed; NULL: none */
};

void store_lock_files(struct store *s);
void store_unlock_files(struct store *s);

/* ERR_IO for a store opened to look only; else begins a transaction on rw. End with db_end(&s->rw). */
ERR_MUST_CHECK enum err_code store_begin(struct store *s, struct err *e);

/* Tells the listener, after the commit and without a lock. */
void store_tell_asset(struct store *s, const char *id, bool deleted);

#define ASSET_COLUMNS                                                                              \
    "seq, id, format, width, height, alpha, bytes, name, origin, created_ms, starred, trashed,"    \
    " job, task, model, prompt, seed"
void asset_row_read(struct db_query *q, struct asset *a);
/* Inserts the row, or marks it as put in again. Within a transaction. Fills a->seq and what the row had. made: NULL
 * for what no job made. */
ERR_MUST_CHECK enum err_code asset_row_put(struct store *s, const struct asset_made *made,
                                           struct asset *a, struct err *e);
/* owner refers to the asset from now on. Within a transaction. ERR_NOTFOUND when there is no such asset. */
ERR_MUST_CHECK enum err_code refs_add(struct store *s, const char *owner, const char *asset,
                                      struct err *e);
ERR_MUST_CHECK enum err_code refs_drop(struct store *s, const char *owner, struct err *e);
/* jobs.c: what ran when the process before ended. Within a transaction. */
ERR_MUST_CHECK enum err_code jobs_interrupt_running(struct store *s, struct err *e);

/* rescue.c: DIR's broken database goes aside; `moved` is its new path. */
ERR_MUST_CHECK enum err_code rescue_move_aside(const char *dir, char *moved, size_t moved_size,
                                               struct err *e);
/* Enters every file of assets/ that the database does not know, as "found". *n: how many. */
ERR_MUST_CHECK enum err_code rescue_assets(struct store *s, uint64_t *n, struct err *e);
/* Copies the projects and jobs that can still be read in the database at path. Never fails for what it
 * cannot read. */
ERR_MUST_CHECK enum err_code rescue_rows(struct store *s, const char *path, uint64_t *n,
                                         struct err *e);

#endif

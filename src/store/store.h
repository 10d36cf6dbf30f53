/* store.h - what outlives the process: images, projects and jobs in one folder.
 *
 *     DIR/veetance.db       SQLite in WAL: everything but pixels
 *     DIR/assets/ab/abcd... one file an image, named by the sha256 of its bytes
 *     DIR/thumbs/ab/...     small versions, made again when they are gone
 *     DIR/tmp/              what is being written
 *     DIR/lock              held while a process has the store open
 *
 * What a call of assets.h, projects.h or jobs.h has answered with ERR_OK is on the disk: files are synced
 * before their rows, rows are committed with a synced log. A process that is killed at any moment leaves
 * a store that opens again, with every finished thing whole and nothing half. docs/store.md has the whole
 * story.
 *
 *     struct store *s;
 *     struct store_options o = {.dir = NULL}; // the user's own
 *     if ((rc = store_open(&o, &s, e)) != ERR_OK) ...
 *     ...
 *     store_close(s);
 *
 * Threads: a struct store may be used by any number of threads at once; its locks are inside. Nothing is
 * called out under them. Records handed out are the caller's own. */
#ifndef VT_STORE_STORE_H
#define VT_STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct store;
struct reader;

struct store_options {
    const char *dir; /* NULL: store_default_dir */
    /* Read-only beside the process that owns the store: takes no lock, repairs and migrates nothing, and
     * fails every call that would write. For check and backup. */
    bool look_only;
    /* Beside the process that owns the store, and at the same time: may delete, collect and keep settings,
     * nothing else. */
    bool beside;
    /* Decodes images in a process of its own (reader/reader.h), and outlives the store; NULL: here. */
    struct reader *reader;
    /* Milliseconds since 1970; NULL: the system's. Tests make the clock jump with it. */
    int64_t (*wall_clock_ms)(void *user);
    void *user;
};

/* $VEETANCE_HOME, or $XDG_DATA_HOME/veetance, or ~/.local/share/veetance. ERR_NOTFOUND without a home. */
ERR_MUST_CHECK enum err_code store_default_dir(char *out, size_t out_size, struct err *e);

/* Makes the folder when it is not there, takes the lock, checks the database, migrates it, marks jobs that
 * ran when the last process ended as interrupted, and removes what it left in tmp/. A database that is
 * broken is moved aside (veetance.db.broken-N), said with log_warn, and made anew: images from their
 * files, projects and jobs as far as they can be read.
 *
 * ERR_BUSY: another process has it open. ERR_IO: cannot be read or written (store_is_full tells a full disk
 * apart). ERR_FORMAT: made by a newer version of this program. Caller: store_close. */
ERR_MUST_CHECK enum err_code store_open(const struct store_options *options, struct store **out,
                                        struct err *e);
/* Accepts NULL. No other thread may still be in a call. */
void store_close(struct store *s);

/* Is told of every image that is new, changed or deleted, by the thread that did it, without a lock. */
struct store_listener {
    void (*asset)(const char *id, bool deleted, void *user); /* NULL: nobody listens */
    void *user;
};
/* Before other threads use the store. */
void store_listen(struct store *s, const struct store_listener *listener);

/* What SQLite holds in this process; most of it are pages of the database, up to a bound for each connection. */
uint64_t store_cache_bytes(void);

/* Borrowed from s. */
const char *store_dir(const struct store *s);

/* True when a failed call failed because the disk (or a quota, or a file size limit) is full: HTTP's 507. */
bool store_is_full(const struct err *e);

/* ERR_IO that is such a failure when not so many bytes could be written now. */
ERR_MUST_CHECK enum err_code store_has_room(struct store *s, uint64_t bytes, struct err *e);

/* The store's own time, in milliseconds since 1970: the system's clock when the store was opened, plus
 * what has passed since then, so that it does not jump while the process runs. */
int64_t store_now_ms(const struct store *s);

/* A file without a name in the store's folder, open for reading and writing: what is too large for memory and is
 * not kept. Caller: close(*fd). */
ERR_MUST_CHECK enum err_code store_scratch(struct store *s, int *fd, struct err *e);

enum { STORE_ID_SIZE = 24 }; /* with the NUL: a letter and 20 hexadecimal digits */

/* A fresh random id that begins with the letter. */
ERR_MUST_CHECK enum err_code store_new_id(char letter, char out[STORE_ID_SIZE], struct err *e);
/* True for text of that form. Ids from outside are checked by the calls that take them; an id that has
 * another form is not found. */
bool store_is_id(const char *id, char letter);

/* ---- looking after it ------------------------------------------------------------------------- */

struct store_numbers {
    uint64_t assets, asset_bytes, projects;
    uint64_t jobs, jobs_queued;
    uint64_t database_bytes;
};
ERR_MUST_CHECK enum err_code store_count(struct store *s, struct store_numbers *out, struct err *e);

struct store_report {
    uint64_t assets, projects, jobs; /* looked at */
    uint64_t damaged;                /* asset files that are missing, cut or changed */
    uint64_t strays;                 /* files in assets/ that the database does not know */
    uint64_t dangling;               /* references to images that are not there */
    uint64_t broken_rows;            /* projects that cannot be read, findings of SQLite */
};

/* Integrity of database, references and files; with `deep` every file is read and its sha256 compared. Each
 * finding is told to say (may be NULL) in one line. ERR_OK although there are findings. */
ERR_MUST_CHECK enum err_code store_check(struct store *s, bool deep,
                                         void (*say)(const char *line, void *user), void *user,
                                         struct store_report *out, struct err *e);

enum { STORE_GRACE_S = 7 * 24 * 3600 };

struct store_gc_result {
    uint64_t assets, strays, temporary; /* files that went */
    uint64_t thumbs;                    /* small versions of images that are gone */
    uint64_t bytes;
};

/* Removes images that no project, undo point or job refers to, that are not starred (or are trashed, too) and that
 * nobody has put in for grace_s seconds, files that no row knows, and what is left in tmp/, each older than the grace time. What was
 * found again after a broken database counts as referred to, unless `found_too`. dry_run only counts.
 * Safe while other threads work. */
struct store_gc_params {
    int64_t grace_s; /* STORE_GRACE_S */
    bool found_too;
    bool dry_run;
    uint64_t
        enough; /* only images, the oldest first, until so many bytes went; 0: all, and files, too */
    const atomic_bool *stop; /* ends it early with ERR_CANCELLED; NULL: nothing does */
};
ERR_MUST_CHECK enum err_code store_gc(struct store *s, const struct store_gc_params *params,
                                      struct store_gc_result *out, struct err *e);

/* A copy of the whole store into a new or empty folder, consistent as of its start, also while another
 * process writes. Opens as a store. *files (may be NULL): images copied. */
ERR_MUST_CHECK enum err_code store_backup(struct store *s, const char *to_dir, uint64_t *files,
                                          struct err *e);

#endif

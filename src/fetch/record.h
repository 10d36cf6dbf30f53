/* record.h - fetch.json in a model's folder: what was downloaded into it, from where, with which digests. It is
 * what `verify` compares with, what a bundle is made from, and how a second `get` knows what is there. */
#ifndef VT_FETCH_RECORD_H
#define VT_FETCH_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fetch/paths.h"

enum { RECORD_MAX_FILES = 2048, RECORD_MAX_BYTES = 4 << 20 };

struct record_file {
    const char *path, *sha256;
    const char *repo, *revision, *commit, *file; /* where it came from; "" unknown */
    uint64_t size;
};

struct record {
    struct arena arena;
    const char *set; /* "" for a folder that no set was fetched into */
    const char *own; /* digest of the veetance.json that we wrote; "" none */
    struct record_file *files;
    size_t count;
    const char *licences[16]; /* agreed to */
    size_t licence_count;
};

/* Empty when the folder has none. Caller: record_deinit, also after a failure. */
ERR_MUST_CHECK enum err_code record_load(const char *dir, struct record *r, struct err *e);
ERR_MUST_CHECK enum err_code record_parse(struct str text, const char *what, struct record *r,
                                          struct err *e);
void record_deinit(struct record *r);
/* The file's text, appended to out. */
ERR_MUST_CHECK enum err_code record_text(const struct record *r, struct buf *out, struct err *e);
ERR_MUST_CHECK enum err_code record_save(const struct record *r, const char *dir, struct err *e);

const struct record_file *record_find(const struct record *r, const char *path);
/* Adds or replaces; strings are copied. */
ERR_MUST_CHECK enum err_code record_put(struct record *r, const struct record_file *f,
                                        struct err *e);
bool record_has_licence(const struct record *r, const char *id);
ERR_MUST_CHECK enum err_code record_add_licence(struct record *r, const char *id, struct err *e);
/* Replaces one of the record's own strings. */
ERR_MUST_CHECK enum err_code record_set(struct record *r, const char **field, const char *value,
                                        struct err *e);

/* ---- verifying ------------------------------------------------------------------------------- */

/* Whether a folder still holds what was downloaded into it: every file of its fetch.json is there, of
 * its size, with its digest. */

enum verify_state { VERIFY_OK, VERIFY_MISSING, VERIFY_SIZE, VERIFY_DIFFERS, VERIFY_UNREADABLE };

/* "ok", "missing", "size", "differs", "unreadable" */
const char *verify_state_name(enum verify_state s);

/* Calls each() for every file, in the record's order; *bad counts those that are not VERIFY_OK. */
ERR_MUST_CHECK enum err_code
verify_dir(const char *dir, const struct record *record, const atomic_bool *stop,
           void (*each)(const struct record_file *f, enum verify_state s, void *user), void *user,
           size_t *bad, struct err *e);

/* A model by its folder, or by its name in the models folder. */
ERR_MUST_CHECK enum err_code verify_find(const char *name, char out[FETCH_PATH_BYTES],
                                         struct err *e);

#endif

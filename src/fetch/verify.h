/* verify.h - whether a folder still holds what was downloaded into it: every file of its fetch.json is there, of
 * its size, with its digest. */
#ifndef VT_FETCH_VERIFY_H
#define VT_FETCH_VERIFY_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"
#include "fetch/paths.h"
#include "fetch/record.h"

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

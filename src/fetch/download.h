/* download.h - many files at once, each in parallel segments, resumable, verified, published one by one.
 *
 * A file's blocks are leased to connections in runs, front first, so that the digest can follow; a run that
 * breaks goes on at the byte where it broke. A segment whose answer does not fit (another size, another ETag)
 * makes the engine ask the hub again: the same file is gone on with, another one is started over. Every file
 * is checked against what the catalogue and the hub say it is before it gets its name. */
#ifndef VT_FETCH_DOWNLOAD_H
#define VT_FETCH_DOWNLOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fetch/catalogue.h"
#include "fetch/hub.h"
#include "fetch/paths.h"

enum download_phase { DOWNLOAD_WAITING, DOWNLOAD_ACTIVE, DOWNLOAD_CHECKING, DOWNLOAD_DONE };

struct download_file {
    /* In. */
    const struct catalogue_source *source;
    const char *repo_path;
    const char *sha256;          /* the catalogue's pin; NULL: none */
    char to[FETCH_NAME_BYTES];   /* for messages */
    char path[FETCH_PATH_BYTES]; /* where it ends up */
    char part_path[FETCH_PATH_BYTES], state_path[FETCH_PATH_BYTES];
    struct hub_file at; /* as hub_resolve found it; renewed by the engine */
    /* Out. */
    enum download_phase phase;
    uint64_t bytes_there; /* of at.size: downloaded before or now */
    char sha256_found[65];
};

struct download_options {
    struct hub *hub;
    int connections; /* 1 to 64 */
    const atomic_bool *stop;
    /* About five times a second; the files' Out fields are to be read. */
    void (*progress)(void *user);
    /* A file has its name now; a failure ends the download. */
    enum err_code (*published)(struct download_file *f, void *user, struct err *e);
    hub_note_fn note;
    void *user;
};

/* The catalogue's pin against what the hub offers; ERR_FORMAT names both. */
ERR_MUST_CHECK enum err_code download_check_pin(const struct download_file *f, struct err *e);

/* All files, or the first failure; what was fetched stays and is gone on with next time. ERR_CANCELLED when
 * *stop was set. */
ERR_MUST_CHECK enum err_code download_run(struct download_file *files, size_t count,
                                          const struct download_options *o, struct err *e);

#endif

/* file_out.h - a file that is written in pieces, from several threads, and that nobody ever sees half of.
 *
 * Where the system can, the bytes go into a file without a name, which vanishes by itself whatever happens
 * to the process; elsewhere into a temporary file beside the final one. file_out_commit syncs and gives the
 * name; until then an older file of that name stays as it is.
 *
 *     struct file_out f;
 *     if (file_out_begin(&f, path, size, &e) != ERR_OK) return ...;
 *     rc = file_out_write(&f, header, n, 0, &e);
 *     if (rc == ERR_OK) rc = file_out_commit(&f, &e);
 *     file_out_end(&f);
 */
#ifndef VT_BASE_FILE_OUT_H
#define VT_BASE_FILE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct file_out {
    int fd;
    bool nameless;
    char *path; /* where it will be */
    char *temp; /* where it is, or will be for a moment */
};

/* Takes room for `bytes` bytes at once, so that a full disk shows before any work. On failure there is nothing
 * to end. */
ERR_MUST_CHECK enum err_code file_out_begin(struct file_out *f, const char *path, uint64_t bytes,
                                            struct err *e);
/* Any thread, any order. */
ERR_MUST_CHECK enum err_code file_out_write(const struct file_out *f, const void *p, size_t n,
                                            uint64_t at, struct err *e);
/* The file is there, whole and on the disk, when this succeeds. */
ERR_MUST_CHECK enum err_code file_out_commit(struct file_out *f, struct err *e);
/* After a commit: frees. Without one: removes every trace. */
void file_out_end(struct file_out *f);

#endif

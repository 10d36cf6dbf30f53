/* file.h - files as a whole: mapped, read, or written so that nobody ever sees half of one. */
#ifndef VT_BASE_FILE_H
#define VT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* A read-only shared mapping of a whole regular file. Immutable after file_map: freely shared. */
struct file_map {
    const unsigned char *p; /* NULL for an empty file */
    size_t n;
};

ERR_MUST_CHECK enum err_code file_map(const char *path, struct file_map *out, struct err *e);
void file_unmap(struct file_map *m);

/* Reads a regular file of at most max_bytes into a fresh buffer with a NUL behind it. */
ERR_MUST_CHECK enum err_code file_read(const char *path, size_t max_bytes, struct buf *out,
                                       struct err *e);

/* Writes a whole file as base/file_out.h says: path holds either the old bytes or all the new ones. mode: for
 * a new file, less the umask. */
ERR_MUST_CHECK enum err_code file_write_mode(const char *path, mode_t mode, const void *p, size_t n,
                                             struct err *e);
/* The same with mode 0666. */
ERR_MUST_CHECK enum err_code file_write_atomic(const char *path, const void *p, size_t n,
                                               struct err *e);

bool file_exists(const char *path); /* any kind of thing */
bool file_is_dir(const char *path);
/* Turns a Windows path into the one that Linux on the same machine (WSL) uses: "D:\models" and "D:/models" are
 * /mnt/d/models, "\\wsl.localhost\NAME\home" is /home, "a\b" is a/b. A path that exists as it is, and any other, is
 * copied. False when the result is too long. */
bool file_native_path(const char *path, char *out, size_t out_size);
/* "DIR/NAME" into out; ERR_LIMIT when it does not fit. */
ERR_MUST_CHECK enum err_code file_join(char *out, size_t out_size, const char *dir,
                                       const char *name, struct err *e);

/* ---- locks ----------------------------------------------------------------------------------- */

/* One process, and one thread, at a time: a lock on a file of its own.
 *
 * The file is never removed: two processes could then hold locks on two files of one name. The lock ends with
 * file_unlock, and with the process however it ends. */

/* Opens or makes the file (relative to the folder `at`, which may be AT_FDCWD) and locks it. Without wait it
 * fails with ERR_BUSY when another holds it. On failure *fd is -1. */
ERR_MUST_CHECK enum err_code file_lock(int at, const char *path, mode_t mode, bool wait, int *fd,
                                       struct err *e);
/* Accepts -1. */
void file_unlock(int fd);

#endif

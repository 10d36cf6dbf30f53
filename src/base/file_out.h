/* file_out.h - the one way in which this program writes a file.
 *
 * Nobody ever sees half of one, and any number of threads and processes may write the same path: the last to
 * commit wins. The bytes go into a file without a name where the system can do that (the kernel removes it
 * whatever happens to the process), elsewhere into a hidden file of a random name in the target's folder.
 * file_out_commit syncs the file, gives it the name and syncs the folder; until then an older file of that
 * name stays as it is.
 *
 * A path that is a link is followed: the file behind it is replaced, the link stays. The new file gets
 * the permissions of the old one. What cannot be replaced is written to directly, in order: pipes, terminals,
 * /dev/null, and the descriptors behind /dev/stdout and /dev/fd/N.
 *
 *     struct file_out f;
 *     if (file_out_begin(&f, path, 0666, size, &e) != ERR_OK) return ...;
 *     rc = file_out_write(&f, header, n, 0, &e);
 *     if (rc == ERR_OK) rc = file_out_commit(&f, &e);
 *     file_out_end(&f);
 */
#ifndef VT_BASE_FILE_OUT_H
#define VT_BASE_FILE_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { FILE_TEMP_NAME_BYTES = 64 };

struct file_out {
    int fd, folder;                  /* the file and the folder it will be in; -1 when not open */
    bool direct;                     /* fd is what the path names: nothing to rename */
    bool linked;                     /* the temporary name is there */
    _Atomic uint64_t next;           /* when direct: the offset that the next write must have */
    char *path;                      /* as the caller wrote it, for messages */
    char *name;                      /* within the folder */
    char temp[FILE_TEMP_NAME_BYTES]; /* the temporary name in that folder */
};

/* Reserves `bytes` bytes at once, so that a full disk is reported before any work (0: size not known). mode: for a new
 * file, less the umask; a mode without rights for others (0600) also removes those of a file that is replaced. On
 * failure there is nothing to end. */
ERR_MUST_CHECK enum err_code file_out_begin(struct file_out *f, const char *path, mode_t mode,
                                            uint64_t bytes, struct err *e);
/* Any thread, any order; but in order, without gaps, where the file is written to directly (ERR_ARG). */
ERR_MUST_CHECK enum err_code file_out_write(struct file_out *f, const void *p, size_t n,
                                            uint64_t at, struct err *e);
/* When this succeeds the file is there, complete and synced to the disk. */
ERR_MUST_CHECK enum err_code file_out_commit(struct file_out *f, struct err *e);
/* After a commit: frees. Without one: removes every trace. */
void file_out_end(struct file_out *f);

/* Would path be written to directly, or does it name a file (that is there or not)? */
bool file_out_is_direct(const char *path);

/* ---- for those that keep temporary files of their own (the store) ---- */

/* A new file "PREFIXrandom" in the folder, open for reading and writing. */
ERR_MUST_CHECK enum err_code file_temp(int folder, const char *prefix, mode_t mode,
                                       char name[FILE_TEMP_NAME_BYTES], int *fd, struct err *e);
/* Writes all bytes where fd stands. */
ERR_MUST_CHECK enum err_code file_write_all(int fd, const void *p, size_t n, struct err *e);

#endif

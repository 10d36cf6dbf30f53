/* file_lock.h - one process, and one thread, at a time: a lock on a file of its own.
 *
 * The file is never removed: two processes could then hold locks on two files of one name. The lock ends with
 * file_unlock, and with the process however it ends. */
#ifndef VT_BASE_FILE_LOCK_H
#define VT_BASE_FILE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* Opens or makes the file (relative to the folder `at`, which may be AT_FDCWD) and locks it. Without wait it
 * fails with ERR_BUSY when another holds it. On failure *fd is -1. */
ERR_MUST_CHECK enum err_code file_lock(int at, const char *path, mode_t mode, bool wait, int *fd,
                                       struct err *e);
/* Accepts -1. */
void file_unlock(int fd);

#endif

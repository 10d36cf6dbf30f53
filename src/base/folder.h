/* folder.h - making folders and their parents, syncing them, removing whole trees. */
#ifndef VT_BASE_FOLDER_H
#define VT_BASE_FOLDER_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

enum { FOLDER_PATH_BYTES = 4096 };

/* The folder that path lies in: "a" of "a/b", "." of "b", "/" of "/b". ERR_LIMIT when it does not fit. */
ERR_MUST_CHECK enum err_code folder_of(const char *path, char out[FOLDER_PATH_BYTES],
                                       struct err *e);
/* Makes dir and the folders above it that are missing, each with this mode (0700: for the user alone; 0777: what
 * the umask allows). An existing folder is left as it is. */
ERR_MUST_CHECK enum err_code folder_make(const char *dir, mode_t mode, struct err *e);
/* The same for the folder that the file of this path lies in. */
ERR_MUST_CHECK enum err_code folder_make_parents(const char *path, mode_t mode, struct err *e);
/* Makes an empty folder of a random name beside path ("PATH.tmp-..."), to be filled and renamed. */
ERR_MUST_CHECK enum err_code folder_make_temp(const char *path, char *out, size_t out_size,
                                              struct err *e);
/* Syncs a folder, so that the names in it survive a power cut. Not an error on file systems that cannot do it. */
ERR_MUST_CHECK enum err_code folder_sync_fd(int fd, struct err *e);
/* The same for the folder that path lies in. Best effort. */
void folder_sync_of(const char *path);
/* Removes a folder of ours and all that is in it; never follows a link. Best effort. */
void folder_remove_tree(const char *dir);

/* ---- the home folder ------------------------------------------------------------------------- */

/* Where this program keeps its own files: $VEETANCE_HOME for everything, else the XDG folders. */

enum home_kind {
    HOME_CONFIG, /* $XDG_CONFIG_HOME/veetance, ~/.config/veetance */
    HOME_DATA,   /* $XDG_DATA_HOME/veetance, ~/.local/share/veetance */
};

/* The home_folder's path, with "/NAME" appended unless name is NULL; creates nothing. ERR_NOTFOUND when no home is set. */
ERR_MUST_CHECK enum err_code home_path(enum home_kind kind, const char *name, char *out,
                                       size_t out_size, struct err *e);

#endif

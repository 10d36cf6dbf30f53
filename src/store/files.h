/* files.h - the store's folders: names, temporary files, and moving them to where they stay. Only for
 * this folder.
 *
 * Everything is opened relative to a folder's descriptor and by names that we made ourselves. */
#ifndef VT_STORE_FILES_H
#define VT_STORE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { FILES_NAME_SIZE = 96 };
#define FILES_DB "veetance.db"

struct files {
    int root, assets, thumbs, tmp; /* folders; -1 when not open */
    char token[18];                /* "...-": how this process' temporary files begin */
};

/* Makes what is missing of DIR and its folders, or (look_only) opens what is there. */
ERR_MUST_CHECK enum err_code files_open(struct files *f, const char *dir, bool look_only,
                                        struct err *e);
void files_close(struct files *f);
/* In an existing store, files that others may read (0644, 0755) become private to the owner. The store's own
 * folder stays as it is where downloaded models lie in it: those may be shared. */
void files_close_to_others(const struct files *f);

/* "ab/abcd...": where the asset's file lies within assets/. */
void files_asset_name(const char *id, char out[FILES_NAME_SIZE]);
/* "ab/abcd....256.webp" within thumbs/. */
void files_thumb_name(const char *id, int side, char out[FILES_NAME_SIZE]);

/* A new file in tmp/, open for reading and writing; name is where. */
ERR_MUST_CHECK enum err_code files_temp(const struct files *f, char name[FILES_NAME_SIZE], int *fd,
                                        struct err *e);
void files_temp_drop(const struct files *f, const char *name);
/* Renames tmp/NAME to TO in the folder `to_dir` (f->assets or f->thumbs), making TO's folder. With sync
 * the names are on the disk when this returns. */
ERR_MUST_CHECK enum err_code files_settle(const struct files *f, const char *name, int to_dir,
                                          const char *to, bool sync, struct err *e);
/* Does the name look like that of a temporary file of a store? */
bool files_temp_is_ours(const char *name);
/* True when the temporary file is one of a process before this one. */
bool files_temp_is_old(const struct files *f, const char *name);

/* Calls see for every name in the folder `dir`, or (two_levels) in its folders, but for "." and "..". The
 * name is relative to dir. Stops at the first failure. */
typedef enum err_code (*files_see_fn)(const char *name, void *user, struct err *e);
ERR_MUST_CHECK enum err_code files_walk(int dir, bool two_levels, files_see_fn see, void *user,
                                        struct err *e);

#endif

/* stack_folder.h - the files of a stack in one folder: layer_0.png (bottom) ..., composite.png, layers.json, and
 * stack.EXT of further formats; all together or not at all.
 *
 * They are written into a folder of their own first. A folder that is not there yet comes into being by one rename; in
 * one that is there, the finished files take their places one by one, the manifest last, and what an earlier stack had
 * beyond them goes. Nothing else in it is touched. */
#ifndef VT_CLI_STACK_FOLDER_H
#define VT_CLI_STACK_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "layers/file.h"
#include "layers/stack.h"

enum { STACK_FOLDER_PATH_BYTES = 4096 };

/* path without slashes at its end; false when it is empty or too long. */
bool stack_folder_path(const char *path, char out[STACK_FOLDER_PATH_BYTES]);
/* Before work: ERR_IO or ERR_ARG when the folder could not be written. */
ERR_MUST_CHECK enum err_code stack_folder_check(const char *dir, struct err *e);
/* A file there has a name that a stack's files may have. */
bool stack_folder_is_used(const char *dir);

struct stack_folder_news {
    int replaced; /* files of the same names */
    int removed;  /* files of an earlier stack */
};

/* formats: one bit each, of the files stack.EXT. */
ERR_MUST_CHECK enum err_code stack_folder_write(const struct layer_stack *s, unsigned formats,
                                                const char *dir, struct stack_folder_news *news,
                                                struct err *e);

#endif

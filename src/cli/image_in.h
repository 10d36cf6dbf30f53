/* image_in.h - images, and stacks of layers, that a person gives to a command: a file, "-" for standard input, or a pipe ("<(...)",
 * /dev/stdin). */
#ifndef VT_CLI_IMAGE_IN_H
#define VT_CLI_IMAGE_IN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "image/image.h"
#include "layers/stack.h"
#include "pipeline/recipe.h"

/* "-" or a pipe: what can be read once, and not be mapped. */
bool cli_input_is_stream(const char *path);
/* "standard input" for "-". */
const char *cli_input_name(const char *path);
/* All bytes of what path names, at most max; out is initialised here and empty after a failure. */
ERR_MUST_CHECK enum err_code cli_read_input(const char *path, size_t max, struct buf *out,
                                            struct err *e);
/* What the reader has to remark becomes a note. Errors name the path. The second is for what a model will see: an
 * image of more than 8 bits a channel comes out deep. */
ERR_MUST_CHECK enum err_code cli_image_load(const char *path, struct cli_progress *p,
                                            struct image *out, struct err *e);
ERR_MUST_CHECK enum err_code cli_image_load_deep(const char *path, struct cli_progress *p,
                                                 struct image *out, struct err *e);
/* A folder of layers or its layers.json, a document, or a plain image. */
ERR_MUST_CHECK enum err_code cli_stack_load(const char *path, struct layer_stack *out,
                                            struct err *e);

/* ---- recipes --------------------------------------------------------------------------------- */

/* --from IMAGE: the recipe that an image carries, and the images that it was made of. */

/* Caller: recipe_deinit, also after a failure. */
ERR_MUST_CHECK enum err_code cli_recipe_read(const char *from, struct recipe *out, struct err *e);
/* Recipes name images without their folders: the file is here, or beside the image that has the recipe. */
ERR_MUST_CHECK enum err_code cli_recipe_image(const char *from, const char *name,
                                              char out[CLI_PATH_BYTES], struct err *e);

#endif

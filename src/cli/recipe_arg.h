/* recipe_arg.h - --from IMAGE: the recipe that an image carries, and the images that it was made of. */
#ifndef VT_CLI_RECIPE_ARG_H
#define VT_CLI_RECIPE_ARG_H

#include "cli/output.h"
#include "pipeline/recipe.h"

/* Caller: recipe_deinit, also after a failure. */
ERR_MUST_CHECK enum err_code cli_recipe_read(const char *from, struct recipe *out, struct err *e);
/* Recipes name images without their folders: the file is here, or beside the image that has the recipe. */
ERR_MUST_CHECK enum err_code cli_recipe_image(const char *from, const char *name,
                                              char out[CLI_PATH_BYTES], struct err *e);

#endif

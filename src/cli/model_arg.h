/* model_arg.h - what a person writes for a model, in every command that takes one. */
#ifndef VT_CLI_MODEL_ARG_H
#define VT_CLI_MODEL_ARG_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "library/models.h"

struct cli_model {
    char path[MODELS_PATH_BYTES]; /* the model's folder, or the file that was named */
    char note[300];               /* something that a person should know; "" mostly */
};

/* In this order: a name of the model store; a set that was downloaded; a file or folder; an embedded model; a
 * repository of the hub's cache (models--ORG--NAME, ORG/NAME). A hub's repository folder stands for its snapshot.
 * ERR_NOTFOUND: there is none, or the store knows it and files are not there; the text says which name is near. */
ERR_MUST_CHECK enum err_code cli_model_find(const char *name, struct cli_model *out, struct err *e);
/* Is the name that of an embedded model which does not lie at path? */
bool cli_model_is_embedded(const char *name, const char *path);
/* The same for a request's member: *name becomes the path, and the note is told. */
ERR_MUST_CHECK enum err_code cli_model_take(const char **name, struct cli_model *out,
                                            struct cli_progress *progress, struct err *e);
/* What is named is a path that exists, or a model: for commands that take single files, too. */
ERR_MUST_CHECK enum err_code cli_model_or_path(const char *name, struct cli_model *out,
                                               struct err *e);

#endif

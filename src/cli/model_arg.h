/* model_arg.h - `-m NAME` for the names of the model store, in every command that has the option. */
#ifndef VT_CLI_MODEL_ARG_H
#define VT_CLI_MODEL_ARG_H

#include "cli/cli.h"
#include "store/models.h"

struct cli_model_arg {
    char text[MODELS_PATH_BYTES + 16]; /* the argument that replaces the person's */
};

/* Puts the folder that the name stands for in the name's place in argv; text must outlive argv's use. What is no
 * name of the store stays: a path, or an embedded model. ERR_NOTFOUND for one that is known and not there. */
ERR_MUST_CHECK enum err_code cli_resolve_model(const struct cli_command *c, int argc, char **argv,
                                               struct cli_model_arg *out, struct err *e);
/* Whether an argument before "--" is exactly this. */
bool cli_has_switch(int argc, char **argv, const char *name);

#endif

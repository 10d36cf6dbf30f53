/* layers_tools.h - the commands behind `veetance layers`: split, merge, flatten, export, import, trim, clean. */
#ifndef VT_CLI_LAYERS_TOOLS_H
#define VT_CLI_LAYERS_TOOLS_H

#include "base/err.h"
#include "cli/cli.h"
#include "layers/stack.h"

extern const char layers_tool_names[]; /* for messages: "split, merge, ..." */

/* NULL when there is no such tool. */
const struct cli_command *layers_tool_find(const char *name);

/* A layer by its number from the bottom (0), its id or its name. ERR_NOTFOUND, or ERR_ARG when several layers
 * have that name. */
ERR_MUST_CHECK enum err_code layers_pick(const struct layer_stack *s, const char *which,
                                         size_t *out, struct err *e);

extern const struct cli_command layers_tool_split;

#endif

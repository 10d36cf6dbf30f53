/* engine_confine.h - what `veetance engine` keeps when it gives up its files. */
#ifndef VT_CLI_ENGINE_CONFINE_H
#define VT_CLI_ENGINE_CONFINE_H

#include <stdbool.h>

#include "base/err.h"

struct grants;

/* Gives up the network (unless it stays), all files but those that are granted and those that libraries and drivers
 * need, and all that reaches other processes. */
ERR_MUST_CHECK enum err_code engine_confine(const struct grants *g, bool network, struct err *e);

#endif

/* device_arg.h - names of devices, as people write them. */
#ifndef VT_CLI_DEVICE_ARG_H
#define VT_CLI_DEVICE_ARG_H

#include "base/err.h"

/* ERR_ARG for what can be no device, with the name that was probably meant. Looks at this machine's devices only when
 * the name is of no known kind. "vulkan7" is left to whoever opens it. */
ERR_MUST_CHECK enum err_code cli_device_check(const char *name, struct err *e);

#endif

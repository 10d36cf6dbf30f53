/* engine_args.h - the options of every command that runs a model: where, with how much memory, in what type. */
#ifndef VT_CLI_ENGINE_ARGS_H
#define VT_CLI_ENGINE_ARGS_H

#include "base/err.h"
#include "cli/cli.h"
#include "cli/settings.h"

/* Behind any command's own. */
enum engine_option {
    ENGINE_DEVICE = 1000,
    ENGINE_RPC,
    ENGINE_PLACE,
    ENGINE_THREADS,
    ENGINE_WEIGHTS,
    ENGINE_BUDGET,
};

/* Rows for their tables: all, or those that `serve` has with lists of devices and budgets. */
#define ENGINE_OPTIONS                                                                             \
    {ENGINE_DEVICE, 0, "device", "NAME",                                                           \
     "cpu, vulkan, cuda, auto (default) or a name of `veetance devices`"},                         \
        ENGINE_OPTIONS_OF_ALL,                                                                     \
    {                                                                                              \
        ENGINE_BUDGET, 0, "budget", "SIZE",                                                        \
            "most memory to use of each device: 16G, 80% or bytes (default: what is free less 1 "  \
            "GiB)"                                                                                 \
    }
#define ENGINE_OPTIONS_OF_ALL                                                                      \
    {ENGINE_RPC, 0, "rpc", "HOST:PORT",                                                            \
     "compute there, on a `veetance worker`; nothing is encrypted"},                               \
        {ENGINE_PLACE, 0, "place", "LIST",                                                         \
         "components on other devices: text=vulkan1,transformer=vulkan0,vae=cpu; "                 \
         "rpc:HOST:PORT is a device, too"},                                                        \
        {ENGINE_THREADS, 0, "threads", "N", "CPU threads (default: one a core)"},                  \
    {                                                                                              \
        ENGINE_WEIGHTS, 0, "weights", "TYPE",                                                      \
            "type to run in: q8_0, q5_0, q4_k, ...; converted once and kept (default: as stored)"  \
    }

/* Takes one of these options. CLI_OK, or an exit code after saying what is wrong. */
int engine_args_set(struct vt_engine_options *o, const struct cli_args *a, int id);
/* The same for commands with a --device or --weights of their own. */
int engine_args_device(const struct cli_args *a, const char **out);
int engine_args_weights(const struct cli_args *a, const char **out);
/* cli_device_check for a device that will be opened: one that is a worker may vanish while it is used. */
ERR_MUST_CHECK enum err_code engine_args_check_device(const char *device, struct err *e);

/* What the arguments left out and the settings have: device, budget. */
void engine_args_defaults(struct vt_engine_options *o, const struct cli_settings *s);

/* Whether the arguments (the command's name, its arguments, NULL) name a compute server on another machine, with
 * --rpc, --place, --device or --engine. Asked before any command has read them; one without these options refuses them itself. */
bool engine_args_want_network(char *const *argv);

/* ---- devices --------------------------------------------------------------------------------- */

/* Names of devices, as people write them. */

/* ERR_ARG for what can be no device, with the name that was probably meant. Looks at this machine's devices only when
 * the name is of no known kind. "vulkan7" is left to whoever opens it. */
ERR_MUST_CHECK enum err_code cli_device_check(const char *name, struct err *e);

#endif

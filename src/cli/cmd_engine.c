/* cmd_engine.c - `veetance engine`: the process that an engine of `veetance serve`, or of a program that uses the
 * library, runs in. Nobody starts it by hand: it answers on a socket that its parent gives it, and ends with that. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "child/process.h"
#include "cli/cli.h"
#include "cli/engine_confine.h"
#include "pipeline/isolated/isolated.h"

static void say_more(void)
{
    log_set(LOG_DEBUG, NULL, NULL);
}

/* Threads may run, and nothing here is to be tidied. */
static void leave(int code)
{
    _exit(code);
}

static const struct isolated_host host = {
    .confine = engine_confine, .say_more = say_more, .leave = leave};

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct err e = {0};
    int id = cli_args_next(&a);
    if (id == CLI_HELP)
        return CLI_OK;
    if (id != CLI_END)
        return cli_usage_error(self, "it takes no arguments");
    if (!process_is_child())
        return cli_usage_error(self, "it is started by `veetance serve`, not by hand");
    if (isolated_serve(&host, &e) != ERR_OK)
        log_error("%s", e.text);
    leave(CLI_FAILED); /* a thread may run */
    return CLI_FAILED;
}

static const struct cli_option options[] = {{0}};

const struct cli_command cli_cmd_engine = {
    .name = "engine",
    .summary = "Run an engine for a server (started by serve)",
    .usage = "",
    .examples = "  It is started by `veetance serve`, for which it runs the models, and takes no "
                "options.\n",
    .options = options,
    .run = run,
    .listens = true,
    .is_internal = true,
};

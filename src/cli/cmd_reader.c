/* cmd_reader.c - `veetance reader`: the process in which a server has a stranger's file read. Nobody starts it by hand:
 * it reads one file that its parent hands it, and ends. */
#include <unistd.h>

#include "base/log.h"
#include "child/process.h"
#include "cli/cli.h"
#include "reader/reader.h"
#include "sandbox/sandbox.h"

/* Nothing here is to be tidied. */
static void leave(int code)
{
    _exit(code);
}

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
    if (reader_serve(sandbox_compute, &e) == ERR_OK)
        leave(CLI_OK);
    log_error("%s", e.text);
    leave(CLI_FAILED);
    return CLI_FAILED;
}

static const struct cli_option options[] = {{0}};

const struct cli_command cli_cmd_reader = {
    .name = "reader",
    .summary = "Read an image for a server (started by serve)",
    .usage = "",
    .examples = "  It is started by `veetance serve`, which has it decode one file that came from "
                "elsewhere, and\n  takes no options.\n",
    .options = options,
    .run = run,
    .is_internal = true,
};

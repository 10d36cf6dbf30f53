#include <string.h>

#include "cli/commands.h"
#include "cli/layers_job.h"
#include "cli/picture_run.h"

static const struct cli_option options[] = {{0}};

static int run(const struct cli_command *self, int argc, char **argv)
{
    const char *task = argc > 1 ? argv[1] : "";
    if (strcmp(task, "--help") == 0 || strcmp(task, "-h") == 0) {
        cli_print_help(self);
        return CLI_OK;
    }
    if (strcmp(task, "generate") == 0)
        return picture_generate(&cli_cmd_generate, argc - 1, argv + 1, true);
    if (strcmp(task, "edit") == 0)
        return picture_edit(&cli_cmd_edit, argc - 1, argv + 1, true);
    if (strcmp(task, "layers") == 0)
        return layers_decompose(&cli_cmd_layers, argc - 1, argv + 1, true);
    if (task[0] == '-')
        return cli_usage_error(self, "there is no option %.40s", task);
    return cli_usage_error(self, "say what to plan: generate, edit or layers, not '%.40s'", task);
}

const struct cli_command cli_cmd_plan = {
    .name = "plan",
    .summary = "Say what a run would take: memory, streaming, swaps; runs nothing",
    .usage = "generate|edit|layers OPTIONS OF THAT COMMAND [--budget SIZE] [--json]",
    .examples =
        "  veetance plan generate -m ~/models/FLUX.2-klein-9B -p \"a lighthouse\" -W 1024 -H "
        "1024 --budget 16G\n"
        "  veetance plan layers -m ~/models/Qwen-Image-Layered -i poster.png -n 6 --budget "
        "80% --json\n",
    .options = options,
    .run = run,
};

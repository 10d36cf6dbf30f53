#include <string.h>

#include "cli/batch.h"
#include "cli/cli.h"
#include "cli/layers_job.h"
#include "cli/image_run.h"

static const struct cli_option options[] = {{0}};

static const struct cli_subcommand subcommands[] = {
    {"generate", "OPTIONS", "plan `veetance generate OPTIONS`", &cli_cmd_generate},
    {"edit", "OPTIONS", "plan `veetance edit OPTIONS`", &cli_cmd_edit},
    {"layers", "OPTIONS", "plan `veetance layers OPTIONS`", &cli_cmd_layers},
    {0},
};

/* The task's command under its name here, so that help and messages point to what was typed. */
static int plan(const struct cli_command *task, const char *name, int argc, char **argv)
{
    struct cli_command c = *task;
    c.name = name;
    c.summary = "Say what this run would take: memory, streaming, swaps; runs nothing";
    c.examples = cli_cmd_plan.examples;
    c.subcommands = NULL;
    if (task == &cli_cmd_generate)
        return batch_or_one(&c, argc, argv, &image_generate_task, CLI_PLAN);
    if (task == &cli_cmd_edit)
        return batch_or_one(&c, argc, argv, &image_edit_task, CLI_PLAN);
    return batch_or_one(&c, argc, argv, &layers_task, CLI_PLAN);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    const char *task = argc > 1 ? argv[1] : "";
    if (strcmp(task, "--help") == 0 || strcmp(task, "-h") == 0) {
        cli_print_help(self);
        return CLI_OK;
    }
    if (strcmp(task, "generate") == 0)
        return plan(&cli_cmd_generate, "plan generate", argc - 1, argv + 1);
    if (strcmp(task, "edit") == 0)
        return plan(&cli_cmd_edit, "plan edit", argc - 1, argv + 1);
    if (strcmp(task, "layers") == 0)
        return plan(&cli_cmd_layers, "plan layers", argc - 1, argv + 1);
    if (task[0] == '-')
        return cli_usage_error(self, "there is no option %.40s", task);
    return task[0] ? cli_no_subcommand(self, task)
                   : cli_usage_error(self, "say what to plan: generate, edit or layers");
}

const struct cli_command cli_cmd_plan = {
    .name = "plan",
    .summary = "Say what a run would take: memory, streaming, swaps; runs nothing",
    .usage = "generate|edit|layers OPTIONS OF THAT COMMAND [--budget SIZE] [--json]",
    .examples =
        "  veetance plan generate -m ~/models/FLUX.2-klein-9B -p \"a lighthouse\" -W 1024 -H "
        "1024 --budget 16G\n"
        "  veetance plan layers -m ~/models/Qwen-Image-Layered -i poster.png -n 6 --budget "
        "80% --json\n"
        "\nThe exit status is 1 when the run would be refused.\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};

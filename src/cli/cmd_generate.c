#include "cli/batch.h"
#include "cli/cli.h"
#include "cli/image_run.h"

static const struct cli_option options[] = {IMAGE_OPTIONS, BATCH_OPTIONS, BATCH_SHEET_OPTION, {0}};

static int image_generate(const struct cli_command *self, int argc, char **argv,
                          struct cli_run *how)
{
    struct image_run r;
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    image_run_init(&r, how);
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            goto done;
        if (id == CLI_POSITIONAL)
            rc = cli_usage_error(self, "'%.60s' is not expected here; the prompt goes behind -p",
                                 a.value);
        else
            rc = id == CLI_ERROR ? CLI_USAGE : image_run_option(&r, &a, id);
    }
    if (rc == CLI_OK)
        rc = image_run_recipe(&r, self, false);
    if (rc == CLI_OK)
        rc = image_run_check(&r, self);
    if (rc == CLI_OK)
        rc = image_run_execute(&r, false);
done:
    image_run_deinit(&r);
    return rc;
}

const struct batch_task image_generate_task = {image_generate, ".png"};

static int run(const struct cli_command *self, int argc, char **argv)
{
    return batch_or_one(self, argc, argv, &image_generate_task, CLI_RUN);
}

const struct cli_command cli_cmd_generate = {
    .name = "generate",
    .summary = "Make an image from a prompt",
    .usage = "-m MODEL -p PROMPT [-W PX] [-H PX] [--steps N] [--seed S] [-o out.png] ...",
    .examples =
        "  veetance generate -m micro-klein -p \"a red star on a white background\" --seed "
        "1 -o star.png\n"
        "  veetance generate -m ~/models/FLUX.2-klein-4B -p \"a lighthouse at dusk\" -W "
        "1024 -H 768\n"
        "  veetance generate -m micro-klein -p \"a red star on a white background\" "
        "--transparent -o star.png\n"
        "  veetance generate --from star.png --seed 2 -o other-star.png\n"
        "  veetance generate -m micro-klein --prompts prompts.txt --seed 1 -o stars/ --resume\n"
        "  veetance generate -m micro-klein -p \"a red star\" --grid seed=1..4,steps=4:8 -o grid/\n"
        "  echo \"two owls\" | veetance generate -m micro-klein -p - --count 4 --json\n",
    .options = options,
    .run = run,
};

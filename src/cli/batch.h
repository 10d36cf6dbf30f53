/* batch.h - many runs of one command with its model kept open: for each row of a file, each image, each cell of a grid.
 *
 * An item is a command line of its own: what the person wrote, with what the row says in its place. So a row takes
 * every option that the command has, and is refused as the command would refuse it. All items are checked before the
 * first runs; one that fails later does not end the others.
 *
 *     batch_list.h    which items there are
 *     batch_name.h    what their results are called
 *     batch.c         checks and runs them
 */
#ifndef VT_CLI_BATCH_H
#define VT_CLI_BATCH_H

#include "cli/run.h"

/* Behind those of the engine. */
enum batch_option {
    BATCH_PROMPTS = 2000,
    BATCH_EACH,
    BATCH_GRID,
    BATCH_SHEET,
    BATCH_RESUME,
    BATCH_STOP
};

/* Rows for the tables of commands. */
#define BATCH_OPTIONS                                                                              \
    {BATCH_PROMPTS, 0, "prompts", "FILE",                                                          \
     "run once for each line: a prompt, or a JSON object of options; - is standard input. -o is "  \
     "then a folder, or a name with {n}, {prompt}, {seed}, {source}, {model}"},                    \
        {BATCH_GRID, 0, "grid", "NAME=VALUES,...",                                                 \
         "run once for each value of an option, or of two: seed=1..4,steps=4:8"},                  \
        {BATCH_RESUME, 0, "resume", NULL, "of these runs skip what is there and whole"},           \
    {                                                                                              \
        BATCH_STOP, 0, "stop-on-error", NULL, "of these runs the first that fails is the last"     \
    }
#define BATCH_EACH_OPTION                                                                          \
    {                                                                                              \
        BATCH_EACH, 0, "each", "IMAGE...", "run once for each of these images: --each *.png"       \
    }

#define BATCH_SHEET_OPTION                                                                         \
    {                                                                                              \
        BATCH_SHEET, 0, "sheet", "FILE",                                                           \
            "lay the images of --grid out with its values along the edges"                         \
    }

struct batch_task {
    cli_runner *one;
    const char *ending; /* of results that -o does not name */
};

/* The batch that the arguments ask for, or one run. Exit code. */
int batch_or_one(const struct cli_command *self, int argc, char **argv,
                 const struct batch_task *task, enum cli_way way);

#endif

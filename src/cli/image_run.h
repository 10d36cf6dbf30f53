/* picture_run.h - what `generate` and `edit` share: their options, running the request, writing pictures. */
#ifndef VT_CLI_PICTURE_RUN_H
#define VT_CLI_PICTURE_RUN_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/model_arg.h"
#include "cli/picture_out.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "image/image.h"
#include "image/load.h"
#include "pipeline/params_table.h"
#include "pipeline/recipe.h"

enum picture_option {
    PICTURE_MODEL = 1,
    PICTURE_PROMPT,
    PICTURE_WIDTH,
    PICTURE_HEIGHT,
    PICTURE_STEPS,
    PICTURE_SEED,
    PICTURE_GUIDANCE,
    PICTURE_COUNT,
    PICTURE_MAX_TOKENS,
    PICTURE_COMPUTE,
    PICTURE_OUTPUT,
    PICTURE_QUALITY,
    PICTURE_FORCE,
    PICTURE_FROM,
    PICTURE_TRACE,
    PICTURE_TRACE_LEVEL,
    PICTURE_JSON,
    PICTURE_QUIET,
    PICTURE_CACHE,
    PICTURE_VERBOSE,
    PICTURE_FIRST_OWN, /* a command's own options start here */
};

/* Rows for the tables of both commands. */
#define PICTURE_OPTIONS                                                                            \
    {PICTURE_MODEL, 'm', "model", "MODEL",                                                         \
     "a name of `veetance models list`, or a model's folder"},                                     \
        {PICTURE_PROMPT, 'p', "prompt", "PROMPT",                                                  \
         PARAM_HELP_PICTURE_prompt "; - reads it from standard input"},                            \
        {PICTURE_WIDTH, 'W', "width", "PX", PARAM_HELP_PICTURE_width},                             \
        {PICTURE_HEIGHT, 'H', "height", "PX", PARAM_HELP_PICTURE_height},                          \
        {PICTURE_STEPS, 0, "steps", "N", PARAM_HELP_PICTURE_steps},                                \
        {PICTURE_SEED, 0, "seed", "S", PARAM_HELP_PICTURE_seed},                                   \
        {PICTURE_GUIDANCE, 0, "guidance", "G", PARAM_HELP_PICTURE_guidance},                       \
        {PICTURE_COUNT, 0, "count", "N", PARAM_HELP_PICTURE_count},                                \
        {PICTURE_MAX_TOKENS, 0, "max-tokens", "N", PARAM_HELP_PICTURE_max_tokens},                 \
        {PICTURE_COMPUTE, 0, "compute", "default|int8", PARAM_HELP_PICTURE_compute},               \
        {PICTURE_OUTPUT, 'o', "output", "FILE|DIR/",                                               \
         "image to write, .png, .jpg or .webp; - is standard output, several get -SEED before "    \
         "the ending (default, and in a folder, out.png, numbered on)"},                           \
        {PICTURE_FROM, 0, "from", "IMAGE",                                                         \
         "run the recipe of this image again; options that are given go before it"},               \
        {PICTURE_FORCE, 'f', "force", NULL, "replace a file that is there"},                       \
        {PICTURE_QUALITY, 0, "quality", "1..100", "of JPEG and WebP (default 95 and 90)"},         \
        {PICTURE_TRACE, 0, "trace", "FILE", "write the run's tensors as safetensors"},             \
        {PICTURE_TRACE_LEVEL, 0, "trace-level", "steps|blocks",                                    \
         "what the trace holds (default steps)"},                                                  \
        {PICTURE_CACHE, 0, "cache", "DIR", "keep prompt embeddings there across runs"},            \
        ENGINE_OPTIONS,                                                                            \
        {PICTURE_JSON, 0, "json", NULL, "print the result as JSON on standard output"},            \
        {PICTURE_QUIET, 'q', "quiet", NULL, "say nothing but errors"},                             \
    {                                                                                              \
        PICTURE_VERBOSE, 'v', "verbose", NULL, "say more about what happens"                       \
    }

struct picture_run {
    struct vt_request request;
    struct vt_engine_options engine;
    struct cli_model model; /* what request.model stands for */
    struct cli_settings settings;
    const char *from;     /* the image whose recipe is run; NULL: none */
    struct recipe recipe; /* of it */
    struct picture_out out;
    struct buf prompt; /* read from standard input */
    bool prompt_from_stdin;
    struct cli_progress progress;
    bool json, quiet;
    bool plan; /* say what the run would take instead of running */
};

void picture_run_init(struct picture_run *r);
void picture_run_deinit(struct picture_run *r);
/* One of the shared options. CLI_OK, or an exit code after saying what is wrong. */
int picture_run_option(struct picture_run *r, const struct cli_args *a, int id);
/* With --from: the recipe's values where no option gave one. To be called once every option is known. CLI_OK, or an
 * exit code after saying what is wrong. */
int picture_run_recipe(struct picture_run *r, const struct cli_command *c, bool edit);
/* What can be refused before pictures are read: an option that is missing, a file that could not be written.
 * To be called once every option is known. CLI_OK, or an exit code after saying what is wrong. */
int picture_run_check(struct picture_run *r, const struct cli_command *c);
/* Runs and writes, or plans and prints. exit code. */
int picture_run_execute(struct picture_run *r, bool edit);

/* The commands themselves; self is where messages point to. */
int picture_generate(const struct cli_command *self, int argc, char **argv, bool plan);
int picture_edit(const struct cli_command *self, int argc, char **argv, bool plan);

#endif

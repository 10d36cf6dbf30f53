/* image_run.h - what `generate` and `edit` share: their options, running the request, writing images. */
#ifndef VT_CLI_IMAGE_RUN_H
#define VT_CLI_IMAGE_RUN_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/lora_arg.h"
#include "cli/model_arg.h"
#include "cli/preview_out.h"
#include "cli/progress.h"
#include "cli/result_out.h"
#include "cli/run.h"
#include "cli/settings.h"
#include "image/image.h"
#include "image/load.h"
#include "pipeline/params_table.h"
#include "pipeline/recipe.h"

enum image_option {
    IMAGE_MODEL = 1,
    IMAGE_PROMPT,
    IMAGE_WIDTH,
    IMAGE_HEIGHT,
    IMAGE_STEPS,
    IMAGE_SEED,
    IMAGE_GUIDANCE,
    IMAGE_COUNT,
    IMAGE_MAX_TOKENS,
    IMAGE_COMPUTE,
    IMAGE_FAST,
    IMAGE_LORA,
    IMAGE_TRANSPARENT,
    IMAGE_NO_METADATA,
    IMAGE_OUTPUT,
    IMAGE_QUALITY,
    IMAGE_FORCE,
    IMAGE_FROM,
    IMAGE_TRACE,
    IMAGE_TRACE_LEVEL,
    IMAGE_JSON,
    IMAGE_QUIET,
    IMAGE_CACHE,
    IMAGE_VERBOSE,
    IMAGE_PREVIEW,
    IMAGE_SAVE_STEPS,
    IMAGE_FIRST_OWN, /* a command's own options start here */
};

/* Rows for the tables of both commands. */
#define IMAGE_OPTIONS                                                                              \
    {IMAGE_MODEL, 'm', "model", "MODEL", "a name of `veetance models list`, or a model's folder"}, \
        {IMAGE_PROMPT, 'p', "prompt", "PROMPT",                                                    \
         PARAM_HELP_IMAGE_prompt "; - reads it from standard input"},                              \
        {IMAGE_WIDTH, 'W', "width", "PX", PARAM_HELP_IMAGE_width},                                 \
        {IMAGE_HEIGHT, 'H', "height", "PX", PARAM_HELP_IMAGE_height},                              \
        {IMAGE_STEPS, 0, "steps", "N", PARAM_HELP_IMAGE_steps},                                    \
        {IMAGE_SEED, 0, "seed", "S", PARAM_HELP_IMAGE_seed},                                       \
        {IMAGE_GUIDANCE, 0, "guidance", "G", PARAM_HELP_IMAGE_guidance},                           \
        {IMAGE_COUNT, 0, "count", "N", PARAM_HELP_IMAGE_count},                                    \
        {IMAGE_MAX_TOKENS, 0, "max-tokens", "N", PARAM_HELP_IMAGE_max_tokens},                     \
        {IMAGE_COMPUTE, 0, "compute", PARAM_COMPUTES, PARAM_HELP_IMAGE_compute},                   \
        {IMAGE_FAST, 0, "fast", "0..3", PARAM_HELP_fast " (default 0)"},                           \
        {IMAGE_LORA, 0, "lora", "FILE[:STRENGTH]", CLI_HELP_LORA},                                 \
        {IMAGE_TRANSPARENT, 0, "transparent", NULL, PARAM_HELP_IMAGE_transparent},                 \
        {IMAGE_OUTPUT, 'o', "output", "FILE|DIR/",                                                 \
         "image to write, .png, .jpg or .webp; - is standard output, several get -SEED before "    \
         "the ending (default, and in a folder, out.png, numbered on)"},                           \
        {IMAGE_FROM, 0, "from", "IMAGE",                                                           \
         "run the recipe of this image again; options that are given go before it"},               \
        {IMAGE_FORCE, 'f', "force", NULL, "replace a file that is there"},                         \
        {IMAGE_NO_METADATA, 0, "no-metadata", NULL, PARAM_HELP_no_metadata},                       \
        {IMAGE_QUALITY, 0, "quality", "1..100", "of JPEG and WebP (default 95 and 90)"},           \
        {IMAGE_TRACE, 0, "trace", "FILE", "write the run's tensors as safetensors"},               \
        {IMAGE_TRACE_LEVEL, 0, "trace-level", "steps|blocks",                                      \
         "what the trace holds (default steps)"},                                                  \
        PREVIEW_OPTIONS(IMAGE_PREVIEW, IMAGE_SAVE_STEPS),                                          \
        {IMAGE_CACHE, 0, "cache", "DIR", "keep prompt embeddings there across runs"},              \
        ENGINE_OPTIONS,                                                                            \
        {IMAGE_JSON, 0, "json", NULL, "print the result as JSON on standard output"},              \
        {IMAGE_QUIET, 'q', "quiet", NULL, "say nothing but errors"},                               \
    {                                                                                              \
        IMAGE_VERBOSE, 'v', "verbose", NULL, "say more about what happens"                         \
    }

struct batch_task;

struct image_run {
    struct vt_request request;
    struct vt_engine_options engine;
    struct cli_model model; /* what request.model stands for */
    struct cli_settings settings;
    const char *from;     /* the image whose recipe is run; NULL: none */
    struct recipe recipe; /* of it */
    struct cli_loras loras;
    struct result_out out;
    struct preview_out previews;
    struct buf prompt; /* read from standard input */
    bool prompt_from_stdin;
    struct cli_progress progress;
    bool json, quiet;
    struct cli_run *run; /* what is wanted of all this */
};

void image_run_init(struct image_run *r, struct cli_run *run);
void image_run_deinit(struct image_run *r);
/* One of the shared options. CLI_OK, or an exit code after saying what is wrong. */
int image_run_option(struct image_run *r, const struct cli_args *a, int id);
/* With --from: the recipe's values where no option gave one. To be called once every option is known. CLI_OK, or an
 * exit code after saying what is wrong. */
int image_run_recipe(struct image_run *r, const struct cli_command *c, bool edit);
/* What can be refused before images are read: an option that is missing, a file that could not be written.
 * To be called once every option is known. CLI_OK, or an exit code after saying what is wrong. */
int image_run_check(struct image_run *r, const struct cli_command *c);
/* Runs and writes, plans, or compares with what is there: as the run asks. Exit code. */
int image_run_execute(struct image_run *r, bool edit);

/* The commands themselves. */
extern const struct batch_task image_generate_task, image_edit_task;

#endif

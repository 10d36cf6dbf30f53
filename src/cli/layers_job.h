/* layers_job.h - what `layers` and `layers split` share: the options of a decomposition, running it with
 * progress and Ctrl-C, and telling what came out. */
#ifndef VT_CLI_LAYERS_JOB_H
#define VT_CLI_LAYERS_JOB_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/layers_out.h"
#include "cli/lora_arg.h"
#include "cli/model_arg.h"
#include "cli/preview_out.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "image/image.h"
#include "layers/stack.h"
#include "pipeline/layered/stack.h"
#include "pipeline/params_table.h"

enum layers_job_option {
    LAYERS_JOB_MODEL = 1,
    LAYERS_JOB_COUNT,
    LAYERS_JOB_PROMPT,
    LAYERS_JOB_NEGATIVE,
    LAYERS_JOB_GUIDANCE,
    LAYERS_JOB_CFG_NORMALIZE,
    LAYERS_JOB_STEPS,
    LAYERS_JOB_RESOLUTION,
    LAYERS_JOB_SEED,
    LAYERS_JOB_LANGUAGE,
    LAYERS_JOB_KEEP_EMPTY,
    LAYERS_JOB_MERGE,
    LAYERS_JOB_IN_PLACE,
    LAYERS_JOB_MATTE,
    LAYERS_JOB_COMPUTE,
    LAYERS_JOB_FAST,
    LAYERS_JOB_LORA,
    LAYERS_JOB_NO_METADATA,
    LAYERS_JOB_TRACE,
    LAYERS_JOB_JSON,
    LAYERS_JOB_QUIET,
    LAYERS_JOB_VERBOSE,
    LAYERS_JOB_STRICT,
    LAYERS_JOB_PREVIEW,
    LAYERS_JOB_SAVE_STEPS,
    LAYERS_JOB_FIRST_OWN, /* a command's own options start here */
};

/* Rows for the tables of both commands. */
#define LAYERS_JOB_OPTIONS                                                                         \
    {LAYERS_JOB_MODEL, 'm', "model", "MODEL",                                                      \
     "a name of `veetance models list`, or a Qwen-Image-Layered folder"},                          \
        {LAYERS_JOB_COUNT, 'n', "layers", "N", PARAM_HELP_LAYERS_layers},                          \
        {LAYERS_JOB_PROMPT, 'p', "prompt", "PROMPT", PARAM_HELP_LAYERS_prompt},                    \
        {LAYERS_JOB_NEGATIVE, 0, "negative-prompt", "TEXT",                                        \
         PARAM_HELP_LAYERS_negative_prompt " (default: a single space)"},                          \
        {LAYERS_JOB_GUIDANCE, 0, "guidance", "G", PARAM_HELP_LAYERS_guidance},                     \
        {LAYERS_JOB_GUIDANCE, 0, PARAM_LAYERS_CFG, "G", "the same as --guidance"},                 \
        {LAYERS_JOB_CFG_NORMALIZE, 0, "cfg-normalize", NULL, PARAM_HELP_LAYERS_cfg_normalize},     \
        {LAYERS_JOB_STEPS, 0, "steps", "N", PARAM_HELP_LAYERS_steps},                              \
        {LAYERS_JOB_RESOLUTION, 0, "resolution", "N",                                              \
         "work on about N x N pixels; 640, 1024 or another multiple of 32 (default: the "          \
         "model's, or 640)"},                                                                      \
        {LAYERS_JOB_SEED, 0, "seed", "S", PARAM_HELP_LAYERS_seed},                                 \
        {LAYERS_JOB_LANGUAGE, 0, "language", "en|zh", PARAM_HELP_LAYERS_language " (default en)"}, \
        {LAYERS_JOB_KEEP_EMPTY, 0, "keep-empty", NULL, PARAM_HELP_LAYERS_keep_empty},              \
        {LAYERS_JOB_MERGE, 0, "merge-duplicates", NULL, PARAM_HELP_LAYERS_merge_duplicates},       \
        {LAYERS_JOB_IN_PLACE, 0, "no-modulation-tables", NULL,                                     \
         PARAM_HELP_LAYERS_no_modulation_tables},                                                  \
        {LAYERS_JOB_MATTE, 0, "matte", "COLOUR|none", PARAM_HELP_LAYERS_matte " (default white)"}, \
        {LAYERS_JOB_COMPUTE, 0, "compute", PARAM_COMPUTES, PARAM_HELP_IMAGE_compute},              \
        {LAYERS_JOB_FAST, 0, "fast", "0..3", PARAM_HELP_fast " (default 0)"},                      \
        PREVIEW_OPTIONS(LAYERS_JOB_PREVIEW, LAYERS_JOB_SAVE_STEPS),                                \
        {LAYERS_JOB_LORA, 0, "lora", "FILE[:STRENGTH]", CLI_HELP_LORA},                            \
        {LAYERS_JOB_NO_METADATA, 0, "no-metadata", NULL, PARAM_HELP_no_metadata},                  \
        {LAYERS_JOB_TRACE, 0, "trace", "FILE", "write the run's tensors as safetensors"},          \
        ENGINE_OPTIONS,                                                                            \
        {LAYERS_JOB_STRICT, 0, "strict", NULL,                                                     \
         "end with status 3 when the result is doubtful (far from the image, layers dropped)"},    \
        {LAYERS_JOB_JSON, 0, "json", NULL, "print the result as JSON on standard output"},         \
        {LAYERS_JOB_QUIET, 'q', "quiet", NULL, "say nothing but errors"},                          \
    {                                                                                              \
        LAYERS_JOB_VERBOSE, 'v', "verbose", NULL, "say more about what happens"                    \
    }

struct batch_task;

struct layers_job {
    struct vt_layers_request request; /* without its image */
    struct vt_engine_options engine;
    struct cli_model model; /* what request.model stands for */
    struct cli_loras loras;
    struct cli_settings settings;
    bool json, quiet, strict;
    struct cli_run *run; /* what is wanted of all this */
    struct cli_progress progress;
    struct preview_out previews;
    struct vt_layers_result *made; /* what came out */
    struct layers_doubt doubts[LAYERS_DOUBTS_MAX];
    size_t n_doubts;
    char device[64]; /* where */
};

void layers_job_init(struct layers_job *j, struct cli_run *run);
void layers_job_deinit(struct layers_job *j);
/* One of the shared options. CLI_OK, or an exit code after saying what is wrong. */
int layers_job_option(struct layers_job *j, const struct cli_args *a, int id);
/* Refuses what can be refused before any work; out is where the result goes. CLI_OK, or an exit code after saying what
 * is wrong. */
int layers_job_check(struct layers_job *j, const struct layers_out *out,
                     const struct cli_command *c);

/* Takes source apart into j->made, or plans that into run->plan. source stays the caller's. */
ERR_MUST_CHECK enum err_code layers_job_run(struct layers_job *j, const struct image *source,
                                            struct err *e);
/* CLI_OK, or CLI_DOUBTFUL when that was asked for. */
int layers_job_status(const struct layers_job *j);
/* The layers that were made; NULL before. */
const struct layer_stack *layers_job_stack(const struct layers_job *j);

/* cmd_layers.c: `layers` without a tool's name. */
extern const struct batch_task layers_task;

/* Results: lines for people, or members of a JSON object without its braces. */
void layers_job_print(const struct layers_job *j, FILE *to);
void layers_job_json(const struct layers_job *j, struct buf *b);
/* The layers of a stack as lines. */
void layers_print_list(const struct layer_stack *s, FILE *to);
/* Members: where a stack was written, its size and its layers. */
void layers_json_stack(const struct layers_out *out, const struct layer_stack *s, struct buf *b);

/* ---- for all layer commands ---------------------------------------------------------------------------- */

/* What a document could not be read as it is. */
void layers_tell_notes(const struct layer_stack *s, struct cli_progress *p);
/* Members of a JSON object: how the stack compares with the document's own image of itself, if it has one. */
void layers_json_merged(const struct layer_stack *s, struct buf *b);

/* ERR_CANCELLED once a signal asked to stop. */
ERR_MUST_CHECK enum err_code layers_check_stopped(struct err *e);

#endif

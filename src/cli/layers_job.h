/* layers_job.h - what `layers` and `layers split` share: the options of a decomposition, running it with
 * progress and Ctrl-C, and telling what came out. */
#ifndef VT_CLI_LAYERS_JOB_H
#define VT_CLI_LAYERS_JOB_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "image/image.h"
#include "nn/device.h"
#include "pipeline/layered.h"
#include "pipeline/layered_stack.h"
#include "pipeline/params_table.h"

enum layers_job_option {
    LAYERS_JOB_MODEL = 1,
    LAYERS_JOB_COUNT,
    LAYERS_JOB_PROMPT,
    LAYERS_JOB_NEGATIVE,
    LAYERS_JOB_CFG,
    LAYERS_JOB_CFG_NORMALIZE,
    LAYERS_JOB_STEPS,
    LAYERS_JOB_RESOLUTION,
    LAYERS_JOB_SEED,
    LAYERS_JOB_LANGUAGE,
    LAYERS_JOB_KEEP_EMPTY,
    LAYERS_JOB_MERGE,
    LAYERS_JOB_IN_PLACE,
    LAYERS_JOB_TRACE,
    LAYERS_JOB_DEVICE,
    LAYERS_JOB_RPC,
    LAYERS_JOB_THREADS,
    LAYERS_JOB_WEIGHTS,
    LAYERS_JOB_BUDGET,
    LAYERS_JOB_JSON,
    LAYERS_JOB_QUIET,
    LAYERS_JOB_FIRST_OWN, /* a command's own options start here */
};

/* Rows for the tables of both commands. */
#define LAYERS_JOB_OPTIONS                                                                         \
    {LAYERS_JOB_MODEL, 'm', "model", "MODEL",                                                      \
     "Qwen-Image-Layered folder, folder with veetance.json, or an embedded model"},                \
        {LAYERS_JOB_COUNT, 'n', "layers", "N", PARAM_HELP_LAYERS_layers},                          \
        {LAYERS_JOB_PROMPT, 'p', "prompt", "PROMPT", PARAM_HELP_LAYERS_prompt},                    \
        {LAYERS_JOB_NEGATIVE, 0, "negative-prompt", "TEXT",                                        \
         PARAM_HELP_LAYERS_negative_prompt " (default: a single space)"},                          \
        {LAYERS_JOB_CFG, 0, "cfg", "G", PARAM_HELP_LAYERS_cfg},                                    \
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
        {LAYERS_JOB_TRACE, 0, "trace", "FILE", "write the run's tensors as safetensors"},          \
        {LAYERS_JOB_DEVICE, 0, "device", "NAME",                                                   \
         "cpu, vulkan, cuda, auto (default) or a name of `veetance devices`"},                     \
        {LAYERS_JOB_RPC, 0, "rpc", "HOST:PORT",                                                    \
         "compute there, on a `veetance worker`; nothing is encrypted"},                           \
        {LAYERS_JOB_THREADS, 0, "threads", "N", "CPU threads (default: one a core)"},              \
        {LAYERS_JOB_WEIGHTS, 0, "weights", "TYPE",                                                 \
         "type to run in: q8_0, q5_0, q4_k, ...; converted once and kept (default: as stored)"},   \
        {LAYERS_JOB_BUDGET, 0, "budget", "SIZE",                                                   \
         "most device memory to use: 16G, 80% or bytes (default: what is free less 1 GiB)"},       \
        {LAYERS_JOB_JSON, 0, "json", NULL, "print the result as JSON on standard output"},         \
    {                                                                                              \
        LAYERS_JOB_QUIET, 'q', "quiet", NULL, "say nothing but errors"                             \
    }

struct layers_job {
    /* What is asked for; negative numbers and NULL texts are left to the model. */
    const char *model, *prompt, *negative, *trace, *device, *budget, *weights;
    enum chat_language language;
    double cfg;
    int64_t layers, steps, resolution, seed, threads;
    bool cfg_normalize, in_place, keep_empty, merge_duplicates, full_size;
    bool json, quiet;
    struct vt_plan *plan; /* not NULL: plan into this instead of running */
    struct cli_progress progress;

    /* What came out, and of what. */
    struct layered_stack made;
    struct layered_request used; /* the picture in it is borrowed, its texts too */
    struct buf prompt_text;      /* given, the model's own, or the caption */
    bool captioned;
    int w, h; /* that the model worked at */
    size_t table_bytes;
    uint64_t table_weight_bytes;
    double table_seconds;
    struct nn_device_info device_info;
    struct vt_stats stats;
    char model_name[256];
};

void layers_job_init(struct layers_job *j);
void layers_job_deinit(struct layers_job *j);
/* One of the shared options. CLI_OK, or an exit code after saying what is wrong. */
int layers_job_option(struct layers_job *j, const struct cli_args *a, int id);
/* Refuses what can be refused before any work. CLI_OK, or an exit code after saying what is wrong. */
int layers_job_check(struct layers_job *j, const struct cli_command *c);

/* Takes source apart into j->made. source stays the caller's. */
ERR_MUST_CHECK enum err_code layers_job_run(struct layers_job *j, const struct image *source,
                                            struct err *e);

/* cmd_layers.c: `layers` without a tool's name; with plan it only says what it would take. */
int layers_decompose(const struct cli_command *self, int argc, char **argv, bool plan);

/* Results: lines for people, or members of a JSON object without its braces. */
void layers_job_print(const struct layers_job *j);
void layers_job_json(const struct layers_job *j, struct buf *b);
/* The layers of a stack as lines, and as a JSON array. */
void layers_print_list(const struct layer_stack *s);
void layers_json_list(const struct layer_stack *s, struct buf *b);

/* ---- for all layer commands ---------------------------------------------------------------------------- */

/* Ctrl-C and SIGTERM set the flag; a second one ends the process. */
void layers_stop_on_signal(void);
const atomic_bool *layers_stop_flag(void);
/* ERR_CANCELLED once the flag is set. */
ERR_MUST_CHECK enum err_code layers_check_stopped(struct err *e);

/* A picture of any format; its notes are told. */
ERR_MUST_CHECK enum err_code layers_load_picture(const char *path, struct cli_progress *p,
                                                 struct image *out, struct err *e);
/* Exit code for a failure; prints it. */
int layers_fail(const struct err *e, bool json);

#endif

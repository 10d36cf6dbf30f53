/* layers_job.c - a decomposition for a command: its options, the checks before it, the run.
 *
 * The image is owned by the caller and the result by the job. Ctrl-C stops the model at its next step and, where no
 * model runs (PSD of many layers takes seconds), the writers ask layers_check_stopped. Doubts about a result are
 * told as notes, and are the exit code only with --strict.
 */
#include "cli/layers_job.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/output.h"
#include "cli/param_arg.h"
#include "pipeline/engine.h"
#include "pipeline/layered/layered.h"
#include "pipeline/lend.h"

void layers_job_init(struct layers_job *j, struct cli_run *run)
{
    memset(j, 0, sizeof *j);
    j->run = run;
    j->request = vt_layers_request_defaults();
    cli_loras_init(&j->loras);
    cli_progress_init(&j->progress, false);
}

void layers_job_deinit(struct layers_job *j)
{
    vt_layers_result_free(j->made);
    cli_loras_deinit(&j->loras);
    cli_progress_deinit(&j->progress);
}

const struct layer_stack *layers_job_stack(const struct layers_job *j)
{
    return j->made ? engine_layers_stack(j->made) : NULL;
}

/* ---- options ------------------------------------------------------------------------------------------ */

static int set_resolution(struct layers_job *j, const struct cli_args *a)
{
    struct vt_layers_request *q = &j->request;
    if (cli_param_set(a, LAYERS_JOB_RESOLUTION, params_layers, q) != CLI_OK)
        return CLI_USAGE;
    if (q->resolution % LAYERED_SIDE_UNIT == 0)
        return CLI_OK;
    return cli_usage_error(a->command, "--resolution takes a multiple of %d, not %d",
                           LAYERED_SIDE_UNIT, q->resolution);
}

int layers_job_option(struct layers_job *j, const struct cli_args *a, int id)
{
    struct vt_layers_request *q = &j->request;
    switch (id) {
    case LAYERS_JOB_TRACE:
        q->trace_path = a->value;
        return CLI_OK;
    case LAYERS_JOB_RESOLUTION:
        return set_resolution(j, a);
    case LAYERS_JOB_PREVIEW:
        j->previews.to = a->value;
        return CLI_OK;
    case LAYERS_JOB_SAVE_STEPS:
        j->previews.save_steps = true;
        return CLI_OK;
    case LAYERS_JOB_LORA:
        return cli_lora_add(a, &j->loras, &q->loras);
    case LAYERS_JOB_JSON:
        j->json = true;
        return CLI_OK;
    case LAYERS_JOB_QUIET:
        j->quiet = true;
        return CLI_OK;
    case LAYERS_JOB_STRICT:
        j->strict = true;
        return CLI_OK;
    case LAYERS_JOB_VERBOSE:
        j->progress.verbose = true;
        log_set(LOG_DEBUG, NULL, NULL);
        return CLI_OK;
    default:
        return cli_param_of(a, id, params_layers) ? cli_param_set(a, id, params_layers, q)
                                                  : engine_args_set(&j->engine, a, id);
    }
}

int layers_job_status(const struct layers_job *j)
{
    return j->strict && j->n_doubts ? CLI_DOUBTFUL : CLI_OK;
}

/* Named after the result as it was asked for: `-o poster` and `-o poster.psd` give poster-step-1.png. */
static int check_previews(struct layers_job *j, const struct layers_out *out,
                          const struct cli_command *c)
{
    struct vt_layers_request *q = &j->request;
    q->previews = preview_out_wanted(&j->previews);
    if (!q->previews)
        return CLI_OK;
    j->progress.previews = &j->previews;
    j->previews.result = &out->to;
    j->previews.result_is_folder = !layers_out_is_file(out);
    j->previews.words = (struct cli_output_words){q->prompt ? q->prompt : "", q->model, q->seed};
    return preview_out_check(&j->previews, c);
}

int layers_job_check(struct layers_job *j, const struct layers_out *out,
                     const struct cli_command *c)
{
    struct vt_layers_request *q = &j->request;
    struct err e = {0};
    j->progress.quiet = j->quiet || j->run->way == CLI_CHECK;
    if (cli_settings_load(&j->settings, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->settings.unknown[0])
        cli_progress_note(&j->progress, j->settings.unknown);
    if (!q->model)
        q->model = cli_setting(&j->settings, SETTING_LAYERS_MODEL);
    engine_args_defaults(&j->engine, &j->settings);
    if (!q->model)
        return cli_usage_error(c, "no model is named; give one with -m, e.g. -m micro-layered");
    int status = check_previews(j, out, c);
    if (status != CLI_OK)
        return status;
    enum err_code rc;
    TRY_GOTO(engine_check_prompt(q->prompt, &e), done);
    TRY_GOTO(engine_check_text("negative prompt", q->negative_prompt, &e), done);
    TRY_GOTO(cli_model_take(&q->model, &j->model, &j->progress, &e), done);
    TRY_GOTO(cli_loras_find(&j->loras, &q->loras, &e), done);
    if (q->trace_path)
        rc = cli_output_check_file("--trace", q->trace_path, &e);
done:
    return rc == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

/* ---- stopping ------------------------------------------------------------------------------- */

enum err_code layers_check_stopped(struct err *e)
{
    return atomic_load(cli_stop_flag()) ? err_set(e, ERR_CANCELLED, "stopped; nothing was written")
                                        : ERR_OK;
}

/* ---- running ------------------------------------------------------------------------------------------ */

static enum vt_status decompose(struct layers_job *j, struct vt_engine *engine,
                                struct vt_error *err)
{
    struct vt_callbacks cb = cli_progress_callbacks(&j->progress);
    if (j->run->way == CLI_PLAN)
        return vt_plan_layers(engine, &j->request, j->run->plan, err);
    j->progress.engine = engine;
    enum vt_status st = vt_layers(engine, &j->request, &cb, &j->made, err);
    j->progress.engine = NULL;
    cli_progress_finish(&j->progress);
    return st;
}

enum err_code layers_job_run(struct layers_job *j, const struct image *source, struct err *e)
{
    struct vt_engine *engine;
    struct vt_error err;
    j->request.image = lend_image(source);
    j->engine.model = j->request.model;
    enum vt_status st = cli_run_open(j->run, &j->engine, &engine, &err);
    if (st == VT_OK) {
        st = decompose(j, engine, &err);
        (void)snprintf(j->device, sizeof j->device, "%s", vt_engine_device(engine));
        cli_run_close(j->run, engine);
    }
    if (st == VT_OK && j->made)
        j->n_doubts = layers_doubts(j->made, j->doubts);
    return st == VT_OK ? layers_check_stopped(e) : err_set(e, (enum err_code)st, "%s", err.text);
}

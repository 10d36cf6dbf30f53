#include "cli/layers_job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/param_arg.h"
#include "cli/remote.h"
#include "image/load.h"
#include "memory/budget.h"
#include "pipeline/convert_cache.h"
#include "pipeline/plan_public.h"
#include "pipeline/procmem.h"

enum {
    DEFAULT_LAYERS = 4,
    DEFAULT_STEPS = 50,
    DEFAULT_RESOLUTION = 640,
    DEFAULT_MAX_TOKENS = 512,
    MAX_PROMPT_BYTES = 4 << 20,
};

void layers_job_init(struct layers_job *j)
{
    memset(j, 0, sizeof *j);
    j->language = CHAT_ENGLISH;
    j->cfg = -1;
    j->layers = j->steps = j->resolution = j->seed = -1;
    buf_init(&j->prompt_text, MAX_PROMPT_BYTES);
    cli_progress_init(&j->progress, false);
}

void layers_job_deinit(struct layers_job *j)
{
    layered_stack_deinit(&j->made);
    buf_deinit(&j->prompt_text);
    cli_progress_deinit(&j->progress);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static int set_language(struct layers_job *j, const struct cli_args *a)
{
    bool english = strcmp(a->value, "en") == 0;
    if (!english && strcmp(a->value, "zh") != 0)
        return cli_usage_error(a->command, "--language is en or zh, not '%.40s'", a->value);
    j->language = english ? CHAT_ENGLISH : CHAT_CHINESE;
    return CLI_OK;
}

static int set_resolution(struct layers_job *j, const struct cli_args *a)
{
    if (cli_param_int(a, LAYERS_JOB_RESOLUTION, params_layers, &j->resolution) != CLI_OK)
        return CLI_USAGE;
    if (j->resolution % LAYERED_SIDE_UNIT == 0)
        return CLI_OK;
    return cli_usage_error(a->command, "--resolution takes a multiple of %d, not %lld",
                           LAYERED_SIDE_UNIT, (long long)j->resolution);
}

static int set_number(const struct cli_args *a, int64_t lo, int64_t hi, int64_t *out)
{
    return cli_int(a, lo, hi, out) ? CLI_OK : CLI_USAGE;
}

static int set_switch(bool *out)
{
    *out = true;
    return CLI_OK;
}

static int set_text(const struct cli_args *a, const char **out)
{
    *out = a->value;
    return CLI_OK;
}

static int set_switch_option(struct layers_job *j, int id)
{
    switch (id) {
    case LAYERS_JOB_CFG_NORMALIZE:
        return set_switch(&j->cfg_normalize);
    case LAYERS_JOB_KEEP_EMPTY:
        return set_switch(&j->keep_empty);
    case LAYERS_JOB_MERGE:
        return set_switch(&j->merge_duplicates);
    case LAYERS_JOB_IN_PLACE:
        return set_switch(&j->in_place);
    case LAYERS_JOB_JSON:
        return set_switch(&j->json);
    case LAYERS_JOB_QUIET:
        return set_switch(&j->quiet);
    default:
        return CLI_USAGE;
    }
}

int layers_job_option(struct layers_job *j, const struct cli_args *a, int id)
{
    switch (id) {
    case LAYERS_JOB_MODEL:
        return set_text(a, &j->model);
    case LAYERS_JOB_COUNT:
        return cli_param_int(a, id, params_layers, &j->layers);
    case LAYERS_JOB_BUDGET:
        return set_text(a, &j->budget);
    case LAYERS_JOB_PROMPT:
        return set_text(a, &j->prompt);
    case LAYERS_JOB_NEGATIVE:
        return set_text(a, &j->negative);
    case LAYERS_JOB_CFG:
        return cli_double(a, 0, 100, &j->cfg) ? CLI_OK : CLI_USAGE;
    case LAYERS_JOB_STEPS:
        return cli_param_int(a, id, params_layers, &j->steps);
    case LAYERS_JOB_RESOLUTION:
        return set_resolution(j, a);
    case LAYERS_JOB_SEED:
        return cli_param_int(a, id, params_layers, &j->seed);
    case LAYERS_JOB_LANGUAGE:
        return set_language(j, a);
    case LAYERS_JOB_TRACE:
        return set_text(a, &j->trace);
    case LAYERS_JOB_DEVICE:
        return set_text(a, &j->device);
    case LAYERS_JOB_RPC:
        j->device = cli_remote_device(a->value);
        return CLI_OK;
    case LAYERS_JOB_THREADS:
        return set_number(a, 1, 1024, &j->threads);
    case LAYERS_JOB_WEIGHTS:
        return set_text(a, &j->weights);
    default:
        return set_switch_option(j, id);
    }
}

static enum err_code check_text(const char *what, const char *text, struct err *e)
{
    struct str s = str_from(text ? text : "");
    size_t at;
    if (s.n > MAX_PROMPT_BYTES)
        return err_set(e, ERR_LIMIT, "the %s has %zu bytes, the limit is %d", what, s.n,
                       MAX_PROMPT_BYTES);
    if (!str_is_utf8(s, &at))
        return err_set(e, ERR_ARG, "the %s is not valid UTF-8 (at byte %zu)", what, at);
    return ERR_OK;
}

/* Minutes of work should not end at a file that cannot be written. */
static enum err_code check_trace(const char *path, struct err *e)
{
    char dir[MODEL_PATH_BYTES];
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (!*path || strlen(path) >= sizeof dir - 40)
        return err_set(e, ERR_ARG, "--trace names no file");
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is no regular file; --trace names a file", path);
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1,
                   slash ? path : ".");
    if (access(dir, W_OK) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    return ERR_OK;
}

int layers_job_check(struct layers_job *j, const struct cli_command *c)
{
    struct err e = {0};
    j->progress.quiet = j->quiet;
    if (!j->model)
        return cli_usage_error(c, "no model is named; give one with -m, e.g. -m micro-layered");
    enum err_code rc = check_text("prompt", j->prompt, &e);
    if (rc == ERR_OK)
        rc = convert_cache_check(j->weights, &e);
    if (rc == ERR_OK)
        rc = check_text("negative prompt", j->negative, &e);
    if (rc == ERR_OK && j->trace)
        rc = check_trace(j->trace, &e);
    return rc == ERR_OK ? CLI_OK : layers_fail(&e, j->json);
}

/* ---- stopping, loading, failing ----------------------------------------------------------------------- */

static atomic_bool stopped;

static void on_signal(int sig)
{
    (void)sig;
    if (atomic_exchange(&stopped, true))
        _exit(CLI_INTERRUPTED);
}

void layers_stop_on_signal(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

const atomic_bool *layers_stop_flag(void)
{
    return &stopped;
}

enum err_code layers_check_stopped(struct err *e)
{
    return atomic_load(&stopped) ? err_set(e, ERR_CANCELLED, "stopped; nothing was written")
                                 : ERR_OK;
}

enum err_code layers_load_picture(const char *path, struct cli_progress *p, struct image *out,
                                  struct err *e)
{
    struct image_info info = {0};
    char note[768];
    enum err_code rc = image_load_file(path, NULL, &info, out, e);
    if (rc != ERR_OK)
        return strstr(e->text, path) ? rc : err_note(e, "%s", path);
    (void)snprintf(note, sizeof note, "%.300s: %s", path, info.notes);
    if (info.notes[0])
        cli_progress_note(p, note);
    return ERR_OK;
}

int layers_fail(const struct err *e, bool json)
{
    struct vt_error ve = {.status = (enum vt_status)e->code};
    (void)snprintf(ve.text, sizeof ve.text, "%s", e->text);
    return cli_fail(&ve, json);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static uint64_t random_seed(void)
{
    uint32_t s = 0;
    if (getrandom(&s, sizeof s, 0) != (ssize_t)sizeof s)
        s = (uint32_t)clock_ns();
    return s;
}

static int pick(int64_t asked, int64_t of_model, int otherwise)
{
    return (int)(asked >= 0 ? asked : of_model > 0 ? of_model : otherwise);
}

static void fill_request(struct layers_job *j, const struct model_dir *dir,
                         const struct image *source)
{
    const struct model_defaults *d = &dir->defaults;
    struct layered_request *q = &j->used;
    buf_clear(&j->prompt_text);
    buf_add_z(&j->prompt_text, j->prompt ? j->prompt : d->prompt);
    *q = (struct layered_request){
        .picture = source,
        .prompt = buf_str(&j->prompt_text),
        .language = j->language,
        .negative = str_from(j->negative ? j->negative : " "),
        .guided = true,
        .cfg = j->cfg >= 0   ? j->cfg
               : d->cfg >= 0 ? d->cfg
                             : 4.0,
        .cfg_normalize = j->cfg_normalize,
        .layers = pick(j->layers, d->layers, DEFAULT_LAYERS),
        .steps = pick(j->steps, d->steps, DEFAULT_STEPS),
        .max_tokens = pick(-1, d->max_tokens, DEFAULT_MAX_TOKENS),
        .resolution = pick(j->resolution, d->resolution, DEFAULT_RESOLUTION),
        .seed = j->seed >= 0 ? (uint64_t)j->seed : random_seed(),
        .in_place_modulation = j->in_place,
    };
    (void)snprintf(j->model_name, sizeof j->model_name, "%s", dir->name);
}

static enum err_code decompose(struct layers_job *j, struct layered *l, struct err *e)
{
    struct vt_callbacks cb = cli_progress_callbacks(&j->progress);
    struct layered_run run = {.cancel = layers_stop_flag(), .callbacks = &cb, .stats = &j->stats};
    struct layered_result r = {0};
    struct layered_stack_options options = {.source = j->used.picture,
                                            .full_size = j->full_size,
                                            .keep_empty = j->keep_empty,
                                            .merge_duplicates = j->merge_duplicates};
    enum err_code rc = j->trace ? trace_new(&run.trace, e) : ERR_OK;
    if (rc == ERR_OK)
        rc = layered_decompose(l, &j->used, &run, &r, e);
    cli_progress_finish(&j->progress);
    if (rc == ERR_OK)
        rc = layered_stack_make(&r, &options, &j->made, e);
    if (rc == ERR_OK)
        rc = layers_check_stopped(e);
    if (rc == ERR_OK && run.trace)
        rc = trace_write(run.trace, j->trace, e);
    if (rc == ERR_OK && r.caption.n) {
        j->captioned = true;
        buf_clear(&j->prompt_text);
        buf_add_str(&j->prompt_text, buf_str(&r.caption));
    }
    j->w = r.w;
    j->h = r.h;
    j->table_bytes = r.table_bytes;
    j->table_weight_bytes = r.table_weight_bytes;
    j->table_seconds = r.table_seconds;
    trace_free(run.trace);
    layered_result_free(&r);
    return rc;
}

static enum err_code open_governor(const struct layers_job *j, struct nn_device *d,
                                   struct governor **out, struct err *e)
{
    uint64_t budget = 0;
    enum err_code rc = j->budget ? budget_parse(j->budget, d, &budget, e) : ERR_OK;
    return rc == ERR_OK ? governor_new(d, budget, out, e) : rc;
}

static enum err_code plan(struct layers_job *j, struct layered *l, struct err *e)
{
    struct memory_plan p;
    enum err_code rc = layered_plan(l, &j->used, &p, e);
    if (rc == ERR_OK && j->plan)
        plan_public(&p, j->plan);
    return rc == ERR_OK && !j->plan ? memory_plan_check(&p, e) : rc;
}

/* The run itself, and what it took. */
static enum err_code governed(struct layers_job *j, struct layered *l, struct governor *g,
                              struct err *e)
{
    struct governor_usage u;
    governor_begin(g, false);
    enum err_code rc = decompose(j, l, e);
    governor_usage(g, &u);
    j->stats.budget_bytes = u.budget;
    j->stats.device_peak_bytes = u.peak;
    j->stats.device_current_bytes = u.current;
    procmem_read(&j->stats.anonymous_bytes, &j->stats.file_bytes);
    return rc;
}

/* Converted copies of the networks, if they shall run in another type than they are stored in. */
static enum err_code use_weights(struct layers_job *j, struct model_dir *dir, struct err *e)
{
    const struct vt_callbacks cb = cli_progress_callbacks(&j->progress);
    const struct convert_cache_run run = {.type = j->weights,
                                          .threads = j->threads > 0 ? (int)j->threads : 0,
                                          .cancel = layers_stop_flag(),
                                          .callbacks = &cb};
    enum err_code rc = convert_cache_model(dir, &run, e);
    cli_progress_finish(&j->progress);
    return rc;
}

enum err_code layers_job_run(struct layers_job *j, const struct image *source, struct err *e)
{
    struct nn_device *device = NULL;
    struct governor *governor = NULL;
    struct layered *l = NULL;
    int w, h;
    double start = clock_s();
    struct model_dir *dir = mem_alloc(sizeof *dir);
    enum err_code rc = model_dir_open(j->model, dir, e);
    if (rc == ERR_OK) {
        fill_request(j, dir, source);
        rc = layered_size(source, j->used.resolution, &w, &h, e);
    }
    if (rc == ERR_OK)
        rc = use_weights(j, dir, e);
    if (rc == ERR_OK)
        rc = nn_device_open(j->device, (int)j->threads, &device, e);
    if (rc == ERR_OK) {
        nn_device_info(device, &j->device_info);
        rc = open_governor(j, device, &governor, e);
    }
    if (rc == ERR_OK)
        rc = layered_open(dir, device, &l, e);
    if (rc == ERR_OK)
        rc = plan(j, l, e);
    if (rc == ERR_OK && !j->plan)
        rc = governed(j, l, governor, e);
    layered_free(l);
    governor_free(governor);
    nn_device_close(device);
    mem_free(dir);
    j->stats.total_seconds = clock_s() - start;
    return rc;
}

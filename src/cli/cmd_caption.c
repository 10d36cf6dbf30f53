#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/json_out.h"
#include "cli/param_arg.h"
#include "image/load.h"
#include "memory/budget.h"
#include "memory/governor.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "pipeline/caption.h"
#include "pipeline/convert_cache.h"

enum {
    CAPTION_MODEL = 1,
    CAPTION_IMAGE,
    CAPTION_LANGUAGE,
    CAPTION_TOKENS,
    CAPTION_DEVICE,
    CAPTION_RPC,
    CAPTION_THREADS,
    CAPTION_WEIGHTS,
    CAPTION_BUDGET,
    CAPTION_JSON,
    CAPTION_QUIET,
};

static const struct cli_option options[] = {
    {CAPTION_MODEL, 'm', "model", "MODEL",
     "Qwen-Image-Layered or Qwen2.5-VL folder, GGUF file with its mmproj beside it, or an embedded "
     "model"},
    {CAPTION_IMAGE, 'i', "image", "IMAGE", "PNG, JPEG or WebP"},
    {CAPTION_LANGUAGE, 0, "language", "en|zh", PARAM_HELP_CAPTION_language " (default en)"},
    {CAPTION_TOKENS, 0, "max-new-tokens", "N", PARAM_HELP_CAPTION_max_new_tokens " (default 512)"},
    {CAPTION_DEVICE, 0, "device", "NAME",
     "cpu, vulkan, cuda, auto (default) or a name of `veetance devices`"},
    {CAPTION_RPC, 0, "rpc", "HOST:PORT",
     "compute there, on a `veetance worker`; nothing is encrypted"},
    {CAPTION_THREADS, 0, "threads", "N", "CPU threads (default: one a core)"},
    {CAPTION_WEIGHTS, 0, "weights", "TYPE",
     "type to run in: q8_0, q5_0, q4_k, ...; converted once and kept (default: as stored)"},
    {CAPTION_BUDGET, 0, "budget", "SIZE",
     "most device memory to use: 16G, 80% or bytes (default: what is free less 1 GiB)"},
    {CAPTION_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {CAPTION_QUIET, 'q', "quiet", NULL, "no progress"},
    {0},
};

struct caption_args {
    const char *model, *image, *device, *budget, *weights;
    enum chat_language language;
    int64_t max_new_tokens, threads;
    bool json, quiet;
};

static int set_language(struct caption_args *o, const struct cli_args *a)
{
    bool english = strcmp(a->value, "en") == 0;
    if (!english && strcmp(a->value, "zh") != 0)
        return cli_usage_error(a->command, "--language is en or zh, not '%.40s'", a->value);
    o->language = english ? CHAT_ENGLISH : CHAT_CHINESE;
    return CLI_OK;
}

static int set_option(struct caption_args *o, const struct cli_args *a, int id)
{
    switch (id) {
    case CAPTION_MODEL:
        o->model = a->value;
        return CLI_OK;
    case CAPTION_IMAGE:
        o->image = a->value;
        return CLI_OK;
    case CAPTION_LANGUAGE:
        return set_language(o, a);
    case CAPTION_TOKENS:
        return cli_param_int(a, id, params_caption, &o->max_new_tokens);
    case CAPTION_DEVICE:
        o->device = a->value;
        return CLI_OK;
    case CAPTION_RPC:
        o->device = cli_remote_device(a->value);
        return CLI_OK;
    case CAPTION_WEIGHTS:
        o->weights = a->value;
        return CLI_OK;
    case CAPTION_THREADS:
        return cli_int(a, 1, 1024, &o->threads) ? CLI_OK : CLI_USAGE;
    case CAPTION_BUDGET:
        o->budget = a->value;
        return CLI_OK;
    case CAPTION_JSON:
        o->json = true;
        return CLI_OK;
    case CAPTION_QUIET:
        o->quiet = true;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

/* ---- stopping and progress ---------------------------------------------------------------------------- */

static atomic_bool cancelled;

/* The first signal ends the caption within a token, a second one the process. */
static void on_signal(int sig)
{
    (void)sig;
    if (atomic_exchange(&cancelled, true))
        _exit(CLI_INTERRUPTED);
}

static void cancel_on_signal(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static void show_token(void *user, int32_t id, int64_t n)
{
    const bool *terminal = user;
    (void)id;
    if (*terminal)
        fprintf(stderr, "\r\033[K%lld tokens", (long long)n);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static void print_json(const struct caption_args *o, const struct caption_result *r)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    buf_add_z(&b, "{\"caption\":");
    json_out_str(&b, buf_z(&r->text));
    buf_printf(&b, ",\"language\":\"%s\",\"tokens\":%zu,\"complete\":%s,\"model\":",
               o->language == CHAT_ENGLISH ? "en" : "zh", r->generated.n,
               r->complete ? "true" : "false");
    json_out_str(&b, o->model);
    buf_add_z(&b, ",\"image\":");
    json_out_str(&b, o->image);
    buf_add_z(&b, "}");
    puts(buf_z(&b));
    buf_deinit(&b);
}

static enum err_code describe(const struct caption_args *o, struct captioner *c,
                              const struct image *picture, struct caption_result *r, struct err *e)
{
    bool terminal = !o->quiet && isatty(STDERR_FILENO);
    struct caption_request rq = {.language = o->language,
                                 .max_new_tokens = o->max_new_tokens,
                                 .cancel = &cancelled,
                                 .user = &terminal,
                                 .token = show_token};
    enum err_code rc = caption_run(c, picture, &rq, r, e);
    if (terminal)
        fputs("\r\033[K", stderr);
    return rc;
}

/* A converted copy of the language model, if it shall run in another type than it is stored in. */
static enum err_code use_weights(const struct caption_args *o, struct caption_files *files,
                                 struct err *e)
{
    struct cli_progress progress;
    cli_progress_init(&progress, o->quiet);
    const struct vt_callbacks cb = cli_progress_callbacks(&progress);
    const struct convert_cache_run run = {.type = o->weights,
                                          .threads = o->threads > 0 ? (int)o->threads : 0,
                                          .cancel = &cancelled,
                                          .callbacks = &cb};
    enum err_code rc = convert_cache_part("language model", files->language.weights, &run, e);
    cli_progress_finish(&progress);
    cli_progress_deinit(&progress);
    return rc;
}

static enum err_code run_all(const struct caption_args *o, struct caption_result *r, struct err *e)
{
    struct nn_device *device = NULL;
    struct governor *governor = NULL;
    uint64_t budget = 0;
    struct captioner *c = NULL;
    struct image picture = {0};
    struct caption_files *files = mem_alloc(sizeof *files);
    enum err_code rc = image_load_file(o->image, NULL, NULL, &picture, e);
    if (rc == ERR_OK)
        rc = caption_files_find(o->model, files, e);
    if (rc == ERR_OK)
        rc = use_weights(o, files, e);
    if (rc == ERR_OK)
        rc = nn_device_open(o->device, (int)o->threads, &device, e);
    if (rc == ERR_OK && o->budget)
        rc = budget_parse(o->budget, device, &budget, e);
    if (rc == ERR_OK)
        rc = governor_new(device, budget, &governor, e);
    if (rc == ERR_OK)
        rc = caption_open(files, device, &c, e);
    if (rc == ERR_OK)
        rc = describe(o, c, &picture, r, e);
    caption_close(c);
    governor_free(governor);
    nn_device_close(device);
    image_free(&picture);
    mem_free(files);
    return rc;
}

static int execute(const struct caption_args *o)
{
    struct err e = {0};
    struct caption_result r = {0};
    cancel_on_signal();
    if (run_all(o, &r, &e) != ERR_OK) {
        struct vt_error ve = {.status = (enum vt_status)e.code};
        (void)snprintf(ve.text, sizeof ve.text, "%s", e.text);
        return cli_fail(&ve, o->json);
    }
    if (o->json)
        print_json(o, &r);
    else
        puts(buf_z(&r.text));
    if (!r.complete && !o->quiet)
        cli_say("note: the caption is cut off after %zu tokens; --max-new-tokens allows more",
                r.generated.n);
    caption_result_deinit(&r);
    return CLI_OK;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct caption_args o = {.language = CHAT_ENGLISH, .max_new_tokens = CAPTION_MAX_NEW_TOKENS};
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_POSITIONAL)
            return cli_usage_error(self, "'%.60s' is not expected here; the picture goes behind -i",
                                   a.value);
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(&o, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (!o.model)
        return cli_usage_error(self, "no model is named; give one with -m, e.g. -m micro-layered");
    if (!o.image)
        return cli_usage_error(self, "no picture is given; name one with -i");
    return execute(&o);
}

const struct cli_command cli_cmd_caption = {
    .name = "caption",
    .summary = "Describe an image in words",
    .usage = "-m MODEL -i IMAGE [--language en|zh] [--max-new-tokens 512]",
    .examples =
        "  veetance caption -m ~/models/Qwen-Image-Layered -i photo.png\n"
        "  veetance caption -m ~/models/Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf -i photo.jpg --language "
        "zh\n",
    .options = options,
    .run = run,
};

/* cmd_serve.c - `veetance serve`: starts the server, says where it is, and ends on a signal.
 *
 * Signals are caught first and only write a byte into a pipe that the server waits on, because next to nothing may
 * be called in a handler. Then the token is read and the server opened, the address is printed (scripts wait for
 * that line), and only then are requests answered. Models are looked up before all that: a slip in a name should not
 * show at the first request.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/serve_engines.h"
#include "memory/budget.h"
#include "server/jobs/model_choice.h"
#include "server/server.h"

enum {
    SERVE_LISTEN = 1,
    SERVE_STORE,
    SERVE_TOKEN,
    SERVE_MODEL,
    SERVE_LAYERS_MODEL,
    SERVE_ENGINE,
    SERVE_HOST,
    SERVE_QUEUE,
    SERVE_TIDY,
    SERVE_HTTP_THREADS,
    SERVE_WORK_MEMORY,
    SERVE_NO_SANDBOX,
    SERVE_IDLE,
    SERVE_PATIENCE,
    SERVE_VERBOSE,
};

static const struct cli_option options[] = {
    {SERVE_LISTEN, 0, "listen", "ADDRESS:PORT",
     "where to listen (default 127.0.0.1:8188); other machines need --token"},
    {SERVE_STORE, 0, "store", "DIR",
     "images, projects and jobs (default $VEETANCE_HOME or ~/.local/share/veetance)"},
    {SERVE_TOKEN, 0, "token", "FILE", "every request must carry the token in this file"},
    {SERVE_MODEL, 'm', "model", "MODEL",
     "of requests to generate and edit that name none (default: the settings', or the first that "
     "is "
     "ready)"},
    {SERVE_LAYERS_MODEL, 0, "layers-model", "MODEL", "likewise of layers and captions"},
    {ENGINE_DEVICE, 0, "device", "NAMES",
     "cpu, vulkan, cuda, auto (default) or a name of `veetance devices`; several with commas "
     "between run a job each at once, auto:all is every card"},
    {SERVE_ENGINE, 0, "engine", "HOST[:PORT]",
     "a further engine: the `veetance worker` there (port 50052); may be given again, and with "
     "--device none there are no others; nothing is encrypted"},
    ENGINE_OPTIONS_OF_ALL,
    {ENGINE_BUDGET, 0, "budget", "SIZES",
     "most memory to use of each device: 16G, 80% or bytes (default: what is free less 1 GiB); "
     "with several devices also one each: 16G,8G"},
    {SERVE_HOST, 0, "allow-host", "NAME",
     "a further name that this server is called by; may be given again"},
    {SERVE_QUEUE, 0, "queue", "N", "most jobs that may wait (default 1000)"},
    {SERVE_TIDY, 0, "tidy-every", "SECONDS",
     "how often the store's limits are applied (default 3600; `veetance store limits`)"},
    {SERVE_HTTP_THREADS, 0, "http-threads", "N", "threads that answer (default 4)"},
    {SERVE_WORK_MEMORY, 0, "work-memory", "SIZE",
     "memory for reading uploads and rendering exports, as 2G (default: a quarter of the "
     "machine's)"},
    {SERVE_IDLE, 0, "idle", "TIME",
     "end an engine that had nothing to do for so long, and give its memory back: 30s, 5m "
     "(default), 1h; 0: it stays"},
    {SERVE_PATIENCE, 0, "patience", "SECONDS",
     "an engine that gives no sign of life for so long is ended, and its job fails; also the "
     "processor time that reading a file may take (default 60)"},
    {SERVE_NO_SANDBOX, 0, "no-sandbox", NULL,
     "keep the right to open sockets and capabilities, and an engine's to read any file"},
    {SERVE_VERBOSE, 'v', "verbose", NULL, "say more about what happens"},
    {0},
};

struct serve {
    struct server_options options;
    struct vt_engine_options engine; /* of all engines; its budget may be a list */
    struct serve_engines engines;
    struct cli_settings settings;
    const char *token_path;
    struct buf token;
};

static int set_int(const struct cli_args *a, int64_t hi, int *out)
{
    int64_t v;
    if (!cli_int(a, 1, hi, &v))
        return CLI_USAGE;
    *out = (int)v;
    return CLI_OK;
}

static int set_work_memory(const struct cli_args *a, uint64_t *out)
{
    struct err e = {0};
    if (strchr(a->value, '%'))
        return cli_usage_error(a->command, "--work-memory takes a size, as 2G or 512M");
    if (budget_parse(a->value, NULL, out, &e) != ERR_OK)
        return cli_usage_error(a->command, "%s", e.text);
    return CLI_OK;
}

/* The last one counts, as everywhere. */
static int set_devices(struct serve *s, const struct cli_args *a)
{
    struct err e = {0};
    if (serve_engines_devices(&s->engines, a->value, &e) != ERR_OK)
        return cli_usage_error(a->command, "--device: %s", e.text);
    return CLI_OK;
}

/* "30s", "5m", "1h", or seconds. */
static int set_idle(const struct cli_args *a, double *out)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    size_t digits = strspn(a->value, "0123456789");
    uint64_t n;
    if (str_to_u64((struct str){a->value, digits}, &n) && n <= 1000000)
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (strcmp(a->value + digits, units[i].unit) == 0) {
                *out = (double)n * units[i].seconds;
                return CLI_OK;
            }
    return cli_usage_error(a->command, "--idle takes a time, as 30s, 5m or 1h, or 0");
}

static int add_worker(struct serve *s, const struct cli_args *a)
{
    struct err e = {0};
    if (serve_engines_worker(&s->engines, a->value, &e) != ERR_OK)
        return cli_usage_error(a->command, "--engine: %s", e.text);
    return CLI_OK;
}

static int set_option(struct serve *s, const struct cli_args *a, int id)
{
    struct server_options *o = &s->options;
    switch (id) {
    case SERVE_LISTEN:
        o->listen = a->value;
        return CLI_OK;
    case SERVE_STORE:
        o->store_dir = a->value;
        return CLI_OK;
    case SERVE_TOKEN:
        s->token_path = a->value;
        return CLI_OK;
    case SERVE_MODEL:
        o->model = a->value;
        return CLI_OK;
    case SERVE_LAYERS_MODEL:
        o->layers_model = a->value;
        return CLI_OK;
    case SERVE_HOST:
        if (o->n_hosts == SERVER_MAX_HOSTS)
            return cli_usage_error(a->command, "at most %d names", SERVER_MAX_HOSTS);
        o->hosts[o->n_hosts++] = a->value;
        return CLI_OK;
    case SERVE_QUEUE:
        return set_int(a, 100000, &o->max_queue);
    case SERVE_TIDY:
        return set_int(a, 30 * 86400, &o->tidy_seconds);
    case SERVE_HTTP_THREADS:
        return set_int(a, 64, &o->http_threads);
    case SERVE_WORK_MEMORY:
        return set_work_memory(a, &o->work_memory);
    case SERVE_IDLE:
        return set_idle(a, &o->idle_seconds);
    case SERVE_PATIENCE:
        return cli_double(a, 1, 86400, &s->engine.patience) ? CLI_OK : CLI_USAGE;
    case SERVE_NO_SANDBOX:
        o->sandbox = false;
        return CLI_OK;
    case SERVE_VERBOSE:
        log_set(LOG_DEBUG, NULL, NULL);
        return CLI_OK;
    case ENGINE_DEVICE:
        return set_devices(s, a);
    case SERVE_ENGINE:
        return add_worker(s, a);
    case ENGINE_RPC:
        s->engines.n = 0;
        s->engines.no_device = false;
        return engine_args_set(&s->engine, a, id);
    default:
        return engine_args_set(&s->engine, a, id);
    }
}

/* ---- signals ------------------------------------------------------------------------------------------ */

static int signal_pipe[2];

static void on_signal(int sig)
{
    int kept = errno;
    (void)sig;
    (void)!write(signal_pipe[1], "", 1);
    errno = kept;
}

static bool catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    sigemptyset(&sa.sa_mask);
    return sigaction(SIGINT, &sa, NULL) == 0 && sigaction(SIGTERM, &sa, NULL) == 0;
}

/* ---- running ------------------------------------------------------------------------------------------ */

/* One line; who else may read the file knows the token, too. */
static enum err_code read_token(struct serve *s, struct err *e)
{
    struct stat st;
    if (!s->token_path)
        return ERR_OK;
    TRY(file_read(s->token_path, 4096, &s->token, e));
    while (s->token.n && strchr("\r\n\t ", s->token.p[s->token.n - 1]))
        s->token.p[--s->token.n] = 0;
    if (s->token.n < 16)
        return err_set(e, ERR_ARG,
                       "the token in '%s' has %zu characters; it should have 16 or more",
                       s->token_path, s->token.n);
    if (stat(s->token_path, &st) == 0 && (st.st_mode & 077))
        cli_say("note: others on this machine can read '%s'", s->token_path);
    s->options.token = buf_z(&s->token);
    return ERR_OK;
}

static int fail(const struct err *e)
{
    cli_say("%s", e->text);
    return e->code == ERR_ARG ? CLI_USAGE : CLI_FAILED;
}

static int serve(struct serve *s)
{
    struct server *server = NULL;
    struct err e = {0};
    if (!catch_signals()) {
        cli_say("cannot catch signals: %s", strerror(errno));
        return CLI_FAILED;
    }
    enum err_code rc;
    TRY_GOTO(read_token(s, &e), done);
    TRY_GOTO(server_open(&s->options, &server, &e), done);
    printf("http://%s/\n", server_address(server));
    (void)fflush(stdout);
    rc = server_run(server, signal_pipe[0], &e);
done:
    server_close(server);
    return rc == ERR_OK ? CLI_OK : fail(&e);
}

/* A model that an option names has to be there. One of the settings may be another command's, a folder for instance:
 * the server takes names alone. */
static int take_model(const struct serve *s, const char *option, enum cli_setting setting,
                      unsigned tasks, const char **model)
{
    struct err e = {0};
    const char *wanted = *model ? *model : cli_setting(&s->settings, setting);
    if (!wanted || model_choose(wanted, tasks, NULL, NULL, &e) == ERR_OK) {
        *model = wanted;
        return CLI_OK;
    }
    if (*model) {
        (void)err_note(&e, "%s", option);
        return cli_fail_err(&e);
    }
    cli_say("note: the setting %s is not used here: '%.100s' is none of `veetance models list` "
            "that can do it",
            cli_setting_rows[setting].key, wanted);
    return CLI_OK;
}

static int take_settings(struct serve *s)
{
    struct err e = {0};
    struct server_options *o = &s->options;
    if (cli_settings_load(&s->settings, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (s->settings.unknown[0])
        cli_say("note: %s", s->settings.unknown);
    engine_args_defaults(&s->engine, &s->settings);
    s->engine.isolated = 1;
    s->engine.program = "/proc/self/exe";
    s->engine.confined = o->sandbox;
    if (serve_engines_take(&s->engines, &s->engine, o, &e) != ERR_OK)
        return cli_fail_err(&e);
    int rc = take_model(s, "--model", SETTING_MODEL, MODEL_TASK_IMAGES, &o->model);
    return rc == CLI_OK ? take_model(s, "--layers-model", SETTING_LAYERS_MODEL, MODEL_TASK_LAYERS,
                                     &o->layers_model)
                        : rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct serve s = {.options = server_options_defaults()};
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_POSITIONAL)
            return cli_usage_error(self, "'%.60s' is not expected here", a.value);
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(&s, &a, id);
    }
    if (rc == CLI_OK)
        rc = take_settings(&s);
    s.options.network_stays = engine_args_want_network(argv);
    if (rc == CLI_OK)
        rc = serve(&s);
    buf_deinit(&s.token);
    return rc;
}

const struct cli_command cli_cmd_serve = {
    .name = "serve",
    .summary = "Answer over HTTP: jobs, images and projects, and the APIs of others",
    .usage = "[--listen 127.0.0.1:8188] [--store DIR] [--token FILE] [--device NAMES] ...",
    .examples = "  veetance serve\n"
                "  veetance serve --listen 0.0.0.0:8188 --token ~/.veetance-token\n"
                "  veetance serve --device cuda0,cuda1 --budget 20G,12G\n"
                "  curl http://127.0.0.1:8188/v1/generate?wait=true -H 'Content-Type: "
                "application/json' \\\n"
                "    -d '{\"prompt\": \"a red star on a white background\"}'\n",
    .options = options,
    .listens = true,
    .run = run,
};

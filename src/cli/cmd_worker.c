/* cmd_worker.c - `veetance worker`: lends a device to other machines through ggml's RPC server.
 *
 * That server trusts its clients: it allocates what they ask for and ends its process on nonsense. So a child serves
 * and the parent starts a new one when it ends, unless it ended at once. The child gives up every right but that of
 * its socket first; a budget is held by the system's limit on its memory, which exists for the CPU alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "memory/budget.h"
#include "nn/device.h"
#include "sandbox/sandbox.h"

enum {
    WORKER_LISTEN = 1,
    WORKER_DEVICE,
    WORKER_THREADS,
    WORKER_BUDGET,
};

static const int64_t SHORTEST_LIFE_NS = 1000000000;

static const struct cli_option options[] = {
    {WORKER_LISTEN, 0, "listen", "HOST:PORT", "address to answer on, e.g. 192.168.1.5:50052"},
    {WORKER_DEVICE, 0, "device", "NAME",
     "cpu, vulkan, cuda, auto (default) or a name of `veetance devices`"},
    {WORKER_THREADS, 0, "threads", "N", "CPU threads (default: one a core)"},
    {WORKER_BUDGET, 0, "budget", "SIZE", "most memory to use on the CPU: 16G, 80% or bytes"},
    {0},
};

struct worker_args {
    const char *listen, *device, *budget;
    int64_t threads;
};

static int set_option(struct worker_args *o, const struct cli_args *a, int id)
{
    switch (id) {
    case WORKER_LISTEN:
        o->listen = a->value;
        return CLI_OK;
    case WORKER_DEVICE:
        return engine_args_device(a, &o->device);
    case WORKER_THREADS:
        return cli_int(a, 1, 1024, &o->threads) ? CLI_OK : CLI_USAGE;
    case WORKER_BUDGET:
        o->budget = a->value;
        return CLI_OK;
    case CLI_POSITIONAL:
        return cli_usage_error(a->command, "'%.60s' is not expected here", a->value);
    default:
        return CLI_USAGE;
    }
}

/* What this process holds already, so that the budget is for the clients. */
static uint64_t data_bytes(void)
{
    char line[200];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmData:", 7) != 0)
            continue;
        for (const char *p = line + 7; *p; p++)
            if (*p >= '0' && *p <= '9')
                kib = kib * 10 + (uint64_t)(*p - '0');
    }
    if (f)
        fclose(f);
    return kib * 1024;
}

/* ggml's server asks nobody before it allocates; on the CPU the system can refuse in our place. */
static enum err_code hold_budget(const char *text, struct nn_device *d, struct err *e)
{
    uint64_t budget;
    if (!nn_device_is_cpu(d))
        return err_set(e, ERR_ARG, "--budget of a worker can be held on the CPU only");
    TRY(budget_parse(text, d, &budget, e));
    const struct rlimit limit = {budget + data_bytes(), budget + data_bytes()};
    return setrlimit(RLIMIT_DATA, &limit) == 0
               ? ERR_OK
               : err_set(e, ERR_IO, "the system does not bound this process's memory");
}

static enum err_code serve(const struct worker_args *o, struct err *e)
{
    struct nn_device *d = NULL;
    struct nn_device_info info;
    enum err_code rc = sandbox_drop_network(SANDBOX_RPC, e);
    if (rc != ERR_OK) { /* an old kernel: say so, and go on */
        cli_say("note: %s", e->text);
        err_clear(e);
    }
    TRY_GOTO(nn_device_check_address(o->listen, e), done);
    TRY_GOTO(nn_device_open(o->device, (int)o->threads, &d, e), done);
    TRY_GOTO(nn_device_watch_clients(e), done);
    if (o->budget)
        TRY_GOTO(hold_budget(o->budget, d, e), done);
    nn_device_info(d, &info);
    cli_say("%s works for whoever reaches %s; there is no password, so let only people in that "
            "you trust",
            info.name, o->listen);
    rc = nn_device_serve(d, o->listen, e);
done:
    nn_device_close(d);
    return rc;
}

/* ---- a worker that ends is started anew --------------------------------------------------------------- */

static atomic_int child; /* process that serves; a signal is passed on to it */
static atomic_bool stopped;

static void on_signal(int sig)
{
    atomic_store(&stopped, true);
    if (atomic_load(&child) > 0)
        (void)kill(atomic_load(&child), sig);
}

static void pass_signals_on(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static int serve_here(const struct worker_args *o)
{
    struct err e = {0};
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (serve(o, &e) == ERR_OK)
        return CLI_OK;
    return cli_fail_err(&e);
}

/* ggml's server ends its process on a client that asks for more than there is, or for nonsense: the next client
 * finds a new one. One that does not last is not tried again. */
static int supervise(const struct worker_args *o)
{
    pass_signals_on();
    for (;;) {
        int status = 0;
        int64_t start = clock_ns();
        (void)fflush(NULL);
        pid_t pid = fork();
        if (pid < 0) {
            cli_say("cannot start a process: %s", strerror(errno));
            return CLI_FAILED;
        }
        if (pid == 0)
            return serve_here(o);
        atomic_store(&child, pid);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        atomic_store(&child, 0);
        if (atomic_load(&stopped))
            return CLI_INTERRUPTED;
        if (clock_ns() - start < SHORTEST_LIFE_NS)
            return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
        cli_say("a client asked for more than this worker has, or for nonsense; starting anew");
    }
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct worker_args o = {0};
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        int rc = id == CLI_ERROR ? CLI_USAGE : set_option(&o, &a, id);
        if (rc != CLI_OK)
            return rc;
    }
    if (!o.listen)
        return cli_usage_error(self, "name the address to answer on with --listen");
    return supervise(&o);
}

const struct cli_command cli_cmd_worker = {
    .name = "worker",
    .summary = "Lend this machine's device to another machine",
    .usage = "--listen HOST:PORT [--device NAME] [--budget SIZE]",
    .examples = "  veetance worker --listen 192.168.1.5:50052\n"
                "  veetance generate --rpc 192.168.1.5:50052 -m micro-klein -p star\n",
    .options = options,
    .run = run,
    .listens = true,
};

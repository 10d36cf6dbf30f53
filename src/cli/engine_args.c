#include "cli/engine_args.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/device.h"
#include "pipeline/placement.h"

/* The last worker that was named; kept for as long as the process lives. */
static char worker[300];

/* Nothing is half written: results appear whole or not at all. */
static void on_abort(const char *why)
{
    (void)why;
    fprintf(stderr, "\n");
    cli_say("the worker at %s is gone, or is no worker; the run cannot go on", worker);
    _exit(CLI_FAILED);
}

/* From now on a worker that vanishes ends the process with one sentence: ggml's client has no other way. */
static void expect_worker(const char *address, size_t n)
{
    (void)snprintf(worker, sizeof worker, "%.*s", (int)n, address);
    nn_device_on_abort(on_abort);
}

static int set_rpc(struct vt_engine_options *o, const struct cli_args *a)
{
    static char device[300];
    (void)snprintf(device, sizeof device, "rpc:%s", a->value);
    expect_worker(a->value, strlen(a->value));
    o->device = device;
    return CLI_OK;
}

static int set_place(struct vt_engine_options *o, const struct cli_args *a)
{
    struct err e = {0};
    if (placement_check(a->value, &e) != ERR_OK)
        return cli_usage_error(a->command, "--place: %s", e.text);
    o->place = a->value;
    const char *remote = strstr(a->value, "=rpc:");
    if (remote)
        expect_worker(remote + 5, strcspn(remote + 5, ","));
    return CLI_OK;
}

int engine_args_set(struct vt_engine_options *o, const struct cli_args *a, int id)
{
    int64_t threads;
    switch (id) {
    case ENGINE_DEVICE:
        o->device = a->value;
        return CLI_OK;
    case ENGINE_RPC:
        return set_rpc(o, a);
    case ENGINE_PLACE:
        return set_place(o, a);
    case ENGINE_THREADS:
        if (!cli_int(a, 1, 1024, &threads))
            return CLI_USAGE;
        o->threads = (int)threads;
        return CLI_OK;
    case ENGINE_WEIGHTS:
        o->weights = a->value;
        return CLI_OK;
    case ENGINE_BUDGET:
        o->budget = a->value;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

/* ---- before options are read -------------------------------------------------------------------------- */

/* The value of --name VALUE or --name=VALUE at `arg`; "" when it is missing, NULL when this is another. */
static const char *value_of(const char *name, char *const *arg)
{
    size_t n = strlen(name);
    if (strncmp(*arg, "--", 2) != 0 || strncmp(*arg + 2, name, n) != 0)
        return NULL;
    const char *rest = *arg + 2 + n;
    if (*rest == '=')
        return rest + 1;
    if (*rest != '\0')
        return NULL;
    return arg[1] ? arg[1] : "";
}

bool engine_args_want_network(char *const *argv)
{
    for (char *const *arg = argv + 1; *arg && strcmp(*arg, "--") != 0; arg++) {
        const char *place = value_of("place", arg);
        if (value_of("rpc", arg) || (place && strstr(place, "=rpc:")))
            return true;
    }
    return false;
}

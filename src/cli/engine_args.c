/* engine_args.c - the options of every command that runs a model, checked while they are read.
 *
 * Places and devices are compared with the names that are known, so that a slip is a usage error at once and not a
 * failure after a search for devices. A worker that is named must still be reached when the network is given up:
 * engine_args_want_network looks for one ahead of the real parsing.
 */
#include "cli/engine_args.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/suggest.h"
#include "nn/device.h"
#include "pipeline/convert/cache.h"
#include "pipeline/placement.h"
#include "weights/convert_types.h"

/* The workers that were named; kept for as long as the process lives. */
static char workers[600];

/* Nothing is half written: results appear whole or not at all. ggml says where in its sources it gave up. */
static void on_abort(const char *why)
{
    fprintf(stderr, "\n");
    struct err e = {0};
    if (strstr(why, "ggml-rpc"))
        (void)err_set(&e, ERR_DEVICE,
                      "the worker at %s is gone, or is no worker; the run cannot go on", workers);
    else
        (void)err_set(&e, ERR_DEVICE, "a device failed, and the run cannot go on: %s", why);
    (void)cli_fail_err(&e);
    (void)fflush(stdout);
    _exit(CLI_FAILED);
}

/* From now on a worker that vanishes ends the process with one sentence: ggml's client has no other way. */
static void expect_worker(const char *address, size_t n)
{
    size_t used = strlen(workers);
    (void)snprintf(workers + used, sizeof workers - used, "%s%.*s", used ? " or " : "", (int)n,
                   address);
    nn_device_on_abort(on_abort);
}

/* The address of a device that is a worker; NULL: it is none. */
static const char *address_of(const char *device)
{
    return strncasecmp(device, "rpc:", 4) == 0 ? device + 4 : NULL;
}

/* Whether one of a list of devices is a worker. */
static bool any_worker(const char *devices)
{
    for (const char *p = devices; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (address_of(p))
            return true;
    return false;
}

/* The next worker's address in a list of places; NULL: there is none. */
static const char *next_worker(const char *place)
{
    const char *address = NULL;
    for (const char *is = strchr(place, '='); is && !address; is = strchr(is + 1, '='))
        address = address_of(is + 1);
    return address;
}

static int set_rpc(struct vt_engine_options *o, const struct cli_args *a)
{
    static char device[300];
    (void)snprintf(device, sizeof device, "rpc:%s", a->value);
    expect_worker(a->value, strlen(a->value));
    o->device = device;
    return CLI_OK;
}

/* The component that a list of places gives a wrong name; "": none. */
static void wrong_component(const char *place, char *out, size_t size)
{
    out[0] = 0;
    for (const char *p = place; p && !out[0]; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        int n = (int)strcspn(p, "=,");
        (void)snprintf(out, size, "%.*s", n, p);
        if (strcmp(out, "text") == 0 || strcmp(out, "transformer") == 0 || strcmp(out, "vae") == 0)
            out[0] = 0;
    }
}

static enum err_code check_place(const char *place, struct err *e)
{
    char word[64];
    enum err_code rc = placement_check(place, e);
    wrong_component(place, word, sizeof word);
    if (rc != ERR_OK)
        return cli_suggest_add(e, word, "text transformer vae");
    for (const char *is = strchr(place, '='); rc == ERR_OK && is; is = strchr(is + 1, '=')) {
        (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(is + 1, ","), is + 1);
        rc = cli_device_check(word, e);
    }
    return rc;
}

static int set_place(struct vt_engine_options *o, const struct cli_args *a)
{
    struct err e = {0};
    if (check_place(a->value, &e) != ERR_OK)
        return cli_usage_error(a->command, "--place: %s", e.text);
    o->place = a->value;
    for (const char *w = next_worker(a->value); w; w = next_worker(w))
        expect_worker(w, strcspn(w, ","));
    return CLI_OK;
}

enum err_code engine_args_check_device(const char *device, struct err *e)
{
    const char *address = address_of(device);
    TRY(cli_device_check(device, e));
    if (address)
        expect_worker(address, strlen(address));
    return ERR_OK;
}

int engine_args_device(const struct cli_args *a, const char **out)
{
    struct err e = {0};
    if (engine_args_check_device(a->value, &e) != ERR_OK)
        return cli_usage_error(a->command, "--device: %s", e.text);
    *out = a->value;
    return CLI_OK;
}

int engine_args_weights(const struct cli_args *a, const char **out)
{
    struct err e = {0};
    *out = a->value;
    if (convert_cache_check(a->value, &e) == ERR_OK)
        return CLI_OK;
    (void)cli_suggest_add(&e, a->value, convert_type_names());
    return cli_usage_error(a->command, "--weights: %s", e.text);
}

int engine_args_set(struct vt_engine_options *o, const struct cli_args *a, int id)
{
    int64_t threads;
    switch (id) {
    case ENGINE_DEVICE:
        return engine_args_device(a, &o->device);
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
        return engine_args_weights(a, &o->weights);
    case ENGINE_BUDGET:
        o->budget = a->value;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

void engine_args_defaults(struct vt_engine_options *o, const struct cli_settings *s)
{
    if (!o->device)
        o->device = cli_setting(s, SETTING_DEVICE);
    if (!o->budget)
        o->budget = cli_setting(s, SETTING_BUDGET);
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
        const char *place = value_of("place", arg), *device = value_of("device", arg);
        if (value_of("rpc", arg) || value_of("engine", arg) || (place && next_worker(place)) ||
            (device && any_worker(device)))
            return true;
    }
    return false;
}

/* ---- devices --------------------------------------------------------------------------------- */

enum { MAX_DEVICES = 64 };

static const char *const kinds[] = {"auto", "cpu", "vulkan", "cuda", "hip", "sycl"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* "vulkan" or "vulkan1". */
static bool is_known(const char *name)
{
    if (strncasecmp(name, "rpc:", 4) == 0)
        return true;
    for (size_t i = 0; i < KINDS; i++) {
        size_t n = strlen(kinds[i]);
        if (strncasecmp(name, kinds[i], n) == 0 && name[n + strspn(name + n, "0123456789")] == 0)
            return true;
    }
    return false;
}

enum err_code cli_device_check(const char *name, struct err *e)
{
    struct cli_suggestion s = {.typed = name};
    size_t n = 0;
    if (is_known(name))
        return ERR_OK;
    struct nn_device_info *list = mem_alloc(MAX_DEVICES * sizeof *list);
    enum err_code rc = nn_device_list(list, MAX_DEVICES, &n, e);
    bool found = false;
    for (size_t i = 0; i < KINDS; i++)
        cli_suggest(&s, kinds[i]);
    for (size_t i = 0; i < n; i++) {
        found = found || strcasecmp(list[i].name, name) == 0;
        cli_suggest(&s, list[i].name);
    }
    if (rc == ERR_OK && !found)
        rc = err_set(e, ERR_ARG,
                     "there is no device '%.60s'; `veetance devices` lists what this machine has%s",
                     name, cli_suggest_text(&s));
    mem_free(list);
    return rc;
}

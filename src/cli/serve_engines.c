#include "cli/serve_engines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parallel.h"
#include "cli/engine_args.h"
#include "memory/budget.h"
#include "nn/device.h"

#define WORKER_PORT "50052"

/* ---- auto:all -------------------------------------------------------------------------------------- */

/* NVIDIA's cards, which other drivers offer a second time; else all other cards. With commas between. */
static void name_cards(const struct nn_device_info *list, size_t n, bool cuda, char *out,
                       size_t size)
{
    size_t used = strlen(out);
    for (size_t i = 0; i < n && used < size; i++) {
        const struct nn_device_info *d = &list[i];
        bool wanted = !d->is_cpu && !d->is_software;
        if (wanted && cuda == (strncasecmp(d->name, "cuda", 4) == 0))
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", d->name);
    }
}

static void name_all(char *out, size_t size)
{
    struct nn_device_info list[64];
    struct err ignored = {0};
    size_t n = 0;
    if (nn_device_list(list, sizeof list / sizeof list[0], &n, &ignored) != ERR_OK)
        err_clear(&ignored);
    out[0] = 0;
    name_cards(list, n, true, out, size);
    if (!out[0])
        name_cards(list, n, false, out, size);
    if (!out[0])
        (void)snprintf(out, size, "cpu");
}

static void read_all(int fd, char *out, size_t size)
{
    size_t used = 0;
    while (used < size - 1) {
        ssize_t r = read(fd, out + used, size - 1 - used);
        if (r == 0 || (r < 0 && errno != EINTR))
            break;
        used += r > 0 ? (size_t)r : 0;
    }
    out[used] = 0;
}

/* In a process of its own: looking for cards leaves drivers' memory on them, and the server may be idle for days. */
static enum err_code find_all(char *out, size_t size, struct err *e)
{
    int ends[2], status = -1;
    if (pipe(ends) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot look for devices");
    pid_t child = fork();
    if (child == 0) {
        char names[SERVE_DEVICE_BYTES];
        name_all(names, sizeof names);
        size_t length = strlen(names);
        _exit(write(ends[1], names, length) == (ssize_t)length ? 0 : 1);
    }
    (void)close(ends[1]);
    read_all(ends[0], out, size);
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0 && out[0] ? ERR_OK
                                 : err_set(e, ERR_DEVICE,
                                           "the search for devices failed; name them: "
                                           "--device cuda0,cuda1");
}

/* ---- lists ----------------------------------------------------------------------------------------- */

static bool is_cpu(const char *device)
{
    return strcasecmp(device, "cpu") == 0;
}

static bool has(const struct serve_engines *g, const char *device)
{
    bool found = false;
    for (int i = 0; i < g->n; i++)
        found = found || strcasecmp(g->devices[i], device) == 0;
    for (int i = 0; i < g->n_workers; i++)
        found = found || strcasecmp(g->workers[i], device) == 0;
    return found;
}

/* Words that mean all engines of this machine are no devices among others. */
static enum err_code check_stands_alone(const char *word, struct err *e)
{
    if (strcasecmp(word, "auto:all") != 0 && strcasecmp(word, "none") != 0)
        return ERR_OK;
    return err_set(e, ERR_ARG,
                   "'%s' stands alone, not in a list; workers elsewhere are added with --engine "
                   "HOST",
                   word);
}

static enum err_code add(struct serve_engines *g, char (*list)[SERVE_DEVICE_BYTES], int *n,
                         const char *device, struct err *e)
{
    TRY(engine_args_check_device(device, e));
    if (!is_cpu(device) && has(g, device))
        return err_set(e, ERR_ARG, "'%.60s' is named twice; a device has one engine", device);
    if (g->n + g->n_workers == SERVER_MAX_ENGINES)
        return err_set(e, ERR_ARG, "at most %d engines", SERVER_MAX_ENGINES);
    (void)snprintf(list[(*n)++], SERVE_DEVICE_BYTES, "%s", device);
    return ERR_OK;
}

enum err_code serve_engines_devices(struct serve_engines *g, const char *list, struct err *e)
{
    char found[SERVE_DEVICE_BYTES], device[SERVE_DEVICE_BYTES];
    g->n = 0;
    g->no_device = strcasecmp(list, "none") == 0;
    if (g->no_device)
        return ERR_OK;
    if (strcasecmp(list, "auto:all") == 0) {
        TRY(find_all(found, sizeof found, e));
        list = found;
    }
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        int n = (int)strcspn(p, ",");
        if (n == 0 || n >= (int)sizeof device)
            return err_set(e, ERR_ARG, "'%.60s' is no list of devices: write cuda0,cuda1", list);
        (void)snprintf(device, sizeof device, "%.*s", n, p);
        TRY(check_stands_alone(device, e));
        TRY(add(g, g->devices, &g->n, device, e));
    }
    return ERR_OK;
}

enum err_code serve_engines_worker(struct serve_engines *g, const char *address, struct err *e)
{
    char device[SERVE_DEVICE_BYTES];
    int n = snprintf(device, sizeof device, "rpc:%s%s", address,
                     strchr(address, ':') ? "" : ":" WORKER_PORT);
    if (n >= (int)sizeof device)
        return err_set(e, ERR_ARG, "the address '%.60s...' is too long", address);
    TRY(nn_device_check_address(device + 4, e));
    return add(g, g->workers, &g->n_workers, device, e);
}

/* ---- the engines ----------------------------------------------------------------------------------- */

/* 0: each may have all. */
static int threads_of(const struct serve_engines *g)
{
    int cpus = 0, cores = (int)parallel_processors();
    for (int i = 0; i < g->n; i++)
        cpus += is_cpu(g->devices[i]);
    return cpus < 2 ? 0 : cores > cpus ? cores / cpus : 1;
}

enum err_code serve_engines_take(struct serve_engines *g, const struct vt_engine_options *base,
                                 struct server_options *out, struct err *e)
{
    if (g->n == 0 && !g->no_device)
        TRY(serve_engines_devices(g, base->device ? base->device : "auto", e));
    out->n_engines = g->n + g->n_workers;
    if (out->n_engines == 0)
        return err_set(e, ERR_ARG, "--device none needs a worker elsewhere: --engine HOST");
    if (out->n_engines > 1 && base->place && strcasestr(base->place, "=rpc:"))
        return err_set(
            e, ERR_ARG,
            "--place names a worker, which serves one engine at a time, and there are %d",
            out->n_engines);
    for (int i = 0; i < out->n_engines; i++) {
        struct vt_engine_options *o = &out->engines[i];
        *o = *base;
        o->device = i < g->n ? g->devices[i] : g->workers[i - g->n];
        o->threads = base->threads ? base->threads : threads_of(g);
        TRY(budget_of_list(base->budget ? base->budget : "", i, out->n_engines, g->budgets[i],
                           sizeof g->budgets[i], e));
        o->budget = g->budgets[i][0] ? g->budgets[i] : NULL;
    }
    return ERR_OK;
}

#include "memory/budget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/str.h"

static uint64_t whole_memory(const struct nn_device *d)
{
    struct nn_device_info info;
    nn_device_info(d, &info);
    if (!info.is_cpu)
        return info.total_bytes;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

/* The factor that a suffix stands for; 0: unknown suffix. */
static double unit(const char *suffix)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1.0},           {"B", 1.0},
                 {"K", 1024.0},       {"M", 1024.0 * 1024.0},
                 {"G", 1073741824.0}, {"T", 1099511627776.0}};
    size_t n = strlen(suffix);
    if (n > 1 && strcasecmp(suffix + n - 1, "b") == 0)
        n--;
    if (n > 1 && (suffix[n - 1] == 'i' || suffix[n - 1] == 'I'))
        n--;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == n && strncasecmp(units[i].name, suffix, n) == 0)
            return units[i].bytes;
    return 0;
}

enum err_code budget_parse(const char *text, const struct nn_device *d, uint64_t *bytes,
                           struct err *e)
{
    size_t digits = strspn(text, "0123456789.");
    double v = 0, scale = strcmp(text + digits, "%") == 0 ? -1 : unit(text + digits);
    *bytes = 0;
    if (digits == 0 || !str_to_double((struct str){text, digits}, &v) || scale == 0)
        return err_set(e, ERR_ARG,
                       "the budget '%.40s' is not a size: write 16G, 512M, 80%% or bytes", text);
    if (scale < 0) {
        uint64_t whole = whole_memory(d);
        if (whole == 0)
            return err_set(e, ERR_ARG,
                           "the device does not report its memory: give the budget in "
                           "bytes, not in percent");
        if (v > 100)
            return err_set(e, ERR_ARG, "the budget is %g %% of the memory; at most 100", v);
        v = v / 100;
        scale = (double)whole;
    }
    if (v * scale < 1 || v * scale > 1e18)
        return err_set(e, ERR_ARG, "a budget of %.40s cannot be used", text);
    *bytes = (uint64_t)(v * scale);
    return ERR_OK;
}

struct budget_text budget_text(uint64_t bytes)
{
    struct budget_text t;
    const double mib = 1024.0 * 1024.0, gib = 1024.0 * mib;
    bool large = (double)bytes >= gib;
    double v = ceil((double)bytes / (large ? gib : mib) * 100.0) / 100.0;
    (void)snprintf(t.z, sizeof t.z, "%.2f %s", v, large ? "GiB" : "MiB");
    return t;
}

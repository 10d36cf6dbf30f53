/* budget.c - budgets as text, and what memory there is: the device's, the machine's, this process'.
 *
 * What the machine can give is the kernel's own estimate, bounded by the limit of the control group. Pages of files
 * count as used there, mapped weights above all, but are given up when needed, so they are taken off.
 */
#include "memory/budget.h"

#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
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

enum err_code budget_of_list(const char *list, int i, int n, char *out, size_t size, struct err *e)
{
    int count = 1, before = 0;
    for (const char *p = list; *p; p++)
        count += *p == ',';
    if (count > 1 && count != n)
        return err_set(e, ERR_ARG, "%d budgets for %d engine%s: give one for all, or one each",
                       count, n, n == 1 ? "" : "s");
    for (; count > 1 && before < i; before++)
        list = strchr(list, ',') + 1;
    int length = (int)strcspn(list, ",");
    if ((size_t)length >= size || (length == 0 && count > 1))
        return err_set(e, ERR_ARG,
                       "the budget '%.*s' is not a size: write 16G, 512M, 80%% or bytes",
                       length < 40 ? length : 40, list);
    (void)snprintf(out, size, "%.*s", length, list);
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

/* ---- the machine's memory -------------------------------------------------------------------- */

static const char *read_small(const char *dir, const char *name, char *text, size_t size)
{
    char path[512];
    int fd = -1;
    ssize_t n = -1;
    if (file_join(path, sizeof path, dir, name, NULL) == ERR_OK)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    return text;
}

/* The number at p, behind spaces; 0 when there is none ("max"). */
static uint64_t number(const char *p)
{
    uint64_t v = 0;
    p += strspn(p, " \t");
    return str_to_u64((struct str){p, strspn(p, "0123456789")}, &v) ? v : 0;
}

static uint64_t number_behind(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    return p ? number(p + strlen(key)) : 0;
}

uint64_t host_available_in(const char *proc, const char *group)
{
    char text[8192];
    uint64_t available =
        number_behind(read_small(proc, "meminfo", text, sizeof text), "MemAvailable:") * 1024;
    uint64_t limit = number(read_small(group, "memory.max", text, sizeof text));
    uint64_t used = number(read_small(group, "memory.current", text, sizeof text));
    /* Cached file pages (above all mapped weights) count as used, but the kernel gives them up when needed. */
    read_small(group, "memory.stat", text, sizeof text);
    uint64_t files =
        number_behind(text, "\ninactive_file ") + number_behind(text, "\nactive_file ");
    used -= files < used ? files : used;
    if (limit > 0 && (available == 0 || limit < used + available))
        available = limit > used ? limit - used : 1;
    return available;
}

uint64_t host_available_bytes(void)
{
    return host_available_in("/proc", "/sys/fs/cgroup");
}

/* ---- this process ---------------------------------------------------------------------------- */

/* "RssAnon:     1234 kB" -> bytes. */
static uint64_t field(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    if (!p)
        return 0;
    p += strlen(name);
    p += strspn(p, " \t");
    uint64_t kib = 0;
    return str_to_u64((struct str){p, strspn(p, "0123456789")}, &kib) ? kib * 1024 : 0;
}

void procmem_read(uint64_t *anonymous_bytes, uint64_t *file_bytes)
{
    char text[8192];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    *anonymous_bytes = field(text, "RssAnon:");
    *file_bytes = field(text, "RssFile:");
}

/* A sanitizer has a malloc of its own, of which this knows nothing. */
uint64_t procmem_heap_bytes(void)
{
#ifdef __GLIBC__
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#else
    return 0;
#endif
}

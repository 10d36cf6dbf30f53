#include "memory/host.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

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

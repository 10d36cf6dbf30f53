#include "memory/host.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

static const char *read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
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

uint64_t host_available_bytes(void)
{
    char text[4096];
    const char *p = strstr(read_small("/proc/meminfo", text, sizeof text), "MemAvailable:");
    uint64_t available = p ? number(p + strlen("MemAvailable:")) * 1024 : 0;
    uint64_t limit = number(read_small("/sys/fs/cgroup/memory.max", text, sizeof text));
    uint64_t used = number(read_small("/sys/fs/cgroup/memory.current", text, sizeof text));
    if (limit > used && (available == 0 || limit - used < available))
        available = limit - used;
    return available;
}

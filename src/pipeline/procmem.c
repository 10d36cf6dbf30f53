#include "pipeline/procmem.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

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

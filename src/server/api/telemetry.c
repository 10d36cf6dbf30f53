/* telemetry.c - what the machine and this process take, as one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "pipeline/procmem.h"
#include "server/jobs/queue.h"
#include "server/server_internal.h"

typedef unsigned long long ull;

static double cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* "MemAvailable: 12345 kB" of /proc/meminfo; 0 when it cannot be told. */
static uint64_t host_available(void)
{
    static const char key[] = "MemAvailable:";
    char line[128];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, sizeof key - 1) == 0) {
            const char *p = line + strcspn(line, "0123456789");
            if (!str_to_u64((struct str){p, strspn(p, "0123456789")}, &kib))
                kib = 0;
            break;
        }
    if (f)
        (void)fclose(f);
    return kib * 1024;
}

static void add_device(const struct queue_state *q, struct buf *b)
{
    buf_add_z(b, "{\"device\":{\"name\":");
    if (q->device[0])
        json_add_z(b, q->device);
    else
        buf_add_z(b, "null");
    buf_printf(b, ",\"budget_bytes\":%llu,\"used_bytes\":%llu,\"peak_bytes\":%llu,\"budget\":",
               (ull)q->memory.budget, (ull)q->memory.current, (ull)q->memory.peak);
    if (q->budget[0])
        json_add_z(b, q->budget);
    else
        buf_add_z(b, "null");
}

static void add_host(struct buf *b)
{
    struct sysinfo i = {0};
    uint64_t anonymous = 0, mapped = 0;
    double load[3] = {0};
    procmem_read(&anonymous, &mapped);
    (void)sysinfo(&i);
    (void)getloadavg(load, 3);
    buf_printf(b,
               "},\"host\":{\"total_bytes\":%llu,\"available_bytes\":%llu,"
               "\"anonymous_bytes\":%llu,\"mapped_bytes\":%llu,\"cpus\":%ld,"
               "\"cpu_seconds\":%.3f,\"load\":%.2f}",
               (ull)i.totalram * i.mem_unit, (ull)host_available(), (ull)anonymous, (ull)mapped,
               sysconf(_SC_NPROCESSORS_ONLN), cpu_seconds(), load[0]);
}

void telemetry_json(struct server *s, struct buf *b)
{
    struct queue_state q;
    queue_state(s->queue, &q);
    add_device(&q, b);
    add_host(b);
    buf_printf(b, ",\"queue\":{\"waiting\":%d,\"running\":", q.waiting);
    if (q.running)
        buf_printf(b, "{\"id\":\"%s\",\"kind\":\"%s\",\"stage\":\"%s\"}", q.running_id,
                   q.running_kind, q.stage);
    else
        buf_add_z(b, "null");
    buf_printf(b, ",\"done\":%llu,\"failed\":%llu,\"cancelled\":%llu},\"model\":", (ull)q.done,
               (ull)q.failed, (ull)q.cancelled);
    if (q.model[0])
        json_add_z(b, q.model);
    else
        buf_add_z(b, "null");
    buf_printf(b, ",\"uptime\":%.3f}", (double)(clock_ns() - s->started_ns) * 1e-9);
}

/* telemetry.c - what the machine and this process take, as one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "memory/budget.h"
#include "server/jobs/queue.h"
#include "server/server_internal.h"

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

static void put_device(const struct queue_engine *g, struct buf *b)
{
    json_object(b, "device");
    json_put_z(b, "name", g->device[0] ? g->device : NULL);
    json_put_uint(b, "total_bytes", g->device_bytes);
    json_put_uint(b, "budget_bytes", g->memory.budget);
    json_put_uint(b, "used_bytes", g->memory.current);
    json_put_uint(b, "peak_bytes", g->memory.peak);
    json_put_z(b, "budget", g->budget[0] ? g->budget : NULL);
    json_end_object(b);
}

static void put_running(const struct queue_engine *g, struct buf *b)
{
    if (!g || !g->running) {
        json_put_null(b, "running");
        return;
    }
    json_object(b, "running");
    json_put_z(b, "id", g->running_id);
    json_put_z(b, "kind", g->running_kind);
    json_put_z(b, "stage", g->stage);
    json_end_object(b);
}

static void put_model(const struct queue_engine *g, struct buf *b)
{
    json_put_z(b, "model", g->model[0] ? g->model : NULL);
}

static void put_engines(const struct queue_state *q, struct buf *b)
{
    json_array(b, "engines");
    for (int i = 0; i < q->n_engines; i++) {
        json_object(b, NULL);
        put_device(&q->engines[i], b);
        put_model(&q->engines[i], b);
        put_running(&q->engines[i], b);
        json_put_z(b, "failure", q->engines[i].failure[0] ? q->engines[i].failure : NULL);
        json_end_object(b);
    }
    json_end_array(b);
}

static void put_host(struct buf *b)
{
    struct sysinfo i = {0};
    uint64_t anonymous = 0, mapped = 0;
    double load[3] = {0};
    procmem_read(&anonymous, &mapped);
    (void)sysinfo(&i);
    (void)getloadavg(load, 3);
    json_object(b, "host");
    json_put_uint(b, "total_bytes", (uint64_t)i.totalram * i.mem_unit);
    json_put_uint(b, "available_bytes", host_available());
    json_put_uint(b, "anonymous_bytes", anonymous);
    json_put_uint(b, "mapped_bytes", mapped);
    json_put_int(b, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    json_put_fixed(b, "cpu_seconds", cpu_seconds(), 3);
    json_put_fixed(b, "load", load[0], 2);
    json_end_object(b);
}

static void put_queue(const struct queue_state *q, struct buf *b)
{
    json_object(b, "queue");
    json_put_int(b, "waiting", q->waiting);
    put_running(q->longest, b);
    json_put_uint(b, "done", q->done);
    json_put_uint(b, "failed", q->failed);
    json_put_uint(b, "cancelled", q->cancelled);
    json_end_object(b);
}

void telemetry_json(struct server *s, struct buf *b)
{
    struct queue_state q;
    queue_state(s->queue, &q);
    json_object(b, NULL);
    put_device(&q.engines[0], b);
    put_host(b);
    put_queue(&q, b);
    put_model(&q.engines[0], b);
    put_engines(&q, b);
    json_put_fixed(b, "uptime", (double)(clock_ns() - s->started_ns) * 1e-9, 3);
    json_end_object(b);
}

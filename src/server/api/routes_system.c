/* routes_system.c - is it there, does it work, how much does it take. */
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "http/events.h"
#include "memory/budget.h"
#include "server/api/schemas.h"
#include "server/jobs/queue.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "veetance.h"

enum { READY_BYTES = 256 << 10 }; /* what a small image and its record take */

static const struct http_field health_fields[] = {
    {.name = "status", .type = HTTP_STRING, .required = true}, {0}};

static void status_json(const char *status, struct buf *b)
{
    json_object(b, NULL);
    json_put_z(b, "status", status);
    json_end_object(b);
}

static enum err_code run_health(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    status_json("ok", &re->body);
    return ERR_OK;
}

static enum err_code run_ready(struct http_request *rq, struct http_reply *re, struct err *e)
{
    if (http_core_is_draining(server_of(rq)->http))
        return http_refuse(rq, 503, NULL, e, "the server is about to end");
    TRY(store_has_room(server_of(rq)->store, READY_BYTES, e));
    status_json("ready", &re->body);
    return ERR_OK;
}

static const struct http_field version_fields[] = {
    {.name = "name", .type = HTTP_STRING, .required = true},
    {.name = "version", .type = HTTP_STRING, .required = true},
    {.name = "api", .type = HTTP_STRING, .required = true},
    {0}};

static enum err_code run_version(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    json_object(&re->body, NULL);
    json_put_z(&re->body, "name", "veetance");
    json_put_z(&re->body, "version", vt_version());
    json_put_z(&re->body, "api", "v1");
    json_end_object(&re->body);
    return ERR_OK;
}

/* ---- metrics ------------------------------------------------------------------------------------------ */

static void metric(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    buf_printf(b, "# HELP veetance_%s %s\n# TYPE veetance_%s %s\nveetance_%s %.10g\n", name, help,
               name, type, name, v);
}

static void add_replies(const struct http_counts *c, struct buf *b)
{
    buf_add_z(b, "# HELP veetance_http_responses_total Answers by class of status.\n"
                 "# TYPE veetance_http_responses_total counter\n");
    for (int i = 1; i <= 5; i++)
        buf_printf(b, "veetance_http_responses_total{class=\"%dxx\"} %llu\n", i,
                   (unsigned long long)c->replies[i]);
}

static void begin_engines(struct buf *b, const char *name, const char *help)
{
    buf_printf(b, "# HELP veetance_engine_%s %s\n# TYPE veetance_engine_%s gauge\n", name, help,
               name);
}

static void add_engine(struct buf *b, const char *name, int i, const struct queue_engine *g,
                       double v)
{
    buf_printf(b, "veetance_engine_%s{engine=\"%d\",device=\"%s\"} %.10g\n", name, i, g->device, v);
}

/* Of all together, then of each. */
static void add_engines(const struct queue_state *q, struct buf *b)
{
    const struct queue_engine *g = q->engines;
    struct vt_memory all = {0};
    for (int i = 0; i < q->n_engines; i++) {
        all.budget += g[i].memory.budget;
        all.current += g[i].memory.current;
        all.peak += g[i].memory.peak;
    }
    metric(b, "device_budget_bytes", "gauge", "Device memory that may be used.",
           (double)all.budget);
    metric(b, "device_bytes", "gauge", "Device memory in use.", (double)all.current);
    metric(b, "device_peak_bytes", "gauge", "Peak of the last run.", (double)all.peak);
    begin_engines(b, "running", "Whether the engine runs a job.");
    for (int i = 0; i < q->n_engines; i++)
        add_engine(b, "running", i, &g[i], g[i].running);
    begin_engines(b, "budget_bytes", "Device memory that the engine may use.");
    for (int i = 0; i < q->n_engines; i++)
        add_engine(b, "budget_bytes", i, &g[i], (double)g[i].memory.budget);
    begin_engines(b, "bytes", "Device memory that the engine uses.");
    for (int i = 0; i < q->n_engines; i++)
        add_engine(b, "bytes", i, &g[i], (double)g[i].memory.current);
}

static enum err_code run_metrics(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct server *s = server_of(rq);
    struct queue_state q;
    struct http_counts c;
    struct buf *b = &re->body;
    (void)e;
    queue_state(s->queue, &q);
    http_core_counts(s->http, &c);
    add_replies(&c, b);
    metric(b, "http_seconds_total", "counter", "Time spent on answers.", c.seconds);
    metric(b, "http_connections", "gauge", "Open connections.", (double)c.connections);
    metric(b, "http_requests", "gauge", "Requests that wait for their answer.", (double)c.requests);
    metric(b, "http_slow_closed_total", "counter", "Connections ended for being slow.",
           (double)c.refused_slow);
    metric(b, "work_running", "gauge", "Images being read or rendered for requests.",
           c.work.running);
    metric(b, "work_waiting", "gauge", "Requests that wait for that.", c.work.waiting);
    metric(b, "work_total", "counter", "Times that was begun since the start.",
           (double)c.work.begun);
    metric(b, "work_bytes", "gauge", "Memory set aside for that now.", (double)c.work.bytes);
    metric(b, "event_streams", "gauge", "Open event streams.", (double)events_count(s->events));
    metric(b, "jobs_waiting", "gauge", "Jobs in the queue.", q.waiting);
    metric(b, "jobs_running", "gauge", "Jobs that run.", q.running);
    metric(b, "jobs_done_total", "counter", "Jobs done since the start.", (double)q.done);
    metric(b, "jobs_failed_total", "counter", "Jobs failed since the start.", (double)q.failed);
    metric(b, "jobs_cancelled_total", "counter", "Jobs cancelled since the start.",
           (double)q.cancelled);
    add_engines(&q, b);
    const uint64_t heap = procmem_heap_bytes();
    if (heap)
        metric(b, "heap_bytes", "gauge", "Memory that this process has allocated and not freed.",
               (double)heap);
    metric(b, "store_cache_bytes", "gauge", "Allocated memory that is held by SQLite.",
           (double)store_cache_bytes());
    metric(b, "uptime_seconds", "gauge", "Since the start.",
           (double)(clock_ns() - s->started_ns) * 1e-9);
    return ERR_OK;
}

/* ---- telemetry ---------------------------------------------------------------------------------------- */

static const struct http_field telemetry_device[] = {
    {.name = "name",
     .type = HTTP_STRING,
     .required = true,
     .nullable = true,
     .help = "null before the first job or model"},
    {.name = "total_bytes", .type = HTTP_INT, .required = true},
    {.name = "budget_bytes", .type = HTTP_INT, .required = true},
    {.name = "used_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {.name = "budget",
     .type = HTTP_STRING,
     .required = true,
     .nullable = true,
     .help = "as it was set; null: the default"},
    {0}};

static const struct http_field telemetry_host[] = {
    {.name = "total_bytes", .type = HTTP_INT, .required = true},
    {.name = "available_bytes", .type = HTTP_INT, .required = true},
    {.name = "anonymous_bytes", .type = HTTP_INT, .required = true},
    {.name = "mapped_bytes", .type = HTTP_INT, .required = true},
    {.name = "cpus", .type = HTTP_INT, .required = true},
    {.name = "cpu_seconds", .type = HTTP_NUMBER, .required = true},
    {.name = "load", .type = HTTP_NUMBER, .required = true},
    {0}};

static const struct http_field telemetry_running[] = {
    {.name = "id", .type = HTTP_STRING, .required = true},
    {.name = "kind",
     .type = HTTP_STRING,
     .required = true,
     .values = "generate|edit|layers|caption"},
    {.name = "stage", .type = HTTP_STRING, .required = true, .help = "empty before the first"},
    {0}};

static const struct http_field telemetry_engine[] = {
    {.name = "device", .type = HTTP_OBJECT, .fields = telemetry_device, .required = true},
    {.name = "model", .type = HTTP_STRING, .nullable = true, .required = true},
    {.name = "running",
     .type = HTTP_OBJECT,
     .required = true,
     .fields = telemetry_running,
     .nullable = true},
    {.name = "failure",
     .type = HTTP_STRING,
     .required = true,
     .nullable = true,
     .help = "of its device: it gets jobs now and then alone, until it works again"},
    {0}};

static const struct http_field telemetry_queue[] = {
    {.name = "waiting", .type = HTTP_INT, .required = true},
    {.name = "running",
     .type = HTTP_OBJECT,
     .required = true,
     .fields = telemetry_running,
     .nullable = true,
     .help = "of several the one that has run for the longest time"},
    {.name = "done", .type = HTTP_INT, .required = true},
    {.name = "failed", .type = HTTP_INT, .required = true},
    {.name = "cancelled", .type = HTTP_INT, .required = true},
    {0}};

const struct http_field telemetry_fields[] = {
    {.name = "device",
     .type = HTTP_OBJECT,
     .fields = telemetry_device,
     .required = true,
     .help = "of the first engine"},
    {.name = "host", .type = HTTP_OBJECT, .fields = telemetry_host, .required = true},
    {.name = "queue", .type = HTTP_OBJECT, .fields = telemetry_queue, .required = true},
    {.name = "model",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .help = "that the first engine has open"},
    {.name = "engines",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = telemetry_engine,
     .required = true,
     .help = "each, in the order of --device"},
    {.name = "uptime", .type = HTTP_NUMBER, .required = true},
    {0}};

static enum err_code run_telemetry(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    telemetry_json(server_of(rq), &re->body);
    return ERR_OK;
}

static enum err_code run_telemetry_events(struct http_request *rq, struct http_reply *re,
                                          struct err *e)
{
    struct buf b;
    TRY(events_subscribe(server_of(rq)->events, rq, "telemetry", &re->stream, e));
    buf_init(&b, LIMIT_TELEMETRY);
    telemetry_json(server_of(rq), &b);
    events_tell(re->stream, NULL, "telemetry", buf_str(&b));
    buf_deinit(&b);
    return ERR_OK;
}

static const struct http_field events_query[] = {
    {.name = "previews", .type = HTTP_BOOL, .fallback = "true", .help = "with those of images"},
    {.name = "telemetry", .type = HTTP_BOOL, .fallback = "true", .help = "twice a second"},
    {0}};

static enum err_code run_events(struct http_request *rq, struct http_reply *re, struct err *e)
{
    unsigned muted = (http_query_bool(rq, "previews", true) ? 0u : (unsigned)EVENTS_PREVIEW) |
                     (http_query_bool(rq, "telemetry", true) ? 0u : (unsigned)EVENTS_TELEMETRY);
    TRY(queue_subscribe_all(rq, &re->stream, e));
    events_mute(re->stream, muted);
    return ERR_OK;
}

const struct http_route routes_system[] = {
    {HTTP_GET, "/healthz", "health", "The server answers", "system", run_health,
     .gives = health_fields, .flags = HTTP_OPEN},
    {HTTP_GET, "/readyz", "ready", "The server takes work", "system", run_ready,
     .gives = health_fields, .flags = HTTP_OPEN},
    {HTTP_GET, "/version", "version", "Name and version", "system", run_version,
     .gives = version_fields},
    {HTTP_GET, "/metrics", "metrics", "Counters for Prometheus", "system", run_metrics,
     .type = "text/plain; version=0.0.4; charset=utf-8"},
    {HTTP_GET, "/v1/telemetry", "telemetry", "Memory, budget, what is open, CPU, queue", "system",
     run_telemetry, .gives = telemetry_fields},
    {HTTP_GET, "/v1/telemetry/events", "telemetryEvents", "The same, twice a second", "system",
     run_telemetry_events, .type = "text/event-stream", .flags = HTTP_EVENTS,
     .emits = schema_telemetry_events},
    {HTTP_GET, "/v1/events", "events",
     "All that happens, as one stream: jobs, the queue, the open model, projects, telemetry",
     "system", run_events, .query = events_query, .type = "text/event-stream", .flags = HTTP_EVENTS,
     .emits = schema_all_events},
    {0}};

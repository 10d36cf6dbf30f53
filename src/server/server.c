#include "server/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/events.h"
#include "sandbox/sandbox.h"
#include "server/api/asset_json.h"
#include "server/api/exports.h"
#include "server/compat/face.h"
#include "server/jobs/caretaker.h"
#include "server/jobs/model_choice.h"
#include "server/jobs/queue.h"
#include "server/limits.h"
#include "server/server_internal.h"

enum {
    TICK_MS = 500, /* telemetry, deadlines */
    IDLE_SECONDS = 300,
    KEEP_ALIVE_TICKS = 30, /* of event streams */
};

struct server_options server_options_defaults(void)
{
    return (struct server_options){.listen = "127.0.0.1:8188", .sandbox = true, .n_engines = 1};
}

const char *server_address(const struct server *s)
{
    return http_core_address(s->http);
}

/* ---- start ------------------------------------------------------------------------------------------ */

static void copy_models(struct server *s, const struct server_options *o)
{
    (void)snprintf(s->model, sizeof s->model, "%s", o->model ? o->model : "");
    (void)snprintf(s->layers_model, sizeof s->layers_model, "%s",
                   o->layers_model ? o->layers_model : "");
}

const char *server_model(const struct server *s, const char *named, unsigned tasks)
{
    const char *own = tasks & MODEL_TASK_IMAGES ? s->model : s->layers_model;
    if (named && *named)
        return named;
    return own[0] ? own : NULL;
}

/* Before any thread starts: not all of it reaches threads that run already. */
static enum err_code drop_rights(struct server *s, const struct server_options *o, struct err *e)
{
    double start = clock_s();
    if (!o->sandbox)
        return ERR_OK;
    TRY(sandbox_drop_network(o->network_stays ? SANDBOX_RPC : SANDBOX_OFFLINE, e));
    s->is_sandboxed = true;
    s->sandbox_seconds = clock_s() - start;
    return ERR_OK;
}

/* For --verbose: what has been done, and how long after the start. */
static enum err_code stage(const struct server *s, enum err_code rc, const char *what)
{
    if (rc == ERR_OK)
        log_debug("boot: %s after %.1f ms", what, (double)(clock_ns() - s->started_ns) * 1e-6);
    return rc;
}

static enum err_code open_http(struct server *s, const struct server_options *o, struct err *e)
{
    struct http_app app = server_app(s);
    struct http_options ho = {.listen = o->listen,
                              .token = o->token,
                              .hosts = o->hosts,
                              .n_hosts = o->n_hosts,
                              .threads = o->http_threads,
                              .work_memory = o->work_memory};
    return http_core_open(&ho, &app, &s->http, e);
}

static enum err_code open_parts(struct server *s, const struct server_options *o, struct err *e)
{
    static const struct queue_watcher watcher = {openai_tell_preview, openai_tell_end};
    const struct reader_options ro = {.confined = o->sandbox, .patience = o->engines[0].patience};
    struct store_options so = {.dir = o->store_dir};
    TRY(stage(s, open_http(s, o, e), "listening"));
    TRY(stage(s, drop_rights(s, o, e), "network and capabilities given up"));
    TRY(stage(s, reader_open(&ro, &s->reader, e), "a reader waits"));
    so.reader = s->reader;
    TRY(stage(s, store_open(&so, &s->store, e), "store opened"));
    s->events = events_hub_new(LIMIT_STREAM);
    store_listen(s->store, &(struct store_listener){.asset = asset_tell, .user = s});
    s->exports = exports_new(EXPORTS_FILES);
    s->thumbnails = exports_new(EXPORTS_THUMBNAILS);
    TRY(caretaker_open(s->store, o->tidy_seconds, &s->caretaker, e));
    TRY(stage(s, queue_open(s, o, &watcher, &s->queue, e), "worker started"));
    return stage(s, http_core_start(s->http, e), "ready for requests");
}

enum err_code server_open(const struct server_options *o, struct server **out, struct err *e)
{
    struct server *s = mem_alloc(sizeof *s);
    *out = NULL;
    s->started_ns = clock_ns();
    copy_models(s, o);
    pthread_mutex_init(&s->settings_lock, NULL);
    enum err_code rc = open_parts(s, o, e);
    if (rc != ERR_OK) {
        server_close(s);
        return rc;
    }
    *out = s;
    return ERR_OK;
}

/* ---- run -------------------------------------------------------------------------------------------- */

static void tick(struct server *s, unsigned n)
{
    struct buf b;
    if (events_anyone(s->events, "telemetry") || events_anyone(s->events, QUEUE_ALL_EVENTS)) {
        buf_init(&b, LIMIT_TELEMETRY);
        telemetry_json(s, &b);
        events_publish(s->events, "telemetry", "telemetry", buf_str(&b), EVENTS_DROPPABLE);
        events_publish(s->events, QUEUE_ALL_EVENTS, "telemetry", buf_str(&b),
                       EVENTS_DROPPABLE | EVENTS_TELEMETRY);
        buf_deinit(&b);
    }
    http_core_tick(s->http);
    if (n % KEEP_ALIVE_TICKS == 0)
        events_keep_alive(s->events);
}

enum err_code server_run(struct server *s, int stop_fd, struct err *e)
{
    struct pollfd p = {.fd = stop_fd, .events = POLLIN};
    char byte;
    int signals = 0;
    for (unsigned n = 1; signals == 0 || !queue_is_idle(s->queue); n++) {
        int r = poll(&p, 1, signals ? TICK_MS / 10 : TICK_MS);
        if (r < 0 && errno != EINTR)
            return err_set_sys(e, ERR_IO, errno, "cannot wait for signals");
        if (r > 0 && read(stop_fd, &byte, 1) == 1) {
            signals++;
            http_core_drain(s->http);
            queue_stop(s->queue, signals > 1);
            log_info(signals > 1 ? "stopping at once" : "stopping when what runs is done");
        }
        tick(s, n);
    }
    return ERR_OK;
}

void server_close(struct server *s)
{
    if (!s)
        return;
    if (s->http) {
        http_core_drain(s->http);
        http_core_abandon(s->http);
    }
    if (s->queue)
        queue_stop(s->queue, true);
    queue_join(s->queue);
    if (s->events)
        events_end_all(s->events);
    http_core_stop(s->http);
    queue_close(s->queue);
    caretaker_close(s->caretaker);
    exports_free(s->exports);
    exports_free(s->thumbnails);
    http_core_free(s->http);
    events_hub_free(s->events);
    store_close(s->store);
    reader_close(s->reader);
    pthread_mutex_destroy(&s->settings_lock);
    mem_free(s);
}

#include "server/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"
#include "server/caretaker.h"
#include "server/events.h"
#include "server/exports.h"
#include "server/http_internal.h"
#include "server/queue.h"
#include "server/server_internal.h"
#include "server/limits.h"
#include "server/model_choice.h"

enum {
    DEFAULT_HTTP_THREADS = 4,
    MAX_CONNECTIONS = 4096,
    /* More than LIMIT_HEADERS: what is somewhat too large is refused by us, as problem+json. Pages that are not used
     * take nothing. */
    CONNECTION_MEMORY_BYTES = 64 << 10,
    IDLE_SECONDS = 30, /* nothing comes or goes */
    HEADERS_SECONDS =
        45, /* from the connection's or the last answer's time to a request's last header */
    BODY_SECONDS = 20, /* for a body, and a second more for so many bytes of it that came */
    BODY_BYTES_A_SECOND = 4096,
    TICK_MS = 500,         /* telemetry, deadlines */
    KEEP_ALIVE_TICKS = 30, /* of event streams */
    LAST_ANSWERS_SECONDS = 2,
    WORK_THREADS = 2,
    WORK_MAX_WAITING = 64,
};

static const uint64_t WORK_LEAST_BYTES = (uint64_t)1 << 30, WORK_MOST_BYTES = (uint64_t)16 << 30;

struct server_options server_options_defaults(void)
{
    return (struct server_options){.listen = "127.0.0.1:8188", .sandbox = true};
}

const char *server_address(const struct server *s)
{
    return s->address;
}

/* ---- numbers ---------------------------------------------------------------------------------------- */

void server_count_reply(struct server *s, int status, double seconds)
{
    int k = status / 100;
    atomic_fetch_add(&s->counters.replies[k >= 1 && k <= 5 ? k : 0], 1);
    atomic_fetch_add(&s->counters.micros, (unsigned long long)(seconds * 1e6));
}

int server_retry_after(struct server *s)
{
    double t = s->queue ? queue_seconds_left(s->queue) : 1;
    return t < 1 ? 1 : t > 60 ? 60 : (int)t;
}

/* ---- connections ------------------------------------------------------------------------------------ */

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *s = user;
    struct server_connection *c = *context;
    pthread_mutex_lock(&s->connections_lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        c = mem_alloc(sizeof *c);
        c->fd = info ? info->connect_fd : -1;
        c->since_ns = clock_ns();
        c->next = s->connections;
        if (c->next)
            c->next->before = c;
        s->connections = c;
        *context = c;
        atomic_fetch_add(&s->counters.connections, 1);
    } else if (c) {
        if (c->before)
            c->before->next = c->next;
        else
            s->connections = c->next;
        if (c->next)
            c->next->before = c->before;
        mem_free(c);
        *context = NULL;
        atomic_fetch_sub(&s->counters.connections, 1);
    }
    pthread_mutex_unlock(&s->connections_lock);
}

static struct server_connection *connection_of(const struct http_request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_since(struct server *s, struct http_request *rq, int64_t t, bool in_body)
{
    struct server_connection *c = connection_of(rq);
    pthread_mutex_lock(&s->connections_lock);
    if (c) {
        c->since_ns = t;
        c->in_body = in_body;
        c->bytes = 0;
    }
    pthread_mutex_unlock(&s->connections_lock);
}

void server_request_began(struct server *s, struct http_request *rq)
{
    atomic_fetch_add(&s->counters.requests, 1);
    set_since(s, rq, clock_ns(), true);
}

void server_request_read(struct server *s, struct http_request *rq, size_t n)
{
    struct server_connection *c = connection_of(rq);
    if (!n) {
        set_since(s, rq, 0, false);
        return;
    }
    pthread_mutex_lock(&s->connections_lock);
    if (c)
        c->bytes += n;
    pthread_mutex_unlock(&s->connections_lock);
}

void server_request_ended(struct server *s, struct http_request *rq)
{
    atomic_fetch_sub(&s->counters.requests, 1);
    set_since(s, rq, clock_ns(), false);
}

static bool is_slow(const struct server_connection *c, int64_t now)
{
    double seconds = (double)(now - c->since_ns) * 1e-9;
    if (!c->since_ns)
        return false;
    return seconds >
           (c->in_body ? BODY_SECONDS + (double)c->bytes / BODY_BYTES_A_SECOND : HEADERS_SECONDS);
}

/* libmicrohttpd ends who says nothing; this, who says a byte now and then. */
static void end_slow(struct server *s)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&s->connections_lock);
    for (struct server_connection *c = s->connections; c; c = c->next)
        if (is_slow(c, now)) {
            (void)shutdown(c->fd, SHUT_RDWR);
            c->since_ns = 0;
            atomic_fetch_add(&s->counters.refused_slow, 1);
        }
    pthread_mutex_unlock(&s->connections_lock);
}

/* ---- start ------------------------------------------------------------------------------------------ */

static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= 2 * MAX_CONNECTIONS)
        return;
    r.rlim_cur = r.rlim_max < 2 * MAX_CONNECTIONS ? r.rlim_max : 2 * MAX_CONNECTIONS;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

/* Escapes stay in: what they mean differs between a path's parts and a query. */
static size_t keep_escapes(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return strlen(text);
}

__attribute__((format(printf, 2, 0))) static void log_line_of_http(void *user, const char *fmt,
                                                                   va_list ap)
{
    char line[300];
    (void)user;
    (void)vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    log_debug("http: %s", line);
}

static enum err_code start_http(struct server *s, struct err *e)
{
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        http_access, s, MHD_OPTION_EXTERNAL_LOGGER, log_line_of_http, NULL,
        MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)s->http_threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED, http_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
        NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    return s->daemon ? ERR_OK : err_set(e, ERR_IO, "the HTTP server does not start");
}

static enum err_code copy_options(struct server *s, const struct server_options *o, struct err *e)
{
    const char *token = o->token ? o->token : "";
    if (strlen(token) >= sizeof s->token)
        return err_set(e, ERR_ARG, "the token has %zu bytes, the limit is %zu", strlen(token),
                       sizeof s->token - 1);
    for (const char *p = token; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || strchr(";,\"\\%+&", *p))
            return err_set(e, ERR_ARG,
                           "the token should be of letters, digits and -._~ (a cookie and an "
                           "address have to hold it)");
    (void)snprintf(s->token, sizeof s->token, "%s", token);
    s->http_threads = o->http_threads > 0 ? o->http_threads : DEFAULT_HTTP_THREADS;
    for (size_t i = 0; i < o->n_hosts && i < SERVER_MAX_HOSTS; i++)
        (void)snprintf(s->hosts[s->n_hosts++], SERVER_NAME_BYTES, "%s", o->hosts[i]);
    (void)snprintf(s->model, sizeof s->model, "%s", o->model ? o->model : "");
    (void)snprintf(s->layers_model, sizeof s->layers_model, "%s",
                   o->layers_model ? o->layers_model : "");
    return ERR_OK;
}

const char *server_model(const struct server *s, const char *named, unsigned tasks)
{
    const char *own = tasks & MODEL_TASK_PICTURES ? s->model : s->layers_model;
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

/* A quarter of the memory, within reason. */
static uint64_t work_memory(const struct server_options *o)
{
    struct sysinfo i = {0};
    if (o->work_memory)
        return o->work_memory;
    uint64_t quarter = sysinfo(&i) == 0 ? (uint64_t)i.totalram * i.mem_unit / 4 : 0;
    return quarter < WORK_LEAST_BYTES ? WORK_LEAST_BYTES
                                      : (quarter > WORK_MOST_BYTES ? WORK_MOST_BYTES : quarter);
}

static enum err_code open_pool(struct server *s, const struct server_options *o, struct err *e)
{
    s->exports = exports_new();
    return pool_open(&(struct pool_options){.threads = WORK_THREADS,
                                            .max_waiting = WORK_MAX_WAITING,
                                            .allowance = work_memory(o)},
                     &s->pool, e);
}

enum err_code server_open(const struct server_options *o, struct server **out, struct err *e)
{
    struct server *s = mem_alloc(sizeof *s);
    struct store_options so = {.dir = o->store_dir};
    *out = NULL;
    s->listen_fd = -1;
    s->started_ns = clock_ns();
    pthread_mutex_init(&s->connections_lock, NULL);
    pthread_mutex_init(&s->settings_lock, NULL);
    raise_file_limit();
    enum err_code rc = copy_options(s, o, e);
    if (rc == ERR_OK)
        rc = stage(s, server_listen(s, o->listen, e), "listening");
    if (rc == ERR_OK)
        rc = stage(s, drop_rights(s, o, e), "network and capabilities given up");
    if (rc == ERR_OK)
        rc = stage(s, store_open(&so, &s->store, e), "store opened");
    if (rc == ERR_OK) {
        s->events = events_hub_new();
        rc = http_sleepers_open(&s->sleepers, e);
    }
    if (rc == ERR_OK)
        rc = open_pool(s, o, e);
    if (rc == ERR_OK)
        rc = caretaker_open(s->store, o->tidy_seconds, &s->caretaker, e);
    if (rc == ERR_OK) {
        rc = stage(s, queue_open(s, o, &s->queue, e), "worker started");
    }
    if (rc == ERR_OK)
        rc = stage(s, start_http(s, e), "ready for requests");
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
    end_slow(s);
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
            atomic_store(&s->stopping, true);
            queue_stop(s->queue, signals > 1);
            log_info(signals > 1 ? "stopping at once" : "stopping when the running job is done");
        }
        tick(s, n);
    }
    return ERR_OK;
}

/* Who waited hears why the wait is over, and streams come to their ends. */
static void let_answers_out(struct server *s)
{
    const struct timespec t = {0, 5 * 1000 * 1000};
    double limit = clock_s() + LAST_ANSWERS_SECONDS;
    if (s->events)
        events_end_all(s->events);
    while (atomic_load(&s->counters.requests) > 0 && clock_s() < limit)
        (void)nanosleep(&t, NULL);
}

void server_close(struct server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    atomic_store(&s->ending, true);
    if (s->queue)
        queue_stop(s->queue, true);
    queue_join(s->queue);
    let_answers_out(s);
    pool_stop(s->pool);
    if (s->daemon)
        MHD_stop_daemon(s->daemon); /* closes the socket */
    else if (s->listen_fd >= 0)
        (void)close(s->listen_fd);
    queue_close(s->queue);
    caretaker_close(s->caretaker);
    pool_free(s->pool);
    exports_free(s->exports);
    http_sleepers_close(s->sleepers);
    events_hub_free(s->events);
    store_close(s->store);
    pthread_mutex_destroy(&s->connections_lock);
    pthread_mutex_destroy(&s->settings_lock);
    mem_free(s);
}

/* core.c - the core's life: options, connections and their deadlines, libmicrohttpd, the end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"
#include "http/limits.h"

enum {
    DEFAULT_THREADS = 4,
    MAX_CONNECTIONS = 4096,
    /* More than LIMIT_HEADERS: what is somewhat too large is refused by us, as problem+json. Pages that are not used
     * take nothing. */
    CONNECTION_MEMORY_BYTES = 64 << 10,
    IDLE_SECONDS = 30, /* nothing comes or goes */
    HEADERS_SECONDS =
        45, /* from the connection's or the last answer's time to a request's last header */
    BODY_SECONDS = 20, /* for a body, and a second more for so many bytes of it that came */
    BODY_BYTES_A_SECOND = 4096,
    LAST_ANSWERS_SECONDS = 2,
    WORK_THREADS = 2,
    WORK_MAX_WAITING = 64,
};

static const uint64_t WORK_LEAST_BYTES = (uint64_t)1 << 30, WORK_MOST_BYTES = (uint64_t)16 << 30;

const char *http_core_address(const struct http_core *c)
{
    return c->address;
}

int http_core_port(const struct http_core *c)
{
    return c->port;
}

bool http_core_is_loopback(const struct http_core *c)
{
    return c->is_loopback;
}

/* ---- numbers ---------------------------------------------------------------------------------------- */

void http_count_reply(struct http_core *c, int status, double seconds)
{
    int k = status / 100;
    atomic_fetch_add(&c->counters.replies[k >= 1 && k <= 5 ? k : 0], 1);
    atomic_fetch_add(&c->counters.micros, (unsigned long long)(seconds * 1e6));
}

void http_core_counts(struct http_core *c, struct http_counts *out)
{
    *out = (struct http_counts){0};
    for (size_t i = 0; i < sizeof out->replies / sizeof out->replies[0]; i++)
        out->replies[i] = atomic_load(&c->counters.replies[i]);
    out->seconds = (double)atomic_load(&c->counters.micros) * 1e-6;
    out->connections = atomic_load(&c->counters.connections);
    out->requests = atomic_load(&c->counters.requests);
    out->refused_slow = atomic_load(&c->counters.refused_slow);
    if (c->pool)
        pool_state(c->pool, &out->work);
}

/* ---- connections ------------------------------------------------------------------------------------ */

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_core *c = user;
    struct http_connection *k = *context;
    pthread_mutex_lock(&c->connections_lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        k = mem_alloc(sizeof *k);
        k->fd = info ? info->connect_fd : -1;
        k->since_ns = clock_ns();
        k->next = c->connections;
        if (k->next)
            k->next->before = k;
        c->connections = k;
        *context = k;
        atomic_fetch_add(&c->counters.connections, 1);
    } else if (k) {
        if (k->before)
            k->before->next = k->next;
        else
            c->connections = k->next;
        if (k->next)
            k->next->before = k->before;
        mem_free(k);
        *context = NULL;
        atomic_fetch_sub(&c->counters.connections, 1);
    }
    pthread_mutex_unlock(&c->connections_lock);
}

static struct http_connection *connection_of(const struct http_request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_since(struct http_core *c, struct http_request *rq, int64_t t, bool in_body)
{
    struct http_connection *k = connection_of(rq);
    pthread_mutex_lock(&c->connections_lock);
    if (k) {
        k->since_ns = t;
        k->in_body = in_body;
        k->bytes = 0;
    }
    pthread_mutex_unlock(&c->connections_lock);
}

void http_request_began(struct http_core *c, struct http_request *rq)
{
    atomic_fetch_add(&c->counters.requests, 1);
    set_since(c, rq, clock_ns(), true);
}

void http_request_read(struct http_core *c, struct http_request *rq, size_t n)
{
    struct http_connection *k = connection_of(rq);
    if (!n) {
        set_since(c, rq, 0, false);
        return;
    }
    pthread_mutex_lock(&c->connections_lock);
    if (k)
        k->bytes += n;
    pthread_mutex_unlock(&c->connections_lock);
}

void http_request_ended(struct http_core *c, struct http_request *rq)
{
    atomic_fetch_sub(&c->counters.requests, 1);
    set_since(c, rq, clock_ns(), false);
}

static bool is_slow(const struct http_connection *k, int64_t now)
{
    double seconds = (double)(now - k->since_ns) * 1e-9;
    if (!k->since_ns)
        return false;
    return seconds >
           (k->in_body ? BODY_SECONDS + (double)k->bytes / BODY_BYTES_A_SECOND : HEADERS_SECONDS);
}

/* libmicrohttpd ends who says nothing; this, who says a byte now and then. */
void http_core_tick(struct http_core *c)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&c->connections_lock);
    for (struct http_connection *k = c->connections; k; k = k->next)
        if (is_slow(k, now)) {
            (void)shutdown(k->fd, SHUT_RDWR);
            k->since_ns = 0;
            atomic_fetch_add(&c->counters.refused_slow, 1);
        }
    pthread_mutex_unlock(&c->connections_lock);
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

static enum err_code start_daemon(struct http_core *c, struct err *e)
{
    TRY(late_open(&http_microhttpd, e));
    c->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        http_access, c, MHD_OPTION_EXTERNAL_LOGGER, log_line_of_http, NULL,
        MHD_OPTION_LISTEN_SOCKET, c->listen_fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)c->threads,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, http_completed, c, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        c, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    return c->daemon ? ERR_OK : err_set(e, ERR_IO, "the HTTP server does not start");
}

/* A quarter of the memory, within reason. */
static uint64_t work_memory(const struct http_options *o)
{
    struct sysinfo i = {0};
    if (o->work_memory)
        return o->work_memory;
    uint64_t quarter = sysinfo(&i) == 0 ? (uint64_t)i.totalram * i.mem_unit / 4 : 0;
    return quarter < WORK_LEAST_BYTES ? WORK_LEAST_BYTES
                                      : (quarter > WORK_MOST_BYTES ? WORK_MOST_BYTES : quarter);
}

static enum err_code copy_options(struct http_core *c, const struct http_options *o, struct err *e)
{
    const char *token = o->token ? o->token : "";
    if (strlen(token) >= sizeof c->token)
        return err_set(e, ERR_ARG, "the token has %zu bytes, the limit is %zu", strlen(token),
                       sizeof c->token - 1);
    for (const char *p = token; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || strchr(";,\"\\%+&", *p))
            return err_set(e, ERR_ARG,
                           "the token should be of letters, digits and -._~ (a cookie and an "
                           "address have to hold it)");
    (void)snprintf(c->token, sizeof c->token, "%s", token);
    c->threads = o->threads > 0 ? o->threads : DEFAULT_THREADS;
    for (size_t i = 0; i < o->n_hosts && i < HTTP_MAX_HOSTS; i++)
        (void)snprintf(c->hosts[c->n_hosts++], HTTP_HOST_BYTES, "%s", o->hosts[i]);
    c->work_memory = work_memory(o);
    return ERR_OK;
}

enum err_code http_core_open(const struct http_options *o, const struct http_app *app,
                             struct http_core **out, struct err *e)
{
    struct http_core *c = mem_alloc(sizeof *c);
    *out = c;
    c->app = *app;
    c->listen_fd = -1;
    pthread_mutex_init(&c->connections_lock, NULL);
    raise_file_limit();
    TRY(copy_options(c, o, e));
    return http_listen(c, o->listen, e);
}

enum err_code http_core_start(struct http_core *c, struct err *e)
{
    TRY(http_sleepers_open(&c->sleepers, e));
    TRY(pool_open(&(struct pool_options){.threads = WORK_THREADS,
                                         .max_waiting = WORK_MAX_WAITING,
                                         .allowance = c->work_memory},
                  &c->pool, e));
    return start_daemon(c, e);
}

/* ---- end -------------------------------------------------------------------------------------------- */

void http_core_drain(struct http_core *c)
{
    atomic_store(&c->stopping, true);
}

bool http_core_is_draining(const struct http_core *c)
{
    return atomic_load(&c->stopping);
}

void http_core_abandon(struct http_core *c)
{
    atomic_store(&c->ending, true);
}

static void let_answers_out(struct http_core *c)
{
    const struct timespec t = {0, 5 * 1000 * 1000};
    double limit = clock_s() + LAST_ANSWERS_SECONDS;
    while (atomic_load(&c->counters.requests) > 0 && clock_s() < limit)
        (void)nanosleep(&t, NULL);
}

void http_core_stop(struct http_core *c)
{
    if (!c)
        return;
    let_answers_out(c);
    pool_stop(c->pool);
    if (c->daemon)
        MHD_stop_daemon(c->daemon); /* closes the socket */
    else if (c->listen_fd >= 0)
        (void)close(c->listen_fd);
    c->daemon = NULL;
    c->listen_fd = -1;
}

void http_core_free(struct http_core *c)
{
    if (!c)
        return;
    pool_free(c->pool);
    http_sleepers_close(c->sleepers);
    pthread_mutex_destroy(&c->connections_lock);
    mem_free(c);
}

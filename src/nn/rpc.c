#include "nn/rpc.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/parallel.h"
#include "base/str.h"

/* How long a worker's client may be silent on the network, and how often new ones are looked for; seconds. */
enum { CLIENT_PATIENCE = 60, LOOK_SECONDS = 5 };

/* The functions that libggml-rpc.so offers by name, as its header declares them. */
typedef ggml_backend_reg_t (*add_server_fn)(const char *endpoint);
typedef void (*start_server_fn)(const char *endpoint, const char *cache_dir, size_t n_threads,
                                size_t n_devices, ggml_backend_dev_t *devices);

const char *nn_rpc_address(const char *want)
{
    return want && strncasecmp(want, "rpc:", 4) == 0 ? want + 4 : NULL;
}

enum err_code nn_rpc_check_address(const char *address, struct err *e)
{
    uint64_t port = 0;
    const char *colon = strrchr(address, ':');
    bool good = colon && colon > address && str_to_u64(str_from(colon + 1), &port) && port > 0 &&
                port < 65536 && strchr(address, ':') == colon;
    return good ? ERR_OK : err_set(e, ERR_ARG, "'%.80s' is no address: write HOST:PORT", address);
}

static enum err_code backend(ggml_backend_reg_t *out, struct err *e)
{
    *out = ggml_backend_reg_by_name("RPC");
    return *out ? ERR_OK
                : err_set(e, ERR_DEVICE,
                          "ggml's RPC backend is not installed; install the package "
                          "libggml0-backend-rpc");
}

enum err_code nn_rpc_connect(const char *address, ggml_backend_dev_t *out, struct err *e)
{
    ggml_backend_reg_t rpc = NULL, worker;
    add_server_fn add_server = NULL;
    TRY(nn_rpc_check_address(address, e));
    TRY(backend(&rpc, e));
    *(void **)&add_server = ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
    worker = add_server ? add_server(address) : NULL;
    if (!worker || ggml_backend_reg_dev_count(worker) == 0)
        return err_set(e, ERR_DEVICE,
                       "no worker answers at %s; `veetance worker --listen %s` starts one there",
                       address, address);
    *out = ggml_backend_reg_dev_get(worker, 0);
    return ERR_OK;
}

/* ---- a network that is cut ----------------------------------------------------------------------------- */

struct nn_rpc_peer nn_rpc_peer_of(const char *address)
{
    char host[INET_ADDRSTRLEN] = "";
    struct in_addr ip;
    uint64_t port = 0;
    const char *colon = strrchr(address, ':');
    if (!colon || !str_to_u64(str_from(colon + 1), &port) || port > UINT16_MAX)
        return (struct nn_rpc_peer){0};
    if ((size_t)(colon - address) < sizeof host)
        memcpy(host, address, (size_t)(colon - address));
    return (struct nn_rpc_peer){.ip = inet_pton(AF_INET, host, &ip) == 1 ? ip.s_addr : 0,
                                .port = htons((uint16_t)port)};
}

static bool leads_to(int fd, const struct nn_rpc_peer *p)
{
    struct sockaddr_in in = {0};
    socklen_t size = sizeof in;
    if (getpeername(fd, (struct sockaddr *)&in, &size) != 0 || in.sin_family != AF_INET)
        return false;
    return !p || (in.sin_port == p->port && (!p->ip || in.sin_addr.s_addr == p->ip));
}

void nn_rpc_guard(const struct nn_rpc_peer *p, double seconds)
{
    enum { MOST_FDS = 4096, PROBES = 4, LONGEST = 86400 };
    const int all = seconds < 1 ? 1 : seconds < LONGEST ? (int)seconds : LONGEST;
    const int pause = all < PROBES ? 1 : all / PROBES;
    const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, pause},
                   {IPPROTO_TCP, TCP_KEEPINTVL, pause},
                   {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, all * 1000}};
    struct rlimit most = {.rlim_cur = MOST_FDS};
    (void)getrlimit(RLIMIT_NOFILE, &most);
    for (int fd = 0; (!p || p->port) && fd < MOST_FDS && (rlim_t)fd < most.rlim_cur; fd++)
        for (size_t i = 0; leads_to(fd, p) && i < sizeof options / sizeof options[0]; i++)
            (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                             sizeof options[i].value);
}

/* A client that the network took away would keep all others waiting. */
static void *guard_clients(void *unused)
{
    const struct timespec pause = {LOOK_SECONDS, 0};
    (void)unused;
    for (;;) {
        nn_rpc_guard(NULL, CLIENT_PATIENCE);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

enum err_code nn_rpc_watch_clients(struct err *e)
{
    pthread_t guard;
    if (!parallel_start(&guard, guard_clients, NULL))
        return err_set(e, ERR_NOMEM, "no thread that watches a worker's clients");
    (void)pthread_detach(guard);
    return ERR_OK;
}

enum err_code nn_rpc_serve(const char *address, ggml_backend_dev_t dev, int threads, struct err *e)
{
    ggml_backend_reg_t rpc = NULL;
    start_server_fn start_server = NULL;
    TRY(nn_rpc_check_address(address, e));
    TRY(backend(&rpc, e));
    *(void **)&start_server =
        ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_start_server");
    if (start_server)
        start_server(address, NULL, (size_t)threads, 1, &dev);
    return err_set(e, ERR_IO, "cannot listen on %s", address);
}

/* listen.c - an address in words to a socket that listens. No names are resolved: that would be a question to the
 * network. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/listen_fds.h"
#include "http/internal.h"

enum { BACKLOG = 1024 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static enum err_code parse(const char *text, union address *a, socklen_t *n, struct err *e)
{
    char host[80];
    uint64_t port;
    const char *colon = strrchr(text, ':');
    struct str name = {text, colon ? (size_t)(colon - text) : 0};
    memset(a, 0, sizeof *a);
    if (!colon || !str_to_u64(str_from(colon + 1), &port) || port > 65535)
        return err_set(e, ERR_ARG, "'%.60s' is no address to listen at: 127.0.0.1:8188 is one",
                       text);
    if (str_eq_z(name, "localhost"))
        name = STR_LIT("127.0.0.1");
    bool six = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (six)
        name = (struct str){name.p + 1, name.n - 2};
    (void)snprintf(host, sizeof host, "%.*s", (int)(name.n < 79 ? name.n : 79), name.p);
    if (six && inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons((uint16_t)port);
        *n = sizeof a->v6;
        return ERR_OK;
    }
    if (!six && inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)port);
        *n = sizeof a->v4;
        return ERR_OK;
    }
    return err_set(e, ERR_ARG, "'%.60s' is no numeric address; names are not resolved here", text);
}

static bool is_loopback(const union address *a)
{
    if (a->any.sa_family == AF_INET)
        return (ntohl(a->v4.sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static void name_of(struct http_core *c, const union address *a)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool six = a->any.sa_family == AF_INET6;
    (void)inet_ntop(a->any.sa_family,
                    six ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, host,
                    sizeof host);
    c->port = ntohs(six ? a->v6.sin6_port : a->v4.sin_port);
    (void)snprintf(c->address, sizeof c->address, six ? "[%s]:%d" : "%s:%d", host, c->port);
}

/* Who can be reached from other machines asks for a token. */
static enum err_code check_reach(struct http_core *c, const union address *a, const char *text,
                                 struct err *e)
{
    c->is_loopback = is_loopback(a);
    if (c->is_loopback || c->token[0])
        return ERR_OK;
    return err_set(e, ERR_ARG,
                   "'%.60s' can be reached from other machines: give a token with --token", text);
}

/* The socket that a service manager opened for us goes before any address. */
static enum err_code take_over(struct http_core *c, int fd, struct err *e)
{
    union address a;
    socklen_t n = sizeof a;
    c->listen_fd = fd;
    if (getsockname(fd, &a.any, &n) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot tell where the given socket listens");
    if (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6)
        return err_set(e, ERR_ARG, "the given socket listens neither for IPv4 nor for IPv6");
    name_of(c, &a);
    return check_reach(c, &a, c->address, e);
}

enum err_code http_listen(struct http_core *c, const char *text, struct err *e)
{
    union address a;
    socklen_t n = 0;
    int on = 1, given = listen_fds_take();
    if (given >= 0)
        return take_over(c, given, e);
    TRY(parse(text, &a, &n, e));
    TRY(check_reach(c, &a, text, e));
    c->listen_fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listen_fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot make a socket");
    (void)setsockopt(c->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a.any.sa_family == AF_INET6)
        (void)setsockopt(c->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(c->listen_fd, &a.any, n) != 0 || listen(c->listen_fd, BACKLOG) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot listen at %.60s", text);
    if (getsockname(c->listen_fd, &a.any, &n) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot tell where it listens");
    name_of(c, &a);
    return ERR_OK;
}

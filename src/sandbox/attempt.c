/* attempt.c - tries every way to the network that the filter should have closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

static const struct {
    const char *what;
    int family, type;
} sockets[] = {
    {"socket(AF_INET, SOCK_STREAM)", AF_INET, SOCK_STREAM},
    {"socket(AF_INET, SOCK_DGRAM)", AF_INET, SOCK_DGRAM},
    {"socket(AF_INET6, SOCK_STREAM)", AF_INET6, SOCK_STREAM},
    {"socket(AF_INET6, SOCK_DGRAM)", AF_INET6, SOCK_DGRAM},
    {"socket(AF_INET, SOCK_RAW)", AF_INET, SOCK_RAW},
    {"socket(AF_PACKET, SOCK_RAW)", AF_PACKET, SOCK_RAW},
    {"socket(AF_NETLINK, SOCK_RAW)", AF_NETLINK, SOCK_RAW},
    {"socket(AF_VSOCK, SOCK_STREAM)", AF_VSOCK, SOCK_STREAM},
    {"socket(AF_BLUETOOTH, SOCK_RAW)", AF_BLUETOOTH, SOCK_RAW},
};

static struct sandbox_attempt attempt(const char *what, long rc)
{
    struct sandbox_attempt a = {.what = what, .refused = rc < 0, .sys = rc < 0 ? errno : 0};
    if (rc >= 0)
        (void)close((int)rc);
    return a;
}

/* An address that no network routes (RFC 5737), so that an open door lets nothing out either. */
static struct sandbox_attempt try_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sandbox_attempt a = {.what = "connect(192.0.2.1:443)"};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(0xC0000201u);
    if (fd < 0 ||
        (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        a.refused = fd < 0 || errno == EACCES || errno == EPERM;
        a.sys = errno;
    }
    if (fd >= 0)
        (void)close(fd);
    return a;
}

int sandbox_try_network(struct sandbox_attempt out[SANDBOX_MAX_ATTEMPTS])
{
    unsigned char params[120] = {0}; /* struct io_uring_params */
    int n = 0;
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
        out[n++] =
            attempt(sockets[i].what, socket(sockets[i].family, sockets[i].type | SOCK_CLOEXEC, 0));
    out[n++] = try_connect();
    out[n++] = attempt("io_uring_setup", syscall(SYS_io_uring_setup, 1, params));
    return n;
}

#include "child/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "child/shared.h"

struct head {
    uint32_t type, bytes, is_shared;
};

enum { INLINE_BYTES = WIRE_PACKET_BYTES - (int)sizeof(struct head) };

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE((WIRE_MAX_FDS + 1) * sizeof(int))];
};

enum err_code wire_pair(int out[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out) != 0)
        return err_set_sys(e, ERR_IO, errno, "no socket for another process");
    return ERR_OK;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static void put_fds(struct msghdr *h, union control *c, const int *fds, int n)
{
    if (n == 0)
        return;
    memset(c, 0, sizeof *c);
    h->msg_control = c->bytes;
    h->msg_controllen = CMSG_SPACE((size_t)n * sizeof *fds);
    struct cmsghdr *m = CMSG_FIRSTHDR(h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_RIGHTS;
    m->cmsg_len = CMSG_LEN((size_t)n * sizeof *fds);
    memcpy(CMSG_DATA(m), fds, (size_t)n * sizeof *fds);
}

static enum err_code send_packet(int socket, const struct wire_out *m, struct str body,
                                 const int *fds, int n_fds, struct err *e)
{
    union control c;
    struct head head = {
        .type = m->type, .bytes = (uint32_t)m->body.n, .is_shared = body.n != m->body.n};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)(uintptr_t)body.p, body.n}};
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = body.n ? 2 : 1};
    put_fds(&h, &c, fds, n_fds);
    for (;;) {
        if (sendmsg(socket, &h, MSG_NOSIGNAL | (m->wait ? 0 : MSG_DONTWAIT)) >= 0)
            return ERR_OK;
        if (errno == EAGAIN)
            return err_set(e, ERR_BUSY, "the other process takes no messages");
        if (errno == EPIPE || errno == ECONNRESET)
            return err_set(e, ERR_NOTFOUND, "the other process is gone");
        if (errno != EINTR)
            return err_set_sys(e, ERR_IO, errno, "cannot send a message");
    }
}

enum err_code wire_send(int socket, const struct wire_out *m, struct err *e)
{
    int fds[WIRE_MAX_FDS + 1], n = 0;
    if (m->body.n > WIRE_MAX_BYTES || m->n_fds > WIRE_MAX_FDS)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes and %d descriptors is too large",
                       m->body.n, m->n_fds);
    struct str body = m->body;
    if (body.n > INLINE_BYTES) {
        TRY(shared_put(body, &fds[n], e));
        n++;
        body.n = 0;
    }
    if (m->n_fds)
        memcpy(fds + n, m->fds, (size_t)m->n_fds * sizeof *fds);
    enum err_code rc = send_packet(socket, m, body, fds, n + m->n_fds, e);
    if (n)
        (void)close(fds[0]);
    return rc;
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

struct packet {
    struct head head;
    char body[INLINE_BYTES];
};

static int take_fds(struct msghdr *h, int fds[WIRE_MAX_FDS + 1])
{
    int n = 0;
    for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(m) + i * sizeof fd, sizeof fd);
            if (n <= WIRE_MAX_FDS)
                fds[n++] = fd;
            else
                (void)close(fd);
        }
    }
    return n;
}

static enum err_code read_packet(int socket, struct packet *p, size_t *n, int *flags,
                                 int fds[WIRE_MAX_FDS + 1], int *n_fds, struct err *e)
{
    union control c;
    struct iovec part = {p, sizeof *p};
    struct msghdr h = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof c};
    ssize_t got;
    do
        got = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return err_set(e, ERR_NOTFOUND, "the other process is gone");
    if (got < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot receive a message");
    *n = (size_t)got;
    *flags = h.msg_flags;
    *n_fds = take_fds(&h, fds);
    return ERR_OK;
}

static enum err_code copy_body(struct str body, struct wire_message *out, struct err *e)
{
    out->copy = mem_try_strndup(body.p, body.n);
    if (!out->copy)
        return err_set(e, ERR_NOMEM, "no memory for a message of %zu bytes", body.n);
    out->body = (struct str){out->copy, body.n};
    return ERR_OK;
}

static enum err_code unpack(const struct packet *p, size_t n, int first_fd,
                            struct wire_message *out, struct err *e)
{
    if (n < sizeof p->head || p->head.bytes > WIRE_MAX_BYTES || p->head.is_shared > 1)
        return err_set(e, ERR_FORMAT, "a message of %zu bytes has no sound head", n);
    out->type = p->head.type;
    if (!p->head.is_shared) {
        if (n - sizeof p->head != p->head.bytes)
            return err_set(e, ERR_FORMAT, "a message has %zu bytes and says %u", n - sizeof p->head,
                           p->head.bytes);
        return copy_body((struct str){p->body, p->head.bytes}, out, e);
    }
    struct shared_area a;
    if (n != sizeof p->head || first_fd < 0)
        return err_set(e, ERR_FORMAT, "a message says that its body is elsewhere, and it is not");
    TRY(shared_map(first_fd, p->head.bytes, &a, e));
    enum err_code rc = copy_body((struct str){(const char *)a.p, a.n}, out, e);
    shared_unmap(&a);
    return rc;
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

enum err_code wire_receive(int socket, struct wire_message *out, struct err *e)
{
    int fds[WIRE_MAX_FDS + 1], n_fds = 0, flags = 0;
    size_t n = 0;
    *out = (struct wire_message){0};
    struct packet *p = mem_alloc(sizeof *p);
    enum err_code rc = read_packet(socket, p, &n, &flags, fds, &n_fds, e);
    if (rc == ERR_OK && (flags & (MSG_TRUNC | MSG_CTRUNC)))
        rc = err_set(e, ERR_FORMAT, "a message was too large");
    if (rc == ERR_OK)
        rc = unpack(p, n, n_fds ? fds[0] : -1, out, e);
    int own = rc == ERR_OK && p->head.is_shared;
    if (rc == ERR_OK && n_fds - own > WIRE_MAX_FDS)
        rc = err_set(e, ERR_FORMAT, "a message brings too many descriptors");
    if (rc != ERR_OK) {
        close_all(fds, n_fds);
        mem_free(out->copy);
        *out = (struct wire_message){0};
    } else {
        close_all(fds, own);
        out->n_fds = n_fds - own;
        memcpy(out->fds, fds + own, (size_t)out->n_fds * sizeof *fds);
    }
    mem_free(p);
    return rc;
}

int wire_take_fd(struct wire_message *m, int i)
{
    if (i < 0 || i >= m->n_fds)
        return -1;
    int fd = m->fds[i];
    m->fds[i] = -1;
    return fd;
}

void wire_message_deinit(struct wire_message *m)
{
    close_all(m->fds, m->n_fds);
    mem_free(m->copy);
    *m = (struct wire_message){0};
}

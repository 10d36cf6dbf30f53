/* sandbox.c - a seccomp filter, fewer capabilities, and Landlock's network rules where the kernel has them.
 *
 * The filter lists what is refused and allows the rest: drivers of graphics processors call what they like,
 * and the promise is about the network only. sendto and its kin are refused with MSG_FASTOPEN, which connects
 * without connect(). connect() itself cannot be judged by a filter (the address lies behind a pointer), which
 * matters for one case: a listening socket may be disconnected and connected elsewhere. Landlock closes it.
 */
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter.h"

/* ---- capabilities ---------------------------------------------------------------------------------- */

/* What root keeps: files of other people in mounted folders, locked memory, priorities. */
static const unsigned kept_capabilities[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                                             CAP_FOWNER, CAP_IPC_LOCK,     CAP_SYS_NICE};

static enum err_code drop_capabilities(struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    uint32_t keep[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, sets) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "cannot read the process's capabilities");
    for (size_t i = 0; i < sizeof kept_capabilities / sizeof kept_capabilities[0]; i++)
        keep[CAP_TO_INDEX(kept_capabilities[i])] |= CAP_TO_MASK(kept_capabilities[i]);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].effective &= keep[i];
        sets[i].permitted &= keep[i];
        sets[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, sets) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "cannot give up capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "cannot give up new privileges");
    return ERR_OK;
}

/* ---- Landlock -------------------------------------------------------------------------------------- */

/* From <linux/landlock.h> of Linux 6.7; older headers lack the second member and the two rights. */
struct landlock_rules {
    uint64_t handled_access_fs, handled_access_net;
};
enum { LANDLOCK_BIND_TCP = 1, LANDLOCK_CONNECT_TCP = 2, LANDLOCK_VERSION_FLAG = 1 };
enum { LANDLOCK_NETWORK_ABI = 4 };
#ifndef SYS_landlock_create_ruleset
enum { SYS_landlock_create_ruleset = 444, SYS_landlock_restrict_self = 446 };
#endif

int sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    return abi >= LANDLOCK_NETWORK_ABI ? (int)abi : 0;
}

/* A second barrier, where the kernel has it. */
static void landlock_no_tcp(void)
{
    struct landlock_rules r = {.handled_access_net = LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP};
    if (sandbox_landlock_abi() == 0)
        return;
    long fd = syscall(SYS_landlock_create_ruleset, &r, sizeof r, 0);
    if (fd < 0)
        return;
    (void)syscall(SYS_landlock_restrict_self, (int)fd, 0);
    (void)close((int)fd);
}

/* ---- seccomp --------------------------------------------------------------------------------------- */

/* A kernel or libseccomp that does not know a call of the list cannot be asked for it either. */
static int refuse(scmp_filter_ctx ctx, int sys, int call)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((unsigned)sys), call, 0);
    return rc == -EDOM ? 0 : rc;
}

/* libseccomp's own macros for this are no standard C. */
static struct scmp_arg_cmp condition(unsigned arg, enum scmp_compare op, uint32_t a, uint32_t b)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = op, .datum_a = a, .datum_b = b};
}

static int refuse_families(scmp_filter_ctx ctx, enum sandbox_network network)
{
    const uint32_t no = SCMP_ACT_ERRNO(EACCES);
    int rc = 0;
    if (network == SANDBOX_OFFLINE) {
        rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1, condition(0, SCMP_CMP_NE, AF_UNIX, 0));
    } else {
        /* libseccomp takes one condition an argument; the last rule is for what later kernels add. */
        for (unsigned family = 0; rc == 0 && family < AF_MAX; family++)
            if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
                rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1,
                                      condition(0, SCMP_CMP_EQ, family, 0));
        if (rc == 0)
            rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1,
                                  condition(0, SCMP_CMP_GE, AF_MAX, 0));
    }
    if (rc == 0)
        rc = seccomp_rule_add(ctx, no, SCMP_SYS(socketpair), 1,
                              condition(0, SCMP_CMP_NE, AF_UNIX, 0));
    return rc;
}

static int refuse_fast_open(scmp_filter_ctx ctx)
{
    const struct scmp_arg_cmp third = condition(2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN);
    const struct scmp_arg_cmp fourth = condition(3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN);
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(sendto), 1, &fourth);
    if (rc == 0)
        rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(sendmsg), 1, &third);
    if (rc == 0)
        rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(sendmmsg), 1, &fourth);
    return rc;
}

static int add_rules(scmp_filter_ctx ctx, enum sandbox_network network)
{
    static const int calls[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
                                SCMP_SYS(io_uring_register), SCMP_SYS(pidfd_getfd)};
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Calls of another architecture (32 bits, x32) would walk around the numbers above. */
    if (rc == 0)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    if (rc == 0)
        rc = refuse_families(ctx, network);
    if (rc == 0 && network == SANDBOX_OFFLINE)
        rc = refuse_fast_open(ctx);
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof calls[0]; i++)
        rc = refuse(ctx, EPERM, calls[i]);
    return rc;
}

enum err_code sandbox_drop_network(enum sandbox_network network, struct err *e)
{
    enum err_code rc = drop_capabilities(e);
    if (rc != ERR_OK)
        return rc;
    if (network == SANDBOX_OFFLINE)
        landlock_no_tcp();
    scmp_filter_ctx ctx;
    TRY(filter_new(SCMP_ACT_ALLOW, &ctx, e));
    return filter_load(ctx, add_rules(ctx, network), e);
}

/* ---- trying it ------------------------------------------------------------------------------- */

/* Tries every way to the network that the filter should have closed. */

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

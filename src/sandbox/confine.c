/* confine.c - what a process gives up that works for another one, beside the network: files by Landlock's rules, and
 * by a second filter of system calls all that reaches other processes.
 *
 * Landlock takes rights by what they do to a folder's contents; a rule for a file may only name those that make sense for
 * one. Rights to start programs are handled and given to nobody; libraries are mapped, which is another thing. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "sandbox/sandbox.h"

/* ---- files --------------------------------------------------------------------------------------------------- */

/* From <linux/landlock.h>, so that older headers do. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_FIRST_ABI = (1 << 13) - 1, /* all of them */
    FS_REFER = 1 << 13,           /* second */
    FS_TRUNCATE = 1 << 14,        /* third */
    READING = FS_READ_FILE | FS_READ_DIR,
    WRITING = READING | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE,
    OF_A_FILE = FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE,
};
enum { LANDLOCK_VERSION = 1, LANDLOCK_PATH_BENEATH = 1 };
enum { CALL_CREATE_RULESET = 444, CALL_ADD_RULE = 445, CALL_RESTRICT_SELF = 446 };

struct ruleset {
    uint64_t handled_fs, handled_net;
};
struct beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static enum err_code allow(int rules, uint64_t rights, const char *path, struct err *e)
{
    struct stat st;
    struct beneath b = {.allowed = rights, .fd = open(path, O_PATH | O_CLOEXEC)};
    if (b.fd < 0)
        return ERR_OK;
    if (fstat(b.fd, &st) == 0 && !S_ISDIR(st.st_mode))
        b.allowed &= OF_A_FILE;
    long rc = syscall(CALL_ADD_RULE, rules, LANDLOCK_PATH_BENEATH, &b, 0);
    int kept = errno;
    (void)close(b.fd);
    return rc == 0 ? ERR_OK
                   : err_set_sys(e, ERR_DEVICE, kept, "'%.300s' cannot be kept readable", path);
}

static enum err_code add_rules(int rules, uint64_t handled, const struct sandbox_rights *r,
                               struct err *e)
{
    for (size_t i = 0; i < r->n_read; i++)
        TRY(allow(rules, READING & handled, r->read[i], e));
    for (size_t i = 0; i < r->n_write; i++)
        TRY(allow(rules, WRITING & handled, r->write[i], e));
    if (syscall(CALL_RESTRICT_SELF, rules, 0) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "files cannot be given up");
    return ERR_OK;
}

enum err_code sandbox_confine_files(const struct sandbox_rights *kept, bool *done, struct err *e)
{
    long abi = syscall(CALL_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION);
    *done = abi > 0;
    if (abi <= 0)
        return ERR_OK;
    struct ruleset r = {.handled_fs =
                            FS_FIRST_ABI | (abi > 1 ? FS_REFER : 0) | (abi > 2 ? FS_TRUNCATE : 0)};
    int rules = (int)syscall(CALL_CREATE_RULESET, &r, sizeof r.handled_fs, 0);
    if (rules < 0)
        return err_set_sys(e, ERR_DEVICE, errno, "files cannot be given up");
    enum err_code rc = add_rules(rules, r.handled_fs, kept, e);
    (void)close(rules);
    return rc;
}

/* ---- other processes ----------------------------------------------------------------------------------------- */

/* A call that this libseccomp does not know cannot be asked for by its name either. */
static int refuse(scmp_filter_ctx ctx, int call)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0);
    return rc == -EDOM ? 0 : rc;
}

/* Threads may start, processes may not. The C library asks with clone3 first, whose flags no filter can see, and takes
 * clone when there is none. */
static int refuse_processes(scmp_filter_ctx ctx)
{
    const struct scmp_arg_cmp no_thread = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0};
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &no_thread);
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = refuse(ctx, SCMP_SYS(fork));
    return rc == 0 ? refuse(ctx, SCMP_SYS(vfork)) : rc;
}

static int refuse_all(scmp_filter_ctx ctx, bool sockets_stay)
{
    static const int calls[] = {SCMP_SYS(execve),
                                SCMP_SYS(execveat),
                                SCMP_SYS(ptrace),
                                SCMP_SYS(kcmp),
                                SCMP_SYS(process_vm_readv),
                                SCMP_SYS(process_vm_writev),
                                SCMP_SYS(pidfd_open),
                                SCMP_SYS(pidfd_send_signal),
                                SCMP_SYS(pidfd_getfd),
                                SCMP_SYS(process_madvise),
                                SCMP_SYS(mount),
                                SCMP_SYS(umount2),
                                SCMP_SYS(pivot_root),
                                SCMP_SYS(chroot),
                                SCMP_SYS(unshare),
                                SCMP_SYS(setns),
                                SCMP_SYS(bpf),
                                SCMP_SYS(userfaultfd),
                                SCMP_SYS(perf_event_open),
                                SCMP_SYS(keyctl),
                                SCMP_SYS(add_key),
                                SCMP_SYS(request_key),
                                SCMP_SYS(bind),
                                SCMP_SYS(listen),
                                SCMP_SYS(accept),
                                SCMP_SYS(accept4)};
    static const int sockets[] = {SCMP_SYS(socket), SCMP_SYS(connect)};
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = refuse_processes(ctx);
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof calls[0]; i++)
        rc = refuse(ctx, calls[i]);
    for (size_t i = 0; rc == 0 && !sockets_stay && i < 2; i++)
        rc = refuse(ctx, sockets[i]);
    return rc;
}

static enum err_code confine_calls(bool sockets_stay, struct err *e)
{
    scmp_filter_ctx ctx;
    TRY(filter_new(SCMP_ACT_ALLOW, &ctx, e));
    return filter_load(ctx, refuse_all(ctx, sockets_stay), e);
}

enum err_code sandbox_confine(const struct sandbox_rights *r, enum sandbox_network network,
                              bool *files, struct err *e)
{
    *files = false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "cannot give up new privileges");
    TRY(sandbox_confine_files(r, files, e));
    return confine_calls(r->local_sockets || network == SANDBOX_RPC, e);
}

/* compute.c - a process that only computes: a list of the system calls that it may still make, which is short enough to
 * be read. What is open stays usable, so that descriptors that it was handed are all that it has. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "sandbox/sandbox.h"

/* fstat is newfstatat of a descriptor in newer C libraries. */
static const int allowed[] = {
    /* what is open */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(ftruncate),
    SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(memfd_create),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(membarrier),
    /* threads */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* signals to itself */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    /* time, chance, and what may be spent */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit)};

/* A call that is allowed when this holds of an argument. */
static const struct {
    int call;
    struct scmp_arg_cmp when;
} conditions[] = {
    {SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
    {SCMP_SYS(newfstatat), {3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0}},
    {SCMP_SYS(prlimit64), {0, SCMP_CMP_EQ, 0, 0}},
    {SCMP_SYS(fcntl), {1, SCMP_CMP_EQ, F_ADD_SEALS, 0}},
    {SCMP_SYS(fcntl), {1, SCMP_CMP_EQ, F_GET_SEALS, 0}},
    {SCMP_SYS(fcntl), {1, SCMP_CMP_EQ, F_GETFD, 0}},
    {SCMP_SYS(fcntl), {1, SCMP_CMP_EQ, F_GETFL, 0}},
};

/* A call that an architecture does not have cannot be made there. */
static int allow(scmp_filter_ctx ctx, int call, const struct scmp_arg_cmp *when)
{
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, when ? 1 : 0, when);
    return rc == -EDOM ? 0 : rc;
}

static int allow_all(scmp_filter_ctx ctx)
{
    /* A crash ends it by a signal to itself; clone3 hides what it starts, and clone is taken where there is none. */
    const struct scmp_arg_cmp own = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
        rc = allow(ctx, allowed[i], NULL);
    for (size_t i = 0; rc == 0 && i < sizeof conditions / sizeof conditions[0]; i++)
        rc = allow(ctx, conditions[i].call, &conditions[i].when);
    if (rc == 0)
        rc = allow(ctx, SCMP_SYS(tgkill), &own);
    return rc == 0 ? seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) : rc;
}

enum err_code sandbox_compute(struct err *e)
{
    const struct sandbox_rights none = {0};
    bool files = false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set_sys(e, ERR_DEVICE, errno, "cannot give up new privileges");
    TRY(sandbox_confine_files(&none, &files, e)); /* a second barrier, where the kernel has it */
    scmp_filter_ctx ctx;
    TRY(filter_new(SCMP_ACT_ERRNO(EPERM), &ctx, e));
    return filter_load(ctx, allow_all(ctx), e);
}

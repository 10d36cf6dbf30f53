/* The filter has no way back, so every case runs in a child of its own; the child's exit code is the result. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/sandbox.h"

/* Runs fn in a child; 0 is success, anything else the line that failed. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define NEED(n, condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return n;                                                                              \
    } while (0)

static int drop(void)
{
    struct err e = {0};
    if (sandbox_drop_network(SANDBOX_OFFLINE, &e) == ERR_OK)
        return 0;
    fprintf(stderr, "%s\n", e.text);
    return 1;
}

static int refused(int family)
{
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0)
        (void)close(fd);
    return fd < 0 && errno == EACCES;
}

static int child_families(void)
{
    NEED(1, drop() == 0);
    NEED(2, refused(AF_INET));
    NEED(3, refused(AF_INET6));
    NEED(4, refused(AF_PACKET));
    NEED(5, refused(AF_NETLINK));
    NEED(6, refused(0));
    NEED(7, refused(AF_MAX + 3));
    NEED(8, refused(-1));
    return 0;
}

static void inet_sockets_are_refused_when_dropped(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_families), 0);
}

static int child_attempts(void)
{
    struct sandbox_attempt a[SANDBOX_MAX_ATTEMPTS];
    NEED(1, drop() == 0);
    int n = sandbox_try_network(a);
    NEED(2, n > 5 && n <= SANDBOX_MAX_ATTEMPTS);
    for (int i = 0; i < n; i++)
        NEED(10 + i, a[i].refused && (a[i].sys == EACCES || a[i].sys == EPERM));
    return 0;
}

static void every_attempt_is_refused_when_dropped(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_attempts), 0);
}

static int child_open_ones(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET}, to;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t size = sizeof at;
    char c = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NEED(1, listener >= 0 && client >= 0);
    NEED(2, bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 4) == 0);
    NEED(3, getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    NEED(4, connect(client, (struct sockaddr *)&at, sizeof at) == 0);
    NEED(5, drop() == 0);
    int served = accept(listener, NULL, NULL);
    NEED(6, served >= 0);
    NEED(7, write(client, "x", 1) == 1 && read(served, &c, 1) == 1 && c == 'x');
    int pair[2];
    NEED(8, socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    NEED(9, socket(AF_UNIX, SOCK_DGRAM, 0) >= 0);
    if (sandbox_landlock_abi() == 0)
        return 0;
    /* A listening socket may be turned round; Landlock knows. */
    to = at;
    to.sin_port = htons(9);
    (void)connect(listener, &none, sizeof none);
    NEED(10, connect(listener, (struct sockaddr *)&to, sizeof to) != 0 && errno == EACCES);
    return 0;
}

static void open_sockets_go_on_when_dropped(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_open_ones), 0);
}

static int gate[2];

static void *wait_and_try(void *result)
{
    char c;
    *(int *)result = read(gate[0], &c, 1) == 1 && refused(AF_INET);
    return NULL;
}

static int child_threads(void)
{
    pthread_t before, after;
    int seen[2] = {0, 0};
    NEED(1, pipe(gate) == 0);
    NEED(2, pthread_create(&before, NULL, wait_and_try, &seen[0]) == 0);
    NEED(3, drop() == 0);
    NEED(4, pthread_create(&after, NULL, wait_and_try, &seen[1]) == 0);
    NEED(5, write(gate[1], "xx", 2) == 2);
    NEED(6, pthread_join(before, NULL) == 0 && pthread_join(after, NULL) == 0);
    return seen[0] && seen[1] ? 0 : 7;
}

static void threads_are_bound_when_they_ran_before(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_threads), 0);
}

static int child_privileges(void)
{
    unsigned long long effective = ~0ull;
    char line[256];
    NEED(1, drop() == 0);
    NEED(2, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    FILE *f = fopen("/proc/self/status", "r");
    NEED(3, f != NULL);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "CapEff:", 7) == 0)
            effective = strtoull(line + 7, NULL, 16);
    (void)fclose(f);
    /* Neither NET_ADMIN, NET_RAW, NET_BIND_SERVICE nor SYS_ADMIN, SYS_PTRACE. */
    NEED(4, (effective & (1ull << 10 | 1ull << 12 | 1ull << 13 | 1ull << 19 | 1ull << 21)) == 0);
    return 0;
}

static void privileges_are_gone_when_dropped(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_privileges), 0);
}

static int child_twice(void)
{
    NEED(1, drop() == 0);
    NEED(2, drop() == 0);
    return refused(AF_INET) ? 0 : 3;
}

static void dropping_again_is_harmless_when_dropped(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_twice), 0);
}

static int child_rpc(void)
{
    struct err e = {0};
    NEED(1, sandbox_drop_network(SANDBOX_RPC, &e) == ERR_OK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    NEED(2, fd >= 0);
    NEED(3, refused(AF_PACKET));
    return 0;
}

static void only_inet_stays_when_rpc_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_rpc), 0);
}

static int child_inherits(void)
{
    NEED(1, drop() == 0);
    return in_child(child_families) == 0 ? 0 : 2;
}

static void children_are_bound_when_the_parent_is(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_inherits), 0);
}

static void *add_one(void *n)
{
    ++*(int *)n;
    return NULL;
}

/* What a decoder needs goes on, and nothing else does. */
static int compute_only(void)
{
    struct err e = {0};
    pthread_t t;
    char byte = 1;
    int n = 0, ends[2];
    const pid_t parent = getppid();
    NEED(1, pipe(ends) == 0);
    NEED(2, sandbox_compute(&e) == ERR_OK);
    char *p = malloc(1 << 24);
    NEED(3, p);
    memset(p, 1, 1 << 24);
    free(p);
    NEED(4, pthread_create(&t, NULL, add_one, &n) == 0 && pthread_join(t, NULL) == 0 && n == 1);
    NEED(5, write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1);
    int area = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    NEED(6, area >= 0 && ftruncate(area, 4096) == 0 && fcntl(area, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    NEED(7, open("/proc/self/maps", O_RDONLY) < 0 && errno == EPERM);
    NEED(8, open("/usr/lib", O_RDONLY | O_DIRECTORY) < 0 && errno == EPERM);
    NEED(9, socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    NEED(10, kill(parent, 0) < 0 && errno == EPERM);
    NEED(11, syscall(SYS_tgkill, parent, parent, 0) < 0 && errno == EPERM);
    NEED(12, fork() < 0 && errno == EPERM);
    NEED(13, execl("/bin/true", "true", (char *)NULL) < 0 && errno == EPERM);
    NEED(14, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                     MAP_FAILED &&
                 errno == EPERM);
    NEED(15, fcntl(area, F_SETOWN, parent) < 0 && errno == EPERM);
    NEED(16, prctl(PR_SET_PDEATHSIG, 0) < 0 && errno == EPERM);
    return 0;
}

static void only_computing_is_left(void **state)
{
    (void)state;
    assert_int_equal(in_child(compute_only), 0);
}

/* Its own signals still end it. */
static int compute_and_abort(void)
{
    struct err e = {0};
    NEED(1, sandbox_compute(&e) == ERR_OK);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

static void it_can_still_crash(void **state)
{
    (void)state;
    assert_int_equal(in_child(compute_and_abort), -SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inet_sockets_are_refused_when_dropped),
        cmocka_unit_test(every_attempt_is_refused_when_dropped),
        cmocka_unit_test(open_sockets_go_on_when_dropped),
        cmocka_unit_test(threads_are_bound_when_they_ran_before),
        cmocka_unit_test(privileges_are_gone_when_dropped),
        cmocka_unit_test(dropping_again_is_harmless_when_dropped),
        cmocka_unit_test(only_inet_stays_when_rpc_is_asked_for),
        cmocka_unit_test(children_are_bound_when_the_parent_is),
        cmocka_unit_test(only_computing_is_left),
        cmocka_unit_test(it_can_still_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

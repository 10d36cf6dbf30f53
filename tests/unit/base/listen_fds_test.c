/* What a service manager hands over. The descriptor is always 3, so each case runs in a child. */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/listen_fds.h"

enum { FIRST_FD = 3, FAILED = 100 };

static void put_environment(pid_t pid)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%ld", (long)pid);
    (void)setenv("LISTEN_PID", text, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
}

static int put_socket(int type, int listens)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, type, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        (listens && listen(fd, 4) != 0))
        return -1;
    return fd == FIRST_FD ? fd : dup2(fd, FIRST_FD);
}

static int run(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

static int child_given(void)
{
    put_environment(getpid());
    if (put_socket(SOCK_STREAM, 1) != FIRST_FD)
        return FAILED;
    int fd = listen_fds_take();
    if (fd != FIRST_FD || getenv("LISTEN_FDS") || listen_fds_take() != -1)
        return 1;
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK) ? 0 : 2;
}

static int child_for_another(void)
{
    put_environment(getppid());
    return put_socket(SOCK_STREAM, 1) == FIRST_FD && listen_fds_take() == -1 ? 0 : 1;
}

static int child_not_listening(void)
{
    put_environment(getpid());
    return put_socket(SOCK_STREAM, 0) == FIRST_FD && listen_fds_take() == -1 ? 0 : 1;
}

static int child_datagrams(void)
{
    put_environment(getpid());
    return put_socket(SOCK_DGRAM, 0) == FIRST_FD && listen_fds_take() == -1 ? 0 : 1;
}

static int child_nothing(void)
{
    return listen_fds_take() == -1 ? 0 : 1;
}

static void a_socket_is_taken_once_when_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(run(child_given), 0);
}

static void nothing_is_taken_when_it_is_no_listening_stream_for_us(void **state)
{
    (void)state;
    assert_int_equal(run(child_for_another), 0);
    assert_int_equal(run(child_not_listening), 0);
    assert_int_equal(run(child_datagrams), 0);
    assert_int_equal(run(child_nothing), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_taken_once_when_it_is_given),
        cmocka_unit_test(nothing_is_taken_when_it_is_no_listening_stream_for_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

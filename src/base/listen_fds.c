/* listen_fds.c - LISTEN_PID says for whom, LISTEN_FDS how many descriptors begin at 3. */
#include "base/listen_fds.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { FIRST_FD = 3 };

static bool number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    return text && str_to_u64(str_from(text), out);
}

static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t n = sizeof type, k = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &k) == 0 && listens;
}

int listen_fds_take(void)
{
    uint64_t pid = 0, count = 0;
    bool ours = number("LISTEN_PID", &pid) && pid == (uint64_t)getpid() &&
                number("LISTEN_FDS", &count) && count > 0 && is_listening(FIRST_FD);
    /* Child processes must not take the descriptors for theirs. */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (!ours)
        return -1;
    (void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
    (void)fcntl(FIRST_FD, F_SETFL, fcntl(FIRST_FD, F_GETFL) | O_NONBLOCK);
    return FIRST_FD;
}

#include "base/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum err_code file_lock(int at, const char *path, mode_t mode, bool wait, int *fd, struct err *e)
{
    enum err_code rc = ERR_OK;
    *fd = openat(at, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (*fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    while (rc == ERR_OK && flock(*fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            rc = err_set(e, ERR_BUSY, "another process holds '%s'", path);
        else if (errno != EINTR)
            rc = err_set_sys(e, ERR_IO, errno, "cannot lock '%s'", path);
    }
    if (rc == ERR_OK)
        return rc;
    close(*fd);
    *fd = -1;
    return rc;
}

void file_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}

#include "child/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static enum err_code fill(int fd, struct str bytes, struct err *e)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set_sys(e, ERR_NOMEM, errno, "no shared memory of %zu bytes", bytes.n);
        bytes = str_skip(bytes, (size_t)n);
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        return err_set_sys(e, ERR_IO, errno, "shared memory cannot be sealed");
    return ERR_OK;
}

enum err_code shared_put(struct str bytes, int *fd, struct err *e)
{
    *fd = memfd_create("veetance", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return err_set_sys(e, ERR_NOMEM, errno, "no shared memory");
    enum err_code rc = fill(*fd, bytes, e);
    if (rc != ERR_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return rc;
}

enum err_code shared_map(int fd, size_t n, struct shared_area *out, struct err *e)
{
    struct stat st;
    *out = (struct shared_area){0};
    int seals = fcntl(fd, F_GET_SEALS); /* -1 for all that is no such file */
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0)
        return err_set(e, ERR_FORMAT, "what came as shared memory is none, or is not sealed");
    if (n == 0 || st.st_size < 0 || (uintmax_t)st.st_size != n)
        return err_set(e, ERR_FORMAT, "shared memory of %zu bytes was announced, it has %jd", n,
                       (intmax_t)st.st_size);
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_set_sys(e, ERR_NOMEM, errno, "cannot map %zu bytes of shared memory", n);
    *out = (struct shared_area){p, n};
    return ERR_OK;
}

void shared_unmap(struct shared_area *a)
{
    if (a->p)
        (void)munmap((void *)(uintptr_t)a->p, a->n);
    *a = (struct shared_area){0};
}

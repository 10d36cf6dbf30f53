#include "base/random.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

enum err_code random_bytes(void *out, size_t n, struct err *e)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR)
            return err_set_sys(e, ERR_IO, errno, "the system gives no random numbers");
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return ERR_OK;
}

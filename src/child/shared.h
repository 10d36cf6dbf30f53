/* shared.h - bytes that one process hands to another without copying them through a socket: a file in memory, without a
 * name and gone with the last descriptor, sealed before it is sent. Sealed means that nobody can change, shrink or grow
 * it any more, so that the receiver reads what it checked, and no read of it can end in a signal. */
#ifndef VT_CHILD_SHARED_H
#define VT_CHILD_SHARED_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct shared_area {
    const unsigned char *p; /* NULL: none */
    size_t n;
};

/* A sealed copy of the bytes (at least one). The caller closes *fd. */
ERR_MUST_CHECK enum err_code shared_put(struct str bytes, int *fd, struct err *e);
/* ERR_FORMAT unless fd is such an area of exactly n bytes, with every seal. fd stays the caller's and may be closed.
 * The caller unmaps. */
ERR_MUST_CHECK enum err_code shared_map(int fd, size_t n, struct shared_area *out, struct err *e);
/* Accepts an empty one. */
void shared_unmap(struct shared_area *a);

#endif

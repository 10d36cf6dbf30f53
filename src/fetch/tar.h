/* tar.h - just enough of the tar format (POSIX ustar with pax records) for bundles that any tar can open.
 *
 * Written: a header of 512 bytes, the bytes, zeros up to the next 512; before it, for names over 100 bytes and
 * sizes from 8 GiB on, a header of type 'x' whose bytes are lines "LENGTH key=value\n" (path, size). At the end
 * two blocks of zeros.
 *
 * Read: the same, plus sizes in base 256 as GNU tar writes them and folders, which are passed over. Everything
 * else (links, devices, sparse files, other extensions) is refused: a bundle has none. Names are the caller's
 * to judge (path_check). */
#ifndef VT_FETCH_TAR_H
#define VT_FETCH_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { TAR_BLOCK = 512, TAR_NAME_BYTES = 1024, TAR_MAX_PAX_BYTES = 64 << 10 };

/* Up to n bytes, 0 at the end of the input; an error ends the reading. */
typedef enum err_code (*tar_read_fn)(void *user, void *p, size_t n, size_t *got, struct err *e);

struct tar_reader {
    tar_read_fn read;
    void *user;
    uint64_t left;    /* of the entry's bytes */
    uint64_t padding; /* after them */
};

struct tar_entry {
    char name[TAR_NAME_BYTES];
    uint64_t size;
};

void tar_reader_init(struct tar_reader *r, tar_read_fn read, void *user);
/* The next regular file; what is left of the one before is passed over. *end: there is none. */
ERR_MUST_CHECK enum err_code tar_next(struct tar_reader *r, struct tar_entry *out, bool *end,
                                      struct err *e);
/* Bytes of the entry; *got 0 at its end. An input that stops in the middle is an error. */
ERR_MUST_CHECK enum err_code tar_read(struct tar_reader *r, void *p, size_t n, size_t *got,
                                      struct err *e);

/* Appends what comes before an entry's bytes, after them, and at the end of all. */
void tar_put_header(struct buf *b, const char *name, uint64_t size);
size_t tar_padding(uint64_t size);
enum { TAR_END_BYTES = 2 * TAR_BLOCK };

#endif

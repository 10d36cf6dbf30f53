/* segments.h - which blocks of a file are on the disk already: what a download that was killed goes on with.
 *
 * The state file, all numbers little-endian:
 *
 *     bytes  what
 *     8      "VTFETCH1"
 *     8      size of the file
 *     8      block size: a power of two, 64 KiB to 64 MiB
 *     2      n, length of the identity
 *     n      identity: what the server said the file is ("sha256:...", "git:...", "etag:...")
 *     m      one bit a block, lowest bit first; bits past the last block are 0
 *     32     SHA-256 of everything before
 *
 * The sum at the end makes a torn file an unreadable one, and that only costs a fresh start. A block is
 * marked only after its bytes were flushed, and the whole file is hashed from its first byte before it is
 * published, so a wrong mark cannot become a wrong file. Not thread-safe. */
#ifndef VT_FETCH_SEGMENTS_H
#define VT_FETCH_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { SEGMENTS_IDENTITY_BYTES = 300 };

struct segments {
    uint64_t size, block_bytes;
    size_t count, done; /* blocks in all, blocks marked */
    unsigned char *bits;
    char identity[SEGMENTS_IDENTITY_BYTES];
};

/* A block size that gives a few hundred to a few thousand blocks. */
uint64_t segments_block_for(uint64_t size);
ERR_MUST_CHECK enum err_code segments_init(struct segments *s, uint64_t size, const char *identity,
                                           struct err *e);
void segments_deinit(struct segments *s);
void segments_clear(struct segments *s); /* no block is there */

static inline bool segments_has(const struct segments *s, size_t i)
{
    return s->bits[i / 8] >> (i % 8) & 1;
}

void segments_mark(struct segments *s, size_t i);
/* Bytes from the start of the file without a gap, going on from a block known to be the end so far. */
uint64_t segments_prefix_bytes(const struct segments *s, uint64_t from_bytes);
uint64_t segments_block_start(const struct segments *s, size_t i);
uint64_t segments_block_length(const struct segments *s, size_t i);
uint64_t segments_bytes_done(const struct segments *s);

/* The state file's bytes, appended to out. */
void segments_encode(const struct segments *s, struct buf *out);
/* Caller: segments_deinit after success. */
ERR_MUST_CHECK enum err_code segments_decode(struct str bytes, struct segments *out, struct err *e);

#endif

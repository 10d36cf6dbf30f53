/* git_blob.h - the name that git gives to a file's contents: SHA-1 of "blob SIZE" NUL and the bytes.
 *
 * A hub names its small files (those that are not in large-file storage) by it, in their ETag; that is the
 * only sum there is to check them against. SHA-1 is no defence against a forger; it notices broken bytes. */
#ifndef VT_FETCH_GIT_BLOB_H
#define VT_FETCH_GIT_BLOB_H

#include <stddef.h>
#include <stdint.h>

enum { GIT_BLOB_HEX_BYTES = 41 };

struct git_blob {
    uint32_t h[5];
    uint64_t bytes;
    unsigned char block[64];
};

/* size: of the whole contents that will be added. */
void git_blob_init(struct git_blob *g, uint64_t size);
void git_blob_add(struct git_blob *g, const void *p, size_t n);
void git_blob_end(struct git_blob *g, char out[GIT_BLOB_HEX_BYTES]);

#endif

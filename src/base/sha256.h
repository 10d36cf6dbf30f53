/* sha256.h - SHA-256 (FIPS 180-4), for naming files by what is in them and for comparing downloads.
 *
 *     struct sha256 h;
 *     sha256_init(&h);
 *     sha256_add(&h, p, n); // as often as needed
 *     char hex[SHA256_HEX_SIZE];
 *     sha256_hex(&h, hex);
 *
 * Uses the processor's SHA instructions where it has them. A struct sha256 belongs to one thread. */
#ifndef VT_BASE_SHA256_H
#define VT_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SHA256_BYTES = 32, SHA256_HEX_SIZE = 65 /* with the NUL */ };

struct sha256 {
    uint32_t state[8];
    uint64_t total; /* bytes added */
    unsigned char block[64];
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/* Ends the computation; h must be initialised again before further use. */
void sha256_end(struct sha256 *h, unsigned char out[SHA256_BYTES]);
/* sha256_end, as 64 lower-case digits and a NUL. */
void sha256_hex(struct sha256 *h, char out[SHA256_HEX_SIZE]);
/* Text of that shape. NULL is none. */
bool sha256_is_hex(const char *text);

/* A whole regular file, read piece by piece. */
ERR_MUST_CHECK enum err_code sha256_file(const char *path, char out[SHA256_HEX_SIZE],
                                         struct err *e);

/* The compression function: n blocks of 64 bytes into the state.
 * With the processor's SHA instructions where it has them. */
void sha256_kern(uint32_t state[8], const unsigned char *p, size_t blocks);
void sha256_kern_ref(uint32_t state[8], const unsigned char *p, size_t blocks);

#endif

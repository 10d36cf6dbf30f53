/* sha256_kern.h - the compression function: n blocks of 64 bytes into the state. */
#ifndef VT_BASE_SHA256_KERN_H
#define VT_BASE_SHA256_KERN_H

#include <stddef.h>
#include <stdint.h>

/* With the processor's SHA instructions where it has them. */
void sha256_kern(uint32_t state[8], const unsigned char *p, size_t blocks);
void sha256_kern_ref(uint32_t state[8], const unsigned char *p, size_t blocks);

#endif

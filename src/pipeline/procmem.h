/* procmem.h - what the kernel says this process holds in memory. */
#ifndef VT_PIPELINE_PROCMEM_H
#define VT_PIPELINE_PROCMEM_H

#include <stdint.h>

/* Resident anonymous bytes, and resident bytes of mapped files; 0 where /proc cannot tell. */
void procmem_read(uint64_t *anonymous_bytes, uint64_t *file_bytes);

#endif

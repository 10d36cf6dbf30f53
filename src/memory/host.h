/* host.h - this process's and this machine's memory. */
#ifndef VT_MEMORY_HOST_H
#define VT_MEMORY_HOST_H

#include <stdint.h>

/* Bytes that the kernel can give without swapping; bounded by the control group's limit. 0 when unknown. */
uint64_t host_available_bytes(void);
/* As the files in these folders say, which are /proc and the control group's. */
uint64_t host_available_in(const char *proc, const char *group);

#endif

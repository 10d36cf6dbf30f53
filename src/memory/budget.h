/* budget.h - budgets as text ("16G", "80%"), and how much memory the machine can give and this process holds. */
#ifndef VT_MEMORY_BUDGET_H
#define VT_MEMORY_BUDGET_H

#include "nn/device.h"

#include <stdint.h>

/* "16G", "1.5G", "512M", "64K" (powers of 1024; a final "iB" or "B" is fine), "80%" of the device's whole memory
 * (of the machine's, on the CPU), or plain bytes. At least one byte. */
ERR_MUST_CHECK enum err_code budget_parse(const char *text, const struct nn_device *d,
                                          uint64_t *bytes, struct err *e);

/* A list of budgets is one for all of n devices ("16G"), or one each ("16G,8G"): the text of device i, which may be "". */
ERR_MUST_CHECK enum err_code budget_of_list(const char *list, int i, int n, char *out, size_t size,
                                            struct err *e);

/* "16.00 GiB", "2.50 MiB": rounded up, so that a budget of the printed size is enough. */
struct budget_text {
    char z[24];
};
struct budget_text budget_text(uint64_t bytes);

/* ---- the machine's memory -------------------------------------------------------------------- */

/* Bytes that the kernel can give without swapping; bounded by the control group's limit. 0 when unknown. */
uint64_t host_available_bytes(void);
/* As the files in these folders say, which are /proc and the control group's. */
uint64_t host_available_in(const char *proc, const char *group);

/* ---- this process ---------------------------------------------------------------------------- */

/* Resident anonymous bytes, and resident bytes of mapped files; 0 where /proc cannot tell. */
void procmem_read(uint64_t *anonymous_bytes, uint64_t *file_bytes);
/* What malloc has given out and not got back, whoever asked for it; 0 where the C library does not tell. */
uint64_t procmem_heap_bytes(void);

#endif

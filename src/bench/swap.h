/* swap.h - how fast weights come onto a device with memory of its own. */
#ifndef VT_BENCH_SWAP_H
#define VT_BENCH_SWAP_H

#include "nn/params.h"

struct bench_swap {
    double bytes_per_second;
    uint64_t bytes;      /* on the device */
    uint64_t disk_bytes; /* read from disks meanwhile: none, for weights that were engaged before */
};

/* Releases and engages a parameter set several times; the fastest counts. It was engaged before, and is
 * afterwards. */
ERR_MUST_CHECK enum err_code bench_swap_measure(struct nn_params *ps, struct bench_swap *out,
                                                struct err *e);

#endif

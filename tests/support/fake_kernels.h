/* fake_kernels.h - the kernels in C. */
#ifndef TESTS_SUPPORT_FAKE_KERNELS_H
#define TESTS_SUPPORT_FAKE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "nn/nvidia/kernels.h"

/* What cuTensorMapEncodeTiled was told; in the bytes of a map. */
struct fake_map {
    uint64_t p, dims[3], strides[2];
    uint32_t box[3], steps[3], rank;
    int type; /* CUtensorMapDataType: bytes, float32 or bf16 */
};

enum { FAKE_MAP_BYTES = 0, FAKE_MAP_F32 = 7, FAKE_MAP_BF16 = 9 };

struct fake_grid {
    long long x, y, z;
    int multiprocessors;
};

struct fake_kernel {
    const char *module, *name;
    int architecture, threads, shared;
    size_t params_bytes;
    /* NULL: it was launched as kernels.h says, and has run; else what is wrong. */
    const char *(*run)(const void *params, struct fake_grid grid);
};

extern const struct fake_kernel fake_kernels[];
extern const int fake_kernel_count;

#endif

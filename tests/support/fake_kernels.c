#include "fake_kernels_impl.h"

const struct fake_kernel fake_kernels[] = {
#define NV_KERNEL(module, name, architecture, parameters, threads, shared)                         \
    {#module, #name, architecture, threads, shared, sizeof(struct parameters), run_##name},
    NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL
};
const int fake_kernel_count = (int)(sizeof fake_kernels / sizeof fake_kernels[0]);

/* fake_card.h - unit tests on a card that is none: opens the library that stands for NVIDIA's driver. */
#ifndef TESTS_SUPPORT_FAKE_CARD_H
#define TESTS_SUPPORT_FAKE_CARD_H

#include <dlfcn.h>
#include <stdlib.h>

#include "fake_cuda.h"
#include "nn/device.h"

/* How the fake is steered; the library that VT_FAKE_CUDA names stays open. */
static inline struct fake_cuda *fake_card_driver(void)
{
    static struct fake_cuda *fake;
    if (fake)
        return fake;
    (void)setenv("VEETANCE_CUDA_DRIVER", VT_FAKE_CUDA, 1);
    void *lib = dlopen(VT_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
    fake_cuda_fn get = NULL;
    if (lib)
        *(void **)&get = dlsym(lib, "fake_cuda");
    fake = get ? get() : NULL;
    return fake;
}

#endif

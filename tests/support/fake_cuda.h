/* fake_cuda.h - how a test steers the library that stands for NVIDIA's driver (fake_cuda.c), and what it counted.
 *
 * The library has the driver's functions, in libcuda's place. Its cards' memory is memory of the host, and its kernels
 * are loops in C (fake_gemm.c ...) that do what kernels.h says, so that whole models run on it. Every call is checked: handles,
 * contexts, addresses and sizes, launch geometry and shared memory against the table; and what a thread does while it
 * records a stream. A recording holds copies of the parameters. What is wrong is printed, counted and refused. */
#ifndef TESTS_SUPPORT_FAKE_CUDA_H
#define TESTS_SUPPORT_FAKE_CUDA_H

#include <stddef.h>

struct fake_cuda {
    /* Steering. */
    int cards;              /* 0: cuInit finds none */
    int major, minor;       /* compute capability */
    size_t total_bytes;     /* of a card */
    long fail_launch;       /* the n-th launch from now breaks the context; 0: none */
    long refuse_allocation; /* the n-th allocation from now finds no memory; 0: none */
    long refuse_recording;  /* the n-th recording from now is not made ready; 0: none */
    /* Counts. */
    long complaints; /* calls that were wrong */
    long launches, allocations, contexts, copies;
    long replays, recordings; /* recordings launched; those that there are */
    long waits, reads;        /* for streams; copies to memory of the host */
    size_t held, peak;        /* bytes of device memory */
};

/* Exported by the library as "fake_cuda". */
typedef struct fake_cuda *(*fake_cuda_fn)(void);

#endif

/* onednn.h - oneDNN, loaded by hand.
 *
 * The library is loaded when something first asks for it and not when the program starts: loading it takes
 * longer than everything else that `veetance --version` does. It stays loaded: OpenMP threads that once ran
 * its code must not lose it.
 *
 * How its threads and ours get along: every primitive here is made for one thread and runs in the thread that
 * executes it. ggml's workers split the work among themselves and each calls oneDNN for its part, so there is
 * one pool of threads and none that spins waiting for another. onednn_alone() in a worker sees to that.
 */
#ifndef VT_NN_CPU_ONEDNN_H
#define VT_NN_CPU_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

/* X(name) for dnnl_name: all that we call. */
#define ONEDNN_FUNCTIONS(X)                                                                        \
    X(version)                                                                                     \
    X(set_max_cpu_isa)                                                                             \
    X(get_effective_cpu_isa)                                                                       \
    X(engine_create)                                                                               \
    X(engine_destroy)                                                                              \
    X(stream_create)                                                                               \
    X(stream_destroy)                                                                              \
    X(stream_wait)                                                                                 \
    X(memory_desc_create_with_strides)                                                             \
    X(memory_desc_create_with_tag)                                                                 \
    X(memory_desc_destroy)                                                                         \
    X(memory_desc_query)                                                                           \
    X(memory_desc_get_size)                                                                        \
    X(matmul_primitive_desc_create)                                                                \
    X(convolution_forward_primitive_desc_create)                                                   \
    X(primitive_desc_query)                                                                        \
    X(primitive_desc_query_md)                                                                     \
    X(primitive_desc_next_impl)                                                                    \
    X(primitive_desc_destroy)                                                                      \
    X(primitive_attr_create)                                                                       \
    X(primitive_attr_destroy)                                                                      \
    X(primitive_attr_set_scratchpad_mode)                                                          \
    X(primitive_attr_set_post_ops)                                                                 \
    X(post_ops_create)                                                                             \
    X(post_ops_destroy)                                                                            \
    X(post_ops_append_sum)                                                                         \
    X(primitive_create)                                                                            \
    X(primitive_destroy)                                                                           \
    X(primitive_execute)                                                                           \
    X(memory_create)                                                                               \
    X(memory_set_data_handle)                                                                      \
    X(memory_destroy)

#define ONEDNN_POINTER(name) __typeof__(dnnl_##name) *name;

struct onednn {
    ONEDNN_FUNCTIONS(ONEDNN_POINTER)
    /* Of the OpenMP runtime that oneDNN uses; NULL when it uses another. */
    void (*set_threads)(int n);
    int (*get_threads)(void);
    dnnl_engine_t engine;
    bool f32;  /* it has products of float32 that product.c takes: those for AVX2 and above */
    bool bf16; /* this processor multiplies bf16 faster than float32 */
    bool int8; /* ... and int8 faster than both, without saturating intermediate sums */
};

/* NULL where oneDNN is not installed or does not start. Any thread; the same answer each time. */
const struct onednn *onednn_get(void);

/* From here on oneDNN uses the calling thread alone; returns the value for onednn_restore. d NULL: nothing to do. */
int onednn_alone(const struct onednn *d);
void onednn_restore(const struct onednn *d, int before);

#endif

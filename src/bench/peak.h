/* peak.h - what this machine can do at best: the numbers that a network's speed is compared with. */
#ifndef VT_BENCH_PEAK_H
#define VT_BENCH_PEAK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "nn/peak.h"

enum { BENCH_ATTENTIONS = 2, BENCH_ATTENTION_HEADS = 24, BENCH_ATTENTION_HEAD_DIM = 128 };

/* Our own attention, tokens on tokens, as a step runs it. */
struct bench_attention {
    int64_t tokens;
    double flops; /* a second; 0: this device has no kernel of ours */
};

struct bench_peak {
    char cpu[96]; /* the processor's name */
    int cores;    /* that this process may use */
    double load;  /* average of the last minute, before anything was measured */
    struct nn_peak_shape shape;
    char onednn[32];              /* its version; "" when it is not there, and both rates are 0 */
    double bf16_flops, f32_flops; /* a second; 0: this processor cannot */
    struct nn_peak_image image;
    double
        conv_flops; /* of convolutions on it, in bf16 or, where there are none, float32; 0 as above */
    bool conv_bf16;
    struct bench_attention attention[BENCH_ATTENTIONS];
    double copy_bytes;          /* a second: read once and written once, all threads together */
    double copy_into_new_bytes; /* the same into memory that the system has yet to find */
};

/* The rate that stages are compared with: of bf16 products, or of float32 where the processor has no others. */
static inline double bench_peak_product(const struct bench_peak *p)
{
    return p->bf16_flops > 0 ? p->bf16_flops : p->f32_flops;
}

/* seconds: for each of the measurements. threads: 0 = one a core. */
ERR_MUST_CHECK enum err_code bench_peak_measure(int threads, double seconds,
                                                const atomic_bool *cancel, struct bench_peak *out,
                                                struct err *e);

/* ---- copying --------------------------------------------------------------------------------- */

/* How fast this machine copies memory: to compare the upload of weights with. */

/* Into memory that was written before, or into memory that the system has yet to find and to clear, as a
 * device made of software takes it for weights. */
enum bench_copy_kind { BENCH_COPY_IN_MEMORY, BENCH_COPY_INTO_NEW };

/* The fastest of the copies that fit into so many seconds, at least 3, each read once and written once by all
 * threads together. */
ERR_MUST_CHECK enum err_code bench_copy_measure(enum bench_copy_kind kind, int threads,
                                                double seconds, const atomic_bool *cancel,
                                                double *bytes_per_second, struct err *e);

#endif

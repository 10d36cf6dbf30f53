/* peak.h - how fast this machine multiplies matrices: what `veetance bench` compares with.
 *
 * A plain product of one layer's shape through oneDNN, with the weights [n, k] in place as a checkpoint holds
 * them, the best of several runs.
 */
#ifndef VT_NN_PEAK_H
#define VT_NN_PEAK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

enum nn_peak_dtype { NN_PEAK_F32, NN_PEAK_BF16 };

/* x [m, k] times w [n, k] transposed, into float32 [m, n]. */
struct nn_peak_shape {
    int64_t m, k, n;
};

struct nn_peak_result {
    double seconds; /* of the fastest run */
    double flops_per_second;
    char version[32]; /* of oneDNN */
};

/* Runs the product once to warm up and then until about `seconds` have passed, at least 3 times. threads: 0 =
 * oneDNN's own choice. ERR_NOTFOUND where oneDNN is not installed, ERR_DEVICE where it cannot do the type. */
ERR_MUST_CHECK enum err_code nn_peak_matmul(enum nn_peak_dtype dtype,
                                            const struct nn_peak_shape *shape, int threads,
                                            double seconds, const atomic_bool *cancel,
                                            struct nn_peak_result *out, struct err *e);

/* A 3 x 3 convolution of so many channels to as many, on an image of side x side, channels last, into float32, its
 * kernel packed beforehand. As above. */
struct nn_peak_image {
    int64_t channels, side;
};
ERR_MUST_CHECK enum err_code nn_peak_conv(enum nn_peak_dtype dtype,
                                          const struct nn_peak_image *shape, int threads,
                                          double seconds, const atomic_bool *cancel,
                                          struct nn_peak_result *out, struct err *e);

#endif

/* moments.h - group normalisation in two steps, so that an image need not be in memory as a whole.
 *
 * First the sums of every channel are gathered, one band of rows after another; then any band can be normalised.
 * On the CPU the sums are added up row by row in one order, however the rows were cut into bands: bands and the
 * whole give the same bits. Other devices sum a band on the device (its mean, then centred squares) and the
 * bands are joined on the host in double.
 *
 *     whole:  y = nn_moments_apply(g, x, NULL, &norm);
 *     banded: for each band  carry = nn_moments_input(g, channels); s = nn_moments_add(g, band, carry, kind);
 *                            nn_moments_give(&sum, g, carry, NULL); ... run ...; nn_moments_take(&sum, g, s, n);
 *             then           s = nn_moments_input(g, channels); y = nn_moments_apply(g, band, s, &norm);
 *                            nn_moments_give(&sum, g, s, &norm); ... run ...
 */
#ifndef VT_NN_MOMENTS_H
#define VT_NN_MOMENTS_H

#include "nn/ops.h"

struct nn_group_norm {
    const struct nn_param *w, *b;
    int groups;
    float eps;
    enum nn_moments moments;
    bool silu; /* of the result */
};

/* The sums of one map on the host. */
struct nn_moments_sum {
    int64_t channels;
    double *state;  /* [channels, 4]: see moments_kern.h */
    float *scratch; /* [2, channels]: on the way from and to the device */
};

ERR_MUST_CHECK enum err_code nn_moments_sum_init(struct nn_moments_sum *s, int64_t channels,
                                                 struct err *e);
void nn_moments_sum_deinit(struct nn_moments_sum *s);

/* An input of the graph for the sums that nn_moments_give sets. */
struct ggml_tensor *nn_moments_input(struct nn_graph *g, int64_t channels);
/* The sums of x [channels, rows, width], added to carry (NULL: to nothing). */
struct ggml_tensor *nn_moments_add(struct nn_graph *g, struct ggml_tensor *x,
                                   struct ggml_tensor *carry, enum nn_moments moments);
/* (x - mean) / sqrt(var + eps) * w + b with the mean and variance of each group, and SiLU of that if asked.
 * sums NULL: those of x, which is whole. */
struct ggml_tensor *nn_moments_apply(struct nn_graph *g, struct ggml_tensor *x,
                                     struct ggml_tensor *sums, const struct nn_group_norm *norm);

/* The parameters of a node of nn_moments_apply, for a kernel that fuses it; the node's sources are x, the sums, w and b.
 * False for other nodes, and where sums are the reference's float32 ones. */
struct nn_moments_norm {
    int groups;
    float eps;
};
bool nn_moments_norm_of(const struct ggml_tensor *t, struct nn_moments_norm *out);

/* Before a run. norm: the input is for nn_moments_apply; NULL: it is a carry. */
void nn_moments_give(const struct nn_moments_sum *s, struct nn_graph *g, struct ggml_tensor *input,
                     const struct nn_group_norm *norm);
/* After a run: the sums are now those of `result`, which added a band of this many pixels. */
void nn_moments_take(struct nn_moments_sum *s, const struct nn_graph *g,
                     const struct ggml_tensor *result, int64_t pixels);

#endif

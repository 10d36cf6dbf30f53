/* rows.h - rows of an image that lies in host memory, as nodes of a graph on the CPU: read and written where they
 * are, by all threads, without a copy in between. Other devices use nn_input and nn_graph_get. */
#ifndef VT_NN_ROWS_H
#define VT_NN_ROWS_H

#include "nn/graph.h"

/* Pixel x of row y and channel c is at[y * row_stride + c * channel_stride + x]. The graph keeps the address of
 * this: `at` may change from run to run. */
struct nn_rows {
    float *at;
    int64_t row_stride, channel_stride;
};

/* A tensor [channels, rows, width], read when the graph runs. */
struct ggml_tensor *nn_rows_load(struct nn_graph *g, const struct nn_rows *from, int64_t width,
                                 int64_t rows, int64_t channels);
/* Writes x [channels, rows, width] there when the graph runs. */
void nn_rows_save(struct nn_graph *g, struct ggml_tensor *x, const struct nn_rows *to);

#endif

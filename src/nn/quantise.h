/* quantise.h - rows of float32 into any type that a file may hold, by ggml's own quantisers.
 *
 * Rows are independent of each other: however the rows of a matrix are shared out among threads and calls,
 * the bytes are the same. */
#ifndef VT_NN_QUANTISE_H
#define VT_NN_QUANTISE_H

#include "weights/component.h"

/* True for plain types, and for GGUF's types that ggml can make without an importance matrix. */
bool nn_can_quantise(enum dtype t);

/* n_rows rows of row elements to dst. ERR_NUMERIC names the first element that the type cannot hold: NaN and
 * infinity in a quantised type, too large a number in float16. `what` stands for the tensor in messages. */
ERR_MUST_CHECK enum err_code nn_quantise_rows(enum dtype t, const float *src, int64_t n_rows,
                                              int64_t row, void *dst, const char *what,
                                              struct err *e);

/* Frees the tables that ggml keeps for some types; at the end of a process, for leak checkers. */
void nn_quantise_free(void);

#endif

/* trace.h - a run's named intermediate tensors, written as one safetensors file at its end.
 *
 * Tensors are copied as they are added. A NULL trace takes everything and keeps nothing, so that callers need
 * not ask. Failures stick and show at trace_write. */
#ifndef VT_PIPELINE_TRACE_H
#define VT_PIPELINE_TRACE_H

#include <stdint.h>

#include "base/err.h"

struct trace;

ERR_MUST_CHECK enum err_code trace_new(struct trace **out, struct err *e);
/* For a plan: it takes everything, so that the run does what a traced one does, and keeps nothing. */
ERR_MUST_CHECK enum err_code trace_new_dry(struct trace **out, struct err *e);
void trace_free(struct trace *t);
/* dims in reading order, at most 5. */
void trace_add_f32(struct trace *t, const char *name, const float *data, const int64_t *dims,
                   int n_dims);
void trace_add_i64(struct trace *t, const char *name, const int64_t *data, const int64_t *dims,
                   int n_dims);
ERR_MUST_CHECK enum err_code trace_write(const struct trace *t, const char *path, struct err *e);

/* The float32 values of a tensor that was added, NULL when there is none. Borrowed. For tests. */
const float *trace_find_f32(const struct trace *t, const char *name, int64_t *n);

#endif

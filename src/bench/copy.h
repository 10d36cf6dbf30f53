/* copy.h - how fast this machine copies memory: to compare the upload of weights with. */
#ifndef VT_BENCH_COPY_H
#define VT_BENCH_COPY_H

#include <stdatomic.h>

#include "base/err.h"

/* Into memory that was written before, or into memory that the system has yet to find and to clear, as a
 * device made of software takes it for weights. */
enum bench_copy_kind { BENCH_COPY_IN_MEMORY, BENCH_COPY_INTO_NEW };

/* The fastest of the copies that fit into so many seconds, at least 3, each read once and written once by all
 * threads together. */
ERR_MUST_CHECK enum err_code bench_copy_measure(enum bench_copy_kind kind, int threads,
                                                double seconds, const atomic_bool *cancel,
                                                double *bytes_per_second, struct err *e);

#endif

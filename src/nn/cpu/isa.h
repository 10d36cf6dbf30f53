/* isa.h - the instructions that this process may use: those of the processor, or fewer.
 *
 * VEETANCE_CPU_ISA limits the instructions that ggml's CPU backend, oneDNN and our own loops use, so that the code
 * for older processors can be tested here. */
#ifndef VT_NN_CPU_ISA_H
#define VT_NN_CPU_ISA_H

#include <stdbool.h>

#include "base/err.h"

enum nn_isa { NN_ISA_BASE, NN_ISA_AVX2, NN_ISA_AVX2_VNNI, NN_ISA_AVX512, NN_ISA_AVX512_BF16 };

/* ERR_ARG when VEETANCE_CPU_ISA has an unknown value, or one that this processor does not support. */
ERR_MUST_CHECK enum err_code nn_isa_check(struct err *e);

/* Whether VEETANCE_CPU_ISA sets a limit. */
bool nn_isa_limited(void);
/* The most that may be used. Any thread; the same answer each time. */
enum nn_isa nn_isa_get(void);

/* Whether the variant of ggml's CPU backend in this file ("libggml-cpu-haswell.so") keeps below the limit. */
bool nn_isa_allows_variant(const char *file);

#endif

/* choice.h - whose products the CPU uses where both ours (gemm.h) and oneDNN's could: those that are faster here.
 *
 * The first use measures both for some hundredths of a second each and writes down what came out, in cpu.json beside
 * pin.json; later starts read it, so that the same request gives the same bits. What was written for another processor,
 * another oneDNN or another version is measured anew; `devices --pin` measures in any case.
 *
 *     {"veetance_cpu": 1, "machine": "...", "f32": {"own": 92.1, "onednn": 84.0}, "int8": {"own": 236.0, "onednn": 0}}
 *
 * VEETANCE_CPU_KERNELS=own or =onednn chooses by hand. Any thread. */
#ifndef VT_NN_CPU_CHOICE_H
#define VT_NN_CPU_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum nn_cpu_work { NN_CPU_WORK_F32, NN_CPU_WORK_INT8, NN_CPU_WORKS };
enum nn_cpu_set { NN_CPU_ONEDNN, NN_CPU_OWN, NN_CPU_SETS };

enum { NN_CPU_MACHINE_BYTES = 96 };

/* Billions of operations a second on one core; 0: not measured, or this set cannot do it. */
struct nn_cpu_rates {
    char machine[NN_CPU_MACHINE_BYTES];
    double rate[NN_CPU_WORKS][NN_CPU_SETS];
};

/* Whether work is done by our own products. Takes a lock: once an operation, not once a row. */
bool nn_cpu_own(enum nn_cpu_work work);

/* In words: which set does the work, and why. */
void nn_cpu_choice_describe(enum nn_cpu_work work, char *out, size_t size);
/* What was measured, or is now. */
struct nn_cpu_rates nn_cpu_choice_rates(void);

/* Where cpu.json is, or would be. A process that is confined must be let read it, and should ask for the rates before,
 * as it cannot write it any more. */
ERR_MUST_CHECK enum err_code nn_cpu_choice_path(char *out, size_t size, struct err *e);
/* Measures now and writes cpu.json. */
ERR_MUST_CHECK enum err_code nn_cpu_choice_pin(struct err *e);
/* Removes cpu.json, if it is there. */
ERR_MUST_CHECK enum err_code nn_cpu_choice_unpin(struct err *e);

/* ERR_FORMAT unless text is a cpu.json. */
ERR_MUST_CHECK enum err_code nn_cpu_choice_parse(struct str text, struct nn_cpu_rates *out,
                                                 struct err *e);

#endif

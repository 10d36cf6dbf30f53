/* case.h - one golden case: what the reference implementation was given and what it computed.
 *
 * A case is a folder with case.json (kind, call, tolerances), inputs.safetensors, expected.safetensors and
 * images. Cases refer to models beside the folder that holds them. The root is tests/parity, or
 * VT_REFERENCE_DIR for a larger set in the same layout. */
#ifndef VT_PARITY_CASE_H
#define VT_PARITY_CASE_H

#include <stdbool.h>
#include <yyjson.h>

#include "nn/params.h"
#include "weights/checkpoint.h"

struct parity_case {
    char dir[1024], name[128];
    const char *kind;
    yyjson_doc *doc;
    yyjson_val *root, *call, *expected;
    struct checkpoint *inputs, *golden; /* NULL when the case has no such file */
};

const char *parity_root(void);

bool parity_case_open(const char *name, struct parity_case *c);
void parity_case_close(struct parity_case *c);

/* Absolute path of something the call names (models/klein), static buffer. */
const char *parity_path(const char *relative);

/* An input or expected tensor as float32, n elements; NULL when absent. Caller frees with free. */
float *parity_input(const struct parity_case *c, const char *name, size_t *n);
float *parity_golden(const struct parity_case *c, const char *name, size_t *n);

/* Compares n values with the expected tensor by the case's own tolerances; prints a line when they differ.
 * A tensor the case does not have counts as equal. Returns whether it is within tolerance. */
bool parity_check(const struct parity_case *c, const char *name, const float *got, size_t n);

/* Runs every case of a kind that the root holds (VT_PARITY_ONLY: whose name contains that); how many there were. */
size_t parity_run_kind(const char *kind, void (*run)(const struct parity_case *c));

/* VT_PARITY_BF16=1 asks for the networks as large models run on a card, in bf16, and for the tolerances of bf16.json: how
 * far PyTorch's own bf16 is from the same reference (bench/bf16_reference.py). Tensors that it does not have count as
 * equal. Otherwise everything is float32. */
enum nn_precision parity_precision(void);

/* How many comparisons were made so far. */
size_t parity_checks_made(void);

#endif

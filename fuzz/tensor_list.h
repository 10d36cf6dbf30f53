/* tensor_list.h - what the targets share that make a checkpoint of a list of tensors, "NAME DTYPE DIM DIM ..." a line. */
#ifndef VT_FUZZ_TENSOR_LIST_H
#define VT_FUZZ_TENSOR_LIST_H

#include <stdint.h>
#include <stdio.h>

#include "base/str.h"
#include "weights/checkpoint.h"

static inline struct str next_word(struct str *line)
{
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ')
        n++;
    struct str word = {line->p, n};
    *line = str_skip(*line, n + 1);
    return word;
}

/* May stand in JSON as it is. */
static inline bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

/* The rest of a line as "DIM,DIM,..." and as the number of elements; false when it is no shape. */
static inline bool read_shape(struct str line, char out[128], uint64_t *n)
{
    uint64_t dim;
    size_t at = 0;
    out[0] = '\0';
    *n = 1;
    for (int i = 0; line.n > 0 && i < WEIGHTS_MAX_DIMS; i++) {
        if (!str_to_u64(next_word(&line), &dim) || dim > 4096)
            return false;
        *n *= dim;
        at += (size_t)snprintf(out + at, 128 - at, "%s%u", i ? "," : "", (unsigned)dim);
    }
    return true;
}

#endif

/* quantised_impl.h - between quantised.c, which finds what lies beside a matrix, and quantised_forms.c. */
#ifndef VT_WEIGHTS_QUANTISED_IMPL_H
#define VT_WEIGHTS_QUANTISED_IMPL_H

#include "weights/quantised.h"

#define QUANTISED_WORKS                                                                            \
    "bf16, float8, int8, int4, NVFP4 and mxfp8 files with the usual scales, and GGUF files, work"

/* What may lie beside "M.weight", and what it is. */
enum beside {
    SCALE,         /* of all values, a row, or a block */
    SCALE_INVERSE, /* of square blocks; in spite of its name it is multiplied, too */
    SCALE_2,
    SCALE_OF_GROUP, /* of a group of columns, beside one of the row */
    SCALE_OF_ROW,
    LEVELS, /* what the 16 codes of four bits stand for */
    ZEROS,  /* added to each group of columns; in spite of the name */
    COLUMN_SCALE,
    MARKER,
    NO_MATTER, /* what activations are multiplied by before they are quantised, and the bias */
    N_BESIDE,
};

struct stored {
    const struct checkpoint *cp;
    const struct weights_tensor *t;
    const struct weights_tensor *at[N_BESIDE];
    unsigned used; /* a bit for each that the form takes; others make the values doubtful */
};

struct marker {
    char format[48]; /* "": not marked */
    bool rotated;
    int64_t rotation;
    int64_t group; /* columns that share a scale; 0: not said */
};

/* By the marker's format, or without one by types and shapes. *q holds the tensor as stored. */
ERR_MUST_CHECK enum err_code quantised_read_marked(struct stored *s, const struct marker *m,
                                                   struct quantised *q, struct err *e);
ERR_MUST_CHECK enum err_code quantised_read_unmarked(struct stored *s, struct quantised *q,
                                                     struct err *e);
ERR_MUST_CHECK enum err_code quantised_take_columns(const struct weights_tensor *columns,
                                                    struct quantised *q, struct err *e);

#endif

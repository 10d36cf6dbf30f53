/* view.h - a canonical tensor: where its stored numbers lie, and how they become its values.
 *
 *   value = stored number x scale of its block, rounded where the form says so, x scale x scale of its row
 *           + offset of its block, then the row is rotated back, then multiplied by the scale of its column
 *
 * Most tensors have none of these; float8 and int8 have a scale for all or one a row, NVFP4 and mxfp8 one a block,
 * int4 forms have scales and offsets of blocks, and their codes may be places in a table of 16 levels; what AWQ and
 * SmoothQuant moved from the activations into the weights is a scale a column, and "convrot" files hold weights
 * rotated by a Hadamard matrix. docs/formats/quantised.md says which files hold what.
 *
 * A view borrows from the checkpoint's map. Everything here is thread-safe. */
#ifndef VT_WEIGHTS_VIEW_H
#define VT_WEIGHTS_VIEW_H

#include "weights/checkpoint.h"

/* Numbers in the map, of any plain float type. NULL data: none. */
struct weights_numbers {
    const unsigned char *data;
    enum dtype dtype;
};

/* A number for each block of height x width values. */
struct weights_grid {
    struct weights_numbers n;
    int64_t height, width;
    int64_t row0;    /* the stored row that the view begins with */
    int64_t columns; /* blocks in a row; with tiles rounded up to 4 */
    int64_t across;  /* not 0: stored [blocks, rows], of so many rows */
    bool tiled;      /* as tensor cores read them: tiles of 128 x 4, and in these 32 x 4 x 4 */
};

struct weights_view {
    const struct weights_tensor *stored;
    enum dtype dtype;
    int n_dims;
    int64_t dims[WEIGHTS_MAX_DIMS]; /* after slicing, of values (F4 packs two into a byte) */
    const unsigned char *data;
    uint64_t bytes;
    float scale;                    /* of all values; 1 when there is none */
    struct weights_numbers rows;    /* a scale a row; n_scales of them */
    int64_t n_scales;               /* equals dims[0], or 0 */
    struct weights_grid grid;       /* scales */
    struct weights_grid offset;     /* added to what is scaled */
    struct weights_numbers columns; /* a scale a column */
    struct weights_numbers levels;  /* U4: 16 numbers, one for each code */
    int64_t rotation;               /* columns that were rotated together; 0: none */
    bool high_first;                /* F4: the first of two values is in the high bits */
    bool rounded;                   /* number x scale of its block is an int8 */
};

/* Are the stored numbers the values themselves? */
bool weights_view_is_plain(const struct weights_view *v);
/* May be dropped from a view and applied to a product with it instead: the scale of all and those of the rows. */
struct weights_view weights_view_without_row_scales(const struct weights_view *v);

/* Number i. */
float weights_number(const struct weights_numbers *n, int64_t i);
/* The scale of the block at a row and a column of blocks of the view. */
float weights_grid_at(const struct weights_grid *g, int64_t row, int64_t block);
/* The same as it is stored, of a grid of bytes. */
uint8_t weights_grid_byte(const struct weights_grid *g, int64_t row, int64_t block);

/* Rows from row0 on: `rows` of them, each of `row` stored numbers as float32 in f, become values in place. */
void weights_view_apply(const struct weights_view *v, int64_t row0, int64_t rows, int64_t row,
                        float *f);
/* Stored numbers of whole rows as float32, without any scale. False for GGUF's block types. */
bool weights_view_numbers(const struct weights_view *v, const unsigned char *src, size_t n,
                          float *f);

#endif

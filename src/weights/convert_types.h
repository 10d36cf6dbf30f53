/* convert_types.h - which type a tensor is written in.
 *
 * Quantised are the matrices of the repeated blocks, which hold nearly all bytes and tolerate it well.
 * What every token or every layer passes through stays as it is stored: norms, biases, embeddings, the
 * projections in and out, the modulation that all blocks share, convolution kernels. That is what published
 * GGUF files do. Qwen-Image's modulation belongs to each block and is a third of the network: quantised there,
 * too.
 *
 *   wanted type     matrices of blocks          other tensors          one-dimensional ones
 *   none            as stored, fp8 as bf16      as stored              as stored
 *   bf16 f16 f32    that type                   that type              that type; f32 in GGUF
 *   q8_0 ... q2_k   that type, or the nearest   as stored, fp8 as      f32
 *                   whose blocks fit the rows   bf16
 */
#ifndef VT_WEIGHTS_CONVERT_TYPES_H
#define VT_WEIGHTS_CONVERT_TYPES_H

#include "weights/component.h"

/* "q5_0", "bf16": DTYPE_INVALID when no conversion to it is known. Types that need an importance matrix are
 * not known. */
enum dtype convert_type_from_name(const char *name);
/* All names, separated by spaces. Static string. */
const char *convert_type_names(void);

/* A type with smaller blocks and at least its precision, for rows that do not fit; `stored` when none fits. */
enum dtype convert_type_fitting(enum dtype wanted, int64_t row, enum dtype stored);

/* canonical name and shape of a tensor; wanted may be DTYPE_INVALID: none. */
enum dtype convert_type_for(enum component_kind kind, const char *canonical, int n_dims,
                            const int64_t *dims, enum dtype stored, enum dtype wanted,
                            enum checkpoint_format format);
/* Is it one of the matrices that a quantised type is for? */
bool convert_type_quantises(enum component_kind kind, const char *canonical, int n_dims);

/* GGUF's general.file_type for files that are mostly of this type. */
uint32_t convert_gguf_file_type(enum dtype t);

#endif

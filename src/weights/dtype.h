/* dtype.h - element types of stored tensors: safetensors' and GGUF's in one list.
 *
 * Plain types have one element a block; GGUF's quants pack `block_elems` elements of a row into
 * `block_bytes` bytes (formats: ggml's documentation of GGUF and the gguf-py package). */
#ifndef VT_WEIGHTS_DTYPE_H
#define VT_WEIGHTS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum dtype {
    DTYPE_INVALID = 0,
    DTYPE_F64,
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F8_E4M3,
    DTYPE_F8_E5M2,
    DTYPE_F8_E8M0, /* a power of two: scales of blocks */
    DTYPE_F4,      /* E2M1, two in a byte */
    DTYPE_F6_E2M3,
    DTYPE_F6_E3M2,
    DTYPE_C64,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U64,
    DTYPE_U32,
    DTYPE_U16,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_U4, /* codes of four bits, the first of two in the low bits; never a file's own type */
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q8_0,
    DTYPE_Q8_1,
    DTYPE_Q2_K,
    DTYPE_Q3_K,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_Q8_K,
    DTYPE_IQ2_XXS,
    DTYPE_IQ2_XS,
    DTYPE_IQ3_XXS,
    DTYPE_IQ1_S,
    DTYPE_IQ4_NL,
    DTYPE_IQ3_S,
    DTYPE_IQ2_S,
    DTYPE_IQ4_XS,
    DTYPE_IQ1_M,
    DTYPE_TQ1_0,
    DTYPE_TQ2_0,
    DTYPE_MXFP4,
    DTYPE_NVFP4,
    DTYPE_COUNT,
};

struct dtype_info {
    const char *name;     /* "BF16", "Q5_0": what `inspect` prints */
    uint32_t block_elems; /* 1 for plain types */
    uint32_t block_bytes;
    bool quantised; /* a GGUF block format */
    bool is_float;  /* usable as a weight: plain floats, quants, and int8 with its scales */
    int gguf_id;    /* the id in GGUF files, -1 when it cannot stand there */
};

/* Never NULL; DTYPE_INVALID gives a record named "?" with zero sizes. Static. */
const struct dtype_info *dtype_info(enum dtype t);
/* DTYPE_INVALID when unknown. */
enum dtype dtype_from_safetensors(struct str name);
enum dtype dtype_from_gguf(uint32_t id);
/* Bytes of n elements in rows of row_elems; false when it overflows or a row is not whole blocks. */
bool dtype_bytes(enum dtype t, uint64_t n, uint64_t row_elems, uint64_t *out);

/* One element each, exact. F8_E4M3 is the "fn" variant: no infinities, 0x7f and 0xff are NaN. */
float dtype_f16_to_f32(uint16_t v);
float dtype_bf16_to_f32(uint16_t v);
float dtype_e4m3_to_f32(uint8_t v);
float dtype_e5m2_to_f32(uint8_t v);
float dtype_e8m0_to_f32(uint8_t v); /* 2^(v - 127); 255 is NaN */
float dtype_e2m1_to_f32(uint8_t v); /* the low four bits of v */
/* Round to nearest even; NaN stays NaN. */
uint16_t dtype_f32_to_bf16(float v);
uint16_t dtype_f32_to_f16(float v);

/* Whether n bytes of whole blocks (int8, float8, GGUF's quants) stand for numbers alone, told from what can be NaN or
 * infinite in them: the scales of blocks, the codes of float8. True for a type that it does not know. src needs no
 * alignment. */
bool dtype_blocks_finite(enum dtype t, const void *src, size_t n);

/* n elements of a plain float type (F64, F32, F16, BF16, F8, F4) or of int8 into float32; src needs no
 * alignment. F4: n is even, the first of two is in the low bits. False for any other type. */
bool dtype_plain_to_f32(enum dtype t, const void *src, float *dst, size_t n);

#endif

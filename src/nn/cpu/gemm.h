/* gemm.h - our own products, for processors where they are faster than oneDNN's (choice.h): AVX2 without AVX-512.
 *
 * In float32: C[rows, cols] = A[rows, k] times B[k, cols]. B is packed in slivers of 16 columns, [k][16] each,
 * GEMM_DEPTH of k at a time, so that GEMM_COLUMNS of them stay in the second-level cache. Weights of any type are
 * unpacked right into that form: oneDNN packs them a second time. A is read as it lies, six rows at a time.
 *
 * Of bytes: four consecutive values of k take the place of one float, so that packing is the same. A has 0 .. 127, B
 * -63 .. 63: the sum of four products fits into 16 bits, where AVX2 adds them up before they are widened.
 *
 * A value of C adds up k in steps of GEMM_DEPTH, each in order of k: it depends on its row and column alone. */
#ifndef VT_NN_CPU_GEMM_H
#define VT_NN_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GEMM_ROWS = 6,
    GEMM_SLIVER = 16,
    GEMM_DEPTH = 512, /* a multiple of all blocks of quantised weights */
    GEMM_COLUMNS = 128,
    GEMM_STRIDE = GEMM_DEPTH + 16, /* of rows in scratch: no power of two, for the cache */
};

/* Columns of B that lie as rows, as weights do: [cols, k], `ld` values from one to the next. */
struct gemm_pack {
    const void *from;
    int64_t ld, cols, k;
    bool bf16; /* otherwise float32 */
    float *to; /* gemm_packed(cols, k) floats, 32-aligned */
};

struct gemm_job {
    const float *a, *b; /* b: packed */
    float *c;
    int64_t lda, ldc, rows, cols, k; /* k: at most GEMM_DEPTH */
    bool add;                        /* C += A B */
    float *scratch;                  /* GEMM_SCRATCH floats, 32-aligned */
};

enum { GEMM_SCRATCH = GEMM_ROWS * GEMM_STRIDE };

/* Bits of a byte that gemm_bytes_job uses, and what its k has to be a multiple of (zeros behind). */
enum { GEMM_BITS = 7, GEMM_BYTES = 8 };

struct gemm_bytes_job {
    const uint8_t *a; /* [rows, k], lda bytes from one row to the next, at least 4-aligned */
    const void *b;    /* packed as float32 of k / 4 */
    int32_t *c;
    int64_t lda, ldc, rows, cols, k;
};

struct gemm {
    void (*pack)(const struct gemm_pack *j);
    /* The same of a B that lies as [k, cols], in float32; ld: from one k to the next. */
    void (*pack_plain)(const struct gemm_pack *j);
    void (*multiply)(const struct gemm_job *j);
    void (*multiply_bytes)(const struct gemm_bytes_job *j);
};

static inline size_t gemm_packed(int64_t cols, int64_t k)
{
    return (size_t)((cols + GEMM_SLIVER - 1) / GEMM_SLIVER * GEMM_SLIVER * k);
}

extern const struct gemm gemm_avx2;

/* NULL where this processor has no product of ours. */
const struct gemm *gemm_get(void);

#endif

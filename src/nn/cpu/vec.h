/* vec.h - our own loops over float32 and bf16, compiled once for each instruction set.
 *
 * vec_body.h holds the loops, written with the compiler's vectors of 16 floats; four files compile it for
 * AVX-512 with bf16 and without, for AVX2 and for whatever every x86-64 (or another processor) has. vec_get() names the one that
 * fits this processor. Every function works on rows that it is given, so that the result of a row does not
 * depend on how rows are shared out to threads.
 */
#ifndef VT_NN_CPU_VEC_H
#define VT_NN_CPU_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vec_act { VEC_NONE, VEC_SILU, VEC_GELU_TANH, VEC_SILU_MUL /* silu(c) * c2 */ };

/* What follows a product, applied to a tile: y = residual + gate * act(c * scale * scales + bias). NULL leaves a step
 * out. scales, bias and gate are one value a column. */
struct vec_tile {
    const float *c, *c2;
    int64_t ldc, rows, cols;
    float scale;
    const float *scales, *bias, *gate, *residual;
    int64_t ldr;
    enum vec_act act;
    void *dst; /* bf16 or float32 */
    int64_t ldd;
    bool bf16;
};

/* LayerNorm or RMSNorm of one row of n: y = (x - mean) / sqrt(var + eps), times (1 + scale) plus shift, or
 * times weight. */
struct vec_norm {
    const float *weight, *scale, *shift; /* each [n] or NULL */
    float eps;
    bool rms; /* no mean is taken off */
    bool bf16;
};

/* One token of a head: RMSNorm times weight (NULL: no norm), then rotation by half angles cos, sin. */
struct vec_rope {
    const float *weight, *cos, *sin; /* weight [head_dim], cos and sin [head_dim / 2] */
    float eps;
    bool pairs; /* (x0, x1), (x2, x3), ...; otherwise x[i] with x[i + head_dim / 2] */
    bool bf16;
};

/* A row of an attention's tile: p = exp(s * scale + mask - max), with max the greatest so far. */
struct vec_softmax {
    const float *s, *mask; /* mask may be NULL */
    void *p;               /* bf16 or float32 */
    int64_t n;
    float scale;
    float *max, *sum; /* of the row, carried from tile to tile */
    bool bf16;
};

/* Images [channels, height, width] to rows of channels. Channels first .. last - 1 of pixels
 * [p0, p0 + n) of one row of the image: y[i * ldy + c] = act(x[c * plane + i] * scale[c] + shift[c]). */
struct vec_to_channels {
    const float *x, *scale, *shift; /* scale and shift NULL: as it is */
    int64_t plane, channels, n, ldy;
    void *y;
    bool silu, bf16;
};

/* Back: y[c * plane + i] = x[i * ldx + c] + bias[c]. */
struct vec_from_channels {
    const float *x, *bias; /* bias may be NULL */
    float *y;
    int64_t plane, channels, n, ldx;
};

/* Quantised rows: activations are x = scale * (u - zero), weights w = scale * q, kept with the sum of all q. */
struct vec_row_u8 {
    float scale;
    int32_t zero;
};
struct vec_row_s8 {
    float scale;
    int32_t sum;
};

/* Dequantises a tile of int32 sums of such rows to float32, in place. */
struct vec_from_int8 {
    float *c;
    int64_t ldc, rows, cols;
    const void *x; /* a struct vec_row_u8 for each row, so many bytes apart */
    size_t x_step;
    const float *scales, *sums; /* [cols]; sums are int32 */
};

struct vec {
    const char *name;
    void (*to_bf16)(const float *x, uint16_t *y, int64_t n);
    void (*from_bf16)(const uint16_t *x, float *y, int64_t n);
    void (*tile)(const struct vec_tile *t);
    void (*norm)(const struct vec_norm *j, const float *x, void *y, int64_t n);
    void (*rope)(const struct vec_rope *j, const float *x, void *y, int64_t head_dim);
    /* Returns the factor for earlier sums; 1 when the greatest score did not change. */
    float (*softmax)(const struct vec_softmax *j);
    void (*scale)(float *x, float f, int64_t n);
    void (*to_channels)(const struct vec_to_channels *j);
    void (*from_channels)(const struct vec_from_channels *j);
    /* Sum and sum of squares of x - pivot, in double. */
    void (*moments)(const float *x, int64_t n, float pivot, double sums[2]);
    /* Rows of stored numbers (a ggml type) to bf16 or float32; false for a type it has no loop for. */
    bool (*unpack)(int ggml_type, const void *src, void *dst, int64_t n, bool bf16);
    /* n numbers, bf16 or float32, to so many bits of a byte (at most 8). A NaN or an infinity makes the scale NaN. */
    struct vec_row_u8 (*to_u8)(const void *x, bool bf16, uint8_t *y, int64_t n, int bits);
    struct vec_row_s8 (*to_s8)(const void *x, bool bf16, int8_t *y, int64_t n, int bits);
    void (*from_int8)(const struct vec_from_int8 *j);
};

extern const struct vec vec_avx512_bf16, vec_avx512, vec_avx2, vec_base;

const struct vec *vec_get(void);

#endif

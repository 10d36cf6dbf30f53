/* kernels.h - what the kernels of NVIDIA cards take: read by the host (C) and by the kernels (CUDA C).
 *
 * Each kernel takes one struct by value. Matrices are row-major: [rows, columns] with a leading dimension
 * (ld, in elements) between rows. Pointers are addresses on the card. Strides are in elements, not bytes.
 * A type is one of nv_type. Nothing here depends on a header of CUDA.
 *
 * The table at the end names every entry point with its module, launch geometry and shared memory; `grid` says how
 * many blocks. Sums are float32 everywhere. "exact" kernels multiply in float32 as well.
 */
#ifndef VT_NN_NVIDIA_KERNELS_H
#define VT_NN_NVIDIA_KERNELS_H

enum nv_type { NV_F32, NV_BF16, NV_F16, NV_I32, NV_F64, NV_I8, NV_F8 /* e4m3 */ };

/* ---- products ------------------------------------------------------------------------------------------
 *
 * y = residual + gate * act(scale * row_scales * (x w^T) + bias), x [m, k], w [n, k], y [m, n].
 * bias, row_scales, gate and residual may be NULL; y may be the residual itself (each element is read before it is
 * written, by the same thread). With NV_ACT_SWIGLU y is silu(x w^T + bias) * (x w2^T + bias2).
 *
 * gemm_bf16: x and w are bf16; k, ldx and ldw multiples of 8, x and w at multiples of 16 bytes; y is bf16 or f32. m and n are any. grid: ceil(m / 128) * ceil(n / tile) in x, tile = 128 (64 with SWIGLU).
 * gemm_bf16_wide: the same with tiles twice as wide (tile = 256, 128 with SWIGLU): quicker where there are many.
 * gemm_exact: types and sizes are any. grid: ceil(m / 64), ceil(n / 64).
 * gemv: m <= 8, for few tokens: types any. grid: ceil(n / 8).
 * gemv_eight: the same with w of 8 bits (NV_I8 or NV_F8; k and ldw multiples of 16, w at a multiple of 16 bytes) and x in f32 or
 * bf16 (ldx a multiple of 4, x at a multiple of 16 bytes).
 *
 * Operands of 8 bits (both NV_I8, or both NV_F8): row r of x is also multiplied by x_scales[r * ld_scales], and row_scales must be
 * there (row_scales2 with SWIGLU). k, ldx and ldw multiples of 16, x and w at multiples of 16 bytes; sums of int8 are exact.
 * gemm_s8: int8 on every card, tiles as gemm_bf16. */
enum nv_act { NV_ACT_NONE, NV_ACT_SILU, NV_ACT_GELU_TANH, NV_ACT_SWIGLU };

struct nv_gemm {
    const void *x, *w, *w2;
    const float *bias, *bias2;             /* [n] */
    const float *row_scales, *row_scales2; /* [n] */
    const float *x_scales;                 /* of 8 bits only */
    const float *gate;                     /* [n] */
    const void *residual; /* [m, n], of residual_type: f32, or bf16 where y is bf16 */
    int *tickets;         /* products on sm_90a only: see there; NULL elsewhere */
    void *y;
    long long ldx, ldw, ldy, ldr, ld_scales;
    int m, n, k;
    float scale;
    int act;
    int x_type, w_type, y_type, residual_type;
};

/* Products on sm_90a, tiles of 128 rows by N = 256, 192 or 128 columns (the name says it). The maps describe x as [m, k]
 * with boxes of [128, 64], each weight as [n, k] with boxes of [64, 64]: bf16, swizzle 128 bytes, out of bounds 0. For operands of
 * 8 bits (gemm_tma_s8_N, gemm_tma_f8_N, N = 256 or 128) the boxes are [128, 128] and [64, 128] bytes.
 * Blocks work in pairs on two tiles that are neighbours in m, and stay: grid = 2 * min(multiprocessors / 2,
 * ceil(ceil(m / 128) / 2) * ceil(n / N)). SWIGLU: N = 256 gives 128 columns of y (so ceil(n / 128) above).
 * In place (y is the residual, f32, no act): y_map describes y as f32 [m, n] with boxes of [64, 32], swizzle 128 bytes (ldy
 * a multiple of 4, y at a multiple of 16 bytes); nobody waits for what y held.
 * tickets (in place only; may be NULL): int32 [2 * 2 * ceil(m / 256) * ceil(n / N)], zeros before and after. With them pairs share
 * the tiles that are left after the last whole round, so that none is idle at the end and few tiles keep the whole card busy:
 * grid = 2 * (multiprocessors / 2). Parts of a tile are added in a fixed order: results repeat to the bit. */
struct nv_tensor_map {
    unsigned char bytes[128];
} __attribute__((aligned(64)));

struct nv_gemm_tma {
    struct nv_tensor_map x_map, w_map, w2_map, y_map;
    struct nv_gemm g;
};

/* gemm_tma_heads: up to three products of the same x whose columns are heads of 128: plus bias, RMS norm of each head times
 * norm [128] (NULL: none; row_scales [n], NULL for none, come before the bias), rotary embedding where `rotate` (by cos, sin [m, 64]; pairs as in norm_rope), stored as bf16 at
 * y[token * y_token + head * y_head + d], y_token and y_head multiples of 8, y at a multiple of 16 bytes. n is a multiple of 128;
 * parts that are not there have n = 0. grid: 2 * min(multiprocessors / 2, ceil(ceil(m / 128) / 2) * sum of ceil(n / 256)). */
struct nv_heads {
    const float *row_scales, *bias, *norm;
    void *y;
    long long y_token, y_head;
    int n;
    int rotate;
};

struct nv_gemm_heads_tma {
    struct nv_tensor_map x_map, w_map[3];
    struct nv_heads part[3];
    const float *cos, *sin;
    const float *x_scales; /* gemm_tma_heads_s8 and _f8: as in nv_gemm */
    long long ld_table, ld_scales;
    int m, k;
    int pairs;
    float eps;
};

/* ---- attention -----------------------------------------------------------------------------------------
 *
 * y[t, h, :] = sum_s softmax_s(scale q[t, h] k[s, h / group] + mask[t, s]) v[s, h / group], group = heads / kv_heads.
 * q, k, v, y are addressed as p[token * token_stride + head * head_stride + d]. mask is f32 [n_q, n_kv] or NULL.
 * causal: token t sees keys s <= t + offset only, beside the mask.
 *
 * attention_bf16_D (D = 64, 80, 96, 112, 128 = head_dim): q, k, v bf16 at multiples of 16 bytes, strides multiples
 * of 8; y bf16 or f32. grid: ceil(n_q / 128), heads.
 * attention_exact: types any, head_dim up to 512. grid: ceil(n_q / 4), heads. */
struct nv_attention {
    const void *q, *k, *v;
    const float *mask;
    void *y;
    long long q_token, q_head, k_token, k_head, v_token, v_head, y_token, y_head;
    long long mask_row;
    int n_q, n_kv, heads, kv_heads, head_dim;
    int causal, offset;
    int type, y_type; /* of q, k, v; of y */
    float scale;
};

/* attention_tma_128 on sm_90a: head_dim 128, no mask. keys (may be NULL) is the number of keys that exist, on the card: at
 * most n_kv, at least 1; so a graph is good for prompts of any length. The maps describe q, k and v as
 * [heads, tokens, 128] (dims 128, tokens, heads; strides token, head) with boxes of [1, 128, 64], bf16, swizzle
 * 128 bytes. grid: ceil(n_q / 128), heads. */
/* attention_tma_512, attention_tma_384 on sm_90a: one head of that many, no mask, not causal, keys NULL. The maps describe q, k
 * and v as [tokens, head_dim]; q's boxes are [128, 64], those of k and v [64, 64]. grid: ceil(n_q / 128), 2. */
struct nv_attention_tma {
    struct nv_tensor_map q_map, k_map, v_map;
    struct nv_attention a;
    const int *keys;
};

/* ---- norms ---------------------------------------------------------------------------------------------
 *
 * norm: each row of x [rows, dim]: layer norm or RMS norm; times weight, plus bias; times 1 + scale, plus shift.
 * weight, bias, scale, shift are f32 [dim], each may be NULL. y may be x. grid: rows.
 * l2 in place of RMS: x / max(||x||, eps).
 * y of 8 bits (NV_I8, NV_F8): as quantise_rows makes it, each row's scale right behind its numbers (y at a multiple of 4 bytes,
 * as dim and ldy). */
enum nv_norm_kind { NV_NORM_LAYER, NV_NORM_RMS, NV_NORM_L2 };

struct nv_norm {
    const void *x;
    void *y;
    const float *weight, *bias, *scale, *shift;
    long long ldx, ldy;
    int rows, dim;
    int kind;
    int silu; /* of the result */
    int x_type, y_type;
    float eps;
};

/* norm_rope: RMS norm of each head times weight [head_dim] (weight NULL: no norm), then rotary embedding by
 * tables cos, sin [tokens, head_dim / 2] (cos NULL: none). pairs: (x0, x1), (x2, x3) are rotated; otherwise (x[i], x[i + half]).
 * head_dim is even and at most 256. grid: ceil(tokens * heads / 8). */
struct nv_norm_rope {
    const void *x;
    void *y;
    const float *weight, *cos, *sin;
    long long x_token, x_head, y_token, y_head, ld_table;
    int tokens, heads, head_dim;
    int pairs;
    int x_type, y_type;
    float eps;
};

/* softmax: rows of x [rows, dim] times scale, plus mask [mask_rows, dim] (row r uses r % mask_rows), f32. grid: rows. */
struct nv_softmax {
    const void *x;
    void *y;
    const float *mask;
    long long ldx, ldy, ld_mask;
    int rows, dim, mask_rows;
    int x_type, y_type;
    float scale;
};

/* ---- images --------------------------------------------------------------------------------------------
 *
 * Channels last: x[(row * width + column) * ld + channel].
 *
 * conv_bf16: x [height, width, in] bf16, w [out, kh * kw, in] bf16, y [out_height, out_width, out]; in a multiple of 8,
 * y = residual + (bias + conv). a, b (conv_exact only; may be NULL): x is silu(x * a + b) by channel, padding stays 0. up: x is read at (row / 2, column / 2), height and width are those after that.
 * grid: ceil(out_height * out_width / 128) * ceil(out / 128).
 * conv_exact: the same with any types, sizes and strides of x and w: w[o, tap, i] at o * w_out + tap * w_tap + i * w_in,
 * x at row * x_row + column * x_column + channel * x_channel, y and residual likewise.
 * grid: ceil(out_height * out_width / 64), ceil(out / 64). */
struct nv_conv {
    const void *x, *w;
    const float *bias;    /* [out] */
    const float *a, *b;   /* [in] */
    const void *residual; /* as y, of type residual_type */
    void *y;
    long long x_row, x_column, x_channel;
    long long w_out, w_tap, w_in;
    long long y_row, y_column, y_channel;
    int height, width, in, out_height, out_width, out;
    int kh, kw, stride, pad_left, pad_top;
    int up;
    int x_type, w_type, y_type, residual_type;
};

/* conv_tma on sm_90a, tiles of 8 x 16 pixels by N = 256 or 128 channels. x_map describes x as [height, width, in] with boxes of
 * [8 s, 16 s, 64] and element strides s = stride (1 for channels), w_map w as [out, kh * kw * in] with boxes of [64, 64]: bf16,
 * swizzle 128 bytes, out of bounds 0. g says what happens to the sums, a pixel of y a row (m = out_height * out_width,
 * n = out). grid: 2 * min(multiprocessors / 2, ceil(ceil(out_height / 8) * ceil(out_width / 16) / 2) * ceil(out / N)). */
struct nv_conv_tma {
    struct nv_tensor_map x_map, w_map;
    struct nv_gemm g;
    int in, out_height, out_width, kh, kw, stride, pad_left, pad_top;
};

/* A group norm is four steps, each its own kernel with the same struct; channel c of pixel p of x lies at
 * p * x_pixel + c * x_channel.
 * channel_sums: every part of the pixels -> state [parts, channels, 3]: count, mean, sum of squared distances from it.
 * grid: parts, ceil(channels / 32).
 * channel_moments: all parts -> moments [2, channels]: mean, sum of squared distances. grid: ceil(channels / 8).
 * group_scales: moments of `pixels` pixels -> scales [2, channels]: a = weight * rstd, b = bias - mean * a; groups and eps
 * count here. grid: groups.
 * group_apply: y = x * a + b, then silu if asked. grid: any (a loop over elements). */
struct nv_group_norm {
    const void *x;
    void *y;
    const float *weight, *bias; /* [channels] */
    float *state, *moments, *scales;
    long long x_pixel, x_channel, y_pixel, y_channel;
    long long pixels;
    int channels, groups, parts;
    int silu;
    int x_type, y_type;
    float eps;
};

/* ---- everything else: one element at a time ---------------------------------------------------------------
 *
 * map: y[i] = op(a[i], b[i]) over four dimensions (ne[0] innermost), every tensor with byte strides nb. A source whose
 * ne is smaller is repeated (index modulo its ne). b is NULL for operations of one source. p are parameters.
 * grid: any (a loop over elements); 256 threads. */
enum nv_map_op {
    NV_MAP_COPY, /* also: cast, cont, repeat, concat by parts */
    NV_MAP_ADD,
    NV_MAP_SUB,
    NV_MAP_MUL,
    NV_MAP_DIV,
    NV_MAP_SCALE, /* a * p[0] + p[1] */
    NV_MAP_SILU,
    NV_MAP_SIGMOID,
    NV_MAP_TANH,
    NV_MAP_GELU_TANH,
    NV_MAP_GELU_ERF,
    NV_MAP_RELU,
    NV_MAP_EXP,
    NV_MAP_NEG,
    NV_MAP_ABS,
    NV_MAP_SQR,
    NV_MAP_SQRT,
    NV_MAP_CLAMP,    /* to p[0] .. p[1] */
    NV_MAP_SILU_MUL, /* silu(a) * b */
    NV_MAP_GATHER,   /* a's row b[i1] (b int32 [ne1]): get_rows */
    NV_MAP_PAD,      /* a shifted by q[0..3], 0 outside of it */
    NV_MAP_UPSCALE,  /* a at index / q[d] in dimension d */
    NV_MAP_ROLL,     /* a rolled by q[d] in dimension d */
    NV_MAP_ARANGE,   /* p[0] + i0 * p[1] */
    NV_MAP_FILL      /* p[0] */
};

struct nv_map_source {
    const void *p;
    long long ne[4], nb[4];
    int type;
};

struct nv_map {
    struct nv_map_source a, b;
    void *y;
    long long ne[4], nb[4];
    int y_type;
    int op;
    float p[2];
    int q[4];
};

/* transpose: y[c, r] = x[r, c], batch by batch; quick where both are large. grid: ceil(cols / 32), ceil(rows / 32), batch. */
struct nv_transpose {
    const void *x;
    void *y;
    long long ldx, ldy, x_batch, y_batch;
    int rows, cols;
    int x_type, y_type;
};

/* unpack: `numbers` weights as they are stored, to bf16: each the float32 value of its format, rounded. Scales of a tensor or a
 * row are left to the product. NV_BLOCKS_Q4_0 to NV_BLOCKS_NVFP4: blocks of 32, 64 or 256 numbers of GGUF, whose documentation says
 * how they lie. NV_BLOCKS_E4M3, NV_BLOCKS_E5M2, NV_BLOCKS_INT8: a byte each. Codes that are NaN or infinite are not there.
 * numbers: whole blocks, a multiple of 8. x is at a multiple of 2 (8 for a byte each, any for MXFP4); the 16 bytes that it begins
 * and ends in are read whole. y is at a multiple of 16. grid: ceil(numbers / NV_UNPACK_NUMBERS). */
enum { NV_UNPACK_NUMBERS = 8192 };
enum nv_blocks {
    NV_BLOCKS_NONE,
    NV_BLOCKS_Q4_0,
    NV_BLOCKS_Q4_1,
    NV_BLOCKS_Q5_0,
    NV_BLOCKS_Q5_1,
    NV_BLOCKS_Q8_0,
    NV_BLOCKS_Q2_K,
    NV_BLOCKS_Q3_K,
    NV_BLOCKS_Q4_K,
    NV_BLOCKS_Q5_K,
    NV_BLOCKS_Q6_K,
    NV_BLOCKS_IQ4_NL,
    NV_BLOCKS_IQ4_XS,
    NV_BLOCKS_TQ1_0,
    NV_BLOCKS_TQ2_0,
    NV_BLOCKS_MXFP4,
    NV_BLOCKS_NVFP4,
    NV_BLOCKS_E4M3,
    NV_BLOCKS_E5M2,
    NV_BLOCKS_INT8,
    NV_BLOCKS_KINDS
};

struct nv_unpack {
    const void *x;
    void *y;
    long long numbers;
    int kind; /* enum nv_blocks */
};

/* quantise_rows: rows of x [rows, dim], f32, bf16 or f16, to y of 8 bits: round(x / s) with s = max |x| / 127 (NV_I8) or max |x| / 448
 * (NV_F8, e4m3), to nearest even. s is stored at scales[row * ld_scales]. A row with NaN or infinity
 * gets such a scale. Quick where x is bf16 at a multiple of 16 bytes, y at one of 8, and dim, ldx and ldy are multiples of 8.
 * grid: rows. */
struct nv_quantise {
    const void *x;
    void *y;
    float *scales;
    long long ldx, ldy, ld_scales;
    int rows, dim;
    int x_type, y_type;
};

/* reduce_rows: y[r] = sum of x[r, :] * factor (f32). grid: rows. */
struct nv_reduce {
    const void *x;
    float *y;
    long long ldx;
    int rows, dim;
    int x_type;
    float factor;
};

/* ---- the table --------------------------------------------------------------------------------------------
 *
 * NV_KERNEL(module, name, architecture, struct, threads a block, bytes of shared memory given at launch) */
#define NV_KERNELS(NV_KERNEL)                                                                      \
    NV_KERNEL(gemm, gemm_bf16, 80, nv_gemm, 256, 3 * 32768)                                        \
    NV_KERNEL(gemm, gemm_bf16_swiglu, 80, nv_gemm, 256, 3 * 32768)                                 \
    NV_KERNEL(gemm_s8, gemm_s8, 80, nv_gemm, 256, 3 * 32768)                                       \
    NV_KERNEL(gemm_s8, gemm_s8_swiglu, 80, nv_gemm, 256, 3 * 32768)                                \
    NV_KERNEL(gemm_wide, gemm_bf16_wide, 80, nv_gemm, 256, 4 * 24576)                              \
    NV_KERNEL(gemm_wide, gemm_bf16_wide_swiglu, 80, nv_gemm, 256, 4 * 24576)                       \
    NV_KERNEL(gemm_exact, gemm_exact, 80, nv_gemm, 256, 0)                                         \
    NV_KERNEL(gemm_exact, gemv, 80, nv_gemm, 256, 0)                                               \
    NV_KERNEL(gemv_eight, gemv_eight, 80, nv_gemm, 256, 0)                                         \
    NV_KERNEL(gemm_tma, gemm_tma_256, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)              \
    NV_KERNEL(gemm_tma, gemm_tma_swiglu, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)           \
    NV_KERNEL(gemm_narrow_tma, gemm_tma_192, 90, nv_gemm_tma, 384, 4 * 40960 + 32768 + 1024)       \
    NV_KERNEL(gemm_narrow_tma, gemm_tma_128, 90, nv_gemm_tma, 384, 6 * 32768 + 32768 + 1024)       \
    NV_KERNEL(gemm_heads_tma, gemm_tma_heads, 90, nv_gemm_heads_tma, 384,                          \
              4 * 49152 + 32768 + 1024)                                                            \
    NV_KERNEL(gemm_s8_tma, gemm_tma_s8_256, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)        \
    NV_KERNEL(gemm_s8_tma, gemm_tma_s8_128, 90, nv_gemm_tma, 384, 6 * 32768 + 32768 + 1024)        \
    NV_KERNEL(gemm_s8_tma, gemm_tma_s8_swiglu, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)     \
    NV_KERNEL(gemm_s8_tma, gemm_tma_heads_s8, 90, nv_gemm_heads_tma, 384,                          \
              4 * 49152 + 32768 + 1024)                                                            \
    NV_KERNEL(gemm_f8_tma, gemm_tma_f8_256, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)        \
    NV_KERNEL(gemm_f8_tma, gemm_tma_f8_128, 90, nv_gemm_tma, 384, 6 * 32768 + 32768 + 1024)        \
    NV_KERNEL(gemm_f8_tma, gemm_tma_f8_swiglu, 90, nv_gemm_tma, 384, 4 * 49152 + 32768 + 1024)     \
    NV_KERNEL(gemm_f8_tma, gemm_tma_heads_f8, 90, nv_gemm_heads_tma, 384,                          \
              4 * 49152 + 32768 + 1024)                                                            \
    NV_KERNEL(attention, attention_bf16_64, 80, nv_attention, 128, 384 * (2 * 64 + 16))            \
    NV_KERNEL(attention, attention_bf16_80, 80, nv_attention, 128, 384 * (2 * 80 + 16))            \
    NV_KERNEL(attention, attention_bf16_96, 80, nv_attention, 128, 384 * (2 * 96 + 16))            \
    NV_KERNEL(attention, attention_bf16_112, 80, nv_attention, 128, 256 * (2 * 112 + 16))          \
    NV_KERNEL(attention, attention_bf16_128, 80, nv_attention, 128, 256 * (2 * 128 + 16))          \
    NV_KERNEL(attention, attention_exact, 80, nv_attention, 128, 0)                                \
    NV_KERNEL(attention_tma, attention_tma_128, 90, nv_attention_tma, 384, 5 * 32768 + 1152)       \
    NV_KERNEL(attention_wide_tma, attention_tma_512, 90, nv_attention_tma, 384,                    \
              8 * 16384 + 12 * 8192 + 256)                                                         \
    NV_KERNEL(attention_wide_tma, attention_tma_384, 90, nv_attention_tma, 384,                    \
              6 * 16384 + 9 * 8192 + 256)                                                          \
    NV_KERNEL(rows, norm, 80, nv_norm, 256, 0)                                                     \
    NV_KERNEL(rows, norm_rope, 80, nv_norm_rope, 256, 0)                                           \
    NV_KERNEL(rows, softmax, 80, nv_softmax, 256, 0)                                               \
    NV_KERNEL(rows, reduce_rows, 80, nv_reduce, 256, 0)                                            \
    NV_KERNEL(conv, conv_bf16, 80, nv_conv, 256, 3 * 32768)                                        \
    NV_KERNEL(conv, conv_exact, 80, nv_conv, 256, 0)                                               \
    NV_KERNEL(conv_tma, conv_tma_256, 90, nv_conv_tma, 384, 4 * 49152 + 32768 + 1024)              \
    NV_KERNEL(conv_tma, conv_tma_128, 90, nv_conv_tma, 384, 6 * 32768 + 32768 + 1024)              \
    NV_KERNEL(group_norm, channel_sums, 80, nv_group_norm, 256, 0)                                 \
    NV_KERNEL(group_norm, channel_moments, 80, nv_group_norm, 256, 0)                              \
    NV_KERNEL(group_norm, group_scales, 80, nv_group_norm, 32, 0)                                  \
    NV_KERNEL(group_norm, group_apply, 80, nv_group_norm, 256, 0)                                  \
    NV_KERNEL(map, map, 80, nv_map, 256, 0)                                                        \
    NV_KERNEL(map, transpose, 80, nv_transpose, 256, 0)                                            \
    NV_KERNEL(unpack, unpack, 80, nv_unpack, 256, 0)                                               \
    NV_KERNEL(quantise, quantise_rows, 80, nv_quantise, 256, 0)

#endif

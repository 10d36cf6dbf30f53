/* vec_body.h - the loops behind vec.h; included once an instruction set, with VEC_TABLE and VEC_NAME set, and
 * VEC_BF16 and its like where there are instructions for them that compilers do not use by themselves.
 *
 * A vector (vf, vi, ...) has VEC_LANES numbers: as many as fit into a register of AVX-512 or AVX2. The compiler would
 * split larger ones, but gcc 12 does so through memory. What is left of a row after whole vectors goes through a padded
 * copy. */
#include <math.h>
#include <string.h>

#include "nn/cpu/vec.h"
#include "nn/cpu/vec_quants.h"

/* Vectors are passed only between functions of this file, which are all inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"
#if defined(__clang__)
#pragma clang fp contract(fast)
#else
#pragma GCC optimize("fp-contract=fast")
#endif

/* gcc's AddressSanitizer puts variables on a stack of its own that is aligned to 32 bytes, where a register of 64
 * cannot be stored: these loops are not instrumented then, except for the copies of a row's rest. */
#if defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define LOOP static __attribute__((no_sanitize_address))
#else
#define LOOP static
#endif
#define INLINE LOOP inline __attribute__((always_inline))
enum { LANES = VEC_LANES };

#define VECTOR(bytes) __attribute__((vector_size(bytes)))
typedef float vf VECTOR(4 * VEC_LANES);
typedef int32_t vi VECTOR(4 * VEC_LANES);
typedef uint32_t vu VECTOR(4 * VEC_LANES);
typedef uint16_t vh VECTOR(2 * VEC_LANES);
typedef int8_t vb VECTOR(VEC_LANES);
typedef uint8_t vub VECTOR(VEC_LANES);
typedef double vd VECTOR(4 * VEC_LANES); /* half as many */
typedef float half_vf VECTOR(2 * VEC_LANES);

/* Orders of the numbers of a vector, or of two, for __builtin_shufflevector. */
#if VEC_LANES == 16
#define EACH_TWICE 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define PAIRS_SWAPPED 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#define LOWER_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define ODD_NEGATED                                                                                \
    {                                                                                              \
        -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1                                     \
    }
#define LANE_NUMBERS                                                                               \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                       \
    }
#else
#define EACH_TWICE 0, 0, 1, 1, 2, 2, 3, 3
#define PAIRS_SWAPPED 1, 0, 3, 2, 5, 4, 7, 6
#define LOWER_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#define ODD_NEGATED                                                                                \
    {                                                                                              \
        -1, 1, -1, 1, -1, 1, -1, 1                                                                 \
    }
#define LANE_NUMBERS                                                                               \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7                                                                     \
    }
#endif

/* ---- registers -------------------------------------------------------------------------------------- */

INLINE vf load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

INLINE vf all(float f)
{
    return (vf){0} + f;
}

/* The first n floats, zeros behind. */
INLINE vf load_some(const float *p, int64_t n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE vf pick(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

INLINE vf greater(vf a, vf b)
{
#ifdef VEC_MAX
    return (vf)VEC_MAX((vf)(a), (vf)(b));
#else
    return pick(a > b, a, b);
#endif
}

INLINE vu widened(vh h)
{
#ifdef VEC_WIDEN
    return (vu)VEC_WIDEN(h);
#else
    return __builtin_convertvector(h, vu);
#endif
}

/* Of numbers below 65536. */
INLINE vh low_halves(vu u)
{
#ifdef VEC_NARROW
    return (vh)VEC_NARROW(u);
#else
    return __builtin_convertvector(u, vh);
#endif
}

/* To nearest, ties to even. A NaN with only its lowest bits set would become infinity: none arises here. */
INLINE vh bf16_of(vf v)
{
#ifdef VEC_BF16
    return VEC_BF16(v);
#else
    vu u = (vu)v;
    u += 0x7fffu + ((u >> 16) & 1u);
    return low_halves(u >> 16);
#endif
}

INLINE vf of_bf16(vh h)
{
    return (vf)(widened(h) << 16);
}

/* n of a vector to place i of a row of bf16 or float32. */
INLINE void put(void *y, int64_t i, vf v, int64_t n, bool bf16)
{
    if (bf16) {
        vh h = bf16_of(v);
        if (n == LANES)
            memcpy((uint16_t *)y + i, &h, sizeof h);
        else
            memcpy((uint16_t *)y + i, &h, (size_t)n * sizeof(uint16_t));
    } else if (n == LANES) {
        store((float *)y + i, v);
    } else {
        memcpy((float *)y + i, &v, (size_t)n * sizeof(float));
    }
}

INLINE int64_t left(int64_t n, int64_t i)
{
    return n - i < LANES ? n - i : LANES;
}

INLINE vf take(const float *x, int64_t i, int64_t n)
{
    return left(n, i) == LANES ? load(x + i) : load_some(x + i, left(n, i));
}

INLINE float sum_of(vf v)
{
    float f[LANES];
    memcpy(f, &v, sizeof v);
    for (int w = LANES / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            f[i] += f[i + w];
    return f[0];
}

INLINE float greatest_of(vf v)
{
    float f[LANES], m;
    memcpy(f, &v, sizeof v);
    m = f[0];
    for (int i = 1; i < LANES; i++)
        m = f[i] > m ? f[i] : m;
    return m;
}

/* exp to 2 ulp: x = n ln 2 + r, a polynomial of r, n into the exponent. Below -87 it gives almost 0. */
INLINE vf exp_of(vf x)
{
    x = greater(x, all(-87.0f));
    x = -greater(-x, all(-88.0f));
    vf shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    vi n = (vi)shifted - 0x4b400000;
    vf q = shifted - 12582912.0f;
    vf r = x - q * 0.693359375f;
    r = r + q * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vf)((vi)p + (n << 23));
}

INLINE vf sigmoid_of(vf x)
{
    return 1.0f / (1.0f + exp_of(-x));
}

/* ---- conversions ------------------------------------------------------------------------------------ */

LOOP void to_bf16(const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES)
        put(y, i, take(x, i, n), left(n, i), true);
}

LOOP void from_bf16(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vh h;
        memcpy(&h, x + i, sizeof h);
        store(y + i, of_bf16(h));
    }
    for (; i < n; i++) {
        uint32_t u = (uint32_t)x[i] << 16;
        memcpy(y + i, &u, sizeof u);
    }
}

LOOP void scale_row(float *x, float f, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES)
        put(x, i, take(x, i, n) * f, left(n, i), false);
}

/* ---- products' tiles --------------------------------------------------------------------------------- */

INLINE vf act_of(enum vec_act act, vf v, vf v2)
{
    switch (act) {
    case VEC_SILU:
        return v * sigmoid_of(v);
    case VEC_SILU_MUL:
        return v * sigmoid_of(v) * v2;
    case VEC_GELU_TANH:
        return v * sigmoid_of(v * (v * v * (0.044715f * 1.5957691216057308f) + 1.5957691216f));
    case VEC_NONE:
        break;
    }
    return v;
}

LOOP void tile(const struct vec_tile *t)
{
    for (int64_t r = 0; r < t->rows; r++) {
        const float *c = t->c + r * t->ldc, *c2 = t->c2 ? t->c2 + r * t->ldc : NULL;
        const float *res = t->residual ? t->residual + r * t->ldr : NULL;
        unsigned char *y = (unsigned char *)t->dst + (size_t)(r * t->ldd) * (t->bf16 ? 2 : 4);
        for (int64_t i = 0; i < t->cols; i += LANES) {
            vf v = take(c, i, t->cols) * t->scale;
            if (t->scales)
                v *= take(t->scales, i, t->cols);
            if (t->bias)
                v += take(t->bias, i, t->cols);
            v = act_of(t->act, v, c2 ? take(c2, i, t->cols) : v);
            if (t->gate)
                v *= take(t->gate, i, t->cols);
            if (res)
                v += take(res, i, t->cols);
            put(y, i, v, left(t->cols, i), t->bf16);
        }
    }
}

/* ---- norms and rotation ------------------------------------------------------------------------------ */

/* Two passes: the mean first, then the squares around it. */
LOOP void norm(const struct vec_norm *j, const float *x, void *y, int64_t n)
{
    vf s = {0};
    float mean = 0;
    if (!j->rms) {
        for (int64_t i = 0; i < n; i += LANES)
            s += take(x, i, n);
        mean = sum_of(s) / (float)n;
        s = (vf){0};
    }
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES) {
        vf d = load(x + i) - mean;
        s += d * d;
    }
    float tail = 0;
    for (int64_t i = whole; i < n; i++)
        tail += (x[i] - mean) * (x[i] - mean);
    float r = 1.0f / sqrtf((sum_of(s) + tail) / (float)n + j->eps);
    for (int64_t i = 0; i < n; i += LANES) {
        vf v = (take(x, i, n) - mean) * r;
        if (j->weight)
            v *= take(j->weight, i, n);
        if (j->scale)
            v *= take(j->scale, i, n) + 1.0f;
        if (j->shift)
            v += take(j->shift, i, n);
        put(y, i, v, left(n, i), j->bf16);
    }
}

INLINE void put_one(void *y, int64_t i, float f, bool bf16)
{
    if (bf16) {
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        ((uint16_t *)y)[i] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    } else {
        ((float *)y)[i] = f;
    }
}

INLINE float weight_at(const float *w, int64_t i)
{
    return w ? w[i] : 1.0f;
}

/* Angles, each repeated for both members of its pair. */
INLINE vf twice_each(const float *p)
{
    half_vf v;
    memcpy(&v, p, sizeof v);
    return __builtin_shufflevector(v, v, EACH_TWICE);
}

INLINE void rope_pairs(const struct vec_rope *j, const float *x, void *y, int64_t n, float r)
{
    const vf sign = ODD_NEGATED;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf v = load(x + i) * r;
        if (j->weight)
            v *= load(j->weight + i);
        vf other = __builtin_shufflevector(v, v, PAIRS_SWAPPED);
        vf turned = other * (twice_each(j->sin + i / 2) * sign);
        put(y, i, v * twice_each(j->cos + i / 2) + turned, LANES, j->bf16);
    }
    for (; i < n; i += 2) {
        float a = x[i] * r * weight_at(j->weight, i),
              b = x[i + 1] * r * weight_at(j->weight, i + 1);
        float c = j->cos[i / 2], s = j->sin[i / 2];
        put_one(y, i, a * c - b * s, j->bf16);
        put_one(y, i + 1, b * c + a * s, j->bf16);
    }
}

INLINE void rope_halves(const struct vec_rope *j, const float *x, void *y, int64_t n, float r)
{
    int64_t half = n / 2;
    for (int64_t i = 0; i < half; i += LANES) {
        vf a = take(x, i, half) * r, b = take(x + half, i, half) * r;
        if (j->weight) {
            a *= take(j->weight, i, half);
            b *= take(j->weight + half, i, half);
        }
        vf c = take(j->cos, i, half), s = take(j->sin, i, half);
        put(y, i, a * c - b * s, left(half, i), j->bf16);
        put((unsigned char *)y + (size_t)half * (j->bf16 ? 2 : 4), i, b * c + a * s, left(half, i),
            j->bf16);
    }
}

LOOP void rope(const struct vec_rope *j, const float *x, void *y, int64_t head_dim)
{
    float r = 1.0f;
    if (j->weight) {
        vf s = {0};
        for (int64_t i = 0; i < head_dim; i += LANES) {
            vf v = take(x, i, head_dim);
            s += v * v;
        }
        r = 1.0f / sqrtf(sum_of(s) / (float)head_dim + j->eps);
    }
    if (j->pairs)
        rope_pairs(j, x, y, head_dim, r);
    else
        rope_halves(j, x, y, head_dim, r);
}

/* ---- attention -------------------------------------------------------------------------------------- */

INLINE vf score(const struct vec_softmax *j, int64_t i)
{
    vf v = load(j->s + i) * j->scale;
    return j->mask ? v + load(j->mask + i) : v;
}

INLINE float score_one(const struct vec_softmax *j, int64_t i)
{
    return j->s[i] * j->scale + (j->mask ? j->mask[i] : 0.0f);
}

/* A row whose every key so far is hidden keeps max = -inf, sum = 0 and p = 0. */
LOOP float softmax(const struct vec_softmax *j)
{
    int64_t whole = j->n / LANES * LANES;
    float max = *j->max;
    if (whole) {
        vf m = score(j, 0);
        for (int64_t i = LANES; i < whole; i += LANES)
            m = greater(m, score(j, i));
        float f = greatest_of(m);
        max = f > max ? f : max;
    }
    for (int64_t i = whole; i < j->n; i++)
        max = score_one(j, i) > max ? score_one(j, i) : max;
    bool hidden = max == -INFINITY;
    float base = hidden ? 0.0f : max, tail = 0;
    vf s = {0};
    for (int64_t i = 0; i < whole; i += LANES) {
        vf x = score(j, i) - base, p = exp_of(x);
        if (j->mask)
            p = pick(x > all(-87.0f), p, (vf){0});
        s += p;
        put(j->p, i, p, LANES, j->bf16);
    }
    for (int64_t i = whole; i < j->n; i++) {
        float x = score_one(j, i) - base, p = x > -87.0f ? expf(x) : 0.0f;
        tail += p;
        put_one(j->p, i, p, j->bf16);
    }
    float again = *j->max == max ? 1.0f : expf(*j->max - base);
    *j->sum = *j->sum * again + (sum_of(s) + tail);
    *j->max = max;
    return again;
}

/* ---- images --------------------------------------------------------------------------------------- */

/* One step of a transposition: interleaves rows i and i + LANES / 2. */
INLINE void weave(vf to[LANES], const vf from[LANES])
{
    for (int i = 0; i < LANES / 2; i++) {
        to[2 * i] = __builtin_shufflevector(from[i], from[i + LANES / 2], LOWER_HALVES);
        to[2 * i + 1] = __builtin_shufflevector(from[i], from[i + LANES / 2], UPPER_HALVES);
    }
}

/* Columns become rows. */
INLINE void transpose(vf m[LANES])
{
    vf t[LANES];
    weave(t, m);
    weave(m, t);
    weave(t, m);
    if (LANES == 16)
        weave(m, t);
    else
        memcpy(m, t, sizeof t);
}

/* A vector of channels of as many pixels. */
INLINE void block_to_channels(const struct vec_to_channels *j, int64_t c0, int64_t i0)
{
    vf m[LANES];
    int64_t n = left(j->n, i0), channels = left(j->channels, c0);
    for (int64_t c = 0; c < LANES; c++) {
        m[c] = (vf){0};
        if (c >= channels)
            continue;
        const float *x = j->x + (c0 + c) * j->plane + i0;
        vf v = n == LANES ? load(x) : load_some(x, n);
        if (j->scale)
            v = v * j->scale[c0 + c] + j->shift[c0 + c];
        if (j->silu)
            v *= sigmoid_of(v);
        m[c] = v;
    }
    transpose(m);
    size_t one = j->bf16 ? 2 : 4;
    for (int64_t i = 0; i < n; i++)
        put((unsigned char *)j->y + (size_t)((i0 + i) * j->ldy + c0) * one, 0, m[i], channels,
            j->bf16);
}

LOOP void to_channels(const struct vec_to_channels *j)
{
    for (int64_t i = 0; i < j->n; i += LANES)
        for (int64_t c = 0; c < j->channels; c += LANES)
            block_to_channels(j, c, i);
}

INLINE void block_from_channels(const struct vec_from_channels *j, int64_t c0, int64_t i0)
{
    vf m[LANES], bias = {0};
    int64_t n = left(j->n, i0), channels = left(j->channels, c0);
    if (j->bias)
        bias = load_some(j->bias + c0, channels);
    for (int64_t i = 0; i < LANES; i++) {
        const float *x = j->x + (i0 + i) * j->ldx + c0;
        m[i] = bias;
        if (i < n)
            m[i] += channels == LANES ? load(x) : load_some(x, channels);
    }
    transpose(m);
    for (int64_t c = 0; c < channels; c++)
        put(j->y + (c0 + c) * j->plane + i0, 0, m[c], n, false);
}

LOOP void from_channels(const struct vec_from_channels *j)
{
    for (int64_t i = 0; i < j->n; i += LANES)
        for (int64_t c = 0; c < j->channels; c += LANES)
            block_from_channels(j, c, i);
}

LOOP void moments(const float *x, int64_t n, float pivot, double sums[2])
{
    enum { HALF = LANES / 2 };
    vd s = {0}, s2 = {0};
    int64_t i = 0;
    for (; i + HALF <= n; i += HALF) {
        half_vf f;
        memcpy(&f, x + i, sizeof f);
        vd d = __builtin_convertvector(f, vd) - (double)pivot;
        s += d;
        s2 += d * d;
    }
    double t = 0, t2 = 0;
    for (; i < n; i++) {
        double d = (double)x[i] - (double)pivot;
        t += d;
        t2 += d * d;
    }
    for (int k = 0; k < HALF; k++) {
        t += s[k];
        t2 += s2[k];
    }
    sums[0] = t;
    sums[1] = t2;
}

#include "nn/cpu/vec_int8_body.h"
#include "nn/cpu/vec_unpack_body.h"

const struct vec VEC_TABLE = {
    .name = VEC_NAME,
    .to_bf16 = to_bf16,
    .from_bf16 = from_bf16,
    .tile = tile,
    .norm = norm,
    .rope = rope,
    .softmax = softmax,
    .scale = scale_row,
    .to_channels = to_channels,
    .from_channels = from_channels,
    .moments = moments,
    .unpack = unpack,
    .to_u8 = to_u8,
    .to_s8 = to_s8,
    .from_int8 = from_int8,
};

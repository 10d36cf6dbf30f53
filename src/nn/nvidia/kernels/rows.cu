/* rows.cu - norms, rotary embedding, softmax and sums: whatever goes row by row. */
#include "eight.cuh"

enum { THREADS = 256, KEPT = 16 }; /* elements of a row that a thread keeps in registers: rows of up to 4096 */

DEVICE float norm_scale(const struct nv_norm *a, float squares)
{
    if (a->kind == NV_NORM_L2)
        return 1.0f / max_of(sqrt_exact(squares), a->eps);
    return rsqrt_exact(squares / (float)a->dim + a->eps);
}

DEVICE float affine(const struct nv_norm *a, int i, float x)
{
    if (a->weight)
        x *= a->weight[i];
    if (a->bias)
        x += a->bias[i];
    if (a->scale)
        x *= 1.0f + a->scale[i];
    if (a->shift)
        x += a->shift[i];
    return a->silu ? silu(x) : x;
}

struct quad {
    float v[4];
} __attribute__((aligned(16)));

struct half_quad {
    u32 v[2];
} __attribute__((aligned(8)));

DEVICE struct quad quad_at(const float *p, int i, float none)
{
    struct quad q = {{none, none, none, none}};
    return p ? *(const struct quad *)(p + i) : q;
}

DEVICE bool is_eight(int type) { return type == NV_I8 || type == NV_F8; }

/* Of a row of 8 bits that begins at y; put behind its numbers. */
DEVICE struct eight_scale row_scale(const struct nv_norm *a, i64 y, u32 largest)
{
    static SHARED u32 room[THREADS / 32];
    struct eight_scale s = eight_scale_of(block_largest(largest, room, THREADS), a->y_type);
    if (thread_x() == 0)
        *(float *)((u8 *)a->y + y + a->dim) = s.scale;
    return s;
}

/* Rows of float32 in steps of four elements, kept in registers; KEPT / 4 steps. */
DEVICE void norm_quads(const struct nv_norm *a)
{
    static SHARED float room[THREADS / 32];
    const float *x = (const float *)a->x + block_x() * a->ldx;
    i64 y = block_x() * a->ldy;
    struct quad v[KEPT / 4];
    float mean = 0.0f, sum = 0.0f;
    u32 largest = 0;
    UNROLL for (int j = 0; j < KEPT / 4; j++)
    {
        int i = (j * THREADS + thread_x()) * 4;
        v[j] = quad_at(i < a->dim ? x : 0, i, 0.0f);
    }
    if (a->kind == NV_NORM_LAYER) {
        UNROLL for (int j = 0; j < KEPT; j++) sum += v[j / 4].v[j % 4];
        mean = block_reduce<false>(sum, room, THREADS) / (float)a->dim;
        sum = 0.0f;
    }
    UNROLL for (int j = 0; j < KEPT; j++)
    {
        float d = (j / 4 * THREADS + thread_x()) * 4 < a->dim ? v[j / 4].v[j % 4] - mean : 0.0f;
        sum = __builtin_fmaf(d, d, sum);
    }
    float rstd = norm_scale(a, block_reduce<false>(sum, room, THREADS));
    UNROLL for (int j = 0; j < KEPT / 4; j++)
    {
        int i = (j * THREADS + thread_x()) * 4;
        if (i >= a->dim)
            break;
        struct quad w = quad_at(a->weight, i, 1.0f), b = quad_at(a->bias, i, 0.0f);
        struct quad s = quad_at(a->scale, i, 0.0f), t = quad_at(a->shift, i, 0.0f);
        UNROLL for (int k = 0; k < 4; k++)
        {
            float r = __builtin_fmaf((v[j].v[k] - mean) * rstd, w.v[k], b.v[k]);
            r = __builtin_fmaf(r, 1.0f + s.v[k], t.v[k]);
            v[j].v[k] = a->silu ? silu(r) : r;
        }
        if (is_eight(a->y_type)) {
            UNROLL for (int k = 0; k < 4; k++)
                largest = magnitude_bits(v[j].v[k]) > largest ? magnitude_bits(v[j].v[k]) : largest;
        } else if (a->y_type == NV_BF16) {
            struct half_quad h = {{pack_bf16(v[j].v[0], v[j].v[1]), pack_bf16(v[j].v[2], v[j].v[3])}};
            *(struct half_quad *)((u16 *)a->y + y + i) = h;
        } else {
            *(struct quad *)((float *)a->y + y + i) = v[j];
        }
    }
    if (!is_eight(a->y_type))
        return;
    struct eight_scale s = row_scale(a, y, largest);
    UNROLL for (int j = 0; j < KEPT / 4; j++)
    {
        int i = (j * THREADS + thread_x()) * 4;
        if (i < a->dim)
            *(u32 *)((u8 *)a->y + y + i) = pack_eight(v[j].v, s.inverse, a->y_type);
    }
}

DEVICE bool aligned(const void *p) { return ((u64)p & 15) == 0; }

DEVICE bool by_quads(const struct nv_norm *a)
{
    return a->x_type == NV_F32 && (a->y_type == NV_F32 || a->y_type == NV_BF16 || is_eight(a->y_type)) && a->dim % 4 == 0 &&
           a->dim <= THREADS * KEPT && a->ldx % 4 == 0 && a->ldy % 4 == 0 && aligned(a->x) && aligned(a->y) &&
           aligned(a->weight) && aligned(a->bias) && aligned(a->scale) && aligned(a->shift);
}

/* The row is read once where it fits the registers. */
KERNEL BOUNDS(256, 1) void norm(struct nv_norm a)
{
    if (by_quads(&a)) {
        norm_quads(&a);
        return;
    }
    static SHARED float room[THREADS / 32];
    i64 x = block_x() * a.ldx, y = block_x() * a.ldy;
    float v[KEPT], mean = 0.0f, sum = 0.0f;
    bool kept = a.dim <= THREADS * KEPT;
    if (kept)
        UNROLL for (int j = 0; j < KEPT; j++)
        {
            int i = j * THREADS + thread_x();
            v[j] = i < a.dim ? load(a.x, x + i, a.x_type) : 0.0f;
        }
#define EACH(body)                                          \
    if (kept) {                                             \
        UNROLL for (int j = 0; j < KEPT; j++)               \
        {                                                   \
            int i = j * THREADS + thread_x();               \
            float value = v[j];                             \
            if (i < a.dim) {                                \
                body;                                       \
            }                                               \
        }                                                   \
    } else {                                                \
        for (int i = thread_x(); i < a.dim; i += THREADS) { \
            float value = load(a.x, x + i, a.x_type);       \
            body;                                           \
        }                                                   \
    }
    if (a.kind == NV_NORM_LAYER) {
        EACH(sum += value)
        mean = block_reduce<false>(sum, room, THREADS) / (float)a.dim;
        sum = 0.0f;
    }
    EACH(sum = __builtin_fmaf(value - mean, value - mean, sum))
    float scale = norm_scale(&a, block_reduce<false>(sum, room, THREADS));
    if (!is_eight(a.y_type)) {
        EACH(store(a.y, y + i, a.y_type, affine(&a, i, (value - mean) * scale)))
        return;
    }
    u32 largest = 0;
    EACH(u32 size = magnitude_bits(affine(&a, i, (value - mean) * scale)); largest = size > largest ? size : largest)
    float inverse = row_scale(&a, y, largest).inverse;
    EACH(((u8 *)a.y)[y + i] = (u8)to_eight(affine(&a, i, (value - mean) * scale), inverse, a.y_type))
}

/* ---- heads ------------------------------------------------------------------------------------------------ */

/* Four neighbours of float32 or bf16. */
DEVICE struct quad load_quad(const void *p, i64 at, int type)
{
    if (type == NV_F32)
        return *(const struct quad *)((const float *)p + at);
    struct half_quad h = *(const struct half_quad *)((const u16 *)p + at);
    struct quad q = {{from_bf16((u16)h.v[0]), from_bf16((u16)(h.v[0] >> 16)), from_bf16((u16)h.v[1]),
                      from_bf16((u16)(h.v[1] >> 16))}};
    return q;
}

/* Whether head_of_fours takes it. */
DEVICE bool by_fours(const struct nv_norm_rope *a)
{
    bool strides = a->x_token % 4 == 0 && a->x_head % 4 == 0 && a->y_token % 4 == 0 && a->y_head % 4 == 0;
    return a->head_dim == 128 && (a->x_type == NV_F32 || a->x_type == NV_BF16) && a->y_type == NV_BF16 && strides &&
           aligned(a->x) && aligned(a->y) && a->ld_table % 4 == 0 && aligned(a->cos) && aligned(a->sin) &&
           aligned(a->weight);
}

/* A head of 128: lane l holds elements 4 l .. 4 l + 3. Partners of a rotation are in the same lane, or 16 lanes away. */
DEVICE void head_of_fours(const struct nv_norm_rope *a, int token, int head)
{
    int lane = thread_x() & 31;
    struct quad v = load_quad(a->x, token * a->x_token + head * a->x_head + lane * 4, a->x_type);
    if (a->weight) {
        float squares = 0.0f;
        UNROLL for (int i = 0; i < 4; i++) squares = __builtin_fmaf(v.v[i], v.v[i], squares);
        float scale = rsqrt_exact(warp_sum(squares) / 128.0f + a->eps);
        struct quad w = quad_at(a->weight, lane * 4, 1.0f);
        UNROLL for (int i = 0; i < 4; i++) v.v[i] *= scale * w.v[i];
    }
    if (a->cos) {
        const float *cos = a->cos + token * a->ld_table, *sin = a->sin + token * a->ld_table;
        struct quad r;
        UNROLL for (int i = 0; i < 4; i++)
        {
            int pair = a->pairs ? lane * 2 + i / 2 : (lane & 15) * 4 + i;
            float other = a->pairs ? v.v[i ^ 1] : shuffle_xor(v.v[i], 16);
            bool second = a->pairs ? i & 1 : lane >= 16;
            r.v[i] = v.v[i] * cos[pair] + (second ? other : -other) * sin[pair];
        }
        v = r;
    }
    struct half_quad h = {{pack_bf16(v.v[0], v.v[1]), pack_bf16(v.v[2], v.v[3])}};
    *(struct half_quad *)((u16 *)a->y + token * a->y_token + head * a->y_head + lane * 4) = h;
}

/* A warp a head. Lane l holds elements l, l + 32, ... of it; the other member of a pair comes from the lane that
 * holds it, through shared memory. */
KERNEL BOUNDS(256, 1) void norm_rope(struct nv_norm_rope a)
{
    enum { MAX_DIM = 256 };
    static SHARED float heads[THREADS / 32][MAX_DIM];
    int warp = thread_x() >> 5, lane = thread_x() & 31, at = block_x() * (THREADS / 32) + warp;
    if (at >= a.tokens * a.heads)
        return;
    int token = at / a.heads, head = at % a.heads, half = a.head_dim / 2;
    if (by_fours(&a)) {
        head_of_fours(&a, token, head);
        return;
    }
    float *h = heads[warp], squares = 0.0f;
    i64 x = token * a.x_token + head * a.x_head, y = token * a.y_token + head * a.y_head;
    for (int i = lane; i < a.head_dim; i += 32) {
        h[i] = load(a.x, x + i, a.x_type);
        squares = __builtin_fmaf(h[i], h[i], squares);
    }
    if (a.weight) {
        float scale = rsqrt_exact(warp_sum(squares) / (float)a.head_dim + a.eps);
        for (int i = lane; i < a.head_dim; i += 32)
            h[i] *= scale * a.weight[i];
    }
    asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
    for (int i = lane; i < half; i += 32) {
        int first = a.pairs ? 2 * i : i, second = a.pairs ? 2 * i + 1 : i + half;
        float p = h[first], q = h[second], c = 1.0f, s = 0.0f;
        if (a.cos) {
            c = a.cos[token * a.ld_table + i];
            s = a.sin[token * a.ld_table + i];
        }
        store(a.y, y + first, a.y_type, p * c - q * s);
        store(a.y, y + second, a.y_type, q * c + p * s);
    }
}

KERNEL BOUNDS(256, 1) void softmax(struct nv_softmax a)
{
    static SHARED float room[THREADS / 32];
    int row = block_x();
    i64 x = row * a.ldx, y = row * a.ldy;
    const float *mask = a.mask ? a.mask + (row % a.mask_rows) * a.ld_mask : 0;
    float max = -1e30f, sum = 0.0f;
    for (int i = thread_x(); i < a.dim; i += THREADS)
        max = max_of(max, load(a.x, x + i, a.x_type) * a.scale + (mask ? mask[i] : 0.0f));
    max = block_reduce<true>(max, room, THREADS);
    for (int i = thread_x(); i < a.dim; i += THREADS)
        sum += exp_exact(load(a.x, x + i, a.x_type) * a.scale + (mask ? mask[i] : 0.0f) - max);
    float inverse = 1.0f / block_reduce<false>(sum, room, THREADS);
    for (int i = thread_x(); i < a.dim; i += THREADS)
        store(a.y, y + i, a.y_type,
              exp_exact(load(a.x, x + i, a.x_type) * a.scale + (mask ? mask[i] : 0.0f) - max) *
                  inverse);
}

KERNEL BOUNDS(256, 1) void reduce_rows(struct nv_reduce a)
{
    static SHARED float room[THREADS / 32];
    float sum = 0.0f;
    for (int i = thread_x(); i < a.dim; i += THREADS)
        sum += load(a.x, block_x() * a.ldx + i, a.x_type);
    sum = block_reduce<false>(sum, room, THREADS);
    if (thread_x() == 0)
        a.y[block_x()] = sum * a.factor;
}

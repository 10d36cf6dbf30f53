/* rows.cu - norms, rotary embedding, softmax and sums: whatever goes row by row. */
#include "device.cuh"

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

/* The row is read once where it fits the registers. */
KERNEL BOUNDS(256, 1) void norm(struct nv_norm a)
{
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
    EACH(store(a.y, y + i, a.y_type, affine(&a, i, (value - mean) * scale)))
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

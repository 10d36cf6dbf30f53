/* map.cu - one element at a time over four dimensions: copies, casts, arithmetic, gathering; and transposing. */
#include "device.cuh"

/* Complementary error function by a rational fit (Numerical Recipes, erfcc): relative error under 1.2e-7. */
DEVICE float erfc_positive(float z)
{
    float t = 1.0f / (1.0f + 0.5f * z);
    float p = 0.17087277f;
    const float c[] = {-0.82215223f, 1.48851587f,  -1.13520398f, 0.27886807f, -0.18628806f,
                       0.09678418f,  0.37409196f,  1.00002368f,  -1.26551223f};
    UNROLL for (int i = 0; i < 9; i++) p = __builtin_fmaf(p, t, c[i]);
    return t * exp_exact(p - z * z);
}

DEVICE float gelu_erf(float x)
{
    float e = erfc_positive(__builtin_fabsf(x) * 0.70710678f);
    return 0.5f * x * (x < 0.0f ? e : 2.0f - e);
}

DEVICE float applied(int op, const float *p, float a, float b)
{
    switch (op) {
    case NV_MAP_ADD:
        return a + b;
    case NV_MAP_SUB:
        return a - b;
    case NV_MAP_MUL:
        return a * b;
    case NV_MAP_DIV:
        return a / b;
    case NV_MAP_SCALE:
        return a * p[0] + p[1];
    case NV_MAP_SILU:
        return silu(a);
    case NV_MAP_SIGMOID:
        return sigmoid(a);
    case NV_MAP_TANH:
        return 2.0f * sigmoid(2.0f * a) - 1.0f;
    case NV_MAP_GELU_TANH:
        return gelu_tanh(a);
    case NV_MAP_GELU_ERF:
        return gelu_erf(a);
    case NV_MAP_RELU:
        return max_of(a, 0.0f);
    case NV_MAP_EXP:
        return exp_exact(a);
    case NV_MAP_NEG:
        return -a;
    case NV_MAP_ABS:
        return __builtin_fabsf(a);
    case NV_MAP_SQR:
        return a * a;
    case NV_MAP_SQRT:
        return sqrt_exact(a);
    case NV_MAP_CLAMP:
        return a < p[0] ? p[0] : a > p[1] ? p[1] : a;
    case NV_MAP_SILU_MUL:
        return silu(a) * b;
    default:
        return a;
    }
}

/* A source is repeated where it is smaller than y. */
DEVICE float at(const struct nv_map_source *s, const i64 *i)
{
    i64 offset = 0;
    UNROLL for (int d = 0; d < 4; d++)
    {
        i64 n = s->ne[d];
        offset += (n == 1 ? 0 : i[d] < n ? i[d] : i[d] % n) * s->nb[d];
    }
    return load((const char *)s->p + offset, 0, s->type);
}

DEVICE float moved(const struct nv_map *m, const i64 *i)
{
    i64 from[4];
    bool inside = true;
    UNROLL for (int d = 0; d < 4; d++)
    {
        if (m->op == NV_MAP_UPSCALE) {
            from[d] = i[d] / m->q[d];
        } else {
            from[d] = i[d] - m->q[d];
            if (m->op == NV_MAP_ROLL)
                from[d] += from[d] < 0 ? m->ne[d] : from[d] >= m->ne[d] ? -m->ne[d] : 0;
            inside = inside && from[d] >= 0 && from[d] < m->a.ne[d];
        }
    }
    return inside ? at(&m->a, from) : 0.0f;
}

DEVICE float gathered(const struct nv_map *m, const i64 *i)
{
    i64 row = ((const int *)m->b.p)[i[1]];
    i64 from[4] = {i[0], row, i[2], i[3]};
    return row >= 0 && row < m->a.ne[1] ? at(&m->a, from) : 0.0f;
}

DEVICE float value(const struct nv_map *m, const i64 *i)
{
    switch (m->op) {
    case NV_MAP_ARANGE:
        return m->p[0] + (float)i[0] * m->p[1];
    case NV_MAP_FILL:
        return m->p[0];
    case NV_MAP_GATHER:
        return gathered(m, i);
    case NV_MAP_PAD:
    case NV_MAP_ROLL:
    case NV_MAP_UPSCALE:
        return moved(m, i);
    default:
        return applied(m->op, m->p, at(&m->a, i), m->b.p ? at(&m->b, i) : 0.0f);
    }
}

struct piece {
    u32 v[4];
} __attribute__((aligned(16)));

DEVICE int bytes_of(int type) { return type == NV_BF16 || type == NV_F16 ? 2 : type == NV_F64 ? 8 : 4; }

DEVICE bool in_pieces(const void *p, const i64 *nb, int size)
{
    return ((u64)p & 15) == 0 && nb[0] == size && nb[1] % 16 == 0 && nb[2] % 16 == 0 && nb[3] % 16 == 0;
}

/* Whether rows move as they are, so that 16 bytes can go at a time: copies, casts to the same type, doubled images. */
DEVICE bool moves_pieces(const struct nv_map *m)
{
    int size = bytes_of(m->y_type);
    bool rows = m->op == NV_MAP_COPY || (m->op == NV_MAP_UPSCALE && m->q[0] == 1);
    return rows && m->a.type == m->y_type && m->a.ne[0] == m->ne[0] && m->ne[0] * size % 16 == 0 &&
           m->ne[0] * m->ne[1] * m->ne[2] * m->ne[3] < 1ll << 31 && in_pieces(m->a.p, m->a.nb, size) &&
           in_pieces(m->y, m->nb, size);
}

DEVICE void move_pieces(const struct nv_map *m)
{
    u32 per = (u32)(m->ne[0] * bytes_of(m->y_type) / 16), n1 = (u32)m->ne[1], n2 = (u32)m->ne[2];
    u32 n = per * n1 * n2 * (u32)m->ne[3];
    bool up = m->op == NV_MAP_UPSCALE;
    for (u32 e = (u32)(block_x() * 256 + thread_x()); e < n; e += (u32)blocks_x() * 256) {
        u32 i0 = e % per, r = e / per, i1 = r % n1, i2 = r / n1 % n2, i3 = r / n1 / n2;
        i64 from[3] = {i1, i2, i3};
        UNROLL for (int d = 0; d < 3; d++)
            from[d] = up ? from[d] / m->q[d + 1] : (u32)from[d] % (u32)m->a.ne[d + 1];
        const char *x = (const char *)m->a.p + from[0] * m->a.nb[1] + from[1] * m->a.nb[2] + from[2] * m->a.nb[3];
        char *y = (char *)m->y + i1 * m->nb[1] + i2 * m->nb[2] + i3 * m->nb[3];
        ((struct piece *)y)[i0] = ((const struct piece *)x)[i0];
    }
}

KERNEL BOUNDS(256, 1) void map(struct nv_map m)
{
    if (moves_pieces(&m)) {
        move_pieces(&m);
        return;
    }
    i64 n = m.ne[0] * m.ne[1] * m.ne[2] * m.ne[3];
    for (i64 e = (i64)block_x() * 256 + thread_x(); e < n; e += (i64)blocks_x() * 256) {
        i64 i[4];
        i[0] = e % m.ne[0];
        i64 rest = e / m.ne[0];
        i[1] = rest % m.ne[1];
        rest /= m.ne[1];
        i[2] = rest % m.ne[2];
        i[3] = rest / m.ne[2];
        i64 to = i[0] * m.nb[0] + i[1] * m.nb[1] + i[2] * m.nb[2] + i[3] * m.nb[3];
        store((char *)m.y + to, 0, m.y_type, value(&m, i));
    }
}

/* 32 x 32 at a time through shared memory, so that both sides are read and written along their rows. */
KERNEL BOUNDS(256, 1) void transpose(struct nv_transpose t)
{
    static SHARED float tile[32][33];
    int column = block_x() * 32, row = block_y() * 32, x = thread_x() & 31, y = thread_x() >> 5;
    i64 from = block_z() * t.x_batch, to = block_z() * t.y_batch;
    for (int i = y; i < 32; i += 8)
        if (row + i < t.rows && column + x < t.cols)
            tile[i][x] = load(t.x, from + (row + i) * t.ldx + column + x, t.x_type);
    sync_block();
    for (int i = y; i < 32; i += 8)
        if (column + i < t.cols && row + x < t.rows)
            store(t.y, to + (column + i) * t.ldy + row + x, t.y_type, tile[x][i]);
}

/* group_norm.cu - mean and variance of groups of channels, and y = x * a + b.
 *
 * Each part sums distances from its first pixel, so that nothing is lost where the mean is large; parts are joined pairwise
 * (Chan, Golub and LeVeque). The order is fixed, so a run repeats to the bit. bf16 whose channels lie side by side goes
 * eight channels at a time. */
#include "device.cuh"

enum { THREADS = 256, ROWS = THREADS / 32, AHEAD = 4 }; /* AHEAD: reads under way at a time */

struct moments {
    float n, mean, squares; /* squares: of distances from the mean */
};

DEVICE struct moments joined(struct moments a, struct moments b)
{
    float n = a.n + b.n, d = b.mean - a.mean;
    if (n == 0.0f)
        return a;
    float share = b.n / n;
    struct moments r = {n, a.mean + d * share, a.squares + b.squares + d * d * a.n * share};
    return r;
}

/* What a thread sums of one channel. */
struct running {
    float n, pivot, sum, squares;
};

DEVICE void add(struct running *r, float x)
{
    float d = x - r->pivot;
    r->n += 1.0f;
    r->sum += d;
    r->squares = __builtin_fmaf(d, d, r->squares);
}

DEVICE struct moments finished(struct running r)
{
    struct moments m = {r.n, r.pivot, 0.0f};
    if (r.n > 0.0f) {
        float d = r.sum / r.n;
        m.mean += d;
        m.squares = max_of(r.squares - r.sum * d, 0.0f);
    }
    return m;
}

/* The eight parts that the warps of a block hold of each of 32 channels, joined; valid in the first warp. */
DEVICE struct moments of_block(struct moments m)
{
    static SHARED struct moments all[ROWS][32];
    int lane = thread_x() & 31, warp = thread_x() >> 5;
    all[warp][lane] = m;
    sync_block();
    for (int i = 1; warp == 0 && i < ROWS; i++)
        m = joined(m, all[i][lane]);
    return m;
}

DEVICE void keep(const struct nv_group_norm *g, int channel, struct moments m)
{
    float *s = g->state + ((i64)block_x() * g->channels + channel) * 3;
    s[0] = m.n;
    s[1] = m.mean;
    s[2] = m.squares;
}

struct span {
    i64 first, last;
};

DEVICE struct span part_of(const struct nv_group_norm *g)
{
    i64 per = (g->pixels + g->parts - 1) / g->parts;
    struct span s = {block_x() * per, (block_x() + 1) * per};
    s.last = s.last < g->pixels ? s.last : g->pixels;
    return s;
}

struct eight {
    u32 v[4];
} __attribute__((aligned(16)));

/* Element i of eight. */
DEVICE float element(const struct eight *e, int i) { return from_bf16((u16)(e->v[i >> 1] >> (i & 1) * 16)); }

DEVICE bool by_eights(const void *p, i64 pixel, i64 channel, int type, int channels)
{
    return type == NV_BF16 && channel == 1 && channels % 8 == 0 && channels <= 8 * THREADS && pixel % 8 == 0 &&
           ((u64)p & 15) == 0;
}

/* All channels in one block: thread t has eight of them and every so many-th pixel. */
DEVICE void sum_eights(const struct nv_group_norm *g)
{
    static SHARED struct moments all[THREADS * 8];
    int columns = g->channels / 8, rows = THREADS / columns, column = thread_x() % columns, row = thread_x() / columns;
    struct span part = part_of(g);
    struct running r[8] = {};
    const u16 *x = (const u16 *)g->x + column * 8;
    if (row < rows && part.first < part.last) {
        struct eight v = *(const struct eight *)(x + part.first * g->x_pixel);
        UNROLL for (int i = 0; i < 8; i++) r[i].pivot = element(&v, i);
        for (i64 p = part.first + row; p < part.last; p += AHEAD * rows) {
            struct eight next[AHEAD];
            UNROLL for (int k = 0; k < AHEAD; k++)
                if (p + k * rows < part.last)
                    next[k] = *(const struct eight *)(x + (p + k * rows) * g->x_pixel);
            UNROLL for (int k = 0; k < AHEAD; k++)
                if (p + k * rows < part.last)
                    UNROLL for (int i = 0; i < 8; i++) add(&r[i], element(&next[k], i));
        }
    }
    if (row < rows)
        UNROLL for (int i = 0; i < 8; i++) all[row * g->channels + column * 8 + i] = finished(r[i]);
    sync_block();
    for (int c = thread_x(); c < g->channels; c += THREADS) {
        struct moments m = all[c];
        for (int i = 1; i < rows; i++)
            m = joined(m, all[i * g->channels + c]);
        keep(g, c, m);
    }
}

KERNEL BOUNDS(256, 1) void channel_sums(struct nv_group_norm g)
{
    if (by_eights(g.x, g.x_pixel, g.x_channel, g.x_type, g.channels)) {
        if (block_y() == 0)
            sum_eights(&g);
        return;
    }
    int channel = block_y() * 32 + (thread_x() & 31);
    struct span part = part_of(&g);
    struct running r = {0.0f, 0.0f, 0.0f, 0.0f};
    if (channel < g.channels && part.first < part.last) {
        r.pivot = load(g.x, part.first * g.x_pixel + channel * g.x_channel, g.x_type);
        for (i64 p = part.first + (thread_x() >> 5); p < part.last; p += ROWS)
            add(&r, load(g.x, p * g.x_pixel + channel * g.x_channel, g.x_type));
    }
    struct moments m = of_block(finished(r));
    if (thread_x() < 32 && channel < g.channels)
        keep(&g, channel, m);
}

/* Eight channels a block; 32 threads a channel join every 32nd part each, then theirs, half by half. */
KERNEL BOUNDS(256, 1) void channel_moments(struct nv_group_norm g)
{
    enum { CHANNELS = 8, JOINING = THREADS / CHANNELS };
    static SHARED struct moments all[THREADS];
    int channel = block_x() * CHANNELS + thread_x() % CHANNELS;
    struct moments m = {0.0f, 0.0f, 0.0f};
    if (channel < g.channels)
        for (int p = thread_x() / CHANNELS; p < g.parts; p += JOINING) {
            const float *s = g.state + ((i64)p * g.channels + channel) * 3;
            struct moments other = {s[0], s[1], s[2]};
            m = joined(m, other);
        }
    all[thread_x()] = m;
    for (int half = THREADS / 2; half >= CHANNELS; half /= 2) {
        sync_block();
        if (thread_x() < half)
            all[thread_x()] = m = joined(m, all[thread_x() + half]);
    }
    if (thread_x() < CHANNELS && channel < g.channels) {
        g.moments[channel] = m.mean;
        g.moments[g.channels + channel] = m.squares;
    }
}

KERNEL BOUNDS(32, 1) void group_scales(struct nv_group_norm g)
{
    int per = g.channels / g.groups, first = block_x() * per;
    struct moments m = {0.0f, 0.0f, 0.0f};
    for (int c = first; c < first + per; c++) {
        struct moments channel = {(float)g.pixels, g.moments[c], g.moments[g.channels + c]};
        m = joined(m, channel);
    }
    float rstd = rsqrt_exact(m.squares / m.n + g.eps);
    for (int c = first + thread_x(); c < first + per; c += 32) {
        float a = g.weight ? g.weight[c] * rstd : rstd;
        g.scales[c] = a;
        g.scales[g.channels + c] = (g.bias ? g.bias[c] : 0.0f) - m.mean * a;
    }
}

DEVICE float applied(const struct nv_group_norm *g, int channel, float x)
{
    x = __builtin_fmaf(x, g->scales[channel], g->scales[g->channels + channel]);
    return g->silu ? (g->y_type == NV_BF16 ? silu_fast(x) : silu(x)) : x;
}

DEVICE struct eight applied_eight(struct eight v, const float *a, const float *b, bool silu)
{
    UNROLL for (int i = 0; i < 4; i++)
    {
        float low = __builtin_fmaf(from_bf16((u16)v.v[i]), a[2 * i], b[2 * i]);
        float high = __builtin_fmaf(from_bf16((u16)(v.v[i] >> 16)), a[2 * i + 1], b[2 * i + 1]);
        v.v[i] = silu ? pack_bf16(silu_fast(low), silu_fast(high)) : pack_bf16(low, high);
    }
    return v;
}

/* Thread t has the same eight channels of every pixel that it meets, so that their factors stay in registers. */
DEVICE void apply_eights(const struct nv_group_norm *g)
{
    int columns = g->channels / 8, rows = THREADS / columns, column = thread_x() % columns, row = thread_x() / columns;
    if (row >= rows)
        return;
    float a[8], b[8];
    UNROLL for (int i = 0; i < 8; i++)
    {
        a[i] = g->scales[column * 8 + i];
        b[i] = g->scales[g->channels + column * 8 + i];
    }
    const u16 *x = (const u16 *)g->x + column * 8;
    u16 *y = (u16 *)g->y + column * 8;
    i64 step = (i64)blocks_x() * rows;
    for (i64 p = (i64)block_x() * rows + row; p < g->pixels; p += AHEAD * step) {
        struct eight v[AHEAD];
        UNROLL for (int k = 0; k < AHEAD; k++)
            if (p + k * step < g->pixels)
                v[k] = *(const struct eight *)(x + (p + k * step) * g->x_pixel);
        UNROLL for (int k = 0; k < AHEAD; k++)
            if (p + k * step < g->pixels)
                *(struct eight *)(y + (p + k * step) * g->y_pixel) = applied_eight(v[k], a, b, g->silu);
    }
}

KERNEL BOUNDS(256, 1) void group_apply(struct nv_group_norm g)
{
    if (by_eights(g.x, g.x_pixel, g.x_channel, g.x_type, g.channels) &&
        by_eights(g.y, g.y_pixel, g.y_channel, g.y_type, g.channels)) {
        apply_eights(&g);
        return;
    }
    i64 n = g.pixels * g.channels;
    bool channels_last = g.x_channel == 1;
    for (i64 e = (i64)block_x() * THREADS + thread_x(); e < n; e += (i64)blocks_x() * THREADS) {
        i64 pixel = channels_last ? e / g.channels : e % g.pixels;
        int channel = (int)(channels_last ? e % g.channels : e / g.pixels);
        float x = load(g.x, pixel * g.x_pixel + channel * g.x_channel, g.x_type);
        store(g.y, pixel * g.y_pixel + channel * g.y_channel, g.y_type, applied(&g, channel, x));
    }
}

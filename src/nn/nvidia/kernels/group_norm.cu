/* group_norm.cu - mean and variance of groups of channels, and y = x * a + b.
 *
 * Means are joined pairwise (Chan, Golub and LeVeque), so nothing is lost over a million pixels; the order is fixed,
 * so a run repeats to the bit. Where the channels of a pixel lie side by side a warp reads 32 of them at a time. */
#include "device.cuh"

enum { THREADS = 256, ROWS = THREADS / 32 };

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

KERNEL BOUNDS(256, 1) void channel_sums(struct nv_group_norm g)
{
    int channel = block_y() * 32 + (thread_x() & 31);
    i64 per = (g.pixels + g.parts - 1) / g.parts, first = block_x() * per;
    i64 last = first + per < g.pixels ? first + per : g.pixels;
    struct moments m = {0.0f, 0.0f, 0.0f};
    if (channel < g.channels)
        for (i64 p = first + (thread_x() >> 5); p < last; p += ROWS) {
            float x = load(g.x, p * g.x_pixel + channel * g.x_channel, g.x_type), d = x - m.mean;
            m.n += 1.0f;
            m.mean += d / m.n;
            m.squares = __builtin_fmaf(d, x - m.mean, m.squares);
        }
    m = of_block(m);
    if (thread_x() < 32 && channel < g.channels) {
        float *s = g.state + ((i64)block_x() * g.channels + channel) * 3;
        s[0] = m.n;
        s[1] = m.mean;
        s[2] = m.squares;
    }
}

KERNEL BOUNDS(256, 1) void channel_moments(struct nv_group_norm g)
{
    int channel = block_x() * 32 + (thread_x() & 31);
    struct moments m = {0.0f, 0.0f, 0.0f};
    if (channel < g.channels)
        for (int p = thread_x() >> 5; p < g.parts; p += ROWS) {
            const float *s = g.state + ((i64)p * g.channels + channel) * 3;
            struct moments other = {s[0], s[1], s[2]};
            m = joined(m, other);
        }
    m = of_block(m);
    if (thread_x() < 32 && channel < g.channels) {
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

KERNEL BOUNDS(256, 1) void group_apply(struct nv_group_norm g)
{
    i64 n = g.pixels * g.channels;
    bool channels_last = g.x_channel == 1;
    for (i64 e = (i64)block_x() * THREADS + thread_x(); e < n; e += (i64)blocks_x() * THREADS) {
        i64 pixel = channels_last ? e / g.channels : e % g.pixels;
        int channel = (int)(channels_last ? e % g.channels : e / g.pixels);
        float x = load(g.x, pixel * g.x_pixel + channel * g.x_channel, g.x_type);
        x = __builtin_fmaf(x, g.scales[channel], g.scales[g.channels + channel]);
        store(g.y, pixel * g.y_pixel + channel * g.y_channel, g.y_type, g.silu ? silu(x) : x);
    }
}

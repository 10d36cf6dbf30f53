/* conv.cu - convolutions as products that are never laid out: rows are pixels of y, k is (place in the kernel, channel).
 *
 * conv_bf16 is gemm.cu's loop with another way to fetch x: a piece of 16 bytes is eight channels of one pixel at one
 * place of the kernel, zeros beside the image. Doubling the size of x first is a matter of halving coordinates.
 * conv_exact is gemm_exact.cu's loop likewise, for any types and strides. */
#include "mma_tile.cuh"

enum { SLICE = of_bf16::SLICE };

/* Element of x at place `tap` of the kernel for pixel (row, column) of y; -1 beside the image. */
DEVICE i64 source_of(const struct nv_conv *c, int row, int column, int tap)
{
    int y = row * c->stride + tap / c->kw - c->pad_top, x = column * c->stride + tap % c->kw - c->pad_left;
    if (y < 0 || y >= c->height || x < 0 || x >= c->width)
        return -1;
    if (c->up) {
        y >>= 1;
        x >>= 1;
    }
    return y * c->x_row + x * c->x_column;
}

struct pixel {
    int row, column; /* row < 0: none */
};

DEVICE struct pixel pixel_of(const struct nv_conv *c, int i)
{
    struct pixel p = {-1, 0};
    if (i < c->out_height * c->out_width) {
        p.row = i / c->out_width;
        p.column = i % c->out_width;
    }
    return p;
}

/* One slice of x and w. Thread t fetches piece t % 8 of rows t / 8 + 32 i; `pixels` are those rows'. */
DEVICE void load_stage(const struct nv_conv *c, u32 to, const struct pixel *pixels, int column, int k0)
{
    int q = thread_x() & 7, r0 = thread_x() >> 3, k = k0 + q * 8, taps = c->kh * c->kw;
    int tap = k / c->in, channel = k % c->in;
    bool within = tap < taps;
    const u16 *x = (const u16 *)c->x, *w = (const u16 *)c->w;
    UNROLL for (int i = 0; i < 4; i++)
    {
        i64 from = within && pixels[i].row >= 0 ? source_of(c, pixels[i].row, pixels[i].column, tap) : -1;
        copy_async(to + swizzled(r0 + i * 32, q), from < 0 ? x : x + from + channel, from < 0 ? 0 : 16);
    }
    to += TILE * ROW_BYTES;
    UNROLL for (int i = 0; i < 4; i++)
    {
        int o = column + r0 + i * 32;
        bool inside = within && o < c->out;
        copy_async(to + swizzled(r0 + i * 32, q), inside ? w + (i64)o * c->w_out + k : w, inside ? 16 : 0);
    }
}

DEVICE void store_one(const struct nv_conv *c, struct pixel p, int channel, float sum)
{
    if (p.row < 0 || channel >= c->out)
        return;
    i64 at = p.row * c->y_row + p.column * c->y_column + channel * c->y_channel;
    if (c->bias)
        sum += c->bias[channel];
    if (c->residual)
        sum += load(c->residual, at, c->residual_type);
    store(c->y, at, c->y_type, sum);
}

/* Neighbouring channels of a pixel in one store where they lie side by side. */
DEVICE void store_two(const struct nv_conv *c, struct pixel p, int channel, const float *sums)
{
    bool together = c->y_channel == 1 && c->y_type == NV_BF16 && c->y_column % 2 == 0 && c->out % 2 == 0 &&
                    (!c->residual || c->residual_type == NV_BF16);
    if (!together) {
        store_one(c, p, channel, sums[0]);
        store_one(c, p, channel + 1, sums[1]);
        return;
    }
    if (p.row < 0 || channel >= c->out)
        return;
    i64 at = p.row * c->y_row + p.column * c->y_column + channel;
    float a = sums[0], b = sums[1];
    if (c->bias) {
        a += c->bias[channel];
        b += c->bias[channel + 1];
    }
    if (c->residual) {
        u32 r = *(const u32 *)((const u16 *)c->residual + at);
        a += from_bf16((u16)r);
        b += from_bf16((u16)(r >> 16));
    }
    *(u32 *)((u16 *)c->y + at) = pack_bf16(a, b);
}

KERNEL BOUNDS(256, 2) void conv_bf16(struct nv_conv c)
{
    u32 base = shared_base();
    int pixels = c.out_height * c.out_width, tiles_m = (pixels + TILE - 1) / TILE;
    int first = block_x() % tiles_m * TILE, column = block_x() / tiles_m * TILE;
    int slices = (c.kh * c.kw * c.in + SLICE - 1) / SLICE;
    struct pixel rows[4];
    int lane = thread_x() & 31, warp = thread_x() >> 5;
    float sums[4][4][4] = {};
    UNROLL for (int i = 0; i < 4; i++) rows[i] = pixel_of(&c, first + (thread_x() >> 3) + i * 32);

    UNROLL for (int s = 0; s < STAGES - 1; s++)
    {
        if (s < slices)
            load_stage(&c, base + s * STAGE_BYTES, rows, column, s * SLICE);
        copy_commit();
    }
    for (int k = 0; k < slices; k++) {
        copy_wait<STAGES - 2>();
        sync_block();
        int next = k + STAGES - 1;
        if (next < slices)
            load_stage(&c, base + next % STAGES * STAGE_BYTES, rows, column, next * SLICE);
        copy_commit();
        multiply_stage<of_bf16>(base + k % STAGES * STAGE_BYTES, sums, [&](int j) INLINE { return (warp >> 1) * 32 + j * 8; });
    }

    UNROLL for (int i = 0; i < 4; i++)
    {
        int r = first + (warp & 1) * 64 + i * 16 + (lane >> 2);
        struct pixel p = pixel_of(&c, r), q = pixel_of(&c, r + 8);
        UNROLL for (int j = 0; j < 4; j++)
        {
            int channel = column + (warp >> 1) * 32 + j * 8 + (lane & 3) * 2;
            store_two(&c, p, channel, sums[i][j]);
            store_two(&c, q, channel, sums[i][j] + 2);
        }
    }
}

/* ---- float32 ------------------------------------------------------------------------------------------- */

enum { SMALL = 64, DEPTH = 16 };

DEVICE float source_value(const struct nv_conv *c, struct pixel p, int k)
{
    int tap = k / c->in, channel = k % c->in;
    if (p.row < 0 || tap >= c->kh * c->kw)
        return 0.0f;
    i64 from = source_of(c, p.row, p.column, tap);
    if (from < 0)
        return 0.0f;
    float x = load(c->x, from + channel * c->x_channel, c->x_type);
    return c->a ? silu(__builtin_fmaf(x, c->a[channel], c->b[channel])) : x;
}

DEVICE float weight_value(const struct nv_conv *c, int o, int k)
{
    int tap = k / c->in, channel = k % c->in;
    if (o >= c->out || tap >= c->kh * c->kw)
        return 0.0f;
    return load(c->w, o * c->w_out + tap * c->w_tap + channel * c->w_in, c->w_type);
}

KERNEL BOUNDS(256, 1) void conv_exact(struct nv_conv c)
{
    static SHARED float xs[DEPTH][SMALL + 4], ws[DEPTH][SMALL + 4];
    int first = block_x() * SMALL, column = block_y() * SMALL, depth = c.kh * c.kw * c.in;
    int tx = thread_x() & 15, ty = thread_x() >> 4;
    float sums[4][4] = {};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        for (int i = thread_x(); i < SMALL * DEPTH; i += 256) {
            /* Neighbouring threads take neighbouring pixels, or channels where those lie side by side. */
            int r = c.x_channel == 1 ? i / DEPTH : i % SMALL, k = c.x_channel == 1 ? i % DEPTH : i / SMALL;
            xs[k][r] = source_value(&c, pixel_of(&c, first + r), k0 + k);
            ws[k][r] = weight_value(&c, column + r, k0 + k);
        }
        sync_block();
        UNROLL for (int k = 0; k < DEPTH; k++)
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++)
                    sums[i][j] = __builtin_fmaf(xs[k][ty * 4 + i], ws[k][tx * 4 + j], sums[i][j]);
        sync_block();
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        struct pixel p = pixel_of(&c, first + ty * 4 + i);
        UNROLL for (int j = 0; j < 4; j++) store_one(&c, p, column + tx * 4 + j, sums[i][j]);
    }
}

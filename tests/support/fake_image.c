/* fake_image.c - the kernels in C: convolutions and group norms. */
#include "fake_kernels_impl.h"

/* Values of x under the kernel at pixel (row, column), [taps, in]. */
static void gather(const struct nv_conv *c, int row, int column, float *f)
{
    for (int tap = 0; tap < c->kh * c->kw; tap++) {
        int y = row * c->stride + tap / c->kw - c->pad_top;
        int x = column * c->stride + tap % c->kw - c->pad_left;
        bool inside = y >= 0 && y < c->height && x >= 0 && x < c->width;
        if (c->up) {
            y >>= 1;
            x >>= 1;
        }
        for (int i = 0; i < c->in; i++) {
            float v = 0;
            if (inside) {
                v = load(c->x, y * c->x_row + x * c->x_column + i * c->x_channel, c->x_type);
                v = c->a ? silu(v * c->a[i] + c->b[i]) : v;
            }
            f[tap * c->in + i] = v;
        }
    }
}

static float *kernel_of(const struct nv_conv *c)
{
    int taps = c->kh * c->kw;
    float *w = room((long long)c->out * taps * c->in, sizeof *w), *to = w;
    for (int o = 0; o < c->out; o++)
        for (int t = 0; t < taps; t++)
            for (int i = 0; i < c->in; i++)
                *to++ = load(c->w, o * c->w_out + t * c->w_tap + i * c->w_in, c->w_type);
    return w;
}

static void convolve(const struct nv_conv *c)
{
    int depth = c->kh * c->kw * c->in;
    float *w = kernel_of(c), *f = room(depth, sizeof *f);
    for (int r = 0; r < c->out_height; r++)
        for (int col = 0; col < c->out_width; col++) {
            gather(c, r, col, f);
            for (int o = 0; o < c->out; o++) {
                long long to = r * c->y_row + col * c->y_column + o * c->y_channel;
                float s = dot(f, w + (long long)o * depth, depth);
                if (c->bias)
                    s += c->bias[o];
                if (c->residual)
                    s += load(c->residual, to, c->residual_type);
                store(c->y, to, c->y_type, s);
            }
        }
    free(w);
    free(f);
}

const char *run_conv_bf16(const void *p, struct fake_grid grid)
{
    const struct nv_conv *c = p;
    if (c->x_type != NV_BF16 || c->w_type != NV_BF16 || c->in % 8 || c->x_channel != 1 ||
        c->w_in != 1 || c->w_tap != c->in || c->x_row % 8 || c->x_column % 8 || c->a)
        return "operands that it does not take";
    if (!at_16_bytes(c->x) || !at_16_bytes(c->w))
        return "not at a multiple of 16 bytes";
    if (grid.x != divide_up((long long)c->out_height * c->out_width, 128) * divide_up(c->out, 128))
        return "the grid";
    convolve(c);
    return NULL;
}

const char *run_conv_exact(const void *p, struct fake_grid grid)
{
    const struct nv_conv *c = p;
    if (grid.x != divide_up((long long)c->out_height * c->out_width, 64) ||
        grid.y != divide_up(c->out, 64))
        return "the grid";
    convolve(c);
    return NULL;
}

/* Pixels of an image, eight by sixteen at a time. */
static const char *conv_tma(const struct nv_conv_tma *t, struct fake_grid grid, int tile)
{
    struct fake_map x = map_of(&t->x_map), w = map_of(&t->w_map);
    const struct nv_gemm *g = &t->g;
    long long tiles = divide_up(divide_up(t->out_height, 8) * divide_up(t->out_width, 16), 2);
    if (x.dims[0] != (uint64_t)t->in || x.box[0] != 64 || x.box[1] != 16u * (unsigned)t->stride ||
        x.box[2] != 8u * (unsigned)t->stride || x.steps[1] != (unsigned)t->stride ||
        x.steps[2] != (unsigned)t->stride)
        return "x's map";
    if (w.dims[0] != (uint64_t)t->kh * (uint64_t)t->kw * (uint64_t)t->in ||
        w.dims[1] != (uint64_t)g->n || w.box[0] != 64 || w.box[1] != 64)
        return "w's map";
    if (g->m != t->out_height * t->out_width || t->in % 8)
        return "the sizes";
    if (grid.x != in_pairs(tiles * divide_up(g->n, tile), grid))
        return "the grid";
    struct nv_conv c = {
        .x = (const void *)(uintptr_t)x.p,
        .w = (const void *)(uintptr_t)w.p,
        .bias = g->bias,
        .residual = g->residual,
        .y = g->y,
        .x_row = (long long)x.strides[1] / 2,
        .x_column = (long long)x.strides[0] / 2,
        .x_channel = 1,
        .w_out = (long long)w.strides[0] / 2,
        .w_tap = t->in,
        .w_in = 1,
        .y_row = t->out_width * g->ldy,
        .y_column = g->ldy,
        .y_channel = 1,
        .height = (int)x.dims[2],
        .width = (int)x.dims[1],
        .in = t->in,
        .out_height = t->out_height,
        .out_width = t->out_width,
        .out = g->n,
        .kh = t->kh,
        .kw = t->kw,
        .stride = t->stride,
        .pad_left = t->pad_left,
        .pad_top = t->pad_top,
        .x_type = NV_BF16,
        .w_type = NV_BF16,
        .y_type = g->y_type,
        .residual_type = g->residual_type,
    };
    if (g->residual && g->ldr != g->ldy)
        return "the residual's rows";
    convolve(&c);
    return NULL;
}

const char *run_conv_tma_256(const void *p, struct fake_grid grid)
{
    return conv_tma(p, grid, 256);
}

const char *run_conv_tma_128(const void *p, struct fake_grid grid)
{
    return conv_tma(p, grid, 128);
}

const char *run_channel_sums(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    long long per = divide_up(g->pixels, g->parts);
    if (grid.x != g->parts || grid.y != divide_up(g->channels, 32))
        return "the grid";
    for (int part = 0; part < g->parts; part++)
        for (int c = 0; c < g->channels; c++) {
            double n = 0, mean = 0, squares = 0;
            for (long long i = part * per; i < (part + 1) * per && i < g->pixels; i++) {
                double x = (double)load(g->x, i * g->x_pixel + c * g->x_channel, g->x_type);
                double d = x - mean;
                n += 1;
                mean += d / n;
                squares += d * (x - mean);
            }
            float *s = g->state + ((long long)part * g->channels + c) * 3;
            s[0] = (float)n;
            s[1] = (float)mean;
            s[2] = (float)squares;
        }
    return NULL;
}

struct sums {
    double n, mean, squares;
};

static void join(struct sums *a, double n, double mean, double squares)
{
    double all = a->n + n, d = mean - a->mean;
    if (all == 0)
        return;
    a->squares += squares + d * d * a->n * n / all;
    a->mean += d * n / all;
    a->n = all;
}

const char *run_channel_moments(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    if (grid.x != divide_up(g->channels, 8))
        return "the grid";
    for (int c = 0; c < g->channels; c++) {
        struct sums s = {0};
        for (int part = 0; part < g->parts; part++) {
            const float *f = g->state + ((long long)part * g->channels + c) * 3;
            join(&s, (double)f[0], (double)f[1], (double)f[2]);
        }
        g->moments[c] = (float)s.mean;
        g->moments[g->channels + c] = (float)s.squares;
    }
    return NULL;
}

const char *run_group_scales(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    int per = g->channels / g->groups;
    if (grid.x != g->groups)
        return "the grid";
    for (int i = 0; i < g->groups; i++) {
        struct sums s = {0};
        for (int c = i * per; c < (i + 1) * per; c++)
            join(&s, (double)g->pixels, (double)g->moments[c], (double)g->moments[g->channels + c]);
        float rstd = 1.0f / sqrtf((float)(s.squares / s.n) + g->eps);
        for (int c = i * per; c < (i + 1) * per; c++) {
            float a = g->weight ? g->weight[c] * rstd : rstd;
            g->scales[c] = a;
            g->scales[g->channels + c] = (g->bias ? g->bias[c] : 0) - (float)s.mean * a;
        }
    }
    return NULL;
}

const char *run_group_apply(const void *p, struct fake_grid grid)
{
    const struct nv_group_norm *g = p;
    (void)grid;
    for (long long i = 0; i < g->pixels; i++)
        for (int c = 0; c < g->channels; c++) {
            float x = load(g->x, i * g->x_pixel + c * g->x_channel, g->x_type);
            x = x * g->scales[c] + g->scales[g->channels + c];
            store(g->y, i * g->y_pixel + c * g->y_channel, g->y_type, g->silu ? silu(x) : x);
        }
    return NULL;
}

/* conv.c - convolutions through oneDNN with channels last and no im2col.
 *
 * Three nodes: the image becomes rows of channels (conv_tile.c); the kernel is packed as oneDNN wants it; and
 * tiles of rows are convolved, each worker its own, with a primitive for one thread. A tile's height depends on
 * the row's length alone, and padding is added beforehand, so that a pixel's sums do not depend on the number of
 * threads or on which band of rows is computed. */
#include <string.h>

#include "nn/cpu/conv_tile.h"
#include "nn/cpu/nodes.h"

enum { TILE_BYTES = 256 << 10 }; /* of a tile's result; a row is the least */

enum { MAX_INNER = 1 << 13 }; /* elements of a packed block */
enum { BIAS = 1 << 24 };

/* The tile's shape from the image's rows and the kernel's dims. */
static struct tile_shape shape_of(const struct ggml_tensor *rows, int64_t out, int64_t kh,
                                  int64_t kw, int stride)
{
    struct tile_shape s = {
        .in = rows->ne[0],
        .out = out,
        .kh = kh,
        .kw = kw,
        .width_in = rows->ne[1],
        .width = (rows->ne[1] - kw) / stride + 1,
        .stride = stride,
        .bf16 = rows->type == GGML_TYPE_BF16,
    };
    int64_t height = (rows->ne[2] - kh) / stride + 1;
    s.rows = TILE_BYTES / (s.width * s.out * (int64_t)sizeof(float));
    s.rows = s.rows < 1 ? 1 : s.rows < height ? s.rows : height;
    s.rows_in = (s.rows - 1) * stride + kh;
    return s;
}

/* stride, kh and kw, a byte each. */
static uint32_t geometry(int stride, int64_t kh, int64_t kw)
{
    return (uint32_t)stride | (uint32_t)kh << 8 | (uint32_t)kw << 16;
}

static struct tile_shape shape_from(const struct ggml_tensor *rows, int64_t out, uint32_t flags)
{
    return shape_of(rows, out, flags >> 8 & 0xff, flags >> 16 & 0xff, (int)(flags & 0xff));
}

/* ---- packing the kernel ------------------------------------------------------------------------------- */

/* A kernel [out, in, window] in float32, and where the elements of a packed block come from in it. */
struct kernel {
    const float *w;
    int64_t out, in, window;
    int32_t from[MAX_INNER], o[MAX_INNER], c[MAX_INNER];
};

static void fill_table(const struct tile_packing *p, struct kernel *k)
{
    for (int64_t t = 0; t < p->inner; t++) {
        int64_t index[2] = {0, 0}, unit[2] = {1, 1}, rest = t;
        for (int i = p->n_inner - 1; i >= 0; i--) { /* the last runs fastest */
            index[p->axes[i]] += rest % p->blocks[i] * unit[p->axes[i]];
            unit[p->axes[i]] *= p->blocks[i];
            rest /= p->blocks[i];
        }
        k->o[t] = (int32_t)index[0];
        k->c[t] = (int32_t)index[1];
        k->from[t] = (int32_t)((index[0] * k->in + index[1]) * k->window);
    }
}

/* The block that begins at output o and input c, at one place of the window. Blocks that reach beyond the
 * kernel are filled up with zeros. */
static void gather(const struct tile_packing *p, const struct kernel *k, int64_t o, int64_t c,
                   int64_t place, float *block)
{
    const float *w = k->w + (o * k->in + c) * k->window + place;
    bool whole = o + p->out_block <= k->out && c + p->in_block <= k->in;
    for (int64_t t = 0; t < p->inner; t++)
        block[t] = whole || (o + k->o[t] < k->out && c + k->c[t] < k->in) ? w[k->from[t]] : 0.0f;
}

void nn_cpu_pack_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *w = dst->src[0], *rows = dst->src[1];
    unsigned char *scratch = nn_cpu_scratch_part(dst->src[2], ith);
    struct kernel *k = (struct kernel *)(void *)scratch;
    float *block = (float *)(void *)(scratch + nn_cpu_pad(sizeof *k));
    struct tile_shape s = shape_from(rows, w->ne[3], nn_cpu_low(user));
    struct tile_conv conv;
    struct tile_packing p;
    if (!tile_make(&conv, onednn_get(), &s, NULL, NULL))
        return;
    bool ok = tile_packing_of(&conv, &p);
    tile_free(&conv);
    if (!ok)
        return;
    k->w = w->data;
    k->out = s.out;
    k->in = s.in;
    k->window = s.kh * s.kw;
    fill_table(&p, k);
    int64_t outs = p.padded_out / p.out_block, ins = p.padded_in / p.in_block, first, last;
    nn_cpu_share(outs * ins * k->window, ith, nth, &first, &last);
    for (int64_t i = first; i < last; i++) {
        int64_t place = i % k->window, c = i / k->window % ins, o = i / k->window / ins;
        int64_t at = o * p.stride[0] + c * p.stride[1] + place / s.kw * p.stride[2] +
                     place % s.kw * p.stride[3];
        gather(&p, k, o * p.out_block, c * p.in_block, place, block);
        if (s.bf16)
            vec_get()->to_bf16(block, (uint16_t *)dst->data + at, p.inner);
        else
            memcpy((float *)dst->data + at, block, (size_t)p.inner * sizeof *block);
    }
}

/* ---- tiles -------------------------------------------------------------------------------------------- */

static void write_tile(const struct tile_shape *s, const float *tile, const float *bias,
                       struct ggml_tensor *dst, int64_t y, int64_t skip)
{
    struct vec_from_channels j = {.bias = bias,
                                  .plane = (int64_t)(dst->nb[2] / sizeof(float)),
                                  .channels = s->out,
                                  .n = s->width,
                                  .ldx = s->out};
    for (int64_t r = skip; r < s->rows; r++) {
        j.x = tile + r * s->width * s->out;
        j.y = (float *)dst->data + (y + r) * s->width;
        vec_get()->from_channels(&j);
    }
}

static size_t tile_bytes(const struct tile_shape *s)
{
    return nn_cpu_pad((size_t)(s->rows * s->width * s->out) * sizeof(float));
}

void nn_cpu_conv_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)nth;
    const struct ggml_tensor *rows = dst->src[0], *packed = dst->src[1];
    uint32_t flags = nn_cpu_low(user);
    const float *bias = flags & BIAS ? dst->src[2]->data : NULL;
    const struct ggml_tensor *parts = dst->src[flags & BIAS ? 3 : 2];
    unsigned char *scratch = nn_cpu_scratch_part(parts, ith);
    struct tile_shape s = shape_from(rows, dst->ne[2], flags);
    const struct onednn *d = onednn_get();
    struct tile_conv conv;
    int64_t height = dst->ne[1], tiles = (height + s.rows - 1) / s.rows, i;
    bool ok = tile_make(&conv, d, &s, packed->data, scratch + tile_bytes(&s));
    int before = onednn_alone(d);
    while (ok && (i = nn_cpu_next(parts)) < tiles) {
        /* The last tile overlaps the one before it, so that all tiles have one height. */
        int64_t y = i * s.rows + s.rows <= height ? i * s.rows : height - s.rows;
        const unsigned char *from =
            (const unsigned char *)rows->data + (size_t)(y * s.stride) * rows->nb[2];
        ok = tile_run(&conv, from, scratch);
        if (ok)
            write_tile(&s, (const float *)(void *)scratch, bias, dst, y, i * s.rows - y);
    }
    onednn_restore(d, before);
    if (conv.d)
        tile_free(&conv);
    if (!ok) /* out of memory (the shape was checked when the node was made): the result becomes NaN */
        memset(dst->data, 0xff, ggml_nbytes(dst));
}

double nn_cpu_conv_flops(const struct ggml_tensor *t)
{
    uint32_t flags = nn_cpu_low(nn_cpu_user(t));
    return 2.0 * (double)ggml_nelements(t) * (double)t->src[0]->ne[0] *
           (double)(flags >> 8 & 0xff) * (double)(flags >> 16 & 0xff);
}

/* ---- making ------------------------------------------------------------------------------------------ */

static bool suits(const struct ggml_tensor *w, const struct ggml_tensor *x,
                  const struct ggml_tensor *b)
{
    return w->type == GGML_TYPE_F32 && ggml_is_contiguous(w) && w->ne[0] < 128 && w->ne[1] < 128 &&
           x->type == GGML_TYPE_F32 && x->ne[3] == 1 && (!b || b->type == GGML_TYPE_F32);
}

struct ggml_tensor *nn_cpu_conv(struct nn_graph *g, struct ggml_tensor *w, struct ggml_tensor *b,
                                struct ggml_tensor *x, int stride, struct nn_padding pad)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || !onednn_get() || !suits(w, x, b))
        return NULL;
    struct ggml_tensor *rows = nn_cpu_rows(g, x, pad, mode == NN_CPU_BF16);
    if (!rows || rows->ne[1] < w->ne[0] || rows->ne[2] < w->ne[1])
        return NULL;
    uint32_t flags = geometry(stride, w->ne[1], w->ne[0]);
    struct tile_shape s = shape_from(rows, w->ne[3], flags);
    struct tile_conv conv;
    struct tile_packing p;
    if (!tile_make(&conv, onednn_get(), &s, NULL, NULL))
        return NULL;
    size_t for_primitive = conv.scratch_bytes + 1;
    bool ok = tile_packing_of(&conv, &p) && p.inner <= MAX_INNER;
    tile_free(&conv);
    if (!ok)
        return NULL;
    size_t for_packing = nn_cpu_pad(sizeof(struct kernel)) + (size_t)p.inner * sizeof(float);
    struct ggml_tensor *src[] = {w, rows, nn_cpu_scratch(g, for_packing)};
    struct ggml_tensor *packed =
        ggml_custom_4d(nn_ctx(g), GGML_TYPE_I8, (int64_t)p.bytes, 1, 1, 1, src, 3, nn_cpu_pack_op,
                       GGML_N_TASKS_MAX, nn_cpu_pack(flags, 0));
    struct ggml_tensor *args[4] = {rows, packed};
    int n = 2;
    if (b)
        args[n++] = b;
    args[n++] = nn_cpu_scratch(g, tile_bytes(&s) + for_primitive);
    int64_t height = (rows->ne[2] - s.kh) / stride + 1;
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_F32, s.width, height, s.out, 1, args, n,
                          nn_cpu_conv_op, GGML_N_TASKS_MAX, nn_cpu_pack(flags | (b ? BIAS : 0), 0));
}

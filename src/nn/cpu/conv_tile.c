/* conv_tile.c - oneDNN's convolution of one tile of rows.
 *
 * A tile_conv lives as long as one thread's part of one convolution. It is made twice: without scratch, only to
 * ask oneDNN how it wants the kernel packed and how much scratch it needs, while memory is planned; and with both,
 * to run. The packed layout is read out here (tile_packing_of) so that our own node can pack the kernel once for
 * all threads; a layout that it cannot produce makes the convolution fall back to another way.
 */
#include "nn/cpu/conv_tile.h"

#include <math.h>
#include <string.h>

#include "nn/cpu/nodes.h"
#include "nn/moments.h"
#include "nn/moments_kern.h"

void tile_free(struct tile_conv *c)
{
    const struct onednn *d = c->d;
    for (int i = 0; i < TILE_ARGS; i++) {
        if (c->memory[i])
            (void)d->memory_destroy(c->memory[i]);
        if (c->desc[i])
            (void)d->memory_desc_destroy(c->desc[i]);
    }
    if (c->stream)
        (void)d->stream_destroy(c->stream);
    if (c->primitive)
        (void)d->primitive_destroy(c->primitive);
    if (c->primitive_desc)
        (void)d->primitive_desc_destroy(c->primitive_desc);
    memset(c, 0, sizeof *c);
}

static bool tile_describe(struct tile_conv *c, const struct tile_shape *s)
{
    const struct onednn *d = c->d;
    const dnnl_dims_t src = {1, s->in, s->rows_in, s->width_in}, w = {s->out, s->in, s->kh, s->kw},
                      dst = {1, s->out, s->rows, s->width};
    const dnnl_dims_t strides = {s->stride, s->stride}, none = {0, 0};
    dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_primitive_attr_t attr = NULL;
    bool ok =
        d->memory_desc_create_with_tag(&c->desc[TILE_SRC], 4, src, type, dnnl_nhwc) == 0 &&
        d->memory_desc_create_with_tag(&c->desc[TILE_WEIGHTS], 4, w, type, dnnl_format_tag_any) ==
            0 &&
        d->memory_desc_create_with_tag(&c->desc[TILE_DST], 4, dst, dnnl_f32, dnnl_nhwc) == 0 &&
        d->primitive_attr_create(&attr) == 0 &&
        d->primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == 0 &&
        d->convolution_forward_primitive_desc_create(
            &c->primitive_desc, d->engine, dnnl_forward_inference, dnnl_convolution_direct,
            c->desc[TILE_SRC], c->desc[TILE_WEIGHTS], NULL, c->desc[TILE_DST], strides, none, none,
            none, attr) == 0;
    if (attr)
        (void)d->primitive_attr_destroy(attr);
    return ok;
}

static bool tile_runnable(struct tile_conv *c, void *kernel, void *scratch)
{
    const struct onednn *d = c->d;
    const dnnl_dims_t bytes = {c->scratch_bytes ? (dnnl_dim_t)c->scratch_bytes : 1};
    return d->primitive_create(&c->primitive, c->primitive_desc) == 0 &&
           d->stream_create(&c->stream, d->engine, dnnl_stream_default_flags) == 0 &&
           d->memory_desc_create_with_tag(&c->desc[TILE_SCRATCH], 1, bytes, dnnl_u8, dnnl_a) == 0 &&
           d->memory_create(&c->memory[TILE_SRC], c->desc[TILE_SRC], d->engine, DNNL_MEMORY_NONE) ==
               0 &&
           d->memory_create(&c->memory[TILE_WEIGHTS], c->packed, d->engine, kernel) == 0 &&
           d->memory_create(&c->memory[TILE_DST], c->desc[TILE_DST], d->engine, DNNL_MEMORY_NONE) ==
               0 &&
           d->memory_create(&c->memory[TILE_SCRATCH], c->desc[TILE_SCRATCH], d->engine, scratch) ==
               0;
}

bool tile_make(struct tile_conv *c, const struct onednn *d, const struct tile_shape *s,
               void *kernel, void *scratch)
{
    memset(c, 0, sizeof *c);
    c->d = d;
    int before = onednn_alone(d);
    bool ok = tile_describe(c, s);
    if (ok) {
        c->packed = d->primitive_desc_query_md(c->primitive_desc, dnnl_query_weights_md, 0);
        const_dnnl_memory_desc_t md =
            d->primitive_desc_query_md(c->primitive_desc, dnnl_query_scratchpad_md, 0);
        c->scratch_bytes = md ? d->memory_desc_get_size(md) : 0;
        ok = !scratch || tile_runnable(c, kernel, scratch);
    }
    onednn_restore(d, before);
    if (!ok)
        tile_free(c);
    return ok;
}

bool tile_run(const struct tile_conv *c, const void *src, void *dst)
{
    const struct onednn *d = c->d;
    const dnnl_exec_arg_t args[TILE_ARGS] = {{DNNL_ARG_SRC, c->memory[TILE_SRC]},
                                             {DNNL_ARG_WEIGHTS, c->memory[TILE_WEIGHTS]},
                                             {DNNL_ARG_DST, c->memory[TILE_DST]},
                                             {DNNL_ARG_SCRATCHPAD, c->memory[TILE_SCRATCH]}};
    return d->memory_set_data_handle(c->memory[TILE_SRC], (void *)(uintptr_t)src) == 0 &&
           d->memory_set_data_handle(c->memory[TILE_DST], dst) == 0 &&
           d->primitive_execute(c->primitive, c->stream, TILE_ARGS, args) == 0;
}

bool tile_packing_of(const struct tile_conv *c, struct tile_packing *p)
{
    const struct onednn *d = c->d;
    const dnnl_dims_t *strides, *blocks, *axes, *padded, *dims;
    int n;
    memset(p, 0, sizeof *p);
    if (d->memory_desc_query(c->packed, dnnl_query_strides, &strides) != 0 ||
        d->memory_desc_query(c->packed, dnnl_query_inner_nblks_s32, &n) != 0 ||
        d->memory_desc_query(c->packed, dnnl_query_inner_blks, &blocks) != 0 ||
        d->memory_desc_query(c->packed, dnnl_query_inner_idxs, &axes) != 0 ||
        d->memory_desc_query(c->packed, dnnl_query_padded_dims, &padded) != 0 ||
        d->memory_desc_query(c->packed, dnnl_query_dims, &dims) != 0 ||
        n > (int)(sizeof p->axes / sizeof p->axes[0]))
        return false;
    p->bytes = d->memory_desc_get_size(c->packed);
    p->n_inner = n;
    p->padded_out = (*padded)[0];
    p->padded_in = (*padded)[1];
    p->out_block = p->in_block = p->inner = 1;
    for (int i = 0; i < 4; i++)
        p->stride[i] = (*strides)[i];
    for (int i = 0; i < n; i++) {
        p->blocks[i] = (*blocks)[i];
        p->axes[i] = (int)(*axes)[i];
        p->inner *= p->blocks[i];
        if (p->axes[i] > 1)
            return false;
        *(p->axes[i] == 0 ? &p->out_block : &p->in_block) *= p->blocks[i];
    }
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* An image [channels, height, width] as rows of channels with padding around it, in the type of
 * products. Operations before a convolution that work on single pixels are fused into this copy: the scale and shift
 * of a group norm, SiLU, upsampling. */

enum { MAX_CHANNELS = 2048 }; /* a norm's scales and shifts lie on the stack */
enum { NORM = 1, SILU = 2, TWICE = 4, LEFT_SHIFT = 8, TOP_SHIFT = 16, GROUPS_SHIFT = 24 };
enum { MAX_PADDING = 255, MAX_GROUPS = 255 };

struct job {
    const struct ggml_tensor *x;
    struct ggml_tensor *dst;          /* [height + padding, width + padding, channels] */
    int64_t left, top, width, height; /* where the image is in dst */
    bool twice;
    struct vec_to_channels row;
};

static void write_row(const struct vec *v, struct job *j, int64_t y)
{
    unsigned char *row = (unsigned char *)j->dst->data + (size_t)y * j->dst->nb[2];
    size_t pixel = j->dst->nb[1];
    if (y < j->top || y >= j->top + j->height) {
        memset(row, 0, j->dst->nb[2]);
        return;
    }
    unsigned char *image = row + (size_t)j->left * pixel;
    unsigned char *right = image + (size_t)j->width * pixel;
    memset(row, 0, (size_t)j->left * pixel);
    memset(right, 0, (size_t)(j->dst->ne[1] - j->left - j->width) * pixel);
    int64_t from = (y - j->top) / (j->twice ? 2 : 1);
    j->row.x = (const float *)(const void *)((const unsigned char *)j->x->data +
                                             (size_t)from * j->x->nb[1]);
    j->row.y = image;
    v->to_channels(&j->row);
    for (unsigned char *p = image; j->twice && p < right; p += 2 * pixel)
        memcpy(p + pixel, p, pixel);
}

/* Scale and shift of each channel from the sums of the whole map, as moments_apply_kern has them. */
static void fold_norm(const struct ggml_tensor *dst, int64_t groups, float eps, float *scale,
                      float *shift)
{
    int64_t channels = dst->ne[0], per = channels / groups;
    const double *state = dst->src[1]->data;
    const float *w = dst->src[2]->data, *b = dst->src[3]->data;
    for (int64_t g = 0; g < groups; g++) {
        struct moments_pair p = moments_of_group(state + g * per * MOMENTS_STATE, per, false);
        float m = (float)p.mean, r = 1.0f / sqrtf((float)p.variance + eps);
        for (int64_t c = g * per; c < (g + 1) * per; c++) {
            scale[c] = r * w[c];
            shift[c] = b[c] - scale[c] * m;
        }
    }
}

void nn_cpu_rows_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    uint32_t flags = nn_cpu_low(user);
    float scale[MAX_CHANNELS], shift[MAX_CHANNELS];
    const struct ggml_tensor *x = dst->src[0];
    int64_t times = flags & TWICE ? 2 : 1, first, last;
    struct job j = {
        .x = x,
        .dst = dst,
        .left = flags >> LEFT_SHIFT & MAX_PADDING,
        .top = flags >> TOP_SHIFT & MAX_PADDING,
        .width = x->ne[0] * times,
        .height = x->ne[1] * times,
        .twice = times == 2,
        .row = {.plane = (int64_t)(x->nb[2] / sizeof(float)),
                .channels = x->ne[2],
                .n = x->ne[0],
                .ldy = dst->ne[0] * times,
                .silu = (flags & SILU) != 0,
                .bf16 = dst->type == GGML_TYPE_BF16},
    };
    if (flags & NORM) {
        fold_norm(dst, flags >> GROUPS_SHIFT, nn_cpu_high(user), scale, shift);
        j.row.scale = scale;
        j.row.shift = shift;
    }
    nn_cpu_share(dst->ne[2], ith, nth, &first, &last);
    for (int64_t y = first; y < last; y++)
        write_row(vec_get(), &j, y);
}

/* ---- making ------------------------------------------------------------------------------------------ */

static bool is_silu(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_UNARY && ggml_get_unary_op(t) == GGML_UNARY_OP_SILU;
}

static bool is_upsampled_twice(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_UPSCALE && t->ne[0] == 2 * t->src[0]->ne[0] &&
           t->ne[1] == 2 * t->src[0]->ne[1] && t->ne[2] == t->src[0]->ne[2];
}

/* Skips the node that made the convolution's input if its work can be fused here: without another reader it never
 * becomes part of the graph. */
struct ggml_tensor *nn_cpu_rows(struct nn_graph *g, struct ggml_tensor *x, struct nn_padding pad,
                                bool bf16)
{
    struct nn_moments_norm norm = {0};
    struct ggml_tensor *src[4] = {x};
    uint32_t flags = 0;
    int n = 1;
    if (is_silu(x)) {
        flags |= SILU;
        src[0] = x->src[0];
    } else if (is_upsampled_twice(x)) {
        flags |= TWICE;
        src[0] = x->src[0];
    }
    if (!(flags & TWICE) && src[0]->ne[2] <= MAX_CHANNELS && nn_moments_norm_of(src[0], &norm) &&
        norm.groups <= MAX_GROUPS) {
        flags |= NORM | (uint32_t)norm.groups << GROUPS_SHIFT;
        struct ggml_tensor *applied = src[0];
        for (n = 0; n < 4; n++)
            src[n] = applied->src[n];
    }
    if (src[0]->type != GGML_TYPE_F32 || src[0]->nb[0] != sizeof(float) || src[0]->ne[3] != 1 ||
        pad.left > MAX_PADDING || pad.top > MAX_PADDING)
        return NULL;
    flags |= (uint32_t)pad.left << LEFT_SHIFT | (uint32_t)pad.top << TOP_SHIFT;
    return ggml_custom_4d(nn_ctx(g), bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32, x->ne[2],
                          x->ne[0] + pad.left + pad.right, x->ne[1] + pad.top + pad.bottom, 1, src,
                          n, nn_cpu_rows_op, GGML_N_TASKS_MAX, nn_cpu_pack(flags, norm.eps));
}

/* conv_tile.c - oneDNN's convolution of one tile of rows.
 *
 * A tile_conv lives as long as one thread's part of one convolution. It is made twice: without scratch, only to
 * ask oneDNN how it wants the kernel packed and how much scratch it needs, while memory is planned; and with both,
 * to run. The packed layout is read out here (tile_packing_of) so that our own node can pack the kernel once for
 * all threads; a layout that it cannot produce makes the convolution fall back to another way.
 */
#include "nn/cpu/conv_tile.h"

#include <string.h>

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

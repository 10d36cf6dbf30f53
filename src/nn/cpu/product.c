/* product.c - oneDNN's matrix product in one thread.
 *
 * Making a product asks oneDNN for an implementation and passes over those whose sums depend on how many rows
 * there are: a row must give the same bits alone and among others, or bands and streaming would change results.
 * Order: describe, choose, read the scratch size, then (only when scratch is given) make it runnable. A product is
 * made with oneDNN's threads set to one, see onednn.h. A struct product is used by the thread that made it.
 */
#include "nn/cpu/product.h"

#include <string.h>

static bool describe(struct product *p, const struct product_shape *s)
{
    const struct onednn *d = p->d;
    const dnnl_dims_t a = {s->m, s->k}, b = {s->k, s->n}, c = {s->m, s->n};
    const dnnl_dims_t a_at = {s->lda, 1}, c_at = {s->ldc, 1};
    const dnnl_dims_t b_at = {s->b_by_rows ? 1 : s->ldb, s->b_by_rows ? s->ldb : 1};
    dnnl_data_type_t in = s->bf16 ? dnnl_bf16 : dnnl_f32, in_b = in,
                     out = s->bf16_out ? dnnl_bf16 : dnnl_f32;
    if (s->int8) {
        in = dnnl_u8;
        in_b = dnnl_s8;
        out = dnnl_s32;
    }
    return d->memory_desc_create_with_strides(&p->desc[PRODUCT_A], 2, a, in, a_at) == 0 &&
           d->memory_desc_create_with_strides(&p->desc[PRODUCT_B], 2, b, in_b, b_at) == 0 &&
           d->memory_desc_create_with_strides(&p->desc[PRODUCT_C], 2, c, out, c_at) == 0;
}

/* The caller provides the scratch, so that plans count it. */
static bool attributes(const struct onednn *d, const struct product_shape *s,
                       dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    bool ok = d->primitive_attr_create(attr) == 0 &&
              d->primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) == 0;
    if (ok && s->add) {
        ok = d->post_ops_create(&ops) == 0 &&
             d->post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef) == 0 &&
             d->primitive_attr_set_post_ops(*attr, ops) == 0;
        if (ops)
            (void)d->post_ops_destroy(ops);
    }
    return ok;
}

/* oneDNN's first choice for float32 before AVX-512 is a kernel that adds up the last rows in another order than
 * those before them: what a row gives would depend on how many there are. Its next one, where the processor
 * has AVX2, does not, and is no slower; its last one takes a hundred times as long. */
static bool suits(const struct product *p, const struct product_shape *s)
{
    const char *name = "";
    (void)p->d->primitive_desc_query(p->primitive_desc, dnnl_query_impl_info_str, 0, (void *)&name);
    return s->int8 || (strncmp(name, "gemm:", 5) != 0 && strncmp(name, "ref:", 4) != 0);
}

static bool make_primitive(struct product *p, const struct product_shape *s)
{
    const struct onednn *d = p->d;
    dnnl_primitive_attr_t attr = NULL;
    bool ok =
        attributes(d, s, &attr) &&
        d->matmul_primitive_desc_create(&p->primitive_desc, d->engine, p->desc[PRODUCT_A],
                                        p->desc[PRODUCT_B], NULL, p->desc[PRODUCT_C], attr) == 0;
    while (ok && !suits(p, s))
        ok = d->primitive_desc_next_impl(p->primitive_desc) == 0;
    if (attr)
        (void)d->primitive_attr_destroy(attr);
    if (!ok)
        return false;
    const_dnnl_memory_desc_t scratch =
        d->primitive_desc_query_md(p->primitive_desc, dnnl_query_scratchpad_md, 0);
    p->scratch_bytes = scratch ? d->memory_desc_get_size(scratch) : 0;
    return true;
}

static bool make_runnable(struct product *p, void *scratch)
{
    const struct onednn *d = p->d;
    const dnnl_dims_t bytes = {p->scratch_bytes ? (dnnl_dim_t)p->scratch_bytes : 1};
    if (d->primitive_create(&p->primitive, p->primitive_desc) != 0 ||
        d->stream_create(&p->stream, d->engine, dnnl_stream_default_flags) != 0 ||
        d->memory_desc_create_with_tag(&p->desc[PRODUCT_SCRATCH], 1, bytes, dnnl_u8, dnnl_a) != 0)
        return false;
    for (int i = 0; i < PRODUCT_ARGS; i++)
        if (d->memory_create(&p->memory[i], p->desc[i], d->engine,
                             i == PRODUCT_SCRATCH ? scratch : DNNL_MEMORY_NONE) != 0)
            return false;
    return true;
}

bool product_make(struct product *p, const struct onednn *d, const struct product_shape *s,
                  void *scratch)
{
    memset(p, 0, sizeof *p);
    p->d = d;
    if (!d || (s->n == 1 && s->ldc > 1 && s->m > 1) || (!s->bf16 && !s->int8 && !d->f32))
        return false;
    int before = onednn_alone(d);
    bool ok = describe(p, s) && make_primitive(p, s) && (!scratch || make_runnable(p, scratch));
    onednn_restore(d, before);
    if (!ok)
        product_free(p);
    return ok;
}

void product_free(struct product *p)
{
    const struct onednn *d = p->d;
    for (int i = 0; i < PRODUCT_ARGS; i++) {
        if (p->memory[i])
            (void)d->memory_destroy(p->memory[i]);
        if (p->desc[i])
            (void)d->memory_desc_destroy(p->desc[i]);
    }
    if (p->stream)
        (void)d->stream_destroy(p->stream);
    if (p->primitive)
        (void)d->primitive_destroy(p->primitive);
    if (p->primitive_desc)
        (void)d->primitive_desc_destroy(p->primitive_desc);
    memset(p, 0, sizeof *p);
}

bool product_run(const struct product *p, const void *a, const void *b, void *c)
{
    const struct onednn *d = p->d;
    const dnnl_exec_arg_t args[PRODUCT_ARGS] = {
        {DNNL_ARG_SRC, p->memory[PRODUCT_A]},
        {DNNL_ARG_WEIGHTS, p->memory[PRODUCT_B]},
        {DNNL_ARG_DST, p->memory[PRODUCT_C]},
        {DNNL_ARG_SCRATCHPAD, p->memory[PRODUCT_SCRATCH]},
    };
    /* oneDNN does not write to its sources, but its handles are not const. */
    return d->memory_set_data_handle(p->memory[PRODUCT_A], (void *)(uintptr_t)a) == 0 &&
           d->memory_set_data_handle(p->memory[PRODUCT_B], (void *)(uintptr_t)b) == 0 &&
           d->memory_set_data_handle(p->memory[PRODUCT_C], c) == 0 &&
           d->primitive_execute(p->primitive, p->stream, PRODUCT_ARGS, args) == 0;
}

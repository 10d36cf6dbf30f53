/* half.c - the list of operations that a half is, and the builder that fills it.
 *
 * The list grows while parameters are declared, in the order of the network: each vae_add_* declares a block's
 * tensors and appends its operations, and b->channels carries the width from one block to the next. After an error
 * every further call does nothing, so a family checks the builder once, at the end.
 */
#include "model/vae/half.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/vae/vae.h"

void vae_half_deinit(struct vae_half *h)
{
    nn_params_free(h->params);
    h->params = NULL;
    mem_free(h->ops);
    *h = (struct vae_half){0};
}

void vae_half_shapes(const struct vae_half *h, int64_t height, int64_t width, struct vae_shape *out)
{
    struct vae_shape s = {h->in_channels, height, width};
    for (int i = 0; i < h->n; i++) {
        const struct vae_op *op = &h->ops[i];
        out[i] = s;
        s.channels = op->channels;
        if (op->kind == VAE_UPSAMPLE) {
            s.h *= 2;
            s.w *= 2;
        } else if (op->kind == VAE_CONV && op->stride == 2) {
            s.h /= 2;
            s.w /= 2;
        }
    }
    out[h->n] = s;
}

static double op_work(const struct vae_op *op, const struct vae_shape *in,
                      const struct vae_shape *out)
{
    double area = (double)out->h * (double)out->w, values = area * (double)out->channels;
    if (op->kind == VAE_CONV)
        return values * (double)(in->channels * op->kernel * op->kernel);
    if (op->kind == VAE_ATTEND)
        return values * (4 * (double)in->channels + 2 * area);
    return values;
}

double vae_half_work(const struct vae_half *h, const struct vae_shape *shapes, int first, int last)
{
    double sum = 0;
    for (int i = first; i < last; i++)
        sum += op_work(&h->ops[i], &shapes[i], &shapes[i + 1]);
    return sum;
}

/* NULL after an error. */
static struct vae_op *add(struct vae_builder *b, enum vae_op_kind kind, int64_t channels)
{
    struct vae_half *h = b->half;
    if (b->l.rc != ERR_OK)
        return NULL;
    if (h->n == h->room) {
        int room = 2 * h->room + 64;
        struct vae_op *ops = mem_try_realloc(h->ops, (size_t)room * sizeof *ops);
        if (!ops) {
            b->l.rc = err_set(b->l.e, ERR_NOMEM, "no memory for the VAE");
            return NULL;
        }
        h->ops = ops;
        h->room = room;
    }
    struct vae_op *op = &h->ops[h->n++];
    *op = (struct vae_op){.kind = kind, .channels = channels, .kernel = 1, .stride = 1};
    b->channels = channels;
    return op;
}

static struct nn_param *vector(struct vae_builder *b, const char *name, const char *suffix,
                               int64_t n)
{
    char s[96];
    (void)snprintf(s, sizeof s, "%s.%s", name, suffix);
    return model_vector(&b->l, s, n);
}

static struct vae_conv declare_conv(struct vae_builder *b, const char *name, int64_t out, int k,
                                    bool last_slice)
{
    struct vae_conv r = {0};
    char s[256];
    int64_t in = b->channels;
    if (last_slice) {
        (void)snprintf(s, sizeof s, "%s%s.weight", b->l.prefix, name);
        if (b->l.rc == ERR_OK)
            b->l.rc = nn_params_add(b->l.ps, NN_KERNEL_LAST_SLICE, s, 5,
                                    (int64_t[]){out, in, k, k, k}, &r.w, b->l.e);
    } else {
        (void)snprintf(s, sizeof s, "%s.weight", name);
        r.w = model_kernel(&b->l, s, out, in, k, k);
    }
    r.b = vector(b, name, "bias", out);
    return r;
}

static struct vae_conv declare_linear(struct vae_builder *b, const char *name)
{
    char s[96];
    struct vae_conv r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_matrix(&b->l, s, b->channels, b->channels);
    r.b = vector(b, name, "bias", b->channels);
    return r;
}

static void add_conv(struct vae_builder *b, struct vae_conv conv, int64_t out, int k, int stride)
{
    struct vae_op *op = add(b, VAE_CONV, out);
    if (!op)
        return;
    op->conv = conv;
    op->kernel = k;
    op->stride = stride;
}

void vae_add_conv3(struct vae_builder *b, const char *name, int64_t out)
{
    add_conv(b, declare_conv(b, name, out, 3, b->last_slice), out, 3, 1);
}

void vae_add_conv(struct vae_builder *b, const char *name, int64_t out, int k)
{
    add_conv(b, declare_conv(b, name, out, k, false), out, k, 1);
}

void vae_add_downsample(struct vae_builder *b, const char *name, int64_t out)
{
    add_conv(b, declare_conv(b, name, out, 3, false), out, 3, 2);
}

void vae_add_upsample(struct vae_builder *b, const char *name, int64_t out)
{
    add(b, VAE_UPSAMPLE, b->channels);
    vae_add_conv(b, name, out, 3);
}

void vae_add_norm(struct vae_builder *b, const char *name, bool silu)
{
    struct vae_conv c = {0};
    bool rms = b->half->norm == VAE_RMS_NORM;
    c.w = vector(b, name, rms ? "gamma" : "weight", b->channels);
    if (!rms)
        c.b = vector(b, name, "bias", b->channels);
    struct vae_op *op = add(b, VAE_NORM, b->channels);
    if (!op)
        return;
    op->conv = c;
    op->silu = silu;
}

void vae_add_resnet(struct vae_builder *b, int64_t out)
{
    struct vae_conv shortcut = {0};
    if (b->channels != out)
        shortcut = declare_conv(b, "conv_shortcut", out, 1, false);
    add(b, VAE_KEEP, b->channels);
    vae_add_norm(b, "norm1", true);
    vae_add_conv3(b, "conv1", out);
    vae_add_norm(b, "norm2", true);
    vae_add_conv3(b, "conv2", out);
    struct vae_op *op = add(b, VAE_ADD, out);
    if (op)
        op->conv = shortcut;
}

static void add_attention(struct vae_builder *b)
{
    add(b, VAE_KEEP, b->channels);
    vae_add_norm(b, b->attention_norm, false);
    struct vae_conv q = declare_linear(b, "to_q"), k = declare_linear(b, "to_k");
    struct vae_conv v = declare_linear(b, "to_v"), out = declare_linear(b, b->attention_out);
    struct vae_op *op = add(b, VAE_ATTEND, b->channels);
    if (op) {
        op->q = q;
        op->k = k;
        op->v = v;
        op->out = out;
    }
    add(b, VAE_ADD, b->channels);
}

void vae_add_mid_block(struct vae_builder *b, const char *half, bool attention)
{
    model_loader_prefix(&b->l, "%s.mid_block.resnets.0.", half);
    vae_add_resnet(b, b->channels);
    if (attention) {
        model_loader_prefix(&b->l, "%s.mid_block.attentions.0.", half);
        add_attention(b);
    }
    model_loader_prefix(&b->l, "%s.mid_block.resnets.1.", half);
    vae_add_resnet(b, b->channels);
    vae_name(b, "mid.%s.mid_block", half);
}

void vae_add_clamp(struct vae_builder *b)
{
    add(b, VAE_CLAMP, b->channels);
}

void vae_name(struct vae_builder *b, const char *fmt, ...)
{
    if (b->l.rc != ERR_OK || b->half->n == 0)
        return;
    struct vae_op *op = &b->half->ops[b->half->n - 1];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(op->mid, sizeof op->mid, fmt, ap);
    va_end(ap);
}

/* ---- a VAE of two halves --------------------------------------------------------------------- */

enum err_code vae_init(struct vae *v, struct component *c, struct nn_device *d,
                       enum nn_precision precision, const struct vae_family *family, int sides,
                       struct err *e)
{
    *v = (struct vae){.device = d, .scale = family->scale};
    if (sides & VAE_ENCODER)
        TRY(nn_params_new(c, d, precision, &v->enc.params, e));
    if (v->enc.params)
        TRY(family->encoder(family->user, &v->enc, e));
    if (sides & VAE_DECODER)
        TRY(nn_params_new(c, d, precision, &v->dec.params, e));
    if (v->dec.params)
        TRY(family->decoder(family->user, &v->dec, e));
    return ERR_OK;
}

void vae_deinit(struct vae *v)
{
    vae_half_deinit(&v->enc);
    vae_half_deinit(&v->dec);
}

static const struct vae_half *half_of(const struct vae *v, enum vae_side side)
{
    return side == VAE_DECODER ? &v->dec : &v->enc;
}

struct nn_params *vae_params(const struct vae *v, enum vae_side side)
{
    return half_of(v, side)->params;
}

static struct vae_run run_of(const struct vae *v, enum vae_side side, int64_t h, int64_t w,
                             struct vae_limits limits)
{
    const struct vae_half *half = half_of(v, side);
    return (struct vae_run){
        .half = half,
        .device = v->device,
        .exact = nn_params_precision(half->params) == NN_PRECISION_F32,
        .h = h,
        .w = w,
        .limits = limits,
    };
}

static enum err_code run(const struct vae *v, enum vae_side side, const float *in, int64_t h,
                         int64_t w, float *out, const struct vae_call *call, struct err *e)
{
    const struct vae_call plain = {0};
    if (!call)
        call = &plain;
    struct vae_run r = run_of(v, side, h, w, call->limits);
    r.in = in;
    r.out = out;
    r.cancel = call->cancel;
    r.mid = call->mid;
    r.user = call->user;
    return vae_half_run(&r, e);
}

enum err_code vae_decode(const struct vae *v, const float *latents, int64_t h, int64_t w,
                         float *out, const struct vae_call *call, struct err *e)
{
    return run(v, VAE_DECODER, latents, h, w, out, call, e);
}

enum err_code vae_encode(const struct vae *v, const float *image, int64_t h, int64_t w,
                         float *moments, const struct vae_call *call, struct err *e)
{
    if (h % v->scale != 0 || w % v->scale != 0)
        return err_set(e, ERR_INTERNAL, "an image of %lld x %lld is no multiple of %d",
                       (long long)w, (long long)h, v->scale);
    return run(v, VAE_ENCODER, image, h, w, moments, call, e);
}

enum err_code vae_need(const struct vae *v, enum vae_side side, int64_t h, int64_t w,
                       struct vae_limits limits, struct vae_need *need, struct err *e)
{
    struct vae_run r = run_of(v, side, h, w, limits);
    return vae_half_need(&r, need, e);
}

enum err_code vae_smallest(const struct vae *v, enum vae_side side, int64_t h, int64_t w,
                           size_t *bytes, struct err *e)
{
    struct vae_run r = run_of(v, side, h, w, (struct vae_limits){0});
    return vae_half_smallest(&r, bytes, e);
}

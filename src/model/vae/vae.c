#include "model/vae/vae.h"

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

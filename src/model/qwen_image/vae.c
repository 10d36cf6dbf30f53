#include "model/qwen_image/vae.h"

#include "base/mem.h"

struct qwen_image_vae {
    struct qwen_image_vae_config cfg;
    struct nn_device *device;
    struct vae_half enc, dec;
};

/* ---- the two halves -------------------------------------------------------------------------------- */

static struct vae_builder builder(struct vae_half *half, int64_t channels, struct err *e)
{
    half->norm = VAE_RMS_NORM;
    half->in_channels = channels;
    return (struct vae_builder){
        .l = {.ps = half->params, .rc = ERR_OK, .e = e},
        .half = half,
        .last_slice = true,
        .attention_norm = "norm",
        .attention_out = "proj",
        .channels = channels,
    };
}

static enum err_code declare_decoder(struct qwen_image_vae *v, struct err *e)
{
    const struct qwen_image_vae_config *c = &v->cfg;
    int n = (int)c->n_levels;
    struct vae_builder b = builder(&v->dec, c->latent_channels, e);
    vae_add_conv(&b, "post_quant_conv", c->latent_channels, 1);
    vae_name(&b, "mid.post_quant_conv");
    model_loader_prefix(&b.l, "decoder.");
    vae_add_conv3(&b, "conv_in", c->widths[n - 1]);
    vae_name(&b, "mid.decoder.conv_in");
    vae_add_mid_block(&b, "decoder", true);
    for (int i = 0; i < n; i++) {
        int64_t out = c->widths[n - 1 - i];
        for (int j = 0; j <= (int)c->resnets; j++) {
            model_loader_prefix(&b.l, "decoder.up_blocks.%d.resnets.%d.", i, j);
            vae_add_resnet(&b, out);
        }
        model_loader_prefix(&b.l, "decoder.up_blocks.%d.", i);
        if (i + 1 < n)
            vae_add_upsample(&b, "upsamplers.0.resample.1", out / 2);
        vae_name(&b, "mid.decoder.up_blocks.%d", i);
    }
    model_loader_prefix(&b.l, "decoder.");
    vae_add_norm(&b, "norm_out", true);
    vae_name(&b, "mid.decoder.norm_out");
    vae_add_conv3(&b, "conv_out", QWEN_IMAGE_VAE_CHANNELS);
    vae_name(&b, "mid.decoder.conv_out");
    vae_add_clamp(&b);
    return b.l.rc;
}

static enum err_code declare_encoder(struct qwen_image_vae *v, struct err *e)
{
    const struct qwen_image_vae_config *c = &v->cfg;
    int n = (int)c->n_levels, flat = 0;
    struct vae_builder b = builder(&v->enc, QWEN_IMAGE_VAE_CHANNELS, e);
    v->enc.from_file = true;
    model_loader_prefix(&b.l, "encoder.");
    vae_add_conv3(&b, "conv_in", c->base_width);
    vae_name(&b, "mid.encoder.conv_in");
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < (int)c->resnets; j++) {
            model_loader_prefix(&b.l, "encoder.down_blocks.%d.", flat);
            vae_add_resnet(&b, c->widths[i]);
            vae_name(&b, "mid.encoder.down_blocks.%d", flat++);
        }
        if (i + 1 == n)
            break;
        model_loader_prefix(&b.l, "encoder.down_blocks.%d.", flat);
        vae_add_downsample(&b, "resample.1", c->widths[i]);
        vae_name(&b, "mid.encoder.down_blocks.%d", flat++);
    }
    vae_add_mid_block(&b, "encoder", true);
    model_loader_prefix(&b.l, "encoder.");
    vae_add_norm(&b, "norm_out", true);
    vae_name(&b, "mid.encoder.norm_out");
    vae_add_conv3(&b, "conv_out", 2 * c->latent_channels);
    vae_name(&b, "mid.encoder.conv_out");
    model_loader_prefix(&b.l, "%s", "");
    vae_add_conv(&b, "quant_conv", 2 * c->latent_channels, 1);
    vae_name(&b, "mid.quant_conv");
    return b.l.rc;
}

enum err_code qwen_image_vae_new(struct component *c, struct nn_device *d,
                                 enum nn_precision precision,
                                 const struct qwen_image_vae_config *cfg, int halves,
                                 struct qwen_image_vae **out, struct err *e)
{
    *out = NULL;
    struct qwen_image_vae *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    v->cfg = *cfg;
    v->device = d;
    enum err_code rc = ERR_OK;
    if (halves & QWEN_IMAGE_VAE_ENCODER)
        rc = nn_params_new(c, d, precision, &v->enc.params, e);
    if (rc == ERR_OK && v->enc.params)
        rc = declare_encoder(v, e);
    if (rc == ERR_OK && (halves & QWEN_IMAGE_VAE_DECODER))
        rc = nn_params_new(c, d, precision, &v->dec.params, e);
    if (rc == ERR_OK && v->dec.params)
        rc = declare_decoder(v, e);
    if (rc != ERR_OK) {
        qwen_image_vae_free(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void qwen_image_vae_free(struct qwen_image_vae *v)
{
    if (!v)
        return;
    vae_half_deinit(&v->enc);
    vae_half_deinit(&v->dec);
    mem_free(v);
}

struct nn_params *qwen_image_vae_params(struct qwen_image_vae *v, enum qwen_image_vae_half half)
{
    return half == QWEN_IMAGE_VAE_DECODER ? v->dec.params : v->enc.params;
}

const struct qwen_image_vae_config *qwen_image_vae_config(const struct qwen_image_vae *v)
{
    return &v->cfg;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static struct vae_run half_run(const struct qwen_image_vae *v, enum qwen_image_vae_half half,
                               int64_t h, int64_t w, struct vae_limits limits)
{
    const struct vae_half *y = half == QWEN_IMAGE_VAE_DECODER ? &v->dec : &v->enc;
    return (struct vae_run){
        .half = y,
        .device = v->device,
        .exact = nn_params_precision(y->params) == NN_PRECISION_F32,
        .h = h,
        .w = w,
        .limits = limits,
    };
}

static enum err_code run_half(const struct qwen_image_vae *v, enum qwen_image_vae_half half,
                              const float *in, int64_t h, int64_t w, float *out,
                              const struct qwen_image_vae_run *run, struct err *e)
{
    struct vae_run r = half_run(v, half, h, w, run ? run->limits : (struct vae_limits){0});
    r.in = in;
    r.out = out;
    r.cancel = run ? run->cancel : NULL;
    r.mid = run ? run->mid : NULL;
    r.user = run ? run->user : NULL;
    return vae_half_run(&r, e);
}

static enum err_code check_sides(const struct qwen_image_vae *v, int64_t h, int64_t w,
                                 struct err *e)
{
    int64_t s = qwen_image_vae_scale(&v->cfg);
    if (h % s == 0 && w % s == 0)
        return ERR_OK;
    return err_set(e, ERR_INTERNAL, "a picture of %lld x %lld is no multiple of %lld", (long long)w,
                   (long long)h, (long long)s);
}

enum err_code qwen_image_vae_decode(struct qwen_image_vae *v, const float *latents, int64_t h,
                                    int64_t w, float *out, const struct qwen_image_vae_run *run,
                                    struct err *e)
{
    return run_half(v, QWEN_IMAGE_VAE_DECODER, latents, h, w, out, run, e);
}

enum err_code qwen_image_vae_encode(struct qwen_image_vae *v, const float *picture, int64_t h,
                                    int64_t w, float *moments, const struct qwen_image_vae_run *run,
                                    struct err *e)
{
    enum err_code rc = check_sides(v, h, w, e);
    return rc == ERR_OK ? run_half(v, QWEN_IMAGE_VAE_ENCODER, picture, h, w, moments, run, e) : rc;
}

enum err_code qwen_image_vae_need(struct qwen_image_vae *v, enum qwen_image_vae_half half,
                                  int64_t h, int64_t w, struct vae_limits limits,
                                  struct vae_need *need, struct err *e)
{
    struct vae_run r = half_run(v, half, h, w, limits);
    return vae_half_need(&r, need, e);
}

enum err_code qwen_image_vae_smallest(struct qwen_image_vae *v, enum qwen_image_vae_half half,
                                      int64_t h, int64_t w, size_t *bytes, struct err *e)
{
    struct vae_run r = half_run(v, half, h, w, (struct vae_limits){0});
    return vae_half_smallest(&r, bytes, e);
}

/* vae.c - the Qwen-Image-Layered autoencoder: its two halves.
 *
 * Writes down both halves as lists of operations (model/vae runs them). Two traps: the encoder's down blocks are
 * numbered in one flat list, resnets and downsamplings alike, and the decoder's upsampling halves the channels.
 * Kernels of three dimensions are declared as such and only their last slice is used (vae.h says why).
 */
#include "model/qwen_image/vae.h"

#include "base/mem.h"

struct qwen_image_vae {
    struct qwen_image_vae_config cfg;
    struct vae net;
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

static enum err_code declare_decoder(const void *user, struct vae_half *half, struct err *e)
{
    const struct qwen_image_vae_config *c = user;
    int n = (int)c->n_levels;
    struct vae_builder b = builder(half, c->latent_channels, e);
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

static enum err_code declare_encoder(const void *user, struct vae_half *half, struct err *e)
{
    const struct qwen_image_vae_config *c = user;
    int n = (int)c->n_levels, flat = 0;
    struct vae_builder b = builder(half, QWEN_IMAGE_VAE_CHANNELS, e);
    half->from_file = true;
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
                                 const struct qwen_image_vae_config *cfg, int sides,
                                 struct qwen_image_vae **out, struct err *e)
{
    *out = NULL;
    struct qwen_image_vae *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    v->cfg = *cfg;
    const struct vae_family family = {
        .encoder = declare_encoder,
        .decoder = declare_decoder,
        .user = &v->cfg,
        .scale = qwen_image_vae_scale(cfg),
    };
    enum err_code rc = vae_init(&v->net, c, d, precision, &family, sides, e);
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
    vae_deinit(&v->net);
    mem_free(v);
}

const struct vae *qwen_image_vae_net(const struct qwen_image_vae *v)
{
    return &v->net;
}

const struct qwen_image_vae_config *qwen_image_vae_config(const struct qwen_image_vae *v)
{
    return &v->cfg;
}

/* ---- latents as tokens ----------------------------------------------------------------------- */

/* Between the VAE's latents and the transformer's tokens. */

void qwen_image_vae_normalize(const struct qwen_image_vae_config *c, float *latents, int64_t n)
{
    for (int64_t k = 0; k < c->latent_channels; k++)
        for (int64_t i = 0; i < n; i++)
            latents[k * n + i] = (latents[k * n + i] - (float)c->mean[k]) / (float)c->std[k];
}

/* By the inverse, as the reference has it: the last bit differs from a product. */
void qwen_image_vae_denormalize(const struct qwen_image_vae_config *c, float *latents, int64_t n)
{
    for (int64_t k = 0; k < c->latent_channels; k++) {
        float inverse = 1.0f / (float)c->std[k];
        for (int64_t i = 0; i < n; i++)
            latents[k * n + i] = latents[k * n + i] / inverse + (float)c->mean[k];
    }
}

/* Where element k of token t lies in [C, h, w]. */
static int64_t latent_at(int64_t t, int64_t k, int64_t h, int64_t w)
{
    int64_t y = t / (w / 2) * 2 + k / 2 % 2, x = t % (w / 2) * 2 + k % 2;
    return (k / 4 * h + y) * w + x;
}

void qwen_image_pack(const float *latents, int64_t channels, int64_t h, int64_t w, float *tokens)
{
    int64_t n = 4 * channels;
    for (int64_t t = 0; t < h / 2 * (w / 2); t++)
        for (int64_t k = 0; k < n; k++)
            tokens[t * n + k] = latents[latent_at(t, k, h, w)];
}

void qwen_image_unpack(const float *tokens, int64_t channels, int64_t h, int64_t w, float *latents)
{
    int64_t n = 4 * channels;
    for (int64_t t = 0; t < h / 2 * (w / 2); t++)
        for (int64_t k = 0; k < n; k++)
            latents[latent_at(t, k, h, w)] = tokens[t * n + k];
}

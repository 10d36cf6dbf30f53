/* vae.c - the FLUX.2 autoencoder: its two halves, and packing latents into tokens.
 *
 * Writes down both halves as lists of operations, with the names that diffusers gives to tensors and traces;
 * building and running them is model/vae's. Beside that it holds the batch norm's statistics, which belong to
 * neither half and are read from the file to the host, and packs latents into tokens with them. Order inside a
 * token: channel, row, column.
 */
#include "model/flux2/vae.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct flux2_vae {
    struct flux2_vae_config cfg;
    struct vae net;
    float *mean, *std; /* [4 * latent_channels] */
};

/* ---- the two halves -------------------------------------------------------------------------------- */

static struct vae_builder builder(const struct flux2_vae_config *c, struct vae_half *half,
                                  int64_t channels, struct err *e)
{
    half->norm = VAE_GROUP_NORM;
    half->norm_groups = (int)c->norm_groups;
    half->in_channels = channels;
    return (struct vae_builder){
        .l = {.ps = half->params, .rc = ERR_OK, .e = e},
        .half = half,
        .attention_norm = "group_norm",
        .attention_out = "to_out.0",
        .channels = channels,
    };
}

static enum err_code declare_decoder(const void *user, struct vae_half *half, struct err *e)
{
    const struct flux2_vae_config *c = user;
    int n = (int)c->n_levels;
    struct vae_builder b = builder(c, half, c->latent_channels, e);
    if (c->use_post_quant_conv) {
        vae_add_conv(&b, "post_quant_conv", c->latent_channels, 1);
        vae_name(&b, "mid.post_quant_conv");
    }
    model_loader_prefix(&b.l, "decoder.");
    vae_add_conv3(&b, "conv_in", c->decoder_channels[n - 1]);
    vae_name(&b, "mid.decoder.conv_in");
    vae_add_mid_block(&b, "decoder", c->mid_attention);
    for (int i = 0; i < n; i++) {
        int64_t out = c->decoder_channels[n - 1 - i];
        for (int j = 0; j <= (int)c->layers_per_block; j++) {
            model_loader_prefix(&b.l, "decoder.up_blocks.%d.resnets.%d.", i, j);
            vae_add_resnet(&b, out);
        }
        model_loader_prefix(&b.l, "decoder.up_blocks.%d.", i);
        if (i + 1 < n)
            vae_add_upsample(&b, "upsamplers.0.conv", out);
        vae_name(&b, "mid.decoder.up_blocks.%d", i);
    }
    model_loader_prefix(&b.l, "decoder.");
    vae_add_norm(&b, "conv_norm_out", true);
    vae_name(&b, "mid.decoder.conv_norm_out");
    vae_add_conv3(&b, "conv_out", c->out_channels);
    vae_name(&b, "mid.decoder.conv_out");
    return b.l.rc;
}

static enum err_code declare_encoder(const void *user, struct vae_half *half, struct err *e)
{
    const struct flux2_vae_config *c = user;
    int n = (int)c->n_levels;
    struct vae_builder b = builder(c, half, c->in_channels, e);
    half->from_file = true;
    model_loader_prefix(&b.l, "encoder.");
    vae_add_conv3(&b, "conv_in", c->encoder_channels[0]);
    vae_name(&b, "mid.encoder.conv_in");
    for (int i = 0; i < n; i++) {
        int64_t out = c->encoder_channels[i];
        for (int j = 0; j < (int)c->layers_per_block; j++) {
            model_loader_prefix(&b.l, "encoder.down_blocks.%d.resnets.%d.", i, j);
            vae_add_resnet(&b, out);
        }
        model_loader_prefix(&b.l, "encoder.down_blocks.%d.", i);
        if (i + 1 < n)
            vae_add_downsample(&b, "downsamplers.0.conv", out);
        vae_name(&b, "mid.encoder.down_blocks.%d", i);
    }
    vae_add_mid_block(&b, "encoder", c->mid_attention);
    model_loader_prefix(&b.l, "encoder.");
    vae_add_norm(&b, "conv_norm_out", true);
    vae_name(&b, "mid.encoder.conv_norm_out");
    vae_add_conv3(&b, "conv_out", 2 * c->latent_channels);
    vae_name(&b, "mid.encoder.conv_out");
    model_loader_prefix(&b.l, "%s", "");
    if (c->use_quant_conv) {
        vae_add_conv(&b, "quant_conv", 2 * c->latent_channels, 1);
        vae_name(&b, "mid.quant_conv");
    }
    return b.l.rc;
}

/* running_mean and sqrt(running_var + eps), read on the host. */
static enum err_code read_statistics(struct flux2_vae *v, struct component *c, struct err *e)
{
    int64_t n = 4 * v->cfg.latent_channels;
    struct weights_view mean, var;
    TRY(component_find(c, "bn.running_mean", 1, &n, &mean, e));
    TRY(component_find(c, "bn.running_var", 1, &n, &var, e));
    v->mean = mem_try_array((size_t)n, sizeof(float));
    v->std = mem_try_array((size_t)n, sizeof(float));
    if (!v->mean || !v->std)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    TRY(nn_view_rows_f32(&mean, 0, 1, v->mean, e));
    TRY(nn_view_rows_f32(&var, 0, 1, v->std, e));
    for (int64_t i = 0; i < n; i++) {
        v->std[i] = sqrtf(v->std[i] + (float)v->cfg.batch_norm_eps);
        if (!isfinite(v->mean[i]))
            return err_set(e, ERR_NUMERIC, "tensor 'bn.running_mean' holds NaN or infinity at %lld",
                           (long long)i);
        if (!(v->std[i] > 0))
            return err_set(e, ERR_NUMERIC,
                           "tensor 'bn.running_var' holds no positive variance at %lld",
                           (long long)i);
    }
    return ERR_OK;
}

enum err_code flux2_vae_new(struct component *c, struct nn_device *d, enum nn_precision precision,
                            const struct flux2_vae_config *cfg, int sides, struct flux2_vae **out,
                            struct err *e)
{
    *out = NULL;
    struct flux2_vae *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    v->cfg = *cfg;
    const struct vae_family family = {
        .encoder = declare_encoder,
        .decoder = declare_decoder,
        .user = &v->cfg,
        .scale = flux2_vae_scale(cfg),
    };
    enum err_code rc;
    TRY_GOTO(vae_init(&v->net, c, d, precision, &family, sides, e), done);
    rc = read_statistics(v, c, e);
done:
    if (rc != ERR_OK) {
        flux2_vae_free(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void flux2_vae_free(struct flux2_vae *v)
{
    if (!v)
        return;
    vae_deinit(&v->net);
    mem_free(v->mean);
    mem_free(v->std);
    mem_free(v);
}

const struct vae *flux2_vae_net(const struct flux2_vae *v)
{
    return &v->net;
}

const struct flux2_vae_config *flux2_vae_config(const struct flux2_vae *v)
{
    return &v->cfg;
}

/* ---- packing ---------------------------------------------------------------------------------------- */

/* Index of latent (c, y, x) in [C, h, w] and of its place in [h/2 * w/2, 4C]. */
static int64_t latent_at(int64_t c, int64_t y, int64_t x, int64_t h, int64_t w)
{
    return (c * h + y) * w + x;
}

void flux2_vae_pack(const struct flux2_vae *v, const float *latents, int64_t h, int64_t w,
                    float *tokens)
{
    int64_t n = 4 * v->cfg.latent_channels;
    for (int64_t t = 0; t < h / 2 * (w / 2); t++)
        for (int64_t k = 0; k < n; k++) {
            int64_t y = t / (w / 2) * 2 + k / 2 % 2, x = t % (w / 2) * 2 + k % 2;
            tokens[t * n + k] = (latents[latent_at(k / 4, y, x, h, w)] - v->mean[k]) / v->std[k];
        }
}

void flux2_vae_unpack(const struct flux2_vae *v, const float *tokens, int64_t h, int64_t w,
                      float *latents)
{
    int64_t n = 4 * v->cfg.latent_channels, across = w / 2;
    for (int64_t row = 0; row < h / 2; row++)
        for (int64_t k = 0; k < n; k++) {
            float *to = latents + latent_at(k / 4, 2 * row + k / 2 % 2, k % 2, h, w);
            const float *from = tokens + row * across * n + k;
            for (int64_t t = 0; t < across; t++)
                to[2 * t] = from[t * n] * v->std[k] + v->mean[k];
        }
}

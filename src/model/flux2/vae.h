/* vae.h - the FLUX.2 autoencoder (diffusers' AutoencoderKLFlux2): images to latents and back.
 *
 *   decode: post_quant_conv, conv_in, mid block (resnet, attention, resnet), up blocks of layers + 1 resnets
 *           each with a 2x upsampling but for the last, GroupNorm, SiLU, conv_out
 *   encode: conv_in, down blocks of `layers` resnets each with a downsampling (padded right and bottom) but
 *           for the last, mid block, GroupNorm, SiLU, conv_out, quant_conv -> mean and log variance; the
 *           mean is taken
 *
 * Latents [C, h, w] are packed 2 x 2 into tokens of 4C channels (order c, dy, dx) and normalised by the
 * batch-norm statistics: (x - running_mean) / sqrt(running_var + eps).
 *
 * decoder_block_out_channels (the small decoder) may differ from the encoder's widths.
 */
#ifndef VT_MODEL_FLUX2_VAE_H
#define VT_MODEL_FLUX2_VAE_H

#include "base/json.h"
#include "model/vae/vae.h"

enum { FLUX2_VAE_MAX_LEVELS = 8 };

struct flux2_vae_config {
    int64_t latent_channels, in_channels, out_channels, layers_per_block, norm_groups;
    int64_t n_levels;
    int64_t encoder_channels[FLUX2_VAE_MAX_LEVELS], decoder_channels[FLUX2_VAE_MAX_LEVELS];
    bool use_quant_conv, use_post_quant_conv, mid_attention;
    double batch_norm_eps;
};

/* From config.json; NULL json: the real model's widths, checked against the weights. */
ERR_MUST_CHECK enum err_code flux2_vae_config_read(yyjson_val *json, const char *what,
                                                   const struct component *c,
                                                   struct flux2_vae_config *out, struct err *e);

/* Pixels per latent along a side. */
static inline int flux2_vae_scale(const struct flux2_vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

struct flux2_vae;

/* Declares one half or both (bits of enum vae_side). */
ERR_MUST_CHECK enum err_code flux2_vae_new(struct component *c, struct nn_device *d,
                                           enum nn_precision precision,
                                           const struct flux2_vae_config *cfg, int sides,
                                           struct flux2_vae **out, struct err *e);
void flux2_vae_free(struct flux2_vae *v);
/* For runs. A decoded image is about -1 to 1, not clamped. */
const struct vae *flux2_vae_net(const struct flux2_vae *v);
const struct flux2_vae_config *flux2_vae_config(const struct flux2_vae *v);

/* Latents [C, h, w] (h and w even) <-> normalised tokens [h/2 * w/2, 4C]. */
void flux2_vae_pack(const struct flux2_vae *v, const float *latents, int64_t h, int64_t w,
                    float *tokens);
void flux2_vae_unpack(const struct flux2_vae *v, const float *tokens, int64_t h, int64_t w,
                      float *latents);

#endif

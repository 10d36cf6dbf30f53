/* vae.h - the RGBA autoencoder of Qwen-Image-Layered (diffusers' AutoencoderKLQwenImage) for single images.
 *
 *   encode: conv_in, resnets and downsamplings in one flat list (a downsampling pads right and bottom by one),
 *           mid block (resnet, attention, resnet), norm, SiLU, conv_out, quant_conv -> mean and log variance;
 *           the mean is taken
 *   decode: post_quant_conv, conv_in, mid block, up blocks of resnets + 1 each with a 2x upsampling that halves
 *           the channels but for the last, norm, SiLU, conv_out, clamped to -1 .. 1
 *
 * The network is a causal video model. Its first frame sees two frames of zeros before it, so of each kernel
 * over time only the last slice counts, and an image goes through as plain 2-D convolutions; the temporal
 * resampling (time_conv) is not reached at all. The norm divides a pixel by its length over the channels.
 *
 * Latents [C, h, w] are normalised channel by channel, (x - mean) / std from the config, and packed 2 x 2 into
 * tokens of 4C channels (order c, dy, dx).
 */
#ifndef VT_MODEL_QWEN_IMAGE_VAE_H
#define VT_MODEL_QWEN_IMAGE_VAE_H

#include "base/json.h"
#include "model/vae/vae.h"

enum {
    QWEN_IMAGE_VAE_MAX_LEVELS = 8,
    QWEN_IMAGE_VAE_MAX_LATENTS = 128,
    QWEN_IMAGE_VAE_CHANNELS = 4,
};

struct qwen_image_vae_config {
    int64_t latent_channels, n_levels,
        resnets; /* resnets of an encoder level; the decoder has one more */
    int64_t widths[QWEN_IMAGE_VAE_MAX_LEVELS]; /* from the finest level to the coarsest */
    int64_t base_width;                        /* of the encoder's conv_in */
    double mean[QWEN_IMAGE_VAE_MAX_LATENTS], std[QWEN_IMAGE_VAE_MAX_LATENTS];
};

/* From config.json; NULL json: from shapes, with the published model's statistics. A VAE without alpha (3
 * channels) is refused. */
ERR_MUST_CHECK enum err_code qwen_image_vae_config_read(yyjson_val *json, const char *what,
                                                        const struct component *c,
                                                        struct qwen_image_vae_config *out,
                                                        struct err *e);

/* Pixels per latent along a side. */
static inline int qwen_image_vae_scale(const struct qwen_image_vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

struct qwen_image_vae;

/* Declares one half or both (bits of enum vae_side). */
ERR_MUST_CHECK enum err_code qwen_image_vae_new(struct component *c, struct nn_device *d,
                                                enum nn_precision precision,
                                                const struct qwen_image_vae_config *cfg, int sides,
                                                struct qwen_image_vae **out, struct err *e);
void qwen_image_vae_free(struct qwen_image_vae *v);
/* For runs. A decoded image is RGBA, clamped to -1 to 1; an encoded one RGBA from -1 to 1. */
const struct vae *qwen_image_vae_net(const struct qwen_image_vae *v);
const struct qwen_image_vae_config *qwen_image_vae_config(const struct qwen_image_vae *v);

/* Latents [latent_channels, n] in place: (x - mean) / std, and back. */
void qwen_image_vae_normalize(const struct qwen_image_vae_config *c, float *latents, int64_t n);
void qwen_image_vae_denormalize(const struct qwen_image_vae_config *c, float *latents, int64_t n);

/* Latents [C, h, w] (h and w even) <-> tokens [h/2 * w/2, 4C]. */
void qwen_image_pack(const float *latents, int64_t channels, int64_t h, int64_t w, float *tokens);
void qwen_image_unpack(const float *tokens, int64_t channels, int64_t h, int64_t w, float *latents);

#endif

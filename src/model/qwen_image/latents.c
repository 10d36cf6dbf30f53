/* latents.c - between the VAE's latents and the transformer's tokens. */
#include "model/qwen_image/vae.h"

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

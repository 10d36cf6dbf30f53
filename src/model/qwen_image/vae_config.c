#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/blocks.h"
#include "model/qwen_image/vae.h"

enum { PUBLISHED_LATENTS = 16 };

/* The latents' statistics of the published model, which are also the reference's defaults. */
static const double published_mean[PUBLISHED_LATENTS] = {
    -0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,
    0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921};
static const double published_std[PUBLISHED_LATENTS] = {
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};

static struct qwen_image_vae_config from_shapes(const struct component *c)
{
    struct qwen_image_vae_config v = {
        .latent_channels = component_dim(c, "decoder.conv_in.weight", 1),
        .n_levels = component_block_count(c, "decoder.up_blocks"),
        .resnets = component_block_count(c, "decoder.up_blocks.0.resnets") - 1,
        .base_width = component_dim(c, "encoder.conv_in.weight", 0),
    };
    for (int64_t i = 0; i < v.n_levels && i < QWEN_IMAGE_VAE_MAX_LEVELS; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "decoder.up_blocks.%d.resnets.0.conv1.weight",
                       (int)(v.n_levels - 1 - i));
        v.widths[i] = component_dim(c, name, 0);
    }
    return v;
}

static enum err_code read_dims(yyjson_val *json, const char *what, struct qwen_image_vae_config *v,
                               int64_t *channels, struct err *e)
{
    int64_t mult[QWEN_IMAGE_VAE_MAX_LEVELS] = {0};
    double scales[QWEN_IMAGE_VAE_MAX_LEVELS];
    size_t n_mult = 0, n_scales = 0;
    TRY(json_get_i64(json, "base_dim", 1, MODEL_MAX_DIM, &v->base_width, what, e));
    TRY(json_get_i64(json, "z_dim", 1, QWEN_IMAGE_VAE_MAX_LATENTS, &v->latent_channels, what, e));
    TRY(json_get_i64(json, "num_res_blocks", 1, 16, &v->resnets, what, e));
    TRY(json_get_i64(json, "input_channels", 1, 16, channels, what, e));
    TRY(json_get_i64_array(json, "dim_mult", 1, 64, mult, QWEN_IMAGE_VAE_MAX_LEVELS, &n_mult, what,
                           e));
    TRY(json_get_double_array(json, "attn_scales", scales, QWEN_IMAGE_VAE_MAX_LEVELS, &n_scales,
                              what, e));
    if (n_scales > 0)
        return err_set(e, ERR_FORMAT, "%s: attn_scales is not empty, which no published VAE has",
                       what);
    if (n_mult == 0)
        return ERR_OK;
    v->n_levels = (int64_t)n_mult;
    for (size_t i = 0; i < n_mult; i++)
        v->widths[i] = v->base_width * mult[i];
    return ERR_OK;
}

static enum err_code read_statistics(yyjson_val *json, const char *what,
                                     struct qwen_image_vae_config *v, struct err *e)
{
    size_t n_mean = PUBLISHED_LATENTS, n_std = PUBLISHED_LATENTS, n = (size_t)v->latent_channels;
    memcpy(v->mean, published_mean, sizeof published_mean);
    memcpy(v->std, published_std, sizeof published_std);
    TRY(json_get_double_array(json, "latents_mean", v->mean, QWEN_IMAGE_VAE_MAX_LATENTS, &n_mean,
                              what, e));
    TRY(json_get_double_array(json, "latents_std", v->std, QWEN_IMAGE_VAE_MAX_LATENTS, &n_std, what,
                              e));
    if (n_mean != n || n_std != n)
        return err_set(
            e, ERR_FORMAT,
            "%s: latents_mean has %zu entries and latents_std %zu, the VAE has %zu latent "
            "channels",
            what, n_mean, n_std, n);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v->mean[i]) || !((float)v->std[i] > 0) || !isfinite((float)v->std[i]))
            return err_set(e, ERR_FORMAT,
                           "%s: entry %zu of latents_mean or latents_std is no usable "
                           "number",
                           what, i);
    }
    return ERR_OK;
}

enum err_code qwen_image_vae_config_read(yyjson_val *json, const char *what,
                                         const struct component *c,
                                         struct qwen_image_vae_config *out, struct err *e)
{
    int64_t channels = component_dim(c, "encoder.conv_in.weight", 1);
    *out = from_shapes(c);
    if (json)
        TRY(read_dims(json, what, out, &channels, e));
    if (channels != QWEN_IMAGE_VAE_CHANNELS)
        return err_set(e, ERR_FORMAT,
                       "%s: the VAE has %lld channels, layers need %d (red, green, blue, alpha): "
                       "this is the VAE of another Qwen-Image model",
                       what, (long long)channels, QWEN_IMAGE_VAE_CHANNELS);
    if (out->n_levels < 2 || out->n_levels > QWEN_IMAGE_VAE_MAX_LEVELS || out->resnets < 1 ||
        out->resnets > 16 || out->latent_channels < 1 ||
        out->latent_channels > QWEN_IMAGE_VAE_MAX_LATENTS)
        return err_set(e, ERR_FORMAT,
                       "%s: the VAE has %lld levels of %lld resnets and %lld latent channels", what,
                       (long long)out->n_levels, (long long)out->resnets,
                       (long long)out->latent_channels);
    for (int64_t i = 0; i < out->n_levels; i++)
        if (out->widths[i] < 2 || out->widths[i] > MODEL_MAX_DIM)
            return err_set(e, ERR_FORMAT, "%s: level %lld of the VAE has %lld channels", what,
                           (long long)i, (long long)out->widths[i]);
    return read_statistics(json, what, out, e);
}

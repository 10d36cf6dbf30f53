#include <stdio.h>
#include <string.h>

#include "model/blocks.h"
#include "model/flux2/vae.h"

/* GroupNorm's groups cannot be read from shapes; 32 is what every published model has. */
static struct flux2_vae_config from_shapes(const struct component *c)
{
    struct flux2_vae_config v = {
        .latent_channels = component_dim(c, "decoder.conv_in.weight", 1),
        .in_channels = component_dim(c, "encoder.conv_in.weight", 1),
        .out_channels = component_dim(c, "decoder.conv_out.weight", 0),
        .layers_per_block = component_block_count(c, "decoder.up_blocks.0.resnets") - 1,
        .norm_groups = 32,
        .n_levels = component_block_count(c, "decoder.up_blocks"),
        .use_quant_conv = component_has(c, "quant_conv.weight"),
        .use_post_quant_conv = component_has(c, "post_quant_conv.weight"),
        .mid_attention = component_has(c, "decoder.mid_block.attentions.0.to_q.weight"),
        .batch_norm_eps = 1e-4,
    };
    for (int64_t i = 0; i < v.n_levels && i < FLUX2_VAE_MAX_LEVELS; i++) {
        char name[96];
        (void)snprintf(name, sizeof name, "encoder.down_blocks.%d.resnets.0.conv1.weight", (int)i);
        v.encoder_channels[i] = component_dim(c, name, 0);
        (void)snprintf(name, sizeof name, "decoder.up_blocks.%d.resnets.0.conv1.weight",
                       (int)(v.n_levels - 1 - i));
        v.decoder_channels[i] = component_dim(c, name, 0);
    }
    return v;
}

static enum err_code read_json(yyjson_val *json, const char *what, struct flux2_vae_config *v,
                               struct err *e)
{
    size_t n_enc = (size_t)v->n_levels, n_dec = 0;
    TRY(json_get_i64(json, "latent_channels", 1, 4096, &v->latent_channels, what, e));
    TRY(json_get_i64(json, "in_channels", 1, 16, &v->in_channels, what, e));
    TRY(json_get_i64(json, "out_channels", 1, 16, &v->out_channels, what, e));
    TRY(json_get_i64(json, "layers_per_block", 1, 16, &v->layers_per_block, what, e));
    TRY(json_get_i64(json, "norm_num_groups", 1, 4096, &v->norm_groups, what, e));
    TRY(json_get_double(json, "batch_norm_eps", 0, 1, &v->batch_norm_eps, what, e));
    TRY(json_get_bool(json, "use_quant_conv", &v->use_quant_conv, what, e));
    TRY(json_get_bool(json, "use_post_quant_conv", &v->use_post_quant_conv, what, e));
    TRY(json_get_bool(json, "mid_block_add_attention", &v->mid_attention, what, e));
    TRY(json_get_i64_array(json, "block_out_channels", 1, MODEL_MAX_DIM, v->encoder_channels,
                           FLUX2_VAE_MAX_LEVELS, &n_enc, what, e));
    memcpy(v->decoder_channels, v->encoder_channels, sizeof v->decoder_channels);
    n_dec = n_enc;
    TRY(json_get_i64_array(json, "decoder_block_out_channels", 1, MODEL_MAX_DIM,
                           v->decoder_channels, FLUX2_VAE_MAX_LEVELS, &n_dec, what, e));
    if (n_dec != n_enc || n_enc < 1)
        return err_set(e, ERR_FORMAT, "%s: block_out_channels has %zu levels, the decoder %zu",
                       what, n_enc, n_dec);
    v->n_levels = (int64_t)n_enc;
    return ERR_OK;
}

enum err_code flux2_vae_config_read(yyjson_val *json, const char *what, const struct component *c,
                                    struct flux2_vae_config *out, struct err *e)
{
    *out = from_shapes(c);
    if (json)
        TRY(read_json(json, what, out, e));
    if (out->n_levels < 1 || out->n_levels > FLUX2_VAE_MAX_LEVELS || out->layers_per_block < 1)
        return err_set(e, ERR_FORMAT, "%s: the VAE has %lld levels of %lld layers", what,
                       (long long)out->n_levels, (long long)out->layers_per_block);
    for (int64_t i = 0; i < out->n_levels; i++)
        if (out->encoder_channels[i] % out->norm_groups != 0 ||
            out->decoder_channels[i] % out->norm_groups != 0)
            return err_set(e, ERR_FORMAT,
                           "%s: channels of level %lld do not divide into %lld groups", what,
                           (long long)i, (long long)out->norm_groups);
    return ERR_OK;
}

/* config.c - the transformer's numbers, from its shapes and config.json.
 *
 * Shapes first, config.json on top where there is one, and then both compared: a checkpoint of one file has no
 * config, and a folder may hold the config of another model. FLUX.2-dev shares the architecture but needs guidance
 * embeddings; it is refused by that flag.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/blocks.h"
#include "model/flux2/transformer.h"
#include "model/flux2/vae.h"

static enum err_code read_json(yyjson_val *json, const char *what, struct flux2_config *c,
                               struct err *e)
{
    double mlp_ratio = (double)c->mlp_dim / (double)c->dim;
    bool guidance = false;
    size_t n_axes = FLUX2_AXES;
    const struct {
        const char *key;
        int64_t *out, max;
    } dims[] = {
        {"in_channels", &c->in_channels, MODEL_MAX_DIM},
        {"out_channels", &c->out_channels, MODEL_MAX_DIM},
        {"joint_attention_dim", &c->joint_dim, MODEL_MAX_DIM},
        {"num_attention_heads", &c->heads, 1024},
        {"attention_head_dim", &c->head_dim, 1024},
        {"timestep_guidance_channels", &c->time_channels, MODEL_MAX_DIM},
        {"num_layers", &c->n_double, MODEL_MAX_BLOCKS},
        {"num_single_layers", &c->n_single, MODEL_MAX_BLOCKS},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        TRY(json_get_i64(json, dims[i].key, 1, dims[i].max, dims[i].out, what, e));
    TRY(json_get_double(json, "mlp_ratio", 0.01, 64, &mlp_ratio, what, e));
    TRY(json_get_double(json, "rope_theta", 1, 1e12, &c->rope_theta, what, e));
    TRY(json_get_double(json, "eps", 0, 1, &c->eps, what, e));
    TRY(json_get_bool(json, "guidance_embeds", &guidance, what, e));
    TRY(json_get_i64_array(json, "axes_dims_rope", 0, 1024, c->axes_dims, FLUX2_AXES, &n_axes, what,
                           e));
    if (guidance)
        return err_set(
            e, ERR_FORMAT,
            "%s: guidance_embeds is true; this is FLUX.2-dev, only klein models are supported",
            what);
    if (n_axes != FLUX2_AXES)
        return err_set(e, ERR_FORMAT, "%s: axes_dims_rope has %zu entries, expected %d", what,
                       n_axes, FLUX2_AXES);
    c->dim = c->heads * c->head_dim;
    c->mlp_dim = (int64_t)((double)c->dim * mlp_ratio);
    return ERR_OK;
}

static enum err_code check(const struct flux2_config *c, const char *what, struct err *e)
{
    TRY(model_check_axes(c->axes_dims, FLUX2_AXES, c->head_dim, what, e));
    if (c->in_channels % 4 != 0)
        return err_set(e, ERR_FORMAT, "%s: in_channels is %lld, no multiple of 4", what,
                       (long long)c->in_channels);
    if (c->time_channels % 2 != 0)
        return err_set(e, ERR_FORMAT, "%s: timestep_guidance_channels is odd", what);
    return ERR_OK;
}

enum err_code flux2_config_read(yyjson_val *json, const char *what, const struct component *c,
                                struct flux2_config *out, struct err *e)
{
    int64_t dim = component_dim(c, "x_embedder.weight", 0);
    int64_t head_dim = component_dim(c, "transformer_blocks.0.attn.norm_q.weight", 0);
    if (dim <= 0 || head_dim <= 0)
        return err_set(e, ERR_FORMAT, "%s: the transformer has no x_embedder or no double block",
                       what);
    *out = (struct flux2_config){
        .in_channels = component_dim(c, "x_embedder.weight", 1),
        .out_channels = component_dim(c, "proj_out.weight", 0),
        .joint_dim = component_dim(c, "context_embedder.weight", 1),
        .head_dim = head_dim,
        .heads = dim / head_dim,
        .dim = dim,
        .mlp_dim = component_dim(c, "transformer_blocks.0.ff.linear_out.weight", 1),
        .time_channels =
            component_dim(c, "time_guidance_embed.timestep_embedder.linear_1.weight", 1),
        .n_double = component_block_count(c, "transformer_blocks"),
        .n_single = component_block_count(c, "single_transformer_blocks"),
        .axes_dims = {head_dim / 4, head_dim / 4, head_dim / 4, head_dim / 4},
        .rope_theta = 2000,
        .eps = 1e-6,
    };
    struct flux2_config shapes = *out;
    if (json)
        TRY(read_json(json, what, out, e));
    const struct model_same same[] = {
        {"num_layers", out->n_double, shapes.n_double},
        {"num_single_layers", out->n_single, shapes.n_single},
        {"in_channels", out->in_channels, shapes.in_channels},
        {"joint_attention_dim", out->joint_dim, shapes.joint_dim},
        {"num_attention_heads x attention_head_dim", out->dim, shapes.dim},
    };
    TRY(model_check_same(same, sizeof same / sizeof same[0], what, e));
    return check(out, what, e);
}

/* ---- VAE ------------------------------------------------------------------------------------- */

/* GroupNorm's groups cannot be read from shapes; 32 is what every published model has. */
static struct flux2_vae_config vae_from_shapes(const struct component *c)
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

static enum err_code read_vae_json(yyjson_val *json, const char *what, struct flux2_vae_config *v,
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
    *out = vae_from_shapes(c);
    if (json)
        TRY(read_vae_json(json, what, out, e));
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

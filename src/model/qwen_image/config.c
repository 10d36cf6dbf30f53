/* config.c - the transformer's numbers, from its shapes and config.json.
 *
 * As flux2's: shapes first, config.json on top, then both compared. Plain Qwen-Image has the same tensors but for
 * one embedding; it is told apart by that embedding or by two flags, and refused with a message that says what is
 * needed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/blocks.h"
#include "model/qwen_image/transformer.h"
#include "model/qwen_image/vae.h"

static enum err_code read_json(yyjson_val *json, const char *what, struct qwen_image_config *c,
                               bool *layered, struct err *e)
{
    int64_t patch = 2, out_channels = c->out_channels / 4;
    bool guidance = false, zero_cond = false, addition = false, layer_rope = false;
    size_t n_axes = QWEN_IMAGE_AXES;
    const struct {
        const char *key;
        int64_t *out, max;
    } dims[] = {
        {"patch_size", &patch, 8},
        {"in_channels", &c->in_channels, MODEL_MAX_DIM},
        {"out_channels", &out_channels, MODEL_MAX_DIM},
        {"joint_attention_dim", &c->joint_dim, MODEL_MAX_DIM},
        {"num_attention_heads", &c->heads, 1024},
        {"attention_head_dim", &c->head_dim, 1024},
        {"num_layers", &c->n_blocks, MODEL_MAX_BLOCKS},
    };
    const struct {
        const char *key;
        bool *out;
    } flags[] = {
        {"guidance_embeds", &guidance},
        {"zero_cond_t", &zero_cond},
        {"use_additional_t_cond", &addition},
        {"use_layer3d_rope", &layer_rope},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        TRY(json_get_i64(json, dims[i].key, 1, dims[i].max, dims[i].out, what, e));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        TRY(json_get_bool(json, flags[i].key, flags[i].out, what, e));
    TRY(json_get_i64_array(json, "axes_dims_rope", 0, 1024, c->axes_dims, QWEN_IMAGE_AXES, &n_axes,
                           what, e));
    if (guidance || zero_cond)
        return err_set(e, ERR_FORMAT, "%s: %s is true, which no layered model has", what,
                       guidance ? "guidance_embeds" : "zero_cond_t");
    if (n_axes != QWEN_IMAGE_AXES)
        return err_set(e, ERR_FORMAT, "%s: axes_dims_rope has %zu entries, expected %d", what,
                       n_axes, QWEN_IMAGE_AXES);
    *layered = addition && layer_rope;
    c->out_channels = patch * patch * out_channels;
    c->dim = c->heads * c->head_dim;
    return ERR_OK;
}

static enum err_code check(const struct qwen_image_config *c, const char *what, struct err *e)
{
    TRY(model_check_axes(c->axes_dims, QWEN_IMAGE_AXES, c->head_dim, what, e));
    if (c->in_channels % 4 != 0 || c->out_channels != c->in_channels)
        return err_set(
            e, ERR_FORMAT,
            "%s: tokens of %lld channels in and %lld out; equal numbers, a multiple of 4,"
            " are wanted",
            what, (long long)c->in_channels, (long long)c->out_channels);
    if (c->heads * c->head_dim != c->dim)
        return err_set(e, ERR_FORMAT, "%s: width %lld is no multiple of the head's %lld", what,
                       (long long)c->dim, (long long)c->head_dim);
    if (c->time_channels % 2 != 0 || c->time_channels < 2)
        return err_set(e, ERR_FORMAT, "%s: the time embedding has %lld channels", what,
                       (long long)c->time_channels);
    if (c->n_blocks < 1 || c->n_blocks > MODEL_MAX_BLOCKS)
        return err_set(e, ERR_FORMAT, "%s: the transformer has %lld blocks", what,
                       (long long)c->n_blocks);
    return ERR_OK;
}

/* Rotary axes cannot be read from shapes: 1/8, 7/16 and 7/16 of a head is what the published model has. */
static struct qwen_image_config from_shapes(const struct component *c, int64_t dim,
                                            int64_t head_dim)
{
    return (struct qwen_image_config){
        .in_channels = component_dim(c, "img_in.weight", 1),
        .out_channels = component_dim(c, "proj_out.weight", 0),
        .joint_dim = component_dim(c, "txt_in.weight", 1),
        .heads = dim / head_dim,
        .head_dim = head_dim,
        .dim = dim,
        .mlp_dim = component_dim(c, "transformer_blocks.0.img_mlp.net.0.proj.weight", 0),
        .time_channels = component_dim(c, "time_text_embed.timestep_embedder.linear_1.weight", 1),
        .n_blocks = component_block_count(c, "transformer_blocks"),
        .axes_dims = {head_dim / 8, head_dim / 16 * 7, head_dim / 16 * 7},
        .rope_theta = 10000,
        .eps = 1e-6,
    };
}

enum err_code qwen_image_config_read(yyjson_val *json, const char *what, const struct component *c,
                                     struct qwen_image_config *out, struct err *e)
{
    int64_t dim = component_dim(c, "img_in.weight", 0);
    int64_t head_dim = component_dim(c, "transformer_blocks.0.attn.norm_q.weight", 0);
    if (dim <= 0 || head_dim <= 0)
        return err_set(e, ERR_FORMAT, "%s: the transformer has no img_in or no block", what);
    bool layered = component_has(c, "time_text_embed.addition_t_embedding.weight");
    struct qwen_image_config shapes = *out = from_shapes(c, dim, head_dim);
    if (json)
        TRY(read_json(json, what, out, &layered, e));
    if (!layered)
        return err_set(e, ERR_FORMAT,
                       "%s: this is a plain Qwen-Image transformer; taking images apart needs "
                       "Qwen-Image-Layered (use_additional_t_cond and use_layer3d_rope)",
                       what);
    const struct model_same same[] = {
        {"num_layers", out->n_blocks, shapes.n_blocks},
        {"in_channels", out->in_channels, shapes.in_channels},
        {"out_channels x patch_size^2", out->out_channels, shapes.out_channels},
        {"joint_attention_dim", out->joint_dim, shapes.joint_dim},
        {"num_attention_heads x attention_head_dim", out->dim, shapes.dim},
    };
    TRY(model_check_same(same, sizeof same / sizeof same[0], what, e));
    return check(out, what, e);
}

/* ---- VAE ------------------------------------------------------------------------------------- */

enum { PUBLISHED_LATENTS = 16 };

/* The latents' statistics of the published model, which are also the reference's defaults. */
static const double published_mean[PUBLISHED_LATENTS] = {
    -0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,
    0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921};
static const double published_std[PUBLISHED_LATENTS] = {
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};

static struct qwen_image_vae_config vae_from_shapes(const struct component *c)
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
    *out = vae_from_shapes(c);
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

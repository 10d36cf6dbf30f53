/* schema.c - the canonical tensors that networks of each kind have. What a file holds besides is told, as it may be
 * what makes the network another one.
 *
 *   #  a number        *  everything up to the end (last character only)
 */
#include "weights/component_impl.h"

static const char *const flux2_transformer[] = {
    "x_embedder.weight",
    "context_embedder.weight",
    "time_guidance_embed.timestep_embedder.linear_1.weight",
    "time_guidance_embed.timestep_embedder.linear_2.weight",
    "double_stream_modulation_img.linear.weight",
    "double_stream_modulation_txt.linear.weight",
    "single_stream_modulation.linear.weight",
    "norm_out.linear.weight",
    "norm_out.scale.weight",
    "norm_out.shift.weight",
    "proj_out.weight",
    "transformer_blocks.#.attn.to_q.weight",
    "transformer_blocks.#.attn.to_k.weight",
    "transformer_blocks.#.attn.to_v.weight",
    "transformer_blocks.#.attn.to_out.0.weight",
    "transformer_blocks.#.attn.add_q_proj.weight",
    "transformer_blocks.#.attn.add_k_proj.weight",
    "transformer_blocks.#.attn.add_v_proj.weight",
    "transformer_blocks.#.attn.to_add_out.weight",
    "transformer_blocks.#.attn.norm_q.weight",
    "transformer_blocks.#.attn.norm_k.weight",
    "transformer_blocks.#.attn.norm_added_q.weight",
    "transformer_blocks.#.attn.norm_added_k.weight",
    "transformer_blocks.#.ff.linear_in.weight",
    "transformer_blocks.#.ff.linear_out.weight",
    "transformer_blocks.#.ff_context.linear_in.weight",
    "transformer_blocks.#.ff_context.linear_out.weight",
    "single_transformer_blocks.#.attn.to_qkv_mlp_proj.weight",
    "single_transformer_blocks.#.attn.to_out.weight",
    "single_transformer_blocks.#.attn.norm_q.weight",
    "single_transformer_blocks.#.attn.norm_k.weight",
    NULL,
};

#define LANGUAGE_MODEL                                                                             \
    "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",                            \
        "model.layers.#.input_layernorm.weight", "model.layers.#.post_attention_layernorm.weight", \
        "model.layers.#.self_attn.q_proj.weight", "model.layers.#.self_attn.k_proj.weight",        \
        "model.layers.#.self_attn.v_proj.weight", "model.layers.#.self_attn.o_proj.weight",        \
        "model.layers.#.mlp.gate_proj.weight", "model.layers.#.mlp.up_proj.weight",                \
        "model.layers.#.mlp.down_proj.weight"

#define VISION_TOWER                                                                               \
    "visual.patch_embed.proj.weight", "visual.patch_embed.proj.weight.0",                          \
        "visual.patch_embed.proj.weight.1", "visual.blocks.#.norm1.weight",                        \
        "visual.blocks.#.norm2.weight", "visual.blocks.#.attn.qkv.*", "visual.blocks.#.attn.q.*",  \
        "visual.blocks.#.attn.k.*", "visual.blocks.#.attn.v.*", "visual.blocks.#.attn.proj.*",     \
        "visual.blocks.#.mlp.gate_proj.*", "visual.blocks.#.mlp.up_proj.*",                        \
        "visual.blocks.#.mlp.down_proj.*", "visual.merger.ln_q.weight", "visual.merger.mlp.#.*"

static const char *const qwen3[] = {LANGUAGE_MODEL, "model.layers.#.self_attn.q_norm.weight",
                                    "model.layers.#.self_attn.k_norm.weight", NULL};

static const char *const qwen2_5_vl[] = {LANGUAGE_MODEL,
                                         "model.layers.#.self_attn.q_proj.bias",
                                         "model.layers.#.self_attn.k_proj.bias",
                                         "model.layers.#.self_attn.v_proj.bias",
                                         VISION_TOWER,
                                         NULL};

static const char *const qwen2_5_vl_vision[] = {VISION_TOWER, NULL};

static const char *const qwen_image_transformer[] = {
    "txt_norm.weight",
    "img_in.*",
    "txt_in.*",
    "time_text_embed.timestep_embedder.linear_1.*",
    "time_text_embed.timestep_embedder.linear_2.*",
    "time_text_embed.addition_t_embedding.weight",
    "transformer_blocks.#.img_mod.1.*",
    "transformer_blocks.#.txt_mod.1.*",
    "transformer_blocks.#.attn.to_q.*",
    "transformer_blocks.#.attn.to_k.*",
    "transformer_blocks.#.attn.to_v.*",
    "transformer_blocks.#.attn.to_out.0.*",
    "transformer_blocks.#.attn.add_q_proj.*",
    "transformer_blocks.#.attn.add_k_proj.*",
    "transformer_blocks.#.attn.add_v_proj.*",
    "transformer_blocks.#.attn.to_add_out.*",
    "transformer_blocks.#.attn.norm_q.weight",
    "transformer_blocks.#.attn.norm_k.weight",
    "transformer_blocks.#.attn.norm_added_q.weight",
    "transformer_blocks.#.attn.norm_added_k.weight",
    "transformer_blocks.#.img_mlp.net.0.proj.*",
    "transformer_blocks.#.img_mlp.net.2.*",
    "transformer_blocks.#.txt_mlp.net.0.proj.*",
    "transformer_blocks.#.txt_mlp.net.2.*",
    "norm_out.linear.*",
    "norm_out.scale.*",
    "norm_out.shift.*",
    "proj_out.*",
    NULL,
};

static const char *const vae[] = {"encoder.*",         "decoder.*", "quant_conv.*",
                                  "post_quant_conv.*", "bn.*",      NULL};

static const char *const *const schemas[COMPONENT_COUNT] = {
    [COMPONENT_FLUX2_TRANSFORMER] = flux2_transformer,
    [COMPONENT_FLUX2_VAE] = vae,
    [COMPONENT_QWEN3] = qwen3,
    [COMPONENT_QWEN_IMAGE_TRANSFORMER] = qwen_image_transformer,
    [COMPONENT_QWEN_IMAGE_VAE] = vae,
    [COMPONENT_QWEN2_5_VL] = qwen2_5_vl,
    [COMPONENT_QWEN2_5_VL_VISION] = qwen2_5_vl_vision,
};

static bool matches(const char *pattern, const char *name)
{
    for (; *pattern; pattern++) {
        if (*pattern == '*')
            return *name != '\0';
        if (*pattern == '#') {
            if (*name < '0' || *name > '9')
                return false;
            while (*name >= '0' && *name <= '9')
                name++;
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

bool schema_knows(enum component_kind kind, const char *canonical)
{
    for (const char *const *p = schemas[kind]; p && *p; p++)
        if (matches(*p, canonical))
            return true;
    return false;
}

/* naming_tables.c - the namings we know. docs/formats/naming.md explains where each comes from.
 *
 * Order counts twice. Rules of one naming: the first whose stored tensor exists wins, so special names come before
 * patterns, and alternatives one after the other. Namings of the table at the end: the most specific first, as the
 * probes of a general one may all be there in a file of a special one. A rule without a stored name hides a name
 * that a later pattern would match. Adding a naming is adding rules, probes and a row; no code changes.
 */
#include "weights/naming.h"

#define RULES(list) .rules = (list), .n_rules = sizeof(list) / sizeof((list)[0])
#define ALL ROWS_ALL

/* ---- FLUX.2 transformer ------------------------------------------------------------------------ */

static const struct naming_rule flux2_diffusers[] = {
    {"norm_out.scale.*", "norm_out.linear.*", ROWS_HALF_0},
    {"norm_out.shift.*", "norm_out.linear.*", ROWS_HALF_1},
    {"norm_out.linear.*", NULL, ALL},
    {"single_transformer_blocks.#.attn.to_q.*",
     "single_transformer_blocks.#.attn.to_qkv_mlp_proj.*", ROWS_SQUARE_0},
    {"single_transformer_blocks.#.attn.to_k.*",
     "single_transformer_blocks.#.attn.to_qkv_mlp_proj.*", ROWS_SQUARE_1},
    {"single_transformer_blocks.#.attn.to_v.*",
     "single_transformer_blocks.#.attn.to_qkv_mlp_proj.*", ROWS_SQUARE_2},
    {"single_transformer_blocks.#.proj_mlp.*", "single_transformer_blocks.#.attn.to_qkv_mlp_proj.*",
     ROWS_AFTER_SQUARES},
    {"*", "*", ALL},
};

/* The last modulation is (shift, scale) here and (scale, shift) in diffusers. */
static const struct naming_rule flux2_bfl[] = {
    {"x_embedder.*", "img_in.*", ALL},
    {"context_embedder.*", "txt_in.*", ALL},
    {"time_guidance_embed.timestep_embedder.linear_1.*", "time_in.in_layer.*", ALL},
    {"time_guidance_embed.timestep_embedder.linear_2.*", "time_in.out_layer.*", ALL},
    {"time_guidance_embed.guidance_embedder.linear_1.*", "guidance_in.in_layer.*", ALL},
    {"time_guidance_embed.guidance_embedder.linear_2.*", "guidance_in.out_layer.*", ALL},
    {"double_stream_modulation_img.linear.*", "double_stream_modulation_img.lin.*", ALL},
    {"double_stream_modulation_txt.linear.*", "double_stream_modulation_txt.lin.*", ALL},
    {"single_stream_modulation.linear.*", "single_stream_modulation.lin.*", ALL},
    {"norm_out.scale.*", "final_layer.adaLN_modulation.1.*", ROWS_HALF_1},
    {"norm_out.shift.*", "final_layer.adaLN_modulation.1.*", ROWS_HALF_0},
    {"proj_out.*", "final_layer.linear.*", ALL},
    {"transformer_blocks.#.attn.to_q.*", "double_blocks.#.img_attn.qkv.*", ROWS_THIRD_0},
    {"transformer_blocks.#.attn.to_k.*", "double_blocks.#.img_attn.qkv.*", ROWS_THIRD_1},
    {"transformer_blocks.#.attn.to_v.*", "double_blocks.#.img_attn.qkv.*", ROWS_THIRD_2},
    {"transformer_blocks.#.attn.add_q_proj.*", "double_blocks.#.txt_attn.qkv.*", ROWS_THIRD_0},
    {"transformer_blocks.#.attn.add_k_proj.*", "double_blocks.#.txt_attn.qkv.*", ROWS_THIRD_1},
    {"transformer_blocks.#.attn.add_v_proj.*", "double_blocks.#.txt_attn.qkv.*", ROWS_THIRD_2},
    {"transformer_blocks.#.attn.norm_q.weight", "double_blocks.#.img_attn.norm.query_norm.scale",
     ALL},
    {"transformer_blocks.#.attn.norm_k.weight", "double_blocks.#.img_attn.norm.key_norm.scale",
     ALL},
    {"transformer_blocks.#.attn.norm_added_q.weight",
     "double_blocks.#.txt_attn.norm.query_norm.scale", ALL},
    {"transformer_blocks.#.attn.norm_added_k.weight",
     "double_blocks.#.txt_attn.norm.key_norm.scale", ALL},
    {"transformer_blocks.#.attn.to_out.0.*", "double_blocks.#.img_attn.proj.*", ALL},
    {"transformer_blocks.#.attn.to_add_out.*", "double_blocks.#.txt_attn.proj.*", ALL},
    {"transformer_blocks.#.ff.linear_in.*", "double_blocks.#.img_mlp.0.*", ALL},
    {"transformer_blocks.#.ff.linear_out.*", "double_blocks.#.img_mlp.2.*", ALL},
    {"transformer_blocks.#.ff_context.linear_in.*", "double_blocks.#.txt_mlp.0.*", ALL},
    {"transformer_blocks.#.ff_context.linear_out.*", "double_blocks.#.txt_mlp.2.*", ALL},
    {"single_transformer_blocks.#.attn.to_qkv_mlp_proj.*", "single_blocks.#.linear1.*", ALL},
    {"single_transformer_blocks.#.attn.to_q.*", "single_blocks.#.linear1.*", ROWS_SQUARE_0},
    {"single_transformer_blocks.#.attn.to_k.*", "single_blocks.#.linear1.*", ROWS_SQUARE_1},
    {"single_transformer_blocks.#.attn.to_v.*", "single_blocks.#.linear1.*", ROWS_SQUARE_2},
    {"single_transformer_blocks.#.proj_mlp.*", "single_blocks.#.linear1.*", ROWS_AFTER_SQUARES},
    {"single_transformer_blocks.#.attn.to_out.*", "single_blocks.#.linear2.*", ALL},
    {"single_transformer_blocks.#.attn.norm_q.weight", "single_blocks.#.norm.query_norm.scale",
     ALL},
    {"single_transformer_blocks.#.attn.norm_k.weight", "single_blocks.#.norm.key_norm.scale", ALL},
    /* Some tools store the norms as .weight. */
    {"transformer_blocks.#.attn.norm_q.*", "double_blocks.#.img_attn.norm.query_norm.*", ALL},
    {"transformer_blocks.#.attn.norm_k.*", "double_blocks.#.img_attn.norm.key_norm.*", ALL},
    {"transformer_blocks.#.attn.norm_added_q.*", "double_blocks.#.txt_attn.norm.query_norm.*", ALL},
    {"transformer_blocks.#.attn.norm_added_k.*", "double_blocks.#.txt_attn.norm.key_norm.*", ALL},
    {"single_transformer_blocks.#.attn.norm_q.*", "single_blocks.#.norm.query_norm.*", ALL},
    {"single_transformer_blocks.#.attn.norm_k.*", "single_blocks.#.norm.key_norm.*", ALL},
};

/* ---- FLUX.2 VAE -------------------------------------------------------------------------------- */

static const struct naming_rule identity[] = {
    {"*", "*", ALL},
};

static const struct naming_rule flux2_vae_bfl[] = {
    {"bn.*", "bn.*", ALL},
    {"quant_conv.*", "encoder.quant_conv.*", ALL},
    {"quant_conv.*", "quant_conv.*", ALL},
    {"post_quant_conv.*", "decoder.post_quant_conv.*", ALL},
    {"post_quant_conv.*", "post_quant_conv.*", ALL},
    {"encoder.conv_in.*", "encoder.conv_in.*", ALL},
    {"encoder.conv_out.*", "encoder.conv_out.*", ALL},
    {"encoder.conv_norm_out.*", "encoder.norm_out.*", ALL},
    {"encoder.mid_block.attentions.0.group_norm.*", "encoder.mid.attn_1.norm.*", ALL},
    {"encoder.mid_block.attentions.0.to_q.*", "encoder.mid.attn_1.q.*", ALL},
    {"encoder.mid_block.attentions.0.to_k.*", "encoder.mid.attn_1.k.*", ALL},
    {"encoder.mid_block.attentions.0.to_v.*", "encoder.mid.attn_1.v.*", ALL},
    {"encoder.mid_block.attentions.0.to_out.0.*", "encoder.mid.attn_1.proj_out.*", ALL},
    {"encoder.mid_block.resnets.0.*", "encoder.mid.block_1.*", ALL},
    {"encoder.mid_block.resnets.1.*", "encoder.mid.block_2.*", ALL},
    {"encoder.down_blocks.#.resnets.#.conv_shortcut.*", "encoder.down.#.block.#.nin_shortcut.*",
     ALL},
    {"encoder.down_blocks.#.resnets.#.*", "encoder.down.#.block.#.*", ALL},
    {"encoder.down_blocks.#.downsamplers.0.conv.*", "encoder.down.#.downsample.conv.*", ALL},
    {"decoder.conv_in.*", "decoder.conv_in.*", ALL},
    {"decoder.conv_out.*", "decoder.conv_out.*", ALL},
    {"decoder.conv_norm_out.*", "decoder.norm_out.*", ALL},
    {"decoder.mid_block.attentions.0.group_norm.*", "decoder.mid.attn_1.norm.*", ALL},
    {"decoder.mid_block.attentions.0.to_q.*", "decoder.mid.attn_1.q.*", ALL},
    {"decoder.mid_block.attentions.0.to_k.*", "decoder.mid.attn_1.k.*", ALL},
    {"decoder.mid_block.attentions.0.to_v.*", "decoder.mid.attn_1.v.*", ALL},
    {"decoder.mid_block.attentions.0.to_out.0.*", "decoder.mid.attn_1.proj_out.*", ALL},
    {"decoder.mid_block.resnets.0.*", "decoder.mid.block_1.*", ALL},
    {"decoder.mid_block.resnets.1.*", "decoder.mid.block_2.*", ALL},
    {"decoder.up_blocks.#.resnets.#.conv_shortcut.*", "decoder.up.~.block.#.nin_shortcut.*", ALL},
    {"decoder.up_blocks.#.resnets.#.*", "decoder.up.~.block.#.*", ALL},
    {"decoder.up_blocks.#.upsamplers.0.conv.*", "decoder.up.~.upsample.conv.*", ALL},
};

/* ---- Qwen text encoders ------------------------------------------------------------------------ */

static const struct naming_rule lm_bare[] = {
    /* the inner model saved without its head */
    {"model.*", "*", ALL},
    {"lm_head.*", "lm_head.*", ALL},
};

static const struct naming_rule lm_llama_cpp[] = {
    {"model.embed_tokens.*", "token_embd.*", ALL},
    {"model.norm.*", "output_norm.*", ALL},
    {"lm_head.*", "output.*", ALL},
    {"model.layers.#.input_layernorm.*", "blk.#.attn_norm.*", ALL},
    {"model.layers.#.post_attention_layernorm.*", "blk.#.ffn_norm.*", ALL},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", ALL},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", ALL},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", ALL},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", ALL},
    {"model.layers.#.self_attn.q_norm.*", "blk.#.attn_q_norm.*", ALL},
    {"model.layers.#.self_attn.k_norm.*", "blk.#.attn_k_norm.*", ALL},
    {"model.layers.#.mlp.gate_proj.*", "blk.#.ffn_gate.*", ALL},
    {"model.layers.#.mlp.up_proj.*", "blk.#.ffn_up.*", ALL},
    {"model.layers.#.mlp.down_proj.*", "blk.#.ffn_down.*", ALL},
};

static const struct naming_rule vl_flat[] = {
    {"visual.blocks.#.attn.q.*", "visual.blocks.#.attn.qkv.*", ROWS_THIRD_0},
    {"visual.blocks.#.attn.k.*", "visual.blocks.#.attn.qkv.*", ROWS_THIRD_1},
    {"visual.blocks.#.attn.v.*", "visual.blocks.#.attn.qkv.*", ROWS_THIRD_2},
    {"*", "*", ALL},
};

static const struct naming_rule vl_nested[] = {
    {"visual.blocks.#.attn.q.*", "model.visual.blocks.#.attn.qkv.*", ROWS_THIRD_0},
    {"visual.blocks.#.attn.k.*", "model.visual.blocks.#.attn.qkv.*", ROWS_THIRD_1},
    {"visual.blocks.#.attn.v.*", "model.visual.blocks.#.attn.qkv.*", ROWS_THIRD_2},
    {"visual.*", "model.visual.*", ALL},
    {"model.*", "model.language_model.*", ALL},
    {"lm_head.*", "lm_head.*", ALL},
};

static const struct naming_rule vl_vision_llama_cpp[] = {
    {"visual.patch_embed.proj.weight.0", "v.patch_embd.weight", ALL},
    {"visual.patch_embed.proj.weight.1", "v.patch_embd.weight.1", ALL},
    {"visual.blocks.#.norm1.*", "v.blk.#.ln1.*", ALL},
    {"visual.blocks.#.norm2.*", "v.blk.#.ln2.*", ALL},
    {"visual.blocks.#.attn.q.*", "v.blk.#.attn_q.*", ALL},
    {"visual.blocks.#.attn.k.*", "v.blk.#.attn_k.*", ALL},
    {"visual.blocks.#.attn.v.*", "v.blk.#.attn_v.*", ALL},
    {"visual.blocks.#.attn.q.*", "v.blk.#.attn_qkv.*", ROWS_THIRD_0},
    {"visual.blocks.#.attn.k.*", "v.blk.#.attn_qkv.*", ROWS_THIRD_1},
    {"visual.blocks.#.attn.v.*", "v.blk.#.attn_qkv.*", ROWS_THIRD_2},
    {"visual.blocks.#.attn.proj.*", "v.blk.#.attn_out.*", ALL},
    {"visual.blocks.#.mlp.gate_proj.*", "v.blk.#.ffn_gate.*", ALL},
    {"visual.blocks.#.mlp.up_proj.*", "v.blk.#.ffn_up.*", ALL},
    {"visual.blocks.#.mlp.down_proj.*", "v.blk.#.ffn_down.*", ALL},
    {"visual.merger.ln_q.*", "v.post_ln.*", ALL},
    {"visual.merger.mlp.0.*", "mm.0.*", ALL},
    {"visual.merger.mlp.2.*", "mm.2.*", ALL},
};

/* ---- Qwen-Image -------------------------------------------------------------------------------- */

static const struct naming_rule qwen_image_transformer[] = {
    {"norm_out.scale.*", "norm_out.linear.*", ROWS_HALF_0},
    {"norm_out.shift.*", "norm_out.linear.*", ROWS_HALF_1},
    {"norm_out.linear.*", NULL, ALL},
    {"*", "*", ALL},
};

static const struct naming_rule qwen_image_vae_diffusers[] = {
    {"encoder.mid_block.attentions.0.to_q.*", "encoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_0},
    {"encoder.mid_block.attentions.0.to_k.*", "encoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_1},
    {"encoder.mid_block.attentions.0.to_v.*", "encoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_2},
    {"decoder.mid_block.attentions.0.to_q.*", "decoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_0},
    {"decoder.mid_block.attentions.0.to_k.*", "decoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_1},
    {"decoder.mid_block.attentions.0.to_v.*", "decoder.mid_block.attentions.0.to_qkv.*",
     ROWS_THIRD_2},
    {"*", "*", ALL},
};

/* The encoder is stored flat in both namings; the decoder's nests of resnets and an upsampler are flat
 * only here. */
static const struct naming_rule qwen_image_vae_wan[] = {
    {"quant_conv.*", "conv1.*", ALL},
    {"post_quant_conv.*", "conv2.*", ALL},
    {"encoder.mid_block.attentions.0.to_q.*", "encoder.middle.1.to_qkv.*", ROWS_THIRD_0},
    {"encoder.mid_block.attentions.0.to_k.*", "encoder.middle.1.to_qkv.*", ROWS_THIRD_1},
    {"encoder.mid_block.attentions.0.to_v.*", "encoder.middle.1.to_qkv.*", ROWS_THIRD_2},
    {"encoder.mid_block.attentions.0.*", "encoder.middle.1.*", ALL},
    {"encoder.mid_block.resnets.0.norm1.*", "encoder.middle.0.residual.0.*", ALL},
    {"encoder.mid_block.resnets.0.conv1.*", "encoder.middle.0.residual.2.*", ALL},
    {"encoder.mid_block.resnets.0.norm2.*", "encoder.middle.0.residual.3.*", ALL},
    {"encoder.mid_block.resnets.0.conv2.*", "encoder.middle.0.residual.6.*", ALL},
    {"encoder.mid_block.resnets.1.norm1.*", "encoder.middle.2.residual.0.*", ALL},
    {"encoder.mid_block.resnets.1.conv1.*", "encoder.middle.2.residual.2.*", ALL},
    {"encoder.mid_block.resnets.1.norm2.*", "encoder.middle.2.residual.3.*", ALL},
    {"encoder.mid_block.resnets.1.conv2.*", "encoder.middle.2.residual.6.*", ALL},
    {"encoder.conv_in.*", "encoder.conv1.*", ALL},
    {"encoder.norm_out.*", "encoder.head.0.*", ALL},
    {"encoder.conv_out.*", "encoder.head.2.*", ALL},
    {"encoder.down_blocks.#.norm1.*", "encoder.downsamples.#.residual.0.*", ALL},
    {"encoder.down_blocks.#.conv1.*", "encoder.downsamples.#.residual.2.*", ALL},
    {"encoder.down_blocks.#.norm2.*", "encoder.downsamples.#.residual.3.*", ALL},
    {"encoder.down_blocks.#.conv2.*", "encoder.downsamples.#.residual.6.*", ALL},
    {"encoder.down_blocks.#.conv_shortcut.*", "encoder.downsamples.#.shortcut.*", ALL},
    {"encoder.down_blocks.#.*", "encoder.downsamples.#.*", ALL},
    {"decoder.mid_block.attentions.0.to_q.*", "decoder.middle.1.to_qkv.*", ROWS_THIRD_0},
    {"decoder.mid_block.attentions.0.to_k.*", "decoder.middle.1.to_qkv.*", ROWS_THIRD_1},
    {"decoder.mid_block.attentions.0.to_v.*", "decoder.middle.1.to_qkv.*", ROWS_THIRD_2},
    {"decoder.mid_block.attentions.0.*", "decoder.middle.1.*", ALL},
    {"decoder.mid_block.resnets.0.norm1.*", "decoder.middle.0.residual.0.*", ALL},
    {"decoder.mid_block.resnets.0.conv1.*", "decoder.middle.0.residual.2.*", ALL},
    {"decoder.mid_block.resnets.0.norm2.*", "decoder.middle.0.residual.3.*", ALL},
    {"decoder.mid_block.resnets.0.conv2.*", "decoder.middle.0.residual.6.*", ALL},
    {"decoder.mid_block.resnets.1.norm1.*", "decoder.middle.2.residual.0.*", ALL},
    {"decoder.mid_block.resnets.1.conv1.*", "decoder.middle.2.residual.2.*", ALL},
    {"decoder.mid_block.resnets.1.norm2.*", "decoder.middle.2.residual.3.*", ALL},
    {"decoder.mid_block.resnets.1.conv2.*", "decoder.middle.2.residual.6.*", ALL},
    {"decoder.conv_in.*", "decoder.conv1.*", ALL},
    {"decoder.norm_out.*", "decoder.head.0.*", ALL},
    {"decoder.conv_out.*", "decoder.head.2.*", ALL},
    {"decoder.up_blocks.#.resnets.#.norm1.*", "decoder.upsamples.@.residual.0.*", ALL},
    {"decoder.up_blocks.#.resnets.#.conv1.*", "decoder.upsamples.@.residual.2.*", ALL},
    {"decoder.up_blocks.#.resnets.#.norm2.*", "decoder.upsamples.@.residual.3.*", ALL},
    {"decoder.up_blocks.#.resnets.#.conv2.*", "decoder.upsamples.@.residual.6.*", ALL},
    {"decoder.up_blocks.#.resnets.#.conv_shortcut.*", "decoder.upsamples.@.shortcut.*", ALL},
    {"decoder.up_blocks.#.upsamplers.0.*", "decoder.upsamples.^.*", ALL},
};

/* ---- the table --------------------------------------------------------------------------------- */

static const struct naming namings[] = {
    {.id = "diffusers",
     .kind = COMPONENT_FLUX2_TRANSFORMER,
     .probes = {"x_embedder.weight", "context_embedder.weight",
                "double_stream_modulation_img.linear.weight"},
     RULES(flux2_diffusers)},
    {.id = "bfl",
     .kind = COMPONENT_FLUX2_TRANSFORMER,
     .probes = {"img_in.weight", "txt_in.weight", "double_stream_modulation_img.lin.weight"},
     RULES(flux2_bfl)},
    {.id = "diffusers",
     .kind = COMPONENT_FLUX2_VAE,
     .probes = {"bn.running_mean", "decoder.conv_in.weight",
                "decoder.mid_block.attentions.0.to_q.weight"},
     RULES(identity)},
    {.id = "bfl",
     .kind = COMPONENT_FLUX2_VAE,
     .probes = {"bn.running_mean", "decoder.conv_in.weight", "decoder.mid.attn_1.q.weight"},
     .levels_of = "decoder.up",
     RULES(flux2_vae_bfl)},
    {.id = "transformers",
     .kind = COMPONENT_QWEN3,
     .probes = {"model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight"},
     RULES(identity)},
    {.id = "transformers-bare",
     .kind = COMPONENT_QWEN3,
     .probes = {"embed_tokens.weight", "layers.0.self_attn.q_norm.weight"},
     RULES(lm_bare)},
    {.id = "llama.cpp",
     .kind = COMPONENT_QWEN3,
     .probes = {"token_embd.weight", "blk.0.attn_q_norm.weight"},
     RULES(lm_llama_cpp)},
    {.id = "transformers",
     .kind = COMPONENT_QWEN2_5_VL,
     .probes = {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.bias"},
     RULES(vl_flat)},
    {.id = "transformers-nested",
     .kind = COMPONENT_QWEN2_5_VL,
     .probes = {"model.language_model.embed_tokens.weight",
                "model.language_model.layers.0.self_attn.q_proj.bias"},
     RULES(vl_nested)},
    {.id = "llama.cpp",
     .kind = COMPONENT_QWEN2_5_VL,
     .probes = {"token_embd.weight", "blk.0.attn_q.bias"},
     RULES(lm_llama_cpp)},
    {.id = "llama.cpp",
     .kind = COMPONENT_QWEN2_5_VL_VISION,
     .probes = {"v.patch_embd.weight", "v.patch_embd.weight.1", "v.blk.0.ffn_gate.weight"},
     RULES(vl_vision_llama_cpp)},
    {.id = "diffusers",
     .kind = COMPONENT_QWEN_IMAGE_TRANSFORMER,
     .probes = {"img_in.weight", "txt_norm.weight", "transformer_blocks.0.img_mod.1.weight"},
     RULES(qwen_image_transformer)},
    {.id = "diffusers",
     .kind = COMPONENT_QWEN_IMAGE_VAE,
     .probes = {"decoder.conv_in.weight", "decoder.mid_block.attentions.0.to_qkv.weight"},
     RULES(qwen_image_vae_diffusers)},
    {.id = "wan",
     .kind = COMPONENT_QWEN_IMAGE_VAE,
     .probes = {"decoder.conv1.weight", "decoder.middle.1.to_qkv.weight", "conv2.weight"},
     .nest_blocks = "decoder.upsamples",
     .nest_end = "resample.1.weight",
     RULES(qwen_image_vae_wan)},
};

const struct naming *naming_table(size_t *n)
{
    *n = sizeof namings / sizeof namings[0];
    return namings;
}

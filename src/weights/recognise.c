/* recognise.c - sentences about what a checkpoint is, or what it seems to be when we cannot use it. */
#include <inttypes.h>
#include <stdio.h>

#include "weights/component_impl.h"

/* Known strangers, by how one of their tensors' names begins. */
static const struct {
    const char *start, *what;
} strangers[] = {
    {"double_blocks.0.img_mod.lin.", "a FLUX.1 transformer"},
    {"model.diffusion_model.double_blocks.0.img_mod.lin.", "a FLUX.1 transformer"},
    {"transformer_blocks.0.norm1_context.linear.", "a FLUX.1 or Stable Diffusion 3 transformer"},
    {"model.diffusion_model.joint_blocks.", "a Stable Diffusion 3 checkpoint"},
    {"model.diffusion_model.input_blocks.", "a Stable Diffusion checkpoint"},
    {"down_blocks.0.resnets.", "a Stable Diffusion UNet"},
    {"decoder.mid_block.attentions.0.", "a VAE without the latent statistics that FLUX.2's has"},
    {"decoder.mid.attn_1.", "a VAE without the latent statistics that FLUX.2's has"},
    {"encoder.block.0.layer.0.SelfAttention.", "a T5 text encoder"},
    {"enc.blk.0.", "a T5 text encoder"},
    {"text_model.encoder.layers.", "a CLIP text encoder"},
    {"model.layers.0.self_attn.q_proj.", "a language model, but neither Qwen3 nor Qwen2.5-VL"},
    {"blk.0.attn_q.", "a language model, but neither Qwen3 nor Qwen2.5-VL"},
    {"v.blk.0.", "a vision tower, but not Qwen2.5-VL's"},
};

static bool has_part(const struct checkpoint *cp, const char *part)
{
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        if (strstr(checkpoint_at(cp, i)->name, part))
            return true;
    }
    return false;
}

static bool has_packed_words(const struct checkpoint *cp)
{
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        if (t->n_dims == 2 && (t->dtype == DTYPE_U32 || t->dtype == DTYPE_I32))
            return true;
    }
    return false;
}

enum err_code component_refuse_unknown(const struct checkpoint *cp, struct err *e)
{
    const char *what = NULL;
    if (has_packed_words(cp))
        what = "a checkpoint that MLX or a 4-bit quantiser packed into 32-bit words; GGUF, float8, "
               "int8 "
               "and NVFP4 files work";
    if (has_part(cp, ".lora_A.") || has_part(cp, ".lora_down.") || has_part(cp, ".lora_up."))
        what = "a LoRA, not a whole network";
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0] && !what; i++) {
        if (component_any_begins(cp, strangers[i].start))
            what = strangers[i].what;
    }
    if (what)
        return err_set(e, ERR_FORMAT, "'%s' is not supported: it looks like %s",
                       checkpoint_path(cp), what);
    const struct weights_tensor *t = checkpoint_at(cp, 0);
    return err_set(
        e, ERR_FORMAT,
        "'%s' is not a network that this program knows: it has %zu tensors, the first is '%s' %s",
        checkpoint_path(cp), checkpoint_count(cp), catalogue_show(str_from(t->name)).z,
        catalogue_shape(t->dims, t->n_dims).z);
}

void component_describe(const struct component *c, char *out, size_t n)
{
    const char *title = component_kind_title(component_kind(c));
    switch (component_kind(c)) {
    case COMPONENT_FLUX2_TRANSFORMER:
        (void)snprintf(
            out, n, "%s (hidden %" PRId64 ", text %" PRId64 ", %" PRId64 " + %" PRId64 " blocks)",
            title, component_dim(c, "x_embedder.weight", 0),
            component_dim(c, "context_embedder.weight", 1),
            component_block_count(c, "transformer_blocks"),
            component_block_count(c, "single_transformer_blocks"));
        break;
    case COMPONENT_QWEN_IMAGE_TRANSFORMER:
        (void)snprintf(
            out, n, "%s%s (hidden %" PRId64 ", text %" PRId64 ", %" PRId64 " blocks)", title,
            component_has(c, "time_text_embed.addition_t_embedding.weight") ? " (layered)" : "",
            component_dim(c, "img_in.weight", 0), component_dim(c, "txt_in.weight", 1),
            component_block_count(c, "transformer_blocks"));
        break;
    case COMPONENT_QWEN3:
    case COMPONENT_QWEN2_5_VL:
        (void)snprintf(out, n, "%s (hidden %" PRId64 ", %" PRId64 " layers)", title,
                       component_dim(c, "model.embed_tokens.weight", 1),
                       component_block_count(c, "model.layers"));
        break;
    case COMPONENT_QWEN2_5_VL_VISION:
        (void)snprintf(out, n, "%s (hidden %" PRId64 ", %" PRId64 " blocks)", title,
                       component_dim(c, "visual.merger.ln_q.weight", 0),
                       component_block_count(c, "visual.blocks"));
        break;
    case COMPONENT_FLUX2_VAE:
    case COMPONENT_QWEN_IMAGE_VAE:
        (void)snprintf(out, n, "%s (%" PRId64 " image channels, %" PRId64 " latent channels)",
                       title, component_dim(c, "decoder.conv_out.weight", 0),
                       component_dim(c, "decoder.conv_in.weight", 1));
        break;
    default:
        (void)snprintf(out, n, "%s", title);
    }
}

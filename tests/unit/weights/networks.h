/* networks.h - tiny networks under each naming, for the tests of this room. Elements count up from 0 in
 * every float32 tensor, so a view's first value tells where in its stored tensor it begins. */
#ifndef VT_TESTS_WEIGHTS_NETWORKS_H
#define VT_TESTS_WEIGHTS_NETWORKS_H

#include <stdio.h>

#include "build.h"

/* "PREFIX" "blocks.0." "name" as one name; the result lives until the next call. */
static inline const char *join(const char *prefix, const char *name)
{
    static char out[300];
    (void)snprintf(out, sizeof out, "%s%s", prefix, name);
    return out;
}

enum { FLUX_D = 4, FLUX_MLP = 12 };

/* One double and two single blocks. */
static inline void add_flux2_bfl(struct build *b, const char *prefix)
{
    BUILD_F32(b, join(prefix, "img_in.weight"), FLUX_D, 8);
    BUILD_F32(b, join(prefix, "txt_in.weight"), FLUX_D, 6);
    BUILD_F32(b, join(prefix, "time_in.in_layer.weight"), FLUX_D, 16);
    BUILD_F32(b, join(prefix, "time_in.out_layer.weight"), FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "double_stream_modulation_img.lin.weight"), 6 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "double_stream_modulation_txt.lin.weight"), 6 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "single_stream_modulation.lin.weight"), 3 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "final_layer.adaLN_modulation.1.weight"), 2 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "final_layer.linear.weight"), 8, FLUX_D);
    static const char *const sides[] = {"img", "txt"};
    for (int i = 0; i < 2; i++) {
        char block[200];
        (void)snprintf(block, sizeof block, "%sdouble_blocks.0.%s_", prefix, sides[i]);
        BUILD_F32(b, join(block, "attn.qkv.weight"), 3 * FLUX_D, FLUX_D);
        BUILD_F32(b, join(block, "attn.proj.weight"), FLUX_D, FLUX_D);
        BUILD_F32(b, join(block, "attn.norm.query_norm.scale"), 2);
        BUILD_F32(b, join(block, "attn.norm.key_norm.scale"), 2);
        BUILD_F32(b, join(block, "mlp.0.weight"), 2 * FLUX_MLP, FLUX_D);
        BUILD_F32(b, join(block, "mlp.2.weight"), FLUX_D, FLUX_MLP);
    }
    for (int i = 0; i < 2; i++) {
        char block[200];
        (void)snprintf(block, sizeof block, "%ssingle_blocks.%d.", prefix, i);
        BUILD_F32(b, join(block, "linear1.weight"), 3 * FLUX_D + 2 * FLUX_MLP, FLUX_D);
        BUILD_F32(b, join(block, "linear2.weight"), FLUX_D, FLUX_D + FLUX_MLP);
        BUILD_F32(b, join(block, "norm.query_norm.scale"), 2);
        BUILD_F32(b, join(block, "norm.key_norm.scale"), 2);
    }
}

static inline void add_flux2_diffusers(struct build *b, const char *prefix)
{
    BUILD_F32(b, join(prefix, "x_embedder.weight"), FLUX_D, 8);
    BUILD_F32(b, join(prefix, "context_embedder.weight"), FLUX_D, 6);
    BUILD_F32(b, join(prefix, "time_guidance_embed.timestep_embedder.linear_1.weight"), FLUX_D, 16);
    BUILD_F32(b, join(prefix, "time_guidance_embed.timestep_embedder.linear_2.weight"), FLUX_D,
              FLUX_D);
    BUILD_F32(b, join(prefix, "double_stream_modulation_img.linear.weight"), 6 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "double_stream_modulation_txt.linear.weight"), 6 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "single_stream_modulation.linear.weight"), 3 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "norm_out.linear.weight"), 2 * FLUX_D, FLUX_D);
    BUILD_F32(b, join(prefix, "proj_out.weight"), 8, FLUX_D);
    static const char *const squares[] = {"to_q",       "to_k",       "to_v",     "add_q_proj",
                                          "add_k_proj", "add_v_proj", "to_out.0", "to_add_out"};
    for (size_t i = 0; i < 8; i++) {
        char name[200];
        (void)snprintf(name, sizeof name, "%stransformer_blocks.0.attn.%s.weight", prefix,
                       squares[i]);
        BUILD_F32(b, name, FLUX_D, FLUX_D);
    }
    static const char *const norms[] = {"norm_q", "norm_k", "norm_added_q", "norm_added_k"};
    for (size_t i = 0; i < 4; i++) {
        char name[200];
        (void)snprintf(name, sizeof name, "%stransformer_blocks.0.attn.%s.weight", prefix,
                       norms[i]);
        BUILD_F32(b, name, 2);
    }
    BUILD_F32(b, join(prefix, "transformer_blocks.0.ff.linear_in.weight"), 2 * FLUX_MLP, FLUX_D);
    BUILD_F32(b, join(prefix, "transformer_blocks.0.ff.linear_out.weight"), FLUX_D, FLUX_MLP);
    BUILD_F32(b, join(prefix, "transformer_blocks.0.ff_context.linear_in.weight"), 2 * FLUX_MLP,
              FLUX_D);
    BUILD_F32(b, join(prefix, "transformer_blocks.0.ff_context.linear_out.weight"), FLUX_D,
              FLUX_MLP);
    for (int i = 0; i < 2; i++) {
        char block[200];
        (void)snprintf(block, sizeof block, "%ssingle_transformer_blocks.%d.attn.", prefix, i);
        BUILD_F32(b, join(block, "to_qkv_mlp_proj.weight"), 3 * FLUX_D + 2 * FLUX_MLP, FLUX_D);
        BUILD_F32(b, join(block, "to_out.weight"), FLUX_D, FLUX_D + FLUX_MLP);
        BUILD_F32(b, join(block, "norm_q.weight"), 2);
        BUILD_F32(b, join(block, "norm_k.weight"), 2);
    }
}

/* names: Hugging Face's without "model."; gguf: llama.cpp's. */
static const char *const lm_layer_names[][2] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"self_attn.q_proj.bias", "attn_q.bias"},
    {"self_attn.k_proj.bias", "attn_k.bias"},
    {"self_attn.v_proj.bias", "attn_v.bias"},
};

/* which: 0 Hugging Face, 1 llama.cpp. vl: Qwen2.5's layers (biases, no q and k norms), else Qwen3's. */
static inline void add_lm(struct build *b, int which, bool vl, const char *prefix, int n_layers)
{
    BUILD_F32(b, which ? "token_embd.weight" : join(prefix, "embed_tokens.weight"), 10, 8);
    BUILD_F32(b, which ? "output_norm.weight" : join(prefix, "norm.weight"), 8);
    for (int layer = 0; layer < n_layers; layer++) {
        for (size_t i = 0; i < sizeof lm_layer_names / sizeof lm_layer_names[0]; i++) {
            char name[200];
            bool norm_qk = i == 6 || i == 7, bias = i >= 11;
            if (vl ? norm_qk : bias)
                continue;
            (void)snprintf(name, sizeof name, "%s%s.%d.%s", which ? "" : prefix,
                           which ? "blk" : "layers", layer, lm_layer_names[i][which]);
            if (i < 2 || norm_qk || bias)
                BUILD_F32(b, name, norm_qk ? 4 : 8);
            else
                BUILD_F32(b, name, 8, 8);
        }
    }
}

#endif

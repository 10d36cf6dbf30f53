/* synthetic_list.c - names and shapes of every tensor of a klein model, as diffusers and transformers write them.
 *
 * The readers must not be able to tell such a file from a real one, so names, shapes and fused projections follow
 * the published checkpoints. What is not random is what keeps numbers finite: norms are ones, biases zeros, the
 * batch norm of the latents has mean 0 and variance 1.
 */
#include "bench/synthetic.h"

#include <stdio.h>

#include "base/json_text.h"

static void matrix(struct bench_weights *w, const char *prefix, const char *name, int64_t out,
                   int64_t in)
{
    bench_weights_add(w, BENCH_RANDOM, 2, (int64_t[]){out, in}, "%s%s.weight", prefix, name);
}

static void ones(struct bench_weights *w, const char *prefix, const char *name, int64_t n)
{
    bench_weights_add(w, BENCH_ONES, 1, &n, "%s%s.weight", prefix, name);
}

static void zero_bias(struct bench_weights *w, const char *prefix, const char *name, int64_t n)
{
    bench_weights_add(w, BENCH_ZEROS, 1, &n, "%s%s.bias", prefix, name);
}

/* ---- transformer ------------------------------------------------------------------------------------ */

static void double_block(struct bench_weights *w, const struct flux2_config *c, int i)
{
    static const char *const square[] = {"attn.to_q",       "attn.to_k",       "attn.to_v",
                                         "attn.to_out.0",   "attn.add_q_proj", "attn.add_k_proj",
                                         "attn.add_v_proj", "attn.to_add_out"};
    static const char *const norms[] = {"attn.norm_q", "attn.norm_k", "attn.norm_added_q",
                                        "attn.norm_added_k"};
    static const char *const forwards[] = {"ff", "ff_context"};
    char p[48], name[64];
    (void)snprintf(p, sizeof p, "transformer_blocks.%d.", i);
    for (size_t k = 0; k < sizeof square / sizeof square[0]; k++)
        matrix(w, p, square[k], c->dim, c->dim);
    for (size_t k = 0; k < sizeof norms / sizeof norms[0]; k++)
        ones(w, p, norms[k], c->head_dim);
    for (size_t k = 0; k < sizeof forwards / sizeof forwards[0]; k++) {
        (void)snprintf(name, sizeof name, "%s.linear_in", forwards[k]);
        matrix(w, p, name, 2 * c->mlp_dim, c->dim);
        (void)snprintf(name, sizeof name, "%s.linear_out", forwards[k]);
        matrix(w, p, name, c->dim, c->mlp_dim);
    }
}

static void single_block(struct bench_weights *w, const struct flux2_config *c, int i)
{
    char p[48];
    (void)snprintf(p, sizeof p, "single_transformer_blocks.%d.", i);
    matrix(w, p, "attn.to_qkv_mlp_proj", 3 * c->dim + 2 * c->mlp_dim, c->dim);
    matrix(w, p, "attn.to_out", c->dim, c->dim + c->mlp_dim);
    ones(w, p, "attn.norm_q", c->head_dim);
    ones(w, p, "attn.norm_k", c->head_dim);
}

void bench_list_transformer(const struct bench_synthetic *s, struct bench_weights *w)
{
    const struct flux2_config *c = &s->transformer;
    int64_t d = c->dim;
    matrix(w, "", "x_embedder", d, c->in_channels);
    matrix(w, "", "context_embedder", d, c->joint_dim);
    matrix(w, "time_guidance_embed.timestep_embedder.", "linear_1", d, c->time_channels);
    matrix(w, "time_guidance_embed.timestep_embedder.", "linear_2", d, d);
    matrix(w, "", "double_stream_modulation_img.linear", 6 * d, d);
    matrix(w, "", "double_stream_modulation_txt.linear", 6 * d, d);
    matrix(w, "", "single_stream_modulation.linear", 3 * d, d);
    matrix(w, "", "norm_out.linear", 2 * d, d);
    matrix(w, "", "proj_out", c->out_channels, d);
    for (int i = 0; i < (int)c->n_double; i++)
        double_block(w, c, i);
    for (int i = 0; i < (int)c->n_single; i++)
        single_block(w, c, i);
}

void bench_config_transformer(const struct bench_synthetic *s, struct buf *b)
{
    const struct flux2_config *c = &s->transformer;
    json_object(b, NULL);
    json_put_z(b, "_class_name", "Flux2Transformer2DModel");
    json_put_int(b, "in_channels", c->in_channels);
    json_put_null(b, "out_channels");
    json_put_int(b, "num_layers", c->n_double);
    json_put_int(b, "num_single_layers", c->n_single);
    json_put_int(b, "num_attention_heads", c->heads);
    json_put_int(b, "attention_head_dim", c->head_dim);
    json_put_int(b, "joint_attention_dim", c->joint_dim);
    json_put_int(b, "timestep_guidance_channels", c->time_channels);
    json_put_number(b, "mlp_ratio", (double)c->mlp_dim / (double)c->dim);
    json_put_ints(b, "axes_dims_rope", c->axes_dims, 4);
    json_put_fixed(b, "rope_theta", c->rope_theta, 0);
    json_put_number(b, "eps", c->eps);
    json_put_bool(b, "guidance_embeds", false);
    json_put_int(b, "patch_size", 1);
    json_end_object(b);
    buf_add_byte(b, '\n');
}

/* ---- text encoder ----------------------------------------------------------------------------------- */

void bench_list_text(const struct bench_synthetic *s, struct bench_weights *w)
{
    const struct qwen3_config *c = &s->text;
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    char p[48];
    matrix(w, "", "model.embed_tokens", c->vocab, c->hidden);
    for (int i = 0; i < (int)c->layers; i++) {
        (void)snprintf(p, sizeof p, "model.layers.%d.", i);
        matrix(w, p, "self_attn.q_proj", q, c->hidden);
        matrix(w, p, "self_attn.k_proj", kv, c->hidden);
        matrix(w, p, "self_attn.v_proj", kv, c->hidden);
        matrix(w, p, "self_attn.o_proj", c->hidden, q);
        ones(w, p, "self_attn.q_norm", c->head_dim);
        ones(w, p, "self_attn.k_norm", c->head_dim);
        ones(w, p, "input_layernorm", c->hidden);
        ones(w, p, "post_attention_layernorm", c->hidden);
        matrix(w, p, "mlp.gate_proj", c->intermediate, c->hidden);
        matrix(w, p, "mlp.up_proj", c->intermediate, c->hidden);
        matrix(w, p, "mlp.down_proj", c->hidden, c->intermediate);
    }
    ones(w, "", "model.norm", c->hidden);
}

void bench_config_text(const struct bench_synthetic *s, struct buf *b)
{
    const struct qwen3_config *c = &s->text;
    json_object(b, NULL);
    json_array(b, "architectures");
    json_put_z(b, NULL, "Qwen3ForCausalLM");
    json_end_array(b);
    json_put_z(b, "model_type", "qwen3");
    json_put_int(b, "hidden_size", c->hidden);
    json_put_int(b, "intermediate_size", c->intermediate);
    json_put_int(b, "num_hidden_layers", c->layers);
    json_put_int(b, "num_attention_heads", c->heads);
    json_put_int(b, "num_key_value_heads", c->kv_heads);
    json_put_int(b, "head_dim", c->head_dim);
    json_put_int(b, "vocab_size", c->vocab);
    json_put_number(b, "rms_norm_eps", c->rms_eps);
    json_put_fixed(b, "rope_theta", c->rope_theta, 0);
    json_put_z(b, "hidden_act", "silu");
    json_put_bool(b, "tie_word_embeddings", true);
    json_put_z(b, "dtype", "bfloat16");
    json_end_object(b);
    buf_add_byte(b, '\n');
}

/* ---- VAE -------------------------------------------------------------------------------------------- */

static void conv(struct bench_weights *w, const char *prefix, const char *name, int64_t out,
                 int64_t in, int64_t k)
{
    bench_weights_add(w, BENCH_RANDOM, 4, (int64_t[]){out, in, k, k}, "%s%s.weight", prefix, name);
    zero_bias(w, prefix, name, out);
}

static void norm(struct bench_weights *w, const char *prefix, const char *name, int64_t n)
{
    ones(w, prefix, name, n);
    zero_bias(w, prefix, name, n);
}

static void resnet(struct bench_weights *w, const char *prefix, int i, int64_t in, int64_t out)
{
    char p[80];
    (void)snprintf(p, sizeof p, "%s.resnets.%d.", prefix, i);
    norm(w, p, "norm1", in);
    conv(w, p, "conv1", out, in, 3);
    norm(w, p, "norm2", out);
    conv(w, p, "conv2", out, out, 3);
    if (in != out)
        conv(w, p, "conv_shortcut", out, in, 1);
}

static void mid_block(struct bench_weights *w, const char *half, int64_t n, bool attention)
{
    static const char *const linears[] = {"to_q", "to_k", "to_v", "to_out.0"};
    char p[48];
    (void)snprintf(p, sizeof p, "%s.mid_block", half);
    resnet(w, p, 0, n, n);
    resnet(w, p, 1, n, n);
    if (!attention)
        return;
    (void)snprintf(p, sizeof p, "%s.mid_block.attentions.0.", half);
    norm(w, p, "group_norm", n);
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        matrix(w, p, linears[i], n, n);
        zero_bias(w, p, linears[i], n);
    }
}

static void encoder(struct bench_weights *w, const struct flux2_vae_config *c)
{
    int64_t width = c->encoder_channels[0], latent = c->latent_channels;
    char p[48];
    conv(w, "encoder.", "conv_in", width, c->in_channels, 3);
    for (int i = 0; i < (int)c->n_levels; i++) {
        int64_t out = c->encoder_channels[i];
        (void)snprintf(p, sizeof p, "encoder.down_blocks.%d", i);
        for (int j = 0; j < (int)c->layers_per_block; j++)
            resnet(w, p, j, j ? out : width, out);
        (void)snprintf(p, sizeof p, "encoder.down_blocks.%d.downsamplers.0.", i);
        if (i + 1 < c->n_levels)
            conv(w, p, "conv", out, out, 3);
        width = out;
    }
    mid_block(w, "encoder", width, c->mid_attention);
    norm(w, "encoder.", "conv_norm_out", width);
    conv(w, "encoder.", "conv_out", 2 * latent, width, 3);
    if (c->use_quant_conv)
        conv(w, "", "quant_conv", 2 * latent, 2 * latent, 1);
}

static void decoder(struct bench_weights *w, const struct flux2_vae_config *c)
{
    int64_t n = c->n_levels, width = c->decoder_channels[n - 1], latent = c->latent_channels;
    char p[48];
    if (c->use_post_quant_conv)
        conv(w, "", "post_quant_conv", latent, latent, 1);
    conv(w, "decoder.", "conv_in", width, latent, 3);
    mid_block(w, "decoder", width, c->mid_attention);
    for (int i = 0; i < (int)n; i++) {
        int64_t out = c->decoder_channels[n - 1 - i];
        (void)snprintf(p, sizeof p, "decoder.up_blocks.%d", i);
        for (int j = 0; j <= (int)c->layers_per_block; j++)
            resnet(w, p, j, j ? out : width, out);
        (void)snprintf(p, sizeof p, "decoder.up_blocks.%d.upsamplers.0.", i);
        if (i + 1 < n)
            conv(w, p, "conv", out, out, 3);
        width = out;
    }
    norm(w, "decoder.", "conv_norm_out", width);
    conv(w, "decoder.", "conv_out", c->out_channels, width, 3);
}

void bench_list_vae(const struct bench_synthetic *s, struct bench_weights *w)
{
    int64_t n = 4 * s->vae.latent_channels;
    bench_weights_add(w, BENCH_ZEROS, 1, &n, "bn.running_mean");
    bench_weights_add(w, BENCH_ONES, 1, &n, "bn.running_var");
    encoder(w, &s->vae);
    decoder(w, &s->vae);
}

void bench_config_vae(const struct bench_synthetic *s, struct buf *b)
{
    const struct flux2_vae_config *c = &s->vae;
    json_object(b, NULL);
    json_put_z(b, "_class_name", "AutoencoderKLFlux2");
    json_put_int(b, "in_channels", c->in_channels);
    json_put_int(b, "out_channels", c->out_channels);
    json_put_int(b, "latent_channels", c->latent_channels);
    json_put_int(b, "layers_per_block", c->layers_per_block);
    json_put_int(b, "norm_num_groups", c->norm_groups);
    json_put_ints(b, "block_out_channels", c->encoder_channels, (size_t)c->n_levels);
    json_put_ints(b, "decoder_block_out_channels", c->decoder_channels, (size_t)c->n_levels);
    json_put_number(b, "batch_norm_eps", c->batch_norm_eps);
    json_put_bool(b, "use_quant_conv", c->use_quant_conv);
    json_put_bool(b, "use_post_quant_conv", c->use_post_quant_conv);
    json_put_bool(b, "mid_block_add_attention", c->mid_attention);
    json_end_object(b);
    buf_add_byte(b, '\n');
}

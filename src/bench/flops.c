/* flops.c - counts from the dims of a configuration what flops.h says is counted, network by network.
 *
 * Each function follows the graph of its network in src/model: a change there that adds or removes a product has to
 * be made here, too, or the rates that `veetance bench` prints are of another network.
 */
#include "bench/flops.h"

/* x [tokens, in] times w [out, in] transposed: tokens * out dot products of length in. */
static double linear(int64_t tokens, int64_t in, int64_t out)
{
    return 2.0 * (double)tokens * (double)in * (double)out;
}

/* Per head q k^T is [tokens, head_dim] x [head_dim, tokens], and p v [tokens, tokens] x [tokens, head_dim]. */
static double attention(int64_t tokens, int64_t heads, int64_t head_dim)
{
    return 2.0 * 2.0 * (double)tokens * (double)tokens * (double)heads * (double)head_dim;
}

/* Each of h * w * out results is a dot product over k * k pixels of `in` channels; h, w of the output. */
static double conv(int64_t h, int64_t w, int64_t k, int64_t in, int64_t out)
{
    return linear(h * w, k * k * in, out);
}

/* ---- text encoder ----------------------------------------------------------------------------------- */

struct bench_flops bench_flops_qwen3(const struct qwen3_config *c, int64_t n_layers, int64_t tokens)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    double layer = linear(tokens, c->hidden, q + 2 * kv) + linear(tokens, q, c->hidden) +
                   3 * linear(tokens, c->hidden, c->intermediate); /* gate, up, down */
    return (struct bench_flops){
        .matmul = (double)n_layers * layer,
        .attention = (double)n_layers * attention(tokens, c->heads, c->head_dim),
    };
}

/* ---- transformer ------------------------------------------------------------------------------------ */

/* Every token of either kind of block meets q, k, v, an output projection and a gated MLP: in a double block
 * as 4 d^2 + 3 d m, in a single block as 3 d^2 + 2 d m + (d + m) d, which is the same number. */
struct bench_flops bench_flops_flux2(const struct flux2_config *c, int64_t n_text, int64_t n_img)
{
    int64_t n = n_text + n_img, d = c->dim, m = c->mlp_dim, blocks = c->n_double + c->n_single;
    double ends = linear(n_img, c->in_channels, d) + linear(n_text, c->joint_dim, d) +
                  linear(n_img, d, c->out_channels);
    /* Once a step, for one row: time embedding, three modulations, scale and shift at the end. */
    double time = linear(1, c->time_channels, d) + linear(1, d, d) + linear(1, d, (6 + 6 + 3) * d) +
                  linear(1, d, 2 * d);
    return (struct bench_flops){
        .matmul = ends + time + (double)blocks * (4 * linear(n, d, d) + 3 * linear(n, d, m)),
        .attention = (double)blocks * attention(n, c->heads, c->head_dim),
    };
}

/* In the last block text gives keys and values only: no queries, no output, no feed-forward layers. */
struct bench_flops bench_flops_qwen_image(const struct qwen_image_config *c,
                                          const struct qwen_image_layout *l)
{
    int64_t n_img = qwen_image_tokens(l), n_text = l->n_text, n = n_img + n_text, d = c->dim;
    double ends = linear(n_img, c->in_channels, d) + linear(n_text, c->joint_dim, d) +
                  linear(n_img, d, c->out_channels);
    double time = linear(1, c->time_channels, d) + linear(1, d, d) + linear(1, d, 2 * d);
    double blocks = (double)c->n_blocks * (4 * linear(n, d, d) + 2 * linear(n, d, c->mlp_dim));
    double spared = 2 * linear(n_text, d, d) + 2 * linear(n_text, d, c->mlp_dim);
    double rows = (double)c->n_blocks - (double)n_text / (double)n;
    return (struct bench_flops){
        .matmul = ends + time + blocks - spared,
        .attention = rows * attention(n, c->heads, c->head_dim),
    };
}

/* ---- VAE decoder ------------------------------------------------------------------------------------ */

static double resnet(int64_t h, int64_t w, int64_t in, int64_t out)
{
    double shortcut = in == out ? 0 : conv(h, w, 1, in, out);
    return conv(h, w, 3, in, out) + conv(h, w, 3, out, out) + shortcut;
}

struct bench_flops bench_flops_vae_decode(const struct flux2_vae_config *c, int64_t h, int64_t w)
{
    int64_t n = c->n_levels, width = c->decoder_channels[n - 1];
    struct bench_flops f = {0};
    if (c->use_post_quant_conv)
        f.conv += conv(h, w, 1, c->latent_channels, c->latent_channels);
    f.conv += conv(h, w, 3, c->latent_channels, width) + 2 * resnet(h, w, width, width);
    if (c->mid_attention) {
        f.matmul += 4 * linear(h * w, width, width);
        f.attention += attention(h * w, 1, width);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t out = c->decoder_channels[n - 1 - i];
        f.conv += resnet(h, w, width, out) + (double)c->layers_per_block * resnet(h, w, out, out);
        width = out;
        if (i + 1 == n)
            break;
        h *= 2; /* the upsampler's convolution runs on the larger image */
        w *= 2;
        f.conv += conv(h, w, 3, width, width);
    }
    f.conv += conv(h, w, 3, width, c->out_channels);
    return f;
}

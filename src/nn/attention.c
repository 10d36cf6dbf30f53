/* attention.c - attention whose memory grows linearly with tokens.
 *
 * ggml's flash attention is used where it supports the shapes: keys and values in float32 on the CPU, in half
 * precision on other devices. Otherwise (an exact graph, or a head size that the device's kernel lacks)
 * queries are computed in bands by plain products and a softmax, so that only one band's scores exist at a time.
 * Exact graphs need that, too: flash attention adds up one key after the other in float32, which loses three digits
 * over some ten thousand keys.
 * On the CPU and on NVIDIA cards our own kernels (cpu/attention.c, nvidia/attention.c) come before both. */
#include "nn/cpu/nodes.h"
#include "nn/heads.h"
#include "nn/nvidia/nodes.h"
#include "nn/ops.h"

enum { BAND_SCORES = 8 << 20 }; /* scores held at a time: 32 MiB of float32 */

/* Keys or values in half precision, as a tensor head by head. Their order in memory is kept: a copy that also changes
 * the order is slower. */
static struct ggml_tensor *half_by_head(struct nn_graph *g, struct ggml_tensor *x)
{
    if (nn_lies_by_head(x))
        return ggml_cast(nn_ctx(g), nn_swap_heads(g, x), GGML_TYPE_F16);
    return nn_swap_heads(g, ggml_cast(nn_ctx(g), x, GGML_TYPE_F16));
}

/* NULL when the device cannot. */
static struct ggml_tensor *flash(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                 struct ggml_tensor *v, struct ggml_tensor *mask, float scale)
{
    bool full = nn_device_is_cpu(g->device);
    struct ggml_tensor *qh = nn_swap_heads(g, q);
    struct ggml_tensor *kh = full ? nn_swap_heads(g, k) : half_by_head(g, k);
    struct ggml_tensor *vh = full ? nn_swap_heads(g, v) : half_by_head(g, v);
    struct ggml_tensor *m = mask ? ggml_cast(nn_ctx(g), mask, GGML_TYPE_F16) : NULL;
    struct ggml_tensor *y = ggml_flash_attn_ext(nn_ctx(g), qh, kh, vh, m, scale, 0.0f, 0.0f);
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (!ggml_backend_dev_supports_op(nn_device_ggml(g->device), y))
        return NULL;
    return ggml_reshape_2d(nn_ctx(g), y, y->ne[0] * y->ne[1], y->ne[2]);
}

static struct ggml_tensor *band(struct nn_graph *g, struct ggml_tensor *qh, struct ggml_tensor *kh,
                                struct ggml_tensor *vt, struct ggml_tensor *mask, float scale)
{
    struct ggml_tensor *s = ggml_mul_mat(nn_ctx(g), kh, qh);
    ggml_prec_set_acc(s, GGML_PREC_F32);
    s = ggml_soft_max_ext(nn_ctx(g), s, mask, scale, 0.0f);
    struct ggml_tensor *y = ggml_mul_mat(nn_ctx(g), vt, s); /* ne = head_dim, tokens, heads */
    ggml_prec_set_acc(y, GGML_PREC_F32);
    y = ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), y, 0, 2, 1, 3));
    return ggml_reshape_2d(nn_ctx(g), y, y->ne[0] * y->ne[1], y->ne[2]);
}

static struct ggml_tensor *banded(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                  struct ggml_tensor *v, struct ggml_tensor *mask, float scale)
{
    struct ggml_tensor *qh = nn_swap_heads(g, q);
    struct ggml_tensor *kh = ggml_cont(nn_ctx(g), nn_swap_heads(g, k));
    /* v transposed: ne = kv_tokens, head_dim, kv_heads */
    struct ggml_tensor *vt = ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), v, 1, 2, 0, 3));
    int64_t tokens = q->ne[2], step = BAND_SCORES / (k->ne[2] * q->ne[1]);
    if (step < 16)
        step = 16;
    struct ggml_tensor *out = NULL;
    for (int64_t t = 0; t < tokens; t += step) {
        int64_t n = tokens - t < step ? tokens - t : step;
        struct ggml_tensor *qb =
            ggml_cont(nn_ctx(g), ggml_view_3d(nn_ctx(g), qh, qh->ne[0], n, qh->ne[2], qh->nb[1],
                                              qh->nb[2], (size_t)t * qh->nb[1]));
        struct ggml_tensor *mb = mask;
        if (mask && n < tokens)
            mb = ggml_cont(nn_ctx(g), ggml_view_2d(nn_ctx(g), mask, mask->ne[0], n, mask->nb[1],
                                                   (size_t)t * mask->nb[1]));
        struct ggml_tensor *y = band(g, qb, kh, vt, mb, scale);
        out = out ? ggml_concat(nn_ctx(g), out, y, 1) : y;
        nn_graph_add(g, out); /* ggml sorts nodes by recursion: this limits its depth to one band */
    }
    return out;
}

static struct ggml_tensor *attention(struct nn_graph *g, const struct nv_attend *a)
{
    struct ggml_tensor *y = nv_attend(g, a);
    if (!y)
        y = nn_cpu_attention(g, a->q, a->k, a->v, a->mask, a->scale);
    if (y)
        return y;
    if (!g->exact)
        y = flash(g, a->q, a->k, a->v, a->mask, a->scale);
    return y ? y : banded(g, a->q, a->k, a->v, a->mask, a->scale);
}

struct ggml_tensor *nn_attention(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                 struct ggml_tensor *v, struct ggml_tensor *mask, float scale)
{
    return attention(g, &(struct nv_attend){.q = q, .k = k, .v = v, .mask = mask, .scale = scale});
}

struct ggml_tensor *nn_attention_causal(struct nn_graph *g, struct ggml_tensor *q,
                                        struct ggml_tensor *k, struct ggml_tensor *v,
                                        struct nn_causal seen, float scale)
{
    return attention(g, &(struct nv_attend){.q = q,
                                            .k = k,
                                            .v = v,
                                            .mask = seen.mask,
                                            .causal = true,
                                            .keys = seen.keys,
                                            .scale = scale});
}

/* attention.c - attention whose memory grows linearly with tokens.
 *
 * Where ggml's flash attention takes the shapes it is used: keys and values in float32 on the CPU, in half
 * precision on other devices. Otherwise (an exact graph, or a head size that the device's kernel lacks)
 * queries go in bands through plain products and a softmax, a band's scores at a time. Flash attention adds
 * up one key after the other in float32, which over some ten thousand keys costs three digits.
 * On the CPU our own kernel (cpu/attention.c) comes before both. */
#include "nn/cpu/nodes.h"
#include "nn/heads.h"
#include "nn/ops.h"

enum { BAND_SCORES = 8 << 20 }; /* scores held at a time: 32 MiB of float32 */

/* Keys or values in half precision, head by head as a tensor. In memory they stay as they lie: a copy that
 * changes the order, too, is slower. */
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

/* A mask that hides nothing, made on the device. */
static struct ggml_tensor *no_mask(struct nn_graph *g, int64_t keys, int64_t queries)
{
    struct ggml_tensor *m = g->no_mask;
    if (m && m->ne[0] == keys && m->ne[1] == queries)
        return m;
    m = ggml_scale(nn_ctx(g), ggml_arange(nn_ctx(g), 0.0f, (float)keys, 1.0f), 0.0f);
    m = ggml_repeat_4d(nn_ctx(g), m, keys, queries, 1, 1);
    g->no_mask = ggml_cast(nn_ctx(g), m, GGML_TYPE_F16);
    return g->no_mask;
}

/* CUDA's flash attention loads keys ahead of their use only where several heads of queries share a head of keys,
 * there is a mask and keys come in whole strides; without, it takes four times as long. So each head's queries
 * are dealt to PARTS heads. NULL where the shapes do not allow it. What comes out is brought back into the order of
 * tokens, and to bf16 where products want that, in one copy. */
static struct ggml_tensor *flash_in_parts(struct nn_graph *g, struct ggml_tensor *q,
                                          struct ggml_tensor *k, struct ggml_tensor *v, float scale)
{
    enum { PARTS = 8, STRIDE = 256 };
    int64_t dim = q->ne[0], heads = q->ne[1], n = q->ne[2] / PARTS;
    if (!nn_device_is_cuda(g->device) || heads != k->ne[1] || q->ne[2] % PARTS != 0 ||
        n < STRIDE / 2 || k->ne[2] % STRIDE != 0)
        return NULL;
    struct ggml_tensor *qh = nn_swap_heads(g, q);
    if (!nn_lies_by_head(q))
        qh = ggml_cont(nn_ctx(g), qh);
    qh = ggml_reshape_3d(nn_ctx(g), qh, dim, n, PARTS * heads);
    struct ggml_tensor *kh = half_by_head(g, k), *vh = half_by_head(g, v);
    struct ggml_tensor *y =
        ggml_flash_attn_ext(nn_ctx(g), qh, kh, vh, no_mask(g, k->ne[2], n), scale, 0.0f,
                            0.0f); /* ne = dim, parts of heads, n */
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (!ggml_backend_dev_supports_op(nn_device_ggml(g->device), y))
        return NULL;
    y = ggml_reshape_4d(nn_ctx(g), y, dim, PARTS, heads, n);
    y = ggml_permute(nn_ctx(g), y, 0, 3, 1, 2); /* ne = dim, heads, n, parts */
    y = g->bf16_products ? ggml_cast(nn_ctx(g), y, GGML_TYPE_BF16) : ggml_cont(nn_ctx(g), y);
    return ggml_reshape_2d(nn_ctx(g), y, dim * heads, n * PARTS);
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
        nn_graph_add(
            g, out); /* ggml puts nodes in order by recursion: one band deep, not all of them */
    }
    return out;
}

struct ggml_tensor *nn_attention(struct nn_graph *g, struct ggml_tensor *q, struct ggml_tensor *k,
                                 struct ggml_tensor *v, struct ggml_tensor *mask, float scale)
{
    struct ggml_tensor *y = nn_cpu_attention(g, q, k, v, mask, scale);
    if (y)
        return y;
    if (!g->exact && !mask)
        y = flash_in_parts(g, q, k, v, scale);
    if (!g->exact && !y)
        y = flash(g, q, k, v, mask, scale);
    return y ? y : banded(g, q, k, v, mask, scale);
}

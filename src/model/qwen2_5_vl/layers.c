/* layers.c - the graph of one chunk of tokens, its inputs, and running it.
 *
 * A graph is built for each chunk and freed after it: its mask grows with every chunk, and a chunk is large enough
 * to pay for that. With a cache, keys and values stay float32 until qwen_vl_cache_append has stored them; without
 * one they are only read by the attention and may be bf16 at once. Order: build, make the host's inputs, prepare,
 * set, run, read; the cache counts the new tokens as used only after all of that succeeded, so a failed chunk can
 * be repeated.
 */
#include "model/qwen2_5_vl/layers.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- graph -------------------------------------------------------------------------------------------- */

struct inputs {
    struct ggml_tensor *x, *cos, *sin, *mask;
};

struct outputs {
    struct ggml_tensor *tapped[QWEN_VL_MAX_TAPS], *logits;
};

/* residual + attention of its norm. */
static struct ggml_tensor *attention(struct nn_graph *g, struct qwen_vl *m, int64_t layer,
                                     const struct inputs *in, struct qwen_vl_cache *cache,
                                     struct ggml_tensor *residual)
{
    const struct qwen_vl_config *c = &m->cfg;
    const struct qwen_vl_layer *y = &m->layers[layer];
    int64_t tokens = residual->ne[1];
    struct ggml_tensor *x = nn_rms_norm_in(g, residual, y->input_norm, (float)c->rms_eps);
    struct ggml_tensor *q = nn_linear(g, y->q, y->q_bias, x);
    struct ggml_tensor *k = nn_linear(g, y->k, y->k_bias, x);
    struct ggml_tensor *v =
        cache ? nn_linear(g, y->v, y->v_bias, x) : nn_linear_in(g, y->v, y->v_bias, x);
    q = ggml_reshape_3d(nn_ctx(g), q, c->head_dim, c->heads, tokens);
    k = ggml_reshape_3d(nn_ctx(g), k, c->head_dim, c->kv_heads, tokens);
    v = ggml_reshape_3d(nn_ctx(g), v, c->head_dim, c->kv_heads, tokens);
    q = nn_norm_rope_in(g, q, NULL, 0, in->cos, in->sin, NN_ROPE_HALVES);
    k = cache ? nn_rope_apply(g, k, in->cos, in->sin, NN_ROPE_HALVES)
              : nn_norm_rope_in(g, k, NULL, 0, in->cos, in->sin, NN_ROPE_HALVES);
    if (cache) /* float32 is kept */
        qwen_vl_cache_append(cache, g, layer, &k, &v);
    struct ggml_tensor *a = nn_attention_causal(g, q, k, v, (struct nn_causal){.mask = in->mask},
                                                1.0f / sqrtf((float)c->head_dim));
    return nn_linear_gate_add(g, y->o, NULL, a, NULL, residual);
}

static struct ggml_tensor *layer_forward(struct nn_graph *g, struct qwen_vl *m, int64_t layer,
                                         const struct inputs *in, struct qwen_vl_cache *cache,
                                         struct ggml_tensor *x)
{
    float eps = (float)m->cfg.rms_eps;
    const struct qwen_vl_layer *y = &m->layers[layer];
    x = attention(g, m, layer, in, cache, x);
    struct ggml_tensor *h = nn_rms_norm_in(g, x, y->post_norm, eps);
    h = nn_linear_silu_mul_in(g, y->gate, y->up, h);
    return nn_linear_gate_add(g, y->down, NULL, h, NULL, x);
}

static void tap(struct nn_graph *g, const struct qwen_vl_chunk *c, int64_t state, size_t *at,
                struct ggml_tensor *x, struct outputs *out)
{
    if (*at >= c->n_taps || c->taps[*at] != state)
        return;
    out->tapped[*at] = ggml_cont(nn_ctx(g), x);
    nn_graph_output(g, out->tapped[(*at)++]);
}

static void build(struct nn_graph *g, struct qwen_vl *m, const struct qwen_vl_chunk *c,
                  struct inputs *in, struct outputs *out)
{
    const struct qwen_vl_config *cfg = &m->cfg;
    size_t at = 0;
    in->x = nn_input(g, cfg->hidden, c->n, 1, 1);
    in->cos = nn_input(g, cfg->head_dim / 2, c->n, 1, 1);
    in->sin = nn_input(g, cfg->head_dim / 2, c->n, 1, 1);
    /* A single token sees every key, so it needs no mask. */
    in->mask = c->n > 1 ? nn_input(g, c->first + c->n, c->n, 1, 1) : NULL;
    struct ggml_tensor *x = in->x;
    nn_graph_allow_int8(g, true);
    for (int64_t i = 0; i < cfg->layers; i++) {
        tap(g, c, i, &at, x, out);
        x = layer_forward(g, m, i, in, c->cache, x);
        nn_graph_block_end(g, x);
    }
    nn_graph_allow_int8(g, false);
    if (c->logits) /* of the last token alone */
        x = ggml_view_2d(nn_ctx(g), x, x->ne[0], 1, x->nb[1], (size_t)(c->n - 1) * x->nb[1]);
    x = nn_rms_norm(g, x, m->norm, (float)cfg->rms_eps);
    tap(g, c, cfg->layers, &at, x, out);
    if (c->logits)
        x = out->logits = nn_linear(g, m->head, NULL, x);
    nn_graph_output(g, x);
}

/* ---- host-side inputs --------------------------------------------------------------------------------- */

struct host_inputs {
    float *x, *cos, *sin, *mask;
};

static void host_inputs_free(struct host_inputs *h)
{
    mem_free(h->x);
    mem_free(h->cos);
    mem_free(h->sin);
    mem_free(h->mask);
}

static enum err_code embed(struct qwen_vl *m, const struct qwen_vl_chunk *c, float *x,
                           struct err *e)
{
    const struct qwen_vl_image *p = c->image;
    int64_t hidden = m->cfg.hidden, cells = p ? p->cells_h * p->cells_w : 0;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t cell = p ? c->first + i - p->at : 0;
        if (p && cell >= 0 && cell < cells) {
            memcpy(x + i * hidden, p->rows + cell * hidden, (size_t)hidden * sizeof *x);
            continue;
        }
        if (c->ids[i] < 0 || c->ids[i] >= m->cfg.vocab)
            return err_set(e, ERR_FORMAT,
                           "token %d is outside the text encoder's vocabulary of %lld: the "
                           "tokenizer belongs to another model",
                           c->ids[i], (long long)m->cfg.vocab);
        enum err_code rc = nn_view_rows_f32(&m->embedding->view, c->ids[i], 1, x + i * hidden, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static void causal_mask(int64_t first, int64_t n, float *out)
{
    int64_t keys = first + n;
    for (int64_t q = 0; q < n; q++)
        for (int64_t k = 0; k < keys; k++)
            out[q * keys + k] = k <= first + q ? 0.0f : -INFINITY;
}

static enum err_code host_inputs_make(struct qwen_vl *m, const struct qwen_vl_chunk *c,
                                      struct host_inputs *h, struct err *e)
{
    size_t half = (size_t)m->cfg.head_dim / 2, n = (size_t)c->n, keys = (size_t)c->first + n;
    h->x = mem_try_array(n * (size_t)m->cfg.hidden, sizeof(float));
    h->cos = mem_try_array(n * half, sizeof(float));
    h->sin = mem_try_array(n * half, sizeof(float));
    h->mask = mem_try_array(n > 1 ? n * keys : 1, sizeof(float));
    if (!h->x || !h->cos || !h->sin || !h->mask)
        return err_set(e, ERR_NOMEM, "no memory for %lld prompt tokens", (long long)c->n);
    qwen_vl_rope_tables(&m->cfg, c->axis, c->n, h->cos, h->sin);
    if (n > 1)
        causal_mask(c->first, c->n, h->mask);
    return embed(m, c, h->x, e);
}

/* ---- a run -------------------------------------------------------------------------------------------- */

/* Interleaves the taps: tapped[token][tap][hidden]. */
static enum err_code read_taps(const struct nn_graph *g, const struct qwen_vl_chunk *c,
                               const struct outputs *out, int64_t hidden, struct err *e)
{
    float *one = mem_try_array((size_t)(c->n * hidden), sizeof *one);
    if (!one)
        return err_set(e, ERR_NOMEM, "no memory for the prompt's embeddings");
    for (size_t k = 0; k < c->n_taps; k++) {
        nn_graph_get(g, out->tapped[k], one);
        for (int64_t i = 0; i < c->n; i++)
            memcpy(c->tapped + ((size_t)i * c->n_taps + k) * (size_t)hidden, one + i * hidden,
                   (size_t)hidden * sizeof *one);
    }
    mem_free(one);
    return ERR_OK;
}

/* Sets the span of progress that this chunk is of the whole prompt. */
static enum err_code run_graph(struct nn_graph *g, const struct qwen_vl_chunk *c,
                               const atomic_bool *cancel, struct err *e)
{
    struct nn_span whole = nn_device_span(g->device);
    if (c->of > 0)
        nn_device_set_span(g->device, nn_span_part(whole, (double)c->first / (double)c->of,
                                                   (double)c->n / (double)c->of));
    enum err_code rc = nn_graph_run(g, cancel, e);
    nn_device_set_span(g->device, whole);
    return rc;
}

enum err_code qwen_vl_chunk_run(struct qwen_vl *m, const struct qwen_vl_chunk *c,
                                const atomic_bool *cancel, struct err *e)
{
    struct nn_graph g;
    struct inputs in;
    struct outputs out = {.logits = NULL};
    struct host_inputs h = {0};
    nn_graph_init(&g, m->device, false);
    g.exact = nn_params_precision(m->params) == NN_PRECISION_F32;
    build(&g, m, c, &in, &out);
    enum err_code rc;
    TRY_GOTO(host_inputs_make(m, c, &h, e), done);
    TRY_GOTO(nn_graph_prepare(&g, e), done);
    nn_graph_set(&g, in.x, h.x);
    nn_graph_set(&g, in.cos, h.cos);
    nn_graph_set(&g, in.sin, h.sin);
    if (in.mask)
        nn_graph_set(&g, in.mask, h.mask);
    TRY_GOTO(run_graph(&g, c, cancel, e), done);
    if (c->n_taps > 0)
        TRY_GOTO(read_taps(&g, c, &out, m->cfg.hidden, e), done);
    if (out.logits)
        nn_graph_get(&g, out.logits, c->logits);
    if (c->cache)
        qwen_vl_cache_set_used(c->cache, c->first + c->n);
done:
    host_inputs_free(&h);
    nn_graph_deinit(&g);
    return rc;
}

/* qwen3.c - Qwen3 as a text encoder: its parameters, its graph, and encoding a prompt.
 *
 * Only as many layers are declared as the last tap needs; the rest of the file is never read. The embedding stays
 * in the mapped file and rows are taken from it on the host, so that 150,000 rows cost no device memory. A graph
 * is built for each prompt and freed after it: prompts come rarely, and their lengths differ.
 *
 * Padding: keys that are padding are hidden by the mask. Where all of it is behind the tokens, its number goes
 * along as well, and devices that can count need no mask. The taps of a token lie side by side in the result,
 * [n_tokens, n_taps * hidden], which is the order FLUX.2 was trained with.
 */
#include "model/qwen3/qwen3.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "model/blocks.h"
#include "nn/buffer.h"
#include "nn/project.h"

static enum err_code read_json(yyjson_val *json, const char *what, struct qwen3_config *c,
                               struct err *e)
{
    yyjson_val *rope = yyjson_obj_get(json, "rope_parameters");
    const struct {
        const char *key;
        int64_t *out, max;
    } dims[] = {
        {"hidden_size", &c->hidden, MODEL_MAX_DIM},
        {"intermediate_size", &c->intermediate, MODEL_MAX_DIM},
        {"num_hidden_layers", &c->layers, MODEL_MAX_BLOCKS},
        {"num_attention_heads", &c->heads, 1024},
        {"num_key_value_heads", &c->kv_heads, 1024},
        {"head_dim", &c->head_dim, 1024},
        {"vocab_size", &c->vocab, 1 << 24},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        TRY(json_get_i64(json, dims[i].key, 1, dims[i].max, dims[i].out, what, e));
    TRY(json_get_double(json, "rms_norm_eps", 0, 1, &c->rms_eps, what, e));
    TRY(json_get_double(json, "rope_theta", 1, 1e12, &c->rope_theta, what, e));
    if (yyjson_is_obj(rope))
        TRY(json_get_double(rope, "rope_theta", 1, 1e12, &c->rope_theta, what, e));
    return ERR_OK;
}

enum err_code qwen3_config_read(yyjson_val *json, const char *what, const struct component *c,
                                struct qwen3_config *out, struct err *e)
{
    int64_t head_dim = component_dim(c, "model.layers.0.self_attn.q_norm.weight", 0);
    int64_t q = component_dim(c, "model.layers.0.self_attn.q_proj.weight", 0);
    int64_t kv = component_dim(c, "model.layers.0.self_attn.k_proj.weight", 0);
    if (head_dim <= 0 || q <= 0 || kv <= 0)
        return err_set(e, ERR_FORMAT, "%s: layer 0 has no attention", what);
    *out = (struct qwen3_config){
        .hidden = component_dim(c, "model.embed_tokens.weight", 1),
        .vocab = component_dim(c, "model.embed_tokens.weight", 0),
        .intermediate = component_dim(c, "model.layers.0.mlp.gate_proj.weight", 0),
        .layers = component_block_count(c, "model.layers"),
        .head_dim = head_dim,
        .heads = q / head_dim,
        .kv_heads = kv / head_dim,
        .rms_eps = 1e-6,
        .rope_theta = 1e6,
    };
    struct qwen3_config shapes = *out;
    if (json)
        TRY(read_json(json, what, out, e));
    if (out->hidden != shapes.hidden)
        return err_set(e, ERR_FORMAT, "%s: hidden_size is %lld, the weights have %lld", what,
                       (long long)out->hidden, (long long)shapes.hidden);
    if (out->layers > shapes.layers)
        return err_set(e, ERR_FORMAT, "%s: num_hidden_layers is %lld, the weights have %lld", what,
                       (long long)out->layers, (long long)shapes.layers);
    if (out->heads % out->kv_heads != 0 || out->head_dim % 2 != 0)
        return err_set(e, ERR_FORMAT, "%s: %lld heads of %lld do not divide into %lld", what,
                       (long long)out->heads, (long long)out->head_dim, (long long)out->kv_heads);
    return ERR_OK;
}

struct layer {
    struct nn_param *input_norm, *q, *k, *v, *o, *q_norm, *k_norm;
    struct nn_param *post_norm, *gate, *up, *down;
};

struct qwen3 {
    struct qwen3_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct nn_param *embedding; /* read by row from the map */
    int64_t n_layers;
    struct layer layers[MODEL_MAX_BLOCKS];
};

static void declare_layer(struct model_loader *l, const struct qwen3_config *c, struct layer *y)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    y->input_norm = model_vector(l, "input_layernorm.weight", c->hidden);
    y->q = model_matrix(l, "self_attn.q_proj.weight", q, c->hidden);
    y->k = model_matrix(l, "self_attn.k_proj.weight", kv, c->hidden);
    y->v = model_matrix(l, "self_attn.v_proj.weight", kv, c->hidden);
    y->o = model_matrix(l, "self_attn.o_proj.weight", c->hidden, q);
    y->q_norm = model_vector(l, "self_attn.q_norm.weight", c->head_dim);
    y->k_norm = model_vector(l, "self_attn.k_norm.weight", c->head_dim);
    y->post_norm = model_vector(l, "post_attention_layernorm.weight", c->hidden);
    y->gate = model_matrix(l, "mlp.gate_proj.weight", c->intermediate, c->hidden);
    y->up = model_matrix(l, "mlp.up_proj.weight", c->intermediate, c->hidden);
    y->down = model_matrix(l, "mlp.down_proj.weight", c->hidden, c->intermediate);
}

static enum err_code declare(struct qwen3 *m, struct err *e)
{
    const struct qwen3_config *c = &m->cfg;
    struct model_loader l = {.ps = m->params, .rc = ERR_OK, .e = e};
    l.rc = nn_params_add(m->params, NN_HOST, "model.embed_tokens.weight", 2,
                         (int64_t[]){c->vocab, c->hidden}, &m->embedding, e);
    nn_params_allow_eight(m->params, true);
    for (int64_t i = 0; i < m->n_layers; i++) {
        nn_params_set_group(m->params, (int)i + 1);
        model_loader_prefix(&l, "model.layers.%d.", (int)i);
        declare_layer(&l, c, &m->layers[i]);
    }
    return l.rc;
}

enum err_code qwen3_new(struct component *c, struct nn_device *d, enum nn_precision precision,
                        const struct qwen3_config *cfg, int64_t n_layers, struct qwen3 **out,
                        struct err *e)
{
    *out = NULL;
    if (n_layers > cfg->layers || n_layers > MODEL_MAX_BLOCKS)
        return err_set(e, ERR_FORMAT,
                       "the text encoder has %lld layers, %lld are needed: it is too small",
                       (long long)cfg->layers, (long long)n_layers);
    struct qwen3 *m = mem_try_alloc(sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the text encoder");
    m->cfg = *cfg;
    m->device = d;
    m->n_layers = n_layers;
    enum err_code rc;
    TRY_GOTO(nn_params_new(c, d, precision, &m->params, e), done);
    rc = declare(m, e);
done:
    if (rc != ERR_OK) {
        qwen3_free(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void qwen3_free(struct qwen3 *m)
{
    if (!m)
        return;
    nn_params_free(m->params);
    mem_free(m);
}

struct nn_params *qwen3_params(struct qwen3 *m)
{
    return m->params;
}

const struct qwen3_config *qwen3_config(const struct qwen3 *m)
{
    return &m->cfg;
}

/* ---- graph ----------------------------------------------------------------------------------------- */

struct inputs {
    struct ggml_tensor *x, *cos, *sin;
    struct nn_causal seen;
};

/* x + attention of its norm. */
static struct ggml_tensor *attention(struct nn_graph *g, const struct qwen3_config *c,
                                     const struct layer *y, const struct inputs *in,
                                     struct ggml_tensor *x)
{
    float eps = (float)c->rms_eps;
    struct ggml_tensor *h = nn_rms_norm_in(g, x, y->input_norm, eps);
    struct nn_qkv p = nn_project(g, h,
                                 &(struct nn_projections){.q = {.w = y->q, .norm = y->q_norm},
                                                          .k = {.w = y->k, .norm = y->k_norm},
                                                          .v = {.w = y->v},
                                                          .head_dim = c->head_dim,
                                                          .eps = eps,
                                                          .cos = in->cos,
                                                          .sin = in->sin,
                                                          .mode = NN_ROPE_HALVES});
    struct ggml_tensor *a =
        nn_attention_causal(g, p.q, p.k, p.v, in->seen, 1.0f / sqrtf((float)c->head_dim));
    return nn_linear_gate_add(g, y->o, NULL, a, NULL, x);
}

static struct ggml_tensor *layer_forward(struct nn_graph *g, const struct qwen3_config *c,
                                         const struct layer *y, const struct inputs *in,
                                         struct ggml_tensor *x)
{
    float eps = (float)c->rms_eps;
    x = attention(g, c, y, in, x);
    struct ggml_tensor *h = nn_rms_norm_in(g, x, y->post_norm, eps);
    h = nn_linear_silu_mul_in(g, y->gate, y->up, h);
    return nn_linear_gate_add(g, y->down, NULL, h, NULL, x);
}

/* padded_behind: all padding comes after the tokens. */
static struct ggml_tensor *build(struct nn_graph *g, struct qwen3 *m, int64_t tokens,
                                 bool padded_behind, const int64_t *taps, size_t n_taps,
                                 struct inputs *in)
{
    const struct qwen3_config *c = &m->cfg;
    in->x = nn_input(g, c->hidden, tokens, 1, 1);
    in->cos = nn_input(g, c->head_dim / 2, tokens, 1, 1);
    in->sin = nn_input(g, c->head_dim / 2, tokens, 1, 1);
    in->seen = (struct nn_causal){.mask = nn_input(g, tokens, tokens, 1, 1)};
    if (padded_behind)
        in->seen.keys = nn_input_ints(g, 1);
    struct ggml_tensor *x = in->x, *out = NULL;
    size_t tap = 0;
    nn_graph_allow_int8(g, true);
    for (int64_t i = 0; i <= m->n_layers && tap < n_taps; i++) {
        if (taps[tap] == i) {
            struct ggml_tensor *copy = ggml_cont(nn_ctx(g), x); /* x may be overwritten */
            nn_graph_add(g, copy);
            out = out ? ggml_concat(nn_ctx(g), out, copy, 0) : copy;
            tap++;
        }
        if (i < m->n_layers)
            x = layer_forward(g, c, &m->layers[i], in, x);
        nn_graph_block_end(g, x);
    }
    nn_graph_output(g, out);
    return out;
}

/* ---- host-side inputs ------------------------------------------------------------------------------ */

static enum err_code embed(struct qwen3 *m, const int32_t *ids, int64_t n, float *x, struct err *e)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab)
            return err_set(
                e, ERR_FORMAT,
                "token %d is outside the text encoder's vocabulary of %lld: the tokenizer "
                "belongs to another model",
                ids[i], (long long)m->cfg.vocab);
        enum err_code rc =
            nn_view_rows_f32(&m->embedding->view, ids[i], 1, x + i * m->cfg.hidden, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* Angles in float32, as transformers computes them. */
static void rope_tables(const struct qwen3_config *c, int64_t n, float *cos_out, float *sin_out)
{
    int64_t half = c->head_dim / 2;
    for (int64_t i = 0; i < half; i++) {
        float inv_freq = 1.0f / powf((float)c->rope_theta, (float)(2 * i) / (float)c->head_dim);
        for (int64_t t = 0; t < n; t++) {
            float a = (float)t * inv_freq;
            cos_out[t * half + i] = cosf(a);
            sin_out[t * half + i] = sinf(a);
        }
    }
}

/* Causal, and keys that are padding hidden. A query whose every key is hidden (padding on the left) sees
 * itself, so that its softmax stays finite. */
static void causal_mask(const int32_t *mask, int64_t n, float *out)
{
    for (int64_t q = 0; q < n; q++)
        for (int64_t k = 0; k < n; k++)
            out[q * n + k] = k <= q && (mask[k] || (k == q && k == 0)) ? 0.0f : -INFINITY;
}

/* How many tokens there are before the padding; -1 where it is not all behind them. */
static int32_t count_tokens(const int32_t *mask, int64_t n)
{
    int32_t used = 0;
    while (used < n && mask[used])
        used++;
    for (int64_t i = used; i < n; i++)
        if (mask[i])
            return -1;
    return used > 0 ? used : -1;
}

struct host_inputs {
    float *x, *cos, *sin;
};

static void host_inputs_free(struct host_inputs *h)
{
    mem_free(h->x);
    mem_free(h->cos);
    mem_free(h->sin);
}

static enum err_code host_inputs_make(struct qwen3 *m, const int32_t *ids, int64_t n,
                                      struct host_inputs *h, struct err *e)
{
    size_t half = (size_t)m->cfg.head_dim / 2;
    h->x = mem_try_array((size_t)(n * m->cfg.hidden), sizeof(float));
    h->cos = mem_try_array((size_t)n * half, sizeof(float));
    h->sin = mem_try_array((size_t)n * half, sizeof(float));
    if (!h->x || !h->cos || !h->sin)
        return err_set(e, ERR_NOMEM, "no memory for %lld prompt tokens", (long long)n);
    rope_tables(&m->cfg, n, h->cos, h->sin);
    return embed(m, ids, n, h->x, e);
}

/* Only where the graph reads one. */
static enum err_code set_mask(struct nn_graph *g, struct ggml_tensor *t, const int32_t *mask,
                              int64_t n, struct err *e)
{
    float *room = mem_try_array((size_t)(n * n), sizeof *room);
    if (!room)
        return err_set(e, ERR_NOMEM, "no memory for %lld prompt tokens", (long long)n);
    causal_mask(mask, n, room);
    nn_graph_set(g, t, room);
    mem_free(room);
    return ERR_OK;
}

/* ---- memory for the result ------------------------------------------------------------------------- */

/* The system gives memory out a page at a time, when it is first written: some milliseconds for a prompt, which pass
 * here while the card computes. */
struct touching {
    float *p;
    size_t n;
    pthread_t thread;
    bool begun;
};

static void *touch(void *arg)
{
    enum { PAGE_FLOATS = 4096 / sizeof(float) };
    struct touching *t = arg;
    for (size_t i = 0; i < t->n; i += PAGE_FLOATS)
        t->p[i] = 0;
    return NULL;
}

static void touch_begin(struct touching *t, const struct nn_device *d)
{
    bool worth = nn_device_card(d) && !nn_device_is_dry(d);
    t->begun = worth && pthread_create(&t->thread, NULL, touch, t) == 0;
}

static void touch_end(struct touching *t)
{
    if (t->begun)
        (void)pthread_join(t->thread, NULL);
    t->begun = false;
}

enum err_code qwen3_encode(struct qwen3 *m, const int32_t *ids, const int32_t *mask,
                           int64_t n_tokens, const int64_t *taps, size_t n_taps, float *out,
                           const atomic_bool *cancel, struct err *e)
{
    enum { MAX_TAPS = 8 };
    struct nn_graph g;
    struct inputs in;
    struct host_inputs h = {0};
    struct touching result = {.p = out, .n = (size_t)n_tokens * n_taps * (size_t)m->cfg.hidden};
    if (n_taps == 0 || n_taps > MAX_TAPS || taps[n_taps - 1] > m->n_layers || n_tokens < 1)
        return err_set(e, ERR_INTERNAL, "the text encoder was asked for layers it does not have");
    nn_graph_init(&g, m->device, false);
    g.exact = nn_params_precision(m->params) == NN_PRECISION_F32;
    int32_t used = count_tokens(mask, n_tokens);
    struct ggml_tensor *tapped = build(&g, m, n_tokens, used > 0, taps, n_taps, &in);
    enum err_code rc;
    TRY_GOTO(nn_graph_prepare(&g, e), done);
    touch_begin(&result, m->device);
    TRY_GOTO(host_inputs_make(m, ids, n_tokens, &h, e), done);
    nn_graph_set(&g, in.x, h.x);
    nn_graph_set(&g, in.cos, h.cos);
    nn_graph_set(&g, in.sin, h.sin);
    if (nn_tensor_is_real(m->device, in.seen.mask))
        TRY_GOTO(set_mask(&g, in.seen.mask, mask, n_tokens, e), done);
    if (in.seen.keys)
        nn_graph_set_bytes(&g, in.seen.keys, &used);
    TRY_GOTO(nn_graph_run(&g, cancel, e), done);
    touch_end(&result);
    nn_graph_get(&g, tapped, out);
done:
    touch_end(&result);
    host_inputs_free(&h);
    nn_graph_deinit(&g);
    return rc;
}

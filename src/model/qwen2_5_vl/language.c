/* language.c - the language model: its parameters, and encoding a prompt.
 *
 * Declares the parameters and encodes a prompt; the graph of a chunk is layers.c, generating text is generate.c. A
 * prompt of one chunk needs no cache. A longer one takes its cache for the whole prompt before the first chunk, so
 * that running out of memory is found before anything is computed. The embedding matrix is never put on the
 * device: rows are read from the mapped file.
 */
#include "model/qwen2_5_vl/language.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/qwen2_5_vl/layers.h"

/* ---- parameters --------------------------------------------------------------------------------------- */

static void declare_layer(struct model_loader *l, const struct qwen_vl_config *c,
                          struct qwen_vl_layer *y)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    y->input_norm = model_vector(l, "input_layernorm.weight", c->hidden);
    y->q = model_matrix(l, "self_attn.q_proj.weight", q, c->hidden);
    y->q_bias = model_vector(l, "self_attn.q_proj.bias", q);
    y->k = model_matrix(l, "self_attn.k_proj.weight", kv, c->hidden);
    y->k_bias = model_vector(l, "self_attn.k_proj.bias", kv);
    y->v = model_matrix(l, "self_attn.v_proj.weight", kv, c->hidden);
    y->v_bias = model_vector(l, "self_attn.v_proj.bias", kv);
    y->o = model_matrix(l, "self_attn.o_proj.weight", c->hidden, q);
    y->post_norm = model_vector(l, "post_attention_layernorm.weight", c->hidden);
    y->gate = model_matrix(l, "mlp.gate_proj.weight", c->intermediate, c->hidden);
    y->up = model_matrix(l, "mlp.up_proj.weight", c->intermediate, c->hidden);
    y->down = model_matrix(l, "mlp.down_proj.weight", c->hidden, c->intermediate);
}

static enum err_code declare(struct qwen_vl *m, enum qwen_vl_use use, struct err *e)
{
    const struct qwen_vl_config *c = &m->cfg;
    struct model_loader l = {.ps = m->params, .rc = ERR_OK, .e = e};
    l.rc = nn_params_add(m->params, NN_HOST, "model.embed_tokens.weight", 2,
                         (int64_t[]){c->vocab, c->hidden}, &m->embedding, e);
    m->norm = model_vector(&l, "model.norm.weight", c->hidden);
    if (use == QWEN_VL_GENERATE)
        m->head = model_matrix(&l, c->tied ? "model.embed_tokens.weight" : "lm_head.weight",
                               c->vocab, c->hidden);
    nn_params_allow_eight(m->params, true);
    for (int64_t i = 0; i < c->layers; i++) {
        nn_params_set_group(m->params, (int)i + 1);
        model_loader_prefix(&l, "model.layers.%d.", (int)i);
        declare_layer(&l, c, &m->layers[i]);
    }
    return l.rc;
}

enum err_code qwen_vl_new(struct component *c, struct nn_device *d, enum nn_precision precision,
                          const struct qwen_vl_config *cfg, enum qwen_vl_use use,
                          struct qwen_vl **out, struct err *e)
{
    *out = NULL;
    if (cfg->layers < 1 || cfg->layers > MODEL_MAX_BLOCKS)
        return err_set(e, ERR_FORMAT, "a language model of %lld layers", (long long)cfg->layers);
    struct qwen_vl *m = mem_try_alloc(sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the language model");
    m->cfg = *cfg;
    m->device = d;
    enum err_code rc;
    TRY_GOTO(nn_params_new(c, d, precision, &m->params, e), done);
    rc = declare(m, use, e);
done:
    if (rc != ERR_OK) {
        qwen_vl_free(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void qwen_vl_free(struct qwen_vl *m)
{
    if (!m)
        return;
    nn_params_free(m->params);
    mem_free(m);
}

struct nn_params *qwen_vl_params(struct qwen_vl *m)
{
    return m->params;
}

const struct qwen_vl_config *qwen_vl_config(const struct qwen_vl *m)
{
    return &m->cfg;
}

/* ---- encoding ----------------------------------------------------------------------------------------- */

static enum err_code check_prompt(const struct qwen_vl *m, const struct qwen_vl_prompt *p,
                                  const int64_t *taps, size_t n_taps, struct err *e)
{
    const struct qwen_vl_image *pic = p->image;
    if (p->n < 1 || p->n > INT32_MAX / 2)
        return err_set(e, ERR_ARG, "a prompt of %lld tokens", (long long)p->n);
    if (n_taps == 0 || n_taps > QWEN_VL_MAX_TAPS || taps[n_taps - 1] > m->cfg.layers)
        return err_set(e, ERR_INTERNAL, "the text encoder was asked for layers it does not have");
    if (pic && (pic->at < 0 || pic->cells_h < 1 || pic->cells_w < 1 ||
                pic->at + pic->cells_h * pic->cells_w > p->n))
        return err_set(e, ERR_INTERNAL, "an image's tokens lie outside its prompt");
    return ERR_OK;
}

enum err_code qwen_vl_encode(struct qwen_vl *m, const struct qwen_vl_prompt *prompt,
                             const int64_t *taps, size_t n_taps, float *out,
                             const atomic_bool *cancel, struct err *e)
{
    struct qwen_vl_cache *cache = NULL;
    int32_t *pos = NULL;
    enum err_code rc;
    TRY_GOTO(check_prompt(m, prompt, taps, n_taps, e), done);
    if (prompt->n > QWEN_VL_CHUNK)
        TRY_GOTO(qwen_vl_cache_new(m, &cache, e), done);
    if (cache)
        TRY_GOTO(qwen_vl_cache_reserve(cache, prompt->n, e), done);
    pos = mem_try_array((size_t)prompt->n * QWEN_VL_AXES, sizeof *pos);
    if (!pos) {
        rc = err_set(e, ERR_NOMEM, "no memory for %lld prompt tokens", (long long)prompt->n);
        goto done;
    } else
        (void)qwen_vl_positions(prompt->image, prompt->n, pos);
    for (int64_t t = 0; t < prompt->n; t += QWEN_VL_CHUNK) {
        struct qwen_vl_chunk c = {
            .ids = prompt->ids + t,
            .axis = {pos + t, pos + prompt->n + t, pos + 2 * prompt->n + t},
            .first = t,
            .of = prompt->n,
            .n = prompt->n - t < QWEN_VL_CHUNK ? prompt->n - t : QWEN_VL_CHUNK,
            .cache = cache,
            .image = prompt->image,
            .taps = taps,
            .n_taps = n_taps,
            .tapped = out + t * (int64_t)n_taps * m->cfg.hidden,
        };
        TRY_GOTO(qwen_vl_chunk_run(m, &c, cancel, e), done);
    }
done:
    mem_free(pos);
    qwen_vl_cache_free(cache);
    return rc;
}

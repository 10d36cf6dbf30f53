#include "model/flux2/transformer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/blocks.h"

struct stream { /* one stream of a double block */
    struct nn_param *q, *k, *v, *norm_q, *norm_k, *out, *ff_in, *ff_out;
};

struct double_block {
    struct stream img, txt;
};

struct single_block {
    struct nn_param *q, *k, *v, *mlp, *norm_q, *norm_k, *out;
};

struct flux2_transformer {
    struct flux2_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct nn_param *x_embedder, *context_embedder, *time_1, *time_2;
    struct nn_param *mod_img, *mod_txt, *mod_single;
    struct nn_param *out_scale, *out_shift, *proj_out;
    struct double_block doubles[MODEL_MAX_BLOCKS];
    struct single_block singles[MODEL_MAX_BLOCKS];
};

/* ---- parameters ------------------------------------------------------------------------------------ */

static void declare_double(struct model_loader *l, const struct flux2_config *c,
                           struct double_block *b)
{
    int64_t d = c->dim, m = c->mlp_dim;
    b->img.q = model_matrix(l, "attn.to_q.weight", d, d);
    b->img.k = model_matrix(l, "attn.to_k.weight", d, d);
    b->img.v = model_matrix(l, "attn.to_v.weight", d, d);
    b->img.norm_q = model_vector(l, "attn.norm_q.weight", c->head_dim);
    b->img.norm_k = model_vector(l, "attn.norm_k.weight", c->head_dim);
    b->img.out = model_matrix(l, "attn.to_out.0.weight", d, d);
    b->img.ff_in = model_matrix(l, "ff.linear_in.weight", 2 * m, d);
    b->img.ff_out = model_matrix(l, "ff.linear_out.weight", d, m);
    b->txt.q = model_matrix(l, "attn.add_q_proj.weight", d, d);
    b->txt.k = model_matrix(l, "attn.add_k_proj.weight", d, d);
    b->txt.v = model_matrix(l, "attn.add_v_proj.weight", d, d);
    b->txt.norm_q = model_vector(l, "attn.norm_added_q.weight", c->head_dim);
    b->txt.norm_k = model_vector(l, "attn.norm_added_k.weight", c->head_dim);
    b->txt.out = model_matrix(l, "attn.to_add_out.weight", d, d);
    b->txt.ff_in = model_matrix(l, "ff_context.linear_in.weight", 2 * m, d);
    b->txt.ff_out = model_matrix(l, "ff_context.linear_out.weight", d, m);
}

static void declare_single(struct model_loader *l, const struct flux2_config *c,
                           struct single_block *b)
{
    int64_t d = c->dim, m = c->mlp_dim;
    b->q = model_matrix(l, "attn.to_q.weight", d, d);
    b->k = model_matrix(l, "attn.to_k.weight", d, d);
    b->v = model_matrix(l, "attn.to_v.weight", d, d);
    b->mlp = model_matrix(l, "proj_mlp.weight", 2 * m, d);
    b->norm_q = model_vector(l, "attn.norm_q.weight", c->head_dim);
    b->norm_k = model_vector(l, "attn.norm_k.weight", c->head_dim);
    b->out = model_matrix(l, "attn.to_out.weight", d, d + m);
}

static enum err_code declare(struct flux2_transformer *m, struct err *e)
{
    const struct flux2_config *c = &m->cfg;
    struct model_loader l = {.ps = m->params, .rc = ERR_OK, .e = e};
    int64_t d = c->dim;
    m->x_embedder = model_matrix(&l, "x_embedder.weight", d, c->in_channels);
    m->context_embedder = model_matrix(&l, "context_embedder.weight", d, c->joint_dim);
    model_loader_prefix(&l, "time_guidance_embed.timestep_embedder.");
    m->time_1 = model_matrix(&l, "linear_1.weight", d, c->time_channels);
    m->time_2 = model_matrix(&l, "linear_2.weight", d, d);
    model_loader_prefix(&l, "%s", "");
    m->mod_img = model_matrix(&l, "double_stream_modulation_img.linear.weight", 6 * d, d);
    m->mod_txt = model_matrix(&l, "double_stream_modulation_txt.linear.weight", 6 * d, d);
    m->mod_single = model_matrix(&l, "single_stream_modulation.linear.weight", 3 * d, d);
    m->out_scale = model_matrix(&l, "norm_out.scale.weight", d, d);
    m->out_shift = model_matrix(&l, "norm_out.shift.weight", d, d);
    m->proj_out = model_matrix(&l, "proj_out.weight", c->out_channels, d);
    for (int64_t i = 0; i < c->n_double; i++) {
        nn_params_set_group(m->params, (int)i + 1);
        model_loader_prefix(&l, "transformer_blocks.%d.", (int)i);
        declare_double(&l, c, &m->doubles[i]);
    }
    for (int64_t i = 0; i < c->n_single; i++) {
        nn_params_set_group(m->params, (int)(c->n_double + i) + 1);
        model_loader_prefix(&l, "single_transformer_blocks.%d.", (int)i);
        declare_single(&l, c, &m->singles[i]);
    }
    return l.rc;
}

enum err_code flux2_transformer_new(struct component *c, struct nn_device *d,
                                    enum nn_precision precision, const struct flux2_config *cfg,
                                    struct flux2_transformer **out, struct err *e)
{
    *out = NULL;
    struct flux2_transformer *m = mem_try_alloc(sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the transformer");
    m->cfg = *cfg;
    m->device = d;
    enum err_code rc = nn_params_new(c, d, precision, &m->params, e);
    if (rc == ERR_OK)
        rc = declare(m, e);
    if (rc != ERR_OK) {
        flux2_transformer_free(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void flux2_transformer_free(struct flux2_transformer *m)
{
    if (!m)
        return;
    nn_params_free(m->params);
    mem_free(m);
}

struct nn_params *flux2_transformer_params(struct flux2_transformer *m)
{
    return m->params;
}

const struct flux2_config *flux2_transformer_config(const struct flux2_transformer *m)
{
    return &m->cfg;
}

/* ---- graph ----------------------------------------------------------------------------------------- */

struct flux2_pass {
    struct flux2_transformer *m;
    struct nn_graph g;
    int64_t n_text, n_img;
    struct ggml_tensor *x, *text, *time, *cos, *sin, *out;
    float *cos_table, *sin_table;
};

struct modulation { /* each [1, dim] */
    struct ggml_tensor *shift, *scale, *gate;
};

/* Set k of n of a modulation's output [1, n * 3 * dim]. */
static struct modulation modulation_set(struct nn_graph *g, struct ggml_tensor *mod, int k, int n)
{
    return (struct modulation){
        .shift = nn_chunk(g, mod, 3 * k, 3 * n),
        .scale = nn_chunk(g, mod, 3 * k + 1, 3 * n),
        .gate = nn_chunk(g, mod, 3 * k + 2, 3 * n),
    };
}

struct qkv {
    struct ggml_tensor *q, *k, *v;
};

static struct ggml_tensor *by_heads(const struct flux2_pass *p, struct ggml_tensor *x)
{
    const struct flux2_config *c = &p->m->cfg;
    return ggml_reshape_3d(p->g.ctx, x, c->head_dim, c->heads, x->ne[1]);
}

static struct qkv project(struct flux2_pass *p, const struct nn_param *q, const struct nn_param *k,
                          const struct nn_param *v, const struct nn_param *norm_q,
                          const struct nn_param *norm_k, struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    float eps = (float)p->m->cfg.eps;
    return (struct qkv){
        .q = nn_rms_norm(g, by_heads(p, nn_linear(g, q, NULL, x)), norm_q, eps),
        .k = nn_rms_norm(g, by_heads(p, nn_linear(g, k, NULL, x)), norm_k, eps),
        .v = by_heads(p, nn_linear(g, v, NULL, x)),
    };
}

static struct ggml_tensor *attend(struct flux2_pass *p, struct qkv a)
{
    struct nn_graph *g = &p->g;
    struct ggml_tensor *q = nn_rope_apply(g, a.q, p->cos, p->sin, NN_ROPE_PAIRS);
    struct ggml_tensor *k = nn_rope_apply(g, a.k, p->cos, p->sin, NN_ROPE_PAIRS);
    return nn_attention(g, q, k, a.v, NULL, 1.0f / sqrtf((float)p->m->cfg.head_dim));
}

static struct ggml_tensor *rows(struct nn_graph *g, struct ggml_tensor *x, int64_t first, int64_t n)
{
    return ggml_view_2d(g->ctx, x, x->ne[0], n, x->nb[1], (size_t)first * x->nb[1]);
}

static struct ggml_tensor *modulated_norm(struct flux2_pass *p, struct ggml_tensor *x,
                                          struct modulation m)
{
    struct nn_graph *g = &p->g;
    return nn_modulate(g, nn_layer_norm(g, x, (float)p->m->cfg.eps), m.shift, m.scale);
}

static struct ggml_tensor *feed_forward(struct nn_graph *g, const struct stream *s,
                                        struct ggml_tensor *x)
{
    return nn_linear(g, s->ff_out, NULL, nn_swiglu(g, nn_linear(g, s->ff_in, NULL, x)));
}

static void double_block_forward(struct flux2_pass *p, int i, const struct modulation mi[2],
                                 const struct modulation mt[2], struct ggml_tensor **img,
                                 struct ggml_tensor **txt)
{
    struct nn_graph *g = &p->g;
    const struct double_block *b = &p->m->doubles[i];
    struct qkv qi = project(p, b->img.q, b->img.k, b->img.v, b->img.norm_q, b->img.norm_k,
                            modulated_norm(p, *img, mi[0]));
    struct qkv qt = project(p, b->txt.q, b->txt.k, b->txt.v, b->txt.norm_q, b->txt.norm_k,
                            modulated_norm(p, *txt, mt[0]));
    struct qkv joint = {
        .q = ggml_concat(g->ctx, qt.q, qi.q, 2),
        .k = ggml_concat(g->ctx, qt.k, qi.k, 2),
        .v = ggml_concat(g->ctx, qt.v, qi.v, 2),
    };
    struct ggml_tensor *a = attend(p, joint);
    struct ggml_tensor *ai = nn_linear(g, b->img.out, NULL, rows(g, a, p->n_text, p->n_img));
    struct ggml_tensor *at = nn_linear(g, b->txt.out, NULL, rows(g, a, 0, p->n_text));
    nn_mid(g, ai, "mid.transformer_blocks.%d.attn.0", i);
    nn_mid(g, at, "mid.transformer_blocks.%d.attn.1", i);

    *img = nn_gate_add(g, *img, mi[0].gate, ai);
    struct ggml_tensor *fi = feed_forward(g, &b->img, modulated_norm(p, *img, mi[1]));
    *img = nn_gate_add(g, *img, mi[1].gate, nn_mid(g, fi, "mid.transformer_blocks.%d.ff", i));
    *txt = nn_gate_add(g, *txt, mt[0].gate, at);
    struct ggml_tensor *ft = feed_forward(g, &b->txt, modulated_norm(p, *txt, mt[1]));
    *txt =
        nn_gate_add(g, *txt, mt[1].gate, nn_mid(g, ft, "mid.transformer_blocks.%d.ff_context", i));
    nn_mid(g, *txt, "mid.transformer_blocks.%d.0", i);
    nn_mid(g, *img, "mid.transformer_blocks.%d.1", i);
}

static struct ggml_tensor *single_block_forward(struct flux2_pass *p, int i, struct modulation m,
                                                struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct single_block *b = &p->m->singles[i];
    struct ggml_tensor *h = modulated_norm(p, x, m);
    struct ggml_tensor *a = attend(p, project(p, b->q, b->k, b->v, b->norm_q, b->norm_k, h));
    struct ggml_tensor *f = nn_swiglu(g, nn_linear(g, b->mlp, NULL, h));
    struct ggml_tensor *y = nn_linear(g, b->out, NULL, ggml_concat(g->ctx, a, f, 0));
    nn_mid(g, y, "mid.single_transformer_blocks.%d.attn", i);
    return nn_mid(g, nn_gate_add(g, x, m.gate, y), "mid.single_transformer_blocks.%d", i);
}

static struct ggml_tensor *time_embedding(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    nn_mid(g, p->time, "mid.time_guidance_embed.time_proj");
    struct ggml_tensor *h = nn_silu(g, nn_linear(g, p->m->time_1, NULL, p->time));
    return nn_mid(g, nn_linear(g, p->m->time_2, NULL, h), "mid.time_guidance_embed");
}

static void build(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    struct flux2_transformer *m = p->m;
    const struct flux2_config *c = &m->cfg;
    int64_t n = p->n_text + p->n_img;
    p->x = nn_input(g, c->in_channels, p->n_img, 1, 1);
    p->text = nn_input(g, c->joint_dim, p->n_text, 1, 1);
    p->time = nn_input(g, c->time_channels, 1, 1, 1);
    p->cos = nn_input(g, c->head_dim / 2, n, 1, 1);
    p->sin = nn_input(g, c->head_dim / 2, n, 1, 1);

    struct ggml_tensor *temb = time_embedding(p), *act = nn_silu(g, temb);
    struct ggml_tensor *mod_img = nn_linear(g, m->mod_img, NULL, act);
    struct ggml_tensor *mod_txt = nn_linear(g, m->mod_txt, NULL, act);
    struct ggml_tensor *mod_single = nn_linear(g, m->mod_single, NULL, act);
    nn_mid(g, mod_img, "mid.double_stream_modulation_img");
    nn_mid(g, mod_txt, "mid.double_stream_modulation_txt");
    nn_mid(g, mod_single, "mid.single_stream_modulation");
    struct modulation mi[2] = {modulation_set(g, mod_img, 0, 2), modulation_set(g, mod_img, 1, 2)};
    struct modulation mt[2] = {modulation_set(g, mod_txt, 0, 2), modulation_set(g, mod_txt, 1, 2)};
    struct modulation ms = modulation_set(g, mod_single, 0, 1);

    struct ggml_tensor *img = nn_mid(g, nn_linear(g, m->x_embedder, NULL, p->x), "mid.x_embedder");
    struct ggml_tensor *txt =
        nn_mid(g, nn_linear(g, m->context_embedder, NULL, p->text), "mid.context_embedder");
    for (int i = 0; i < (int)c->n_double; i++)
        double_block_forward(p, i, mi, mt, &img, &txt);
    struct ggml_tensor *x = ggml_concat(g->ctx, txt, img, 1);
    for (int i = 0; i < (int)c->n_single; i++)
        x = single_block_forward(p, i, ms, x);

    struct modulation mo = {.shift = nn_linear(g, m->out_shift, NULL, act),
                            .scale = nn_linear(g, m->out_scale, NULL, act)};
    x = modulated_norm(p, rows(g, x, p->n_text, p->n_img), mo);
    p->out = nn_linear(g, m->proj_out, NULL, nn_mid(g, x, "mid.norm_out"));
    nn_graph_output(g, p->out);
}

/* ---- rotary tables --------------------------------------------------------------------------------- */

/* One token: angles in float64, rounded once, as the reference's get_1d_rotary_pos_embed. */
static void rope_row(const struct flux2_config *c, const struct flux2_id *id, float *cos_out,
                     float *sin_out)
{
    int64_t at = 0;
    for (int a = 0; a < FLUX2_AXES; a++) {
        for (int64_t i = 0; i < c->axes_dims[a]; i += 2, at++) {
            double freq = 1.0 / pow(c->rope_theta, (double)i / (double)c->axes_dims[a]);
            double angle = (double)id->axis[a] * freq;
            cos_out[at] = (float)cos(angle);
            sin_out[at] = (float)sin(angle);
        }
    }
}

void flux2_rope_tables(const struct flux2_config *c, int64_t n_text, const struct flux2_id *img_ids,
                       int64_t n_img, float *cos_out, float *sin_out)
{
    int64_t half = c->head_dim / 2;
    for (int64_t i = 0; i < n_text; i++) {
        struct flux2_id id = {.axis = {0, 0, 0, (int32_t)i}};
        rope_row(c, &id, cos_out + i * half, sin_out + i * half);
    }
    for (int64_t i = 0; i < n_img; i++)
        rope_row(c, &img_ids[i], cos_out + (n_text + i) * half, sin_out + (n_text + i) * half);
}

/* ---- a pass ---------------------------------------------------------------------------------------- */

static size_t node_estimate(const struct flux2_config *c)
{
    return 256 + 200 * (size_t)c->n_double + 100 * (size_t)c->n_single;
}

enum err_code flux2_pass_new(struct flux2_transformer *m, int64_t n_text,
                             const struct flux2_id *img_ids, int64_t n_img, bool trace,
                             struct flux2_pass **out, struct err *e)
{
    *out = NULL;
    struct flux2_pass *p = mem_try_alloc(sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for a transformer pass");
    size_t table = (size_t)(n_text + n_img) * (size_t)m->cfg.head_dim / 2;
    p->m = m;
    p->n_text = n_text;
    p->n_img = n_img;
    p->cos_table = mem_try_array(table, sizeof(float));
    p->sin_table = mem_try_array(table, sizeof(float));
    enum err_code rc = ERR_OK;
    if (!p->cos_table || !p->sin_table)
        rc = err_set(e, ERR_NOMEM, "no memory for rotary tables");
    if (rc == ERR_OK)
        rc = nn_graph_init(&p->g, m->device, node_estimate(&m->cfg), trace, e);
    if (rc == ERR_OK) {
        p->g.exact = nn_params_precision(m->params) == NN_PRECISION_F32;
        flux2_rope_tables(&m->cfg, n_text, img_ids, n_img, p->cos_table, p->sin_table);
        build(p);
        rc = nn_graph_prepare(&p->g, e);
    }
    if (rc != ERR_OK) {
        flux2_pass_free(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void flux2_pass_free(struct flux2_pass *p)
{
    if (!p)
        return;
    nn_graph_deinit(&p->g);
    mem_free(p->cos_table);
    mem_free(p->sin_table);
    mem_free(p);
}

size_t flux2_pass_compute_bytes(const struct flux2_pass *p)
{
    return nn_graph_compute_bytes(&p->g);
}

enum err_code flux2_pass_run(struct flux2_pass *p, const float *x, const float *text, float time,
                             float *out, const atomic_bool *cancel, struct err *e)
{
    int64_t n = p->m->cfg.time_channels;
    float *t = mem_try_array((size_t)n, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for a time embedding");
    model_timestep_embedding(time * 1000.0f, n, t);
    nn_graph_set(&p->g, p->x, x);
    nn_graph_set(&p->g, p->text, text);
    nn_graph_set(&p->g, p->time, t);
    nn_graph_set(&p->g, p->cos, p->cos_table);
    nn_graph_set(&p->g, p->sin, p->sin_table);
    mem_free(t);
    enum err_code rc = nn_graph_run(&p->g, cancel, e);
    if (rc == ERR_OK)
        nn_graph_get(&p->g, p->out, out);
    return rc;
}

const struct nn_graph *flux2_pass_graph(const struct flux2_pass *p)
{
    return &p->g;
}

/* transformer.c - the FLUX.2 transformer: its parameters, and the graph of one step.
 *
 * A flux2_transformer declares parameters and outlives its passes; a flux2_pass is one graph for one number of
 * tokens and is run once a step with a new time. Three modes: plain; KV_EXTRACT, in which references attend only
 * to each other, at time 0, and each block's keys and values of them are kept in a flux2_kv; KV_CACHED, which
 * reads them instead of computing the reference tokens again in every step. The flux2_kv belongs to the caller and
 * outlives both passes.
 *
 * Easy to get wrong: tokens are joined as [text, image, references], for attention and for the rotary tables;
 * modulation comes as shift, scale, gate, twice for double blocks and once for single blocks; norm_out has scale
 * and shift as two matrices. Rotary angles are computed in double and rounded once, as in the reference.
 *
 * Text and rotary tables are set once where the device keeps inputs (p->keeps), and before each run elsewhere.
 */
#include "model/flux2/transformer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/blocks.h"
#include "model/rotary.h"
#include "nn/buffer.h"
#include "nn/project.h"

struct projections {
    struct nn_param *q, *k, *v, *norm_q, *norm_k;
};

struct stream { /* one stream of a double block */
    struct projections project;
    struct nn_param *out, *ff_in, *ff_out;
};

struct double_block {
    struct stream img, txt;
};

struct single_block {
    struct projections project;
    struct nn_param *mlp, *out;
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
    b->img.project.q = model_matrix(l, "attn.to_q.weight", d, d);
    b->img.project.k = model_matrix(l, "attn.to_k.weight", d, d);
    b->img.project.v = model_matrix(l, "attn.to_v.weight", d, d);
    b->img.project.norm_q = model_vector(l, "attn.norm_q.weight", c->head_dim);
    b->img.project.norm_k = model_vector(l, "attn.norm_k.weight", c->head_dim);
    b->img.out = model_matrix(l, "attn.to_out.0.weight", d, d);
    b->img.ff_in = model_matrix(l, "ff.linear_in.weight", 2 * m, d);
    b->img.ff_out = model_matrix(l, "ff.linear_out.weight", d, m);
    b->txt.project.q = model_matrix(l, "attn.add_q_proj.weight", d, d);
    b->txt.project.k = model_matrix(l, "attn.add_k_proj.weight", d, d);
    b->txt.project.v = model_matrix(l, "attn.add_v_proj.weight", d, d);
    b->txt.project.norm_q = model_vector(l, "attn.norm_added_q.weight", c->head_dim);
    b->txt.project.norm_k = model_vector(l, "attn.norm_added_k.weight", c->head_dim);
    b->txt.out = model_matrix(l, "attn.to_add_out.weight", d, d);
    b->txt.ff_in = model_matrix(l, "ff_context.linear_in.weight", 2 * m, d);
    b->txt.ff_out = model_matrix(l, "ff_context.linear_out.weight", d, m);
}

static void declare_single(struct model_loader *l, const struct flux2_config *c,
                           struct single_block *b)
{
    int64_t d = c->dim, m = c->mlp_dim;
    b->project.q = model_matrix(l, "attn.to_q.weight", d, d);
    b->project.k = model_matrix(l, "attn.to_k.weight", d, d);
    b->project.v = model_matrix(l, "attn.to_v.weight", d, d);
    b->mlp = model_matrix(l, "proj_mlp.weight", 2 * m, d);
    b->project.norm_q = model_vector(l, "attn.norm_q.weight", c->head_dim);
    b->project.norm_k = model_vector(l, "attn.norm_k.weight", c->head_dim);
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
    nn_params_allow_eight(m->params, true);
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
    enum err_code rc;
    TRY_GOTO(nn_params_new(c, d, precision, &m->params, e), done);
    rc = declare(m, e);
done:
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

/* ---- keys and values of references ------------------------------------------------------------------ */

struct flux2_kv {
    struct ggml_context *ctx;
    struct nn_buffer *buffer;
    struct ggml_tensor *k[2 * MODEL_MAX_BLOCKS],
        *v[2 * MODEL_MAX_BLOCKS]; /* [n_ref, heads, head_dim] */
};

/* As attention reads them: on a card, where they are joined to the others in every step, in bf16. */
static enum ggml_type kv_type(const struct flux2_transformer *m)
{
    bool full = nn_params_precision(m->params) == NN_PRECISION_F32 || !nn_device_card(m->device);
    return full ? GGML_TYPE_F32 : GGML_TYPE_BF16;
}

static enum err_code kv_place(struct flux2_kv *kv, struct nn_device *d, int64_t blocks,
                              struct err *e)
{
    size_t one = nn_tensor_room(d, kv->k[0]);
    TRY(nn_buffer_new(d, NN_MEMORY_COMPUTE, 2 * (size_t)blocks * one, "the reference cache",
                      &kv->buffer, e));
    for (int64_t i = 0; i < blocks; i++) {
        TRY(nn_buffer_place(kv->buffer, kv->k[i], 2 * (size_t)i * one, e));
        TRY(nn_buffer_place(kv->buffer, kv->v[i], (2 * (size_t)i + 1) * one, e));
    }
    return ERR_OK;
}

enum err_code flux2_kv_new(const struct flux2_transformer *m, int64_t n_ref, struct flux2_kv **out,
                           struct err *e)
{
    const struct flux2_config *c = &m->cfg;
    int64_t blocks = c->n_double + c->n_single;
    *out = NULL;
    struct flux2_kv *kv = mem_try_alloc(sizeof *kv);
    if (!kv)
        return err_set(e, ERR_NOMEM, "no memory for the reference cache");
    struct ggml_init_params init = {.mem_size = (size_t)(2 * blocks + 1) * ggml_tensor_overhead(),
                                    .no_alloc = true};
    kv->ctx = ggml_init(init);
    if (!kv->ctx) {
        flux2_kv_free(kv);
        return err_set(e, ERR_NOMEM, "no memory for the reference cache");
    }
    for (int64_t i = 0; i < blocks; i++) {
        kv->k[i] = ggml_new_tensor_3d(kv->ctx, kv_type(m), c->head_dim, c->heads, n_ref);
        kv->v[i] = ggml_new_tensor_3d(kv->ctx, kv_type(m), c->head_dim, c->heads, n_ref);
    }
    enum err_code rc = kv_place(kv, m->device, blocks, e);
    if (rc != ERR_OK) {
        flux2_kv_free(kv);
        return rc;
    }
    *out = kv;
    return ERR_OK;
}

void flux2_kv_free(struct flux2_kv *kv)
{
    if (!kv)
        return;
    nn_buffer_free(kv->buffer);
    ggml_free(kv->ctx);
    mem_free(kv);
}

/* ---- graph ----------------------------------------------------------------------------------------- */

struct flux2_pass {
    struct flux2_transformer *m;
    struct nn_graph g;
    enum flux2_mode mode;
    struct flux2_kv *kv;
    int64_t n_text, n_img;
    int64_t n_ref; /* last tokens that have a modulation of their own and see each other alone */
    struct ggml_tensor *x, *text, *time, *ref_time, *cos, *sin, *out;
    float *cos_table, *sin_table;
    bool keeps;            /* text and tables stay where they were set */
    const float *text_set; /* what text was set to last */
};

struct modulation { /* each [1, dim] */
    struct ggml_tensor *shift, *scale, *gate;
    const struct modulation *ref; /* of the last n_ref tokens; NULL: the same for all */
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

/* Tokens first .. first + n - 1 of [tokens, heads, head_dim]. */
static struct ggml_tensor *tokens(struct nn_graph *g, struct ggml_tensor *x, int64_t first,
                                  int64_t n)
{
    return ggml_view_3d(nn_ctx(g), x, x->ne[0], x->ne[1], n, x->nb[1], x->nb[2],
                        (size_t)first * x->nb[2]);
}

static struct ggml_tensor *rows(struct nn_graph *g, struct ggml_tensor *x, int64_t first, int64_t n)
{
    return ggml_view_2d(nn_ctx(g), x, x->ne[0], n, x->nb[1], (size_t)first * x->nb[1]);
}

/* Of tokens that begin at `first` of the whole sequence. */
static struct nn_qkv project(struct flux2_pass *p, const struct projections *w, int64_t first,
                             struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct flux2_config *c = &p->m->cfg;
    return nn_project(g, x,
                      &(struct nn_projections){.q = {.w = w->q, .norm = w->norm_q},
                                               .k = {.w = w->k, .norm = w->norm_k},
                                               .v = {.w = w->v},
                                               .head_dim = c->head_dim,
                                               .eps = (float)c->eps,
                                               .cos = rows(g, p->cos, first, x->ne[1]),
                                               .sin = rows(g, p->sin, first, x->ne[1]),
                                               .mode = NN_ROPE_PAIRS});
}

/* Other tokens attend to all tokens, references only to each other; the keys and values of references are kept. */
static struct ggml_tensor *attend_and_keep(struct flux2_pass *p, int block, struct ggml_tensor *q,
                                           struct ggml_tensor *k, struct ggml_tensor *v,
                                           float scale)
{
    struct nn_graph *g = &p->g;
    int64_t n = q->ne[2] - p->n_ref;
    struct ggml_tensor *rk = tokens(g, k, n, p->n_ref), *rv = tokens(g, v, n, p->n_ref);
    nn_graph_add(g, ggml_cpy(nn_ctx(g), rk, p->kv->k[block]));
    nn_graph_add(g, ggml_cpy(nn_ctx(g), rv, p->kv->v[block]));
    struct ggml_tensor *own = nn_attention(g, tokens(g, q, 0, n), k, v, NULL, scale);
    struct ggml_tensor *ref = nn_attention(g, tokens(g, q, n, p->n_ref), rk, rv, NULL, scale);
    return nn_join(g, own, ref, 1);
}

/* block counts double blocks first, then single blocks. */
static struct ggml_tensor *attend(struct flux2_pass *p, int block, struct nn_qkv a)
{
    struct nn_graph *g = &p->g;
    float scale = 1.0f / sqrtf((float)p->m->cfg.head_dim);
    if (p->mode == FLUX2_KV_EXTRACT)
        return attend_and_keep(p, block, a.q, a.k, a.v, scale);
    if (p->mode == FLUX2_KV_CACHED) {
        a.k = nn_join(g, a.k, p->kv->k[block], 2);
        a.v = nn_join(g, a.v, p->kv->v[block], 2);
    }
    return nn_attention(g, a.q, a.k, a.v, NULL, scale);
}

static struct ggml_tensor *modulated_norm(struct flux2_pass *p, struct ggml_tensor *x,
                                          struct modulation m)
{
    struct nn_graph *g = &p->g;
    float eps = (float)p->m->cfg.eps;
    if (!m.ref)
        return nn_norm_modulate_in(g, x, m.shift, m.scale, eps);
    int64_t n = x->ne[1] - p->n_ref;
    return nn_join(g, nn_norm_modulate_in(g, rows(g, x, 0, n), m.shift, m.scale, eps),
                   nn_norm_modulate_in(g, rows(g, x, n, p->n_ref), m.ref->shift, m.ref->scale, eps),
                   1);
}

/* x + gate * y. */
static struct ggml_tensor *gated(struct flux2_pass *p, struct ggml_tensor *x, struct modulation m,
                                 struct ggml_tensor *y)
{
    struct nn_graph *g = &p->g;
    if (!m.ref)
        return nn_gate_add(g, x, m.gate, y);
    int64_t n = x->ne[1] - p->n_ref;
    return ggml_concat(
        nn_ctx(g), nn_gate_add(g, rows(g, x, 0, n), m.gate, rows(g, y, 0, n)),
        nn_gate_add(g, rows(g, x, n, p->n_ref), m.ref->gate, rows(g, y, n, p->n_ref)), 1);
}

/* x + gate * (y W^T). *product: the product alone, where tracing asks for it; it is not made otherwise. */
static struct ggml_tensor *gated_linear(struct flux2_pass *p, struct ggml_tensor *x,
                                        struct modulation m, const struct nn_param *w,
                                        struct ggml_tensor *y, struct ggml_tensor **product)
{
    struct nn_graph *g = &p->g;
    *product = NULL;
    if (!m.ref && !g->trace)
        return nn_linear_gate_add(g, w, NULL, y, m.gate, x);
    *product = nn_linear(g, w, NULL, y);
    return gated(p, x, m, *product);
}

static void double_block_forward(struct flux2_pass *p, int i, const struct modulation mi[2],
                                 const struct modulation mt[2], struct ggml_tensor **img,
                                 struct ggml_tensor **txt)
{
    struct nn_graph *g = &p->g;
    const struct double_block *b = &p->m->doubles[i];
    struct nn_qkv qi = project(p, &b->img.project, p->n_text, modulated_norm(p, *img, mi[0]));
    struct nn_qkv qt = project(p, &b->txt.project, 0, modulated_norm(p, *txt, mt[0]));
    struct ggml_tensor *a = attend(p, i, nn_qkv_join(g, qt, qi)), *product;
    *img = gated_linear(p, *img, mi[0], b->img.out, rows(g, a, p->n_text, p->n_img), &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.attn.0", i);
    *txt = gated_linear(p, *txt, mt[0], b->txt.out, rows(g, a, 0, p->n_text), &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.attn.1", i);
    struct ggml_tensor *h = nn_linear_swiglu_in(g, b->img.ff_in, modulated_norm(p, *img, mi[1]));
    *img = gated_linear(p, *img, mi[1], b->img.ff_out, h, &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.ff", i);
    h = nn_linear_swiglu_in(g, b->txt.ff_in, modulated_norm(p, *txt, mt[1]));
    *txt = gated_linear(p, *txt, mt[1], b->txt.ff_out, h, &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.ff_context", i);
    nn_mid(g, *txt, "mid.transformer_blocks.%d.0", i);
    nn_mid(g, *img, "mid.transformer_blocks.%d.1", i);
    nn_graph_block_end(g, *txt);
    nn_graph_block_end(g, *img);
}

static struct ggml_tensor *single_block_forward(struct flux2_pass *p, int i, struct modulation m,
                                                struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct single_block *b = &p->m->singles[i];
    struct ggml_tensor *h = modulated_norm(p, x, m), *product;
    struct ggml_tensor *a = attend(p, (int)p->m->cfg.n_double + i, project(p, &b->project, 0, h));
    struct ggml_tensor *f = nn_linear_swiglu_in(g, b->mlp, h);
    x = gated_linear(p, x, m, b->out, nn_join(g, a, f, 0), &product);
    nn_mid(g, product, "mid.single_transformer_blocks.%d.attn", i);
    nn_mid(g, x, "mid.single_transformer_blocks.%d", i);
    nn_graph_block_end(g, x);
    return x;
}

static struct ggml_tensor *time_embedding(struct flux2_pass *p, struct ggml_tensor *time)
{
    struct nn_graph *g = &p->g;
    struct ggml_tensor *h = nn_silu(g, nn_linear(g, p->m->time_1, NULL, time));
    return nn_linear(g, p->m->time_2, NULL, h);
}

/* What is computed from the time alone. */
struct times {
    struct ggml_tensor *act; /* silu of the time embedding */
    struct modulation img[2], txt[2], single;
};

static struct times time_modulation(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    struct flux2_transformer *m = p->m;
    nn_mid(g, p->time, "mid.time_guidance_embed.time_proj");
    struct ggml_tensor *temb = nn_mid(g, time_embedding(p, p->time), "mid.time_guidance_embed");
    struct times t = {.act = nn_silu(g, temb)};
    struct ggml_tensor *img = nn_linear(g, m->mod_img, NULL, t.act);
    struct ggml_tensor *txt = nn_linear(g, m->mod_txt, NULL, t.act);
    struct ggml_tensor *single = nn_linear(g, m->mod_single, NULL, t.act);
    nn_mid(g, img, "mid.double_stream_modulation_img");
    nn_mid(g, txt, "mid.double_stream_modulation_txt");
    nn_mid(g, single, "mid.single_stream_modulation");
    for (int i = 0; i < 2; i++) {
        t.img[i] = modulation_set(g, img, i, 2);
        t.txt[i] = modulation_set(g, txt, i, 2);
    }
    t.single = modulation_set(g, single, 0, 1);
    return t;
}

/* The modulations of reference tokens, at their own fixed time. */
static struct times reference_modulation(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    struct times t = {.act = nn_silu(g, time_embedding(p, p->ref_time))};
    struct ggml_tensor *img = nn_linear(g, p->m->mod_img, NULL, t.act);
    for (int i = 0; i < 2; i++)
        t.img[i] = modulation_set(g, img, i, 2);
    t.single = modulation_set(g, nn_linear(g, p->m->mod_single, NULL, t.act), 0, 1);
    return t;
}

static void make_inputs(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    const struct flux2_config *c = &p->m->cfg;
    int64_t n = p->n_text + p->n_img;
    p->x = nn_input(g, c->in_channels, p->n_img, 1, 1);
    p->text = nn_input(g, c->joint_dim, p->n_text, 1, 1);
    p->time = nn_input(g, c->time_channels, 1, 1, 1);
    p->cos = nn_input(g, c->head_dim / 2, n, 1, 1);
    p->sin = nn_input(g, c->head_dim / 2, n, 1, 1);
    if (p->n_ref)
        p->ref_time = nn_input(g, c->time_channels, 1, 1, 1);
    p->keeps = nn_graph_keep(g, p->text) && nn_graph_keep(g, p->cos) && nn_graph_keep(g, p->sin);
}

static void build(struct flux2_pass *p)
{
    struct nn_graph *g = &p->g;
    struct flux2_transformer *m = p->m;
    const struct flux2_config *c = &m->cfg;
    make_inputs(p);
    struct times t = time_modulation(p), ref = p->n_ref ? reference_modulation(p) : t;
    if (p->n_ref) {
        t.img[0].ref = &ref.img[0];
        t.img[1].ref = &ref.img[1];
        t.single.ref = &ref.single;
    }
    struct ggml_tensor *img = nn_mid(g, nn_linear(g, m->x_embedder, NULL, p->x), "mid.x_embedder");
    struct ggml_tensor *txt =
        nn_mid(g, nn_linear(g, m->context_embedder, NULL, p->text), "mid.context_embedder");
    nn_graph_allow_int8(g, true);
    for (int i = 0; i < (int)c->n_double; i++)
        double_block_forward(p, i, t.img, t.txt, &img, &txt);
    struct ggml_tensor *x = nn_join(g, txt, img, 1);
    for (int i = 0; i < (int)c->n_single; i++)
        x = single_block_forward(p, i, t.single, x);
    nn_graph_allow_int8(g, false);

    struct modulation last = {.shift = nn_linear(g, m->out_shift, NULL, t.act),
                              .scale = nn_linear(g, m->out_scale, NULL, t.act)};
    x = modulated_norm(p, rows(g, x, p->n_text, p->n_img - p->n_ref), last);
    p->out = nn_linear(g, m->proj_out, NULL, nn_mid(g, x, "mid.norm_out"));
    nn_graph_output(g, p->out);
}

/* ---- rotary tables --------------------------------------------------------------------------------- */

/* Angles in float64, rounded once, as the reference's get_1d_rotary_pos_embed. */
static void turn(const void *user, int axis, int64_t i, int64_t position, float *c, float *s)
{
    const struct flux2_config *cfg = user;
    double freq = 1.0 / pow(cfg->rope_theta, (double)i / (double)cfg->axes_dims[axis]);
    double angle = (double)position * freq;
    *c = (float)cos(angle);
    *s = (float)sin(angle);
}

void flux2_rope_tables(const struct flux2_config *c, int64_t n_text, const struct flux2_id *img_ids,
                       int64_t n_img, float *cos_out, float *sin_out)
{
    struct model_rotary r = {.dims = c->axes_dims,
                             .axes = FLUX2_AXES,
                             .cos = cos_out,
                             .sin = sin_out,
                             .turn = turn,
                             .user = c};
    for (int64_t i = 0; i < n_text; i++)
        model_rotary_append(&r, (int64_t[FLUX2_AXES]){0, 0, 0, i});
    for (int64_t i = 0; i < n_img; i++) {
        const int32_t *at = img_ids[i].axis;
        model_rotary_append(&r, (int64_t[FLUX2_AXES]){at[0], at[1], at[2], at[3]});
    }
}

/* ---- a pass ---------------------------------------------------------------------------------------- */

enum err_code flux2_pass_new(struct flux2_transformer *m, const struct flux2_pass_spec *spec,
                             struct flux2_pass **out, struct err *e)
{
    *out = NULL;
    struct flux2_pass *p = mem_try_alloc(sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for a transformer pass");
    size_t table = (size_t)(spec->n_text + spec->n_img) * (size_t)m->cfg.head_dim / 2;
    p->m = m;
    p->mode = spec->mode;
    p->kv = spec->kv;
    p->n_text = spec->n_text;
    p->n_img = spec->n_img;
    p->n_ref = spec->mode == FLUX2_KV_EXTRACT ? spec->n_ref : 0;
    p->cos_table = mem_try_array(table, sizeof(float));
    p->sin_table = mem_try_array(table, sizeof(float));
    enum err_code rc = ERR_OK;
    if (!p->cos_table || !p->sin_table)
        rc = err_set(e, ERR_NOMEM, "no memory for rotary tables");
    nn_graph_init(&p->g, m->device, spec->trace);
    if (rc == ERR_OK) {
        p->g.exact = nn_params_precision(m->params) == NN_PRECISION_F32;
        flux2_rope_tables(&m->cfg, spec->n_text, spec->img_ids, spec->n_img, p->cos_table,
                          p->sin_table);
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
    if (!p->keeps || p->text_set != text)
        nn_graph_set(&p->g, p->text, text);
    nn_graph_set(&p->g, p->time, t);
    if (p->ref_time) {
        model_timestep_embedding(0.0f, n, t); /* references are at the fixed time 0 */
        nn_graph_set(&p->g, p->ref_time, t);
    }
    if (!p->keeps || !p->text_set) {
        nn_graph_set(&p->g, p->cos, p->cos_table);
        nn_graph_set(&p->g, p->sin, p->sin_table);
    }
    p->text_set = text;
    mem_free(t);
    TRY(nn_graph_run(&p->g, cancel, e));
    nn_graph_get(&p->g, p->out, out);
    return ERR_OK;
}

const struct nn_graph *flux2_pass_graph(const struct flux2_pass *p)
{
    return &p->g;
}

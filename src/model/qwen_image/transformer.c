/* transformer.c - the Qwen-Image transformer: its parameters, and the graph of one step.
 *
 * Parameters come in three sets: the blocks and ends (m->params), the time embedding once more for building tables
 * (m->time_params), and each block's modulation (m->modulation). A pass either reads modulation from tables, made
 * before by modulation.c, or computes it in place; both have the same kernels and shapes, so the same bits.
 *
 * Easy to get wrong: tokens are joined as [text, image]; each modulation is shift, scale, gate for attention and
 * the same for the MLP; text positions start behind the largest position of the image; in the last block the text
 * stream gives keys and values only, as nobody reads its result. Values outside the range of half floats are
 * scaled down and back where a device might hold halves (headroom).
 */
#include "model/qwen_image/transformer.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/qwen_image/transformer_impl.h"
#include "model/rotary.h"
#include "nn/project.h"

/* ---- parameters ------------------------------------------------------------------------------------ */

struct linear qwen_image_declare_linear(struct model_loader *l, const char *name, int64_t out,
                                        int64_t in)
{
    char s[80];
    struct linear r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_matrix(l, s, out, in);
    (void)snprintf(s, sizeof s, "%s.bias", name);
    r.b = model_vector(l, s, out);
    return r;
}

static void declare_image_stream(struct model_loader *l, const struct qwen_image_config *c,
                                 struct qwen_image_stream *s)
{
    int64_t d = c->dim;
    s->q = qwen_image_declare_linear(l, "attn.to_q", d, d);
    s->k = qwen_image_declare_linear(l, "attn.to_k", d, d);
    s->v = qwen_image_declare_linear(l, "attn.to_v", d, d);
    s->norm_q = model_vector(l, "attn.norm_q.weight", c->head_dim);
    s->norm_k = model_vector(l, "attn.norm_k.weight", c->head_dim);
    s->out = qwen_image_declare_linear(l, "attn.to_out.0", d, d);
    s->ff_in = qwen_image_declare_linear(l, "img_mlp.net.0.proj", c->mlp_dim, d);
    s->ff_out = qwen_image_declare_linear(l, "img_mlp.net.2", d, c->mlp_dim);
}

static void declare_text_stream(struct model_loader *l, const struct qwen_image_config *c,
                                bool last, struct qwen_image_stream *s)
{
    int64_t d = c->dim;
    s->k = qwen_image_declare_linear(l, "attn.add_k_proj", d, d);
    s->v = qwen_image_declare_linear(l, "attn.add_v_proj", d, d);
    s->norm_k = model_vector(l, "attn.norm_added_k.weight", c->head_dim);
    if (last)
        return;
    s->q = qwen_image_declare_linear(l, "attn.add_q_proj", d, d);
    s->norm_q = model_vector(l, "attn.norm_added_q.weight", c->head_dim);
    s->out = qwen_image_declare_linear(l, "attn.to_add_out", d, d);
    s->ff_in = qwen_image_declare_linear(l, "txt_mlp.net.0.proj", c->mlp_dim, d);
    s->ff_out = qwen_image_declare_linear(l, "txt_mlp.net.2", d, c->mlp_dim);
}

static void declare_time(struct model_loader *l, const struct qwen_image_config *c,
                         struct qwen_image_time_embedder *t)
{
    model_loader_prefix(l, "time_text_embed.");
    t->first = qwen_image_declare_linear(l, "timestep_embedder.linear_1", c->dim, c->time_channels);
    t->second = qwen_image_declare_linear(l, "timestep_embedder.linear_2", c->dim, c->dim);
    if (l->rc == ERR_OK)
        l->rc = nn_params_add(l->ps, NN_HOST, "time_text_embed.addition_t_embedding.weight", 2,
                              (int64_t[]){2, c->dim}, &t->addition, l->e);
}

static enum err_code declare_rest(struct qwen_image_transformer *m, struct err *e)
{
    const struct qwen_image_config *c = &m->cfg;
    struct model_loader l = {.ps = m->params, .rc = ERR_OK, .e = e};
    int64_t d = c->dim;
    m->img_in = qwen_image_declare_linear(&l, "img_in", d, c->in_channels);
    m->txt_norm = model_vector(&l, "txt_norm.weight", c->joint_dim);
    m->txt_in = qwen_image_declare_linear(&l, "txt_in", d, c->joint_dim);
    m->out_scale = qwen_image_declare_linear(&l, "norm_out.scale", d, d);
    m->out_shift = qwen_image_declare_linear(&l, "norm_out.shift", d, d);
    m->proj_out = qwen_image_declare_linear(&l, "proj_out", c->out_channels, d);
    declare_time(&l, c, &m->time);
    nn_params_allow_eight(m->params, true);
    for (int64_t i = 0; i < c->n_blocks; i++) {
        nn_params_set_group(m->params, (int)i + 1);
        model_loader_prefix(&l, "transformer_blocks.%d.", (int)i);
        declare_image_stream(&l, c, &m->blocks[i].img);
        declare_text_stream(&l, c, i + 1 == c->n_blocks, &m->blocks[i].txt);
    }
    return l.rc;
}

/* What declare_text_stream leaves out of the last block. */
static void name_unread(struct qwen_image_transformer *m)
{
    static const char *const names[QWEN_IMAGE_UNREAD] = {"attn.add_q_proj", "attn.to_add_out",
                                                         "txt_mlp.net.0.proj", "txt_mlp.net.2"};
    for (int i = 0; i < QWEN_IMAGE_UNREAD; i++) {
        (void)snprintf(m->unread_names[i], sizeof m->unread_names[i],
                       "transformer_blocks.%d.%s.weight", (int)m->cfg.n_blocks - 1, names[i]);
        m->unread[i] = m->unread_names[i];
    }
}

static enum err_code declare_modulation(struct qwen_image_transformer *m, struct err *e)
{
    const struct qwen_image_config *c = &m->cfg;
    struct model_loader l = {.ps = m->time_params, .rc = ERR_OK, .e = e};
    declare_time(&l, c, &m->time_alone);
    for (int64_t i = 0; i < c->n_blocks && l.rc == ERR_OK; i++) {
        struct qwen_image_modulation *mod = &m->modulation[i];
        l.rc = nn_params_new(nn_params_component(m->params), m->device,
                             nn_params_precision(m->params), &mod->params, e);
        l.ps = mod->params;
        model_loader_prefix(&l, "transformer_blocks.%d.", (int)i);
        mod->img = qwen_image_declare_linear(&l, "img_mod.1", 6 * c->dim, c->dim);
        mod->txt = qwen_image_declare_linear(&l, "txt_mod.1", 6 * c->dim, c->dim);
    }
    return l.rc;
}

enum err_code qwen_image_transformer_new(struct component *c, struct nn_device *d,
                                         enum nn_precision precision,
                                         const struct qwen_image_config *cfg,
                                         struct qwen_image_transformer **out, struct err *e)
{
    *out = NULL;
    struct qwen_image_transformer *m = mem_try_alloc(sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the transformer");
    m->cfg = *cfg;
    m->device = d;
    name_unread(m);
    enum err_code rc;
    TRY_GOTO(nn_params_new(c, d, precision, &m->params, e), done);
    TRY_GOTO(nn_params_new(c, d, precision, &m->time_params, e), done);
    TRY_GOTO(declare_rest(m, e), done);
    rc = declare_modulation(m, e);
done:
    if (rc != ERR_OK) {
        qwen_image_transformer_free(m);
        return rc;
    }
    *out = m;
    return ERR_OK;
}

void qwen_image_transformer_free(struct qwen_image_transformer *m)
{
    if (!m)
        return;
    for (int64_t i = 0; i < m->cfg.n_blocks; i++)
        nn_params_free(m->modulation[i].params);
    nn_params_free(m->time_params);
    nn_params_free(m->params);
    mem_free(m);
}

struct nn_params *qwen_image_transformer_params(struct qwen_image_transformer *m)
{
    return m->params;
}

const char *const *qwen_image_unread(const struct qwen_image_transformer *m, size_t *n)
{
    *n = QWEN_IMAGE_UNREAD;
    return m->unread;
}

size_t qwen_image_transformer_sets(struct qwen_image_transformer *m, struct nn_params **out)
{
    size_t n = 0;
    out[n++] = m->params;
    out[n++] = m->time_params;
    for (int64_t i = 0; i < m->cfg.n_blocks; i++)
        out[n++] = m->modulation[i].params;
    return n;
}

struct nn_params *qwen_image_modulation_params(struct qwen_image_transformer *m, int64_t block)
{
    return m->modulation[block].params;
}

const struct qwen_image_config *
qwen_image_transformer_config(const struct qwen_image_transformer *m)
{
    return &m->cfg;
}

/* ---- graph ----------------------------------------------------------------------------------------- */

struct qwen_image_pass {
    struct qwen_image_transformer *m;
    const struct qwen_image_tables *tables;
    struct qwen_image_layout layout;
    int64_t condition, n_img;
    struct nn_graph g;
    struct qwen_image_time_input time;
    struct ggml_tensor *x, *text, *cos, *sin, *out;
    struct ggml_tensor *act;  /* silu(temb) */
    struct ggml_tensor *rows; /* the tables' rows [2 * n_blocks, 6 * dim]; NULL in place */
    float *cos_table, *sin_table;
};

struct modulation { /* each [1, dim] */
    struct ggml_tensor *shift, *scale, *gate;
};

static struct ggml_tensor *linear(struct nn_graph *g, const struct linear *l, struct ggml_tensor *x)
{
    return nn_linear(g, l->w, l->b, x);
}

static struct ggml_tensor *rows(struct nn_graph *g, struct ggml_tensor *x, int64_t first, int64_t n)
{
    return ggml_view_2d(nn_ctx(g), x, x->ne[0], n, x->nb[1], (size_t)first * x->nb[1]);
}

/* Both sets of a block's modulation, of the image stream (0) or the text stream (1). */
static void block_modulation(struct qwen_image_pass *p, int block, int stream,
                             struct modulation out[2])
{
    struct nn_graph *g = &p->g;
    const struct qwen_image_modulation *mod = &p->m->modulation[block];
    struct ggml_tensor *all = p->rows ? rows(g, p->rows, 2 * block + stream, 1)
                                      : linear(g, stream ? &mod->txt : &mod->img, p->act);
    for (int k = 0; k < 2; k++)
        out[k] = (struct modulation){
            .shift = nn_chunk(g, all, 3 * k, 6),
            .scale = nn_chunk(g, all, 3 * k + 1, 6),
            .gate = nn_chunk(g, all, 3 * k + 2, 6),
        };
}

/* Activations of the real model leave the range of half precision (65504), in the last block the furthest.
 * Other devices than the CPU may hold keys, values or a product's operands as halves, even of float32 weights:
 * there they are divided by this power of two, and the product is multiplied by it. */
static float headroom(const struct qwen_image_pass *p, int block)
{
    if (nn_device_is_cpu(p->m->device) || nn_device_card(p->m->device))
        return 1.0f;
    return block + 1 == (int)p->m->cfg.n_blocks ? 512.0f : 32.0f;
}

static struct ggml_tensor *shrink(struct nn_graph *g, struct ggml_tensor *x, float room)
{
    return room == 1.0f ? x : ggml_scale(nn_ctx(g), x, 1.0f / room);
}

/* A linear layer whose input was shrunk. */
static struct ggml_tensor *linear_of_shrunk(struct nn_graph *g, const struct linear *l,
                                            struct ggml_tensor *x, float room)
{
    if (room == 1.0f)
        return linear(g, l, x);
    struct ggml_tensor *y = ggml_scale(nn_ctx(g), nn_linear(g, l->w, NULL, x), room);
    return ggml_add(nn_ctx(g), y, l->b->t);
}

static struct ggml_tensor *modulated_norm(struct qwen_image_pass *p, struct ggml_tensor *x,
                                          struct modulation m)
{
    struct nn_graph *g = &p->g;
    return nn_norm_modulate_in(g, x, m.shift, m.scale, (float)p->m->cfg.eps);
}

/* x + gate * a linear layer of y, which was shrunk. *product: the layer's result alone, where tracing asks for
 * it; it is not made otherwise. */
static struct ggml_tensor *gated_linear(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *gate, const struct linear *l,
                                        struct ggml_tensor *y, float room,
                                        struct ggml_tensor **product)
{
    *product = NULL;
    if (room == 1.0f && !g->trace)
        return nn_linear_gate_add(g, l->w, l->b, y, gate, x);
    *product = linear_of_shrunk(g, l, y, room);
    return nn_gate_add(g, x, gate, *product);
}

/* x + gate * the two layers of the norm of x. */
static struct ggml_tensor *feed_forward(struct qwen_image_pass *p,
                                        const struct qwen_image_stream *s, struct modulation m,
                                        struct ggml_tensor *x, float room,
                                        struct ggml_tensor **product)
{
    struct nn_graph *g = &p->g;
    struct ggml_tensor *h = nn_linear_gelu_in(g, s->ff_in.w, s->ff_in.b, modulated_norm(p, x, m));
    return gated_linear(g, x, m.gate, &s->ff_out, shrink(g, h, room), room, product);
}

/* Of tokens that begin at `first` of the whole sequence. */
static struct nn_qkv project(struct qwen_image_pass *p, const struct qwen_image_stream *y,
                             int64_t first, struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct qwen_image_config *c = &p->m->cfg;
    return nn_project(g, x,
                      &(struct nn_projections){.q = {y->q.w, y->q.b, y->norm_q},
                                               .k = {y->k.w, y->k.b, y->norm_k},
                                               .v = {y->v.w, y->v.b, NULL},
                                               .head_dim = c->head_dim,
                                               .eps = (float)c->eps,
                                               .cos = rows(g, p->cos, first, x->ne[1]),
                                               .sin = rows(g, p->sin, first, x->ne[1]),
                                               .mode = NN_ROPE_PAIRS});
}

/* Joint attention over [text, image], values shrunk. xt has no queries in the last block: then only the image
 * rows are computed. */
static struct ggml_tensor *attend(struct qwen_image_pass *p, const struct qwen_image_block *b,
                                  struct ggml_tensor *xi, struct ggml_tensor *xt, float room)
{
    struct nn_graph *g = &p->g;
    struct nn_qkv a =
        nn_qkv_join(g, project(p, &b->txt, 0, xt), project(p, &b->img, p->layout.n_text, xi));
    return nn_attention(g, a.q, a.k, shrink(g, a.v, room), NULL,
                        1.0f / sqrtf((float)p->m->cfg.head_dim));
}

static void block_forward(struct qwen_image_pass *p, int i, struct ggml_tensor **img,
                          struct ggml_tensor **txt)
{
    struct nn_graph *g = &p->g;
    const struct qwen_image_block *b = &p->m->blocks[i];
    struct modulation mi[2], mt[2];
    float room = headroom(p, i);
    block_modulation(p, i, 0, mi);
    block_modulation(p, i, 1, mt);
    struct ggml_tensor *a =
        attend(p, b, modulated_norm(p, *img, mi[0]), modulated_norm(p, *txt, mt[0]), room);
    int64_t n_text = b->txt.q.w ? p->layout.n_text : 0;
    struct ggml_tensor *product;
    *img = gated_linear(g, *img, mi[0].gate, &b->img.out, rows(g, a, n_text, p->n_img), room,
                        &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.attn.0", i);
    *img = feed_forward(p, &b->img, mi[1], *img, room, &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.img_mlp", i);
    nn_mid(g, *img, "mid.transformer_blocks.%d.1", i);
    if (!b->txt.q.w)
        return;
    *txt = gated_linear(g, *txt, mt[0].gate, &b->txt.out, rows(g, a, 0, n_text), room, &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.attn.1", i);
    *txt = feed_forward(p, &b->txt, mt[1], *txt, room, &product);
    nn_mid(g, product, "mid.transformer_blocks.%d.txt_mlp", i);
    nn_mid(g, *txt, "mid.transformer_blocks.%d.0", i);
}

static void build(struct qwen_image_pass *p)
{
    struct nn_graph *g = &p->g;
    struct qwen_image_transformer *m = p->m;
    const struct qwen_image_config *c = &m->cfg;
    int64_t n_text = p->layout.n_text, n = n_text + p->n_img;
    p->x = nn_input(g, c->in_channels, p->n_img, 1, 1);
    p->text = nn_input(g, c->joint_dim, n_text, 1, 1);
    p->cos = nn_input(g, c->head_dim / 2, n, 1, 1);
    p->sin = nn_input(g, c->head_dim / 2, n, 1, 1);
    if (p->tables)
        p->rows = nn_input(g, 6 * c->dim, 2 * c->n_blocks, 1, 1);
    p->act = nn_silu(g, qwen_image_time_embedding(g, c, &m->time, &p->time));

    struct ggml_tensor *img = nn_mid(g, linear(g, &m->img_in, p->x), "mid.img_in");
    struct ggml_tensor *txt =
        nn_mid(g, nn_rms_norm(g, p->text, m->txt_norm, (float)c->eps), "mid.txt_norm");
    txt = nn_mid(g, linear(g, &m->txt_in, txt), "mid.txt_in");
    nn_graph_allow_int8(g, true);
    for (int i = 0; i < (int)c->n_blocks; i++) {
        block_forward(p, i, &img, &txt);
        nn_graph_block_end(g, txt);
        nn_graph_block_end(g, img);
    }
    nn_graph_allow_int8(g, false);

    struct modulation mo = {.shift = linear(g, &m->out_shift, p->act),
                            .scale = linear(g, &m->out_scale, p->act)};
    img = nn_mid(g, modulated_norm(p, img, mo), "mid.norm_out");
    p->out = linear(g, &m->proj_out, img);
    nn_graph_output(g, p->out);
}

/* ---- rotary tables --------------------------------------------------------------------------------- */

/* In float32 at each step, as the reference's tables of complex numbers are made. */
static void turn(const void *user, int axis, int64_t i, int64_t position, float *c, float *s)
{
    const struct qwen_image_config *cfg = user;
    float freq = 1.0f / powf((float)cfg->rope_theta, (float)i / (float)cfg->axes_dims[axis]);
    float angle = (float)position * freq;
    *c = cosf(angle);
    *s = sinf(angle);
}

/* A frame's tokens, rows and columns centred: from -(n - n / 2) to n / 2 - 1. */
static void rope_frame(struct model_rotary *r, int64_t frame, int64_t n_rows, int64_t n_cols)
{
    for (int64_t y = 0; y < n_rows; y++)
        for (int64_t x = 0; x < n_cols; x++)
            model_rotary_append(r, (int64_t[QWEN_IMAGE_AXES]){frame, y - (n_rows - n_rows / 2),
                                                              x - (n_cols - n_cols / 2)});
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void qwen_image_rope_tables(const struct qwen_image_config *c, const struct qwen_image_layout *l,
                            float *cos_out, float *sin_out)
{
    struct model_rotary r = {.dims = c->axes_dims,
                             .axes = QWEN_IMAGE_AXES,
                             .cos = cos_out,
                             .sin = sin_out,
                             .turn = turn,
                             .user = c};
    int64_t text_at = largest(largest(l->rows / 2, l->cols / 2), l->frames);
    text_at = largest(text_at, largest(l->cond_rows / 2, l->cond_cols / 2));
    for (int64_t i = 0; i < l->n_text; i++)
        model_rotary_append(&r, (int64_t[QWEN_IMAGE_AXES]){text_at + i, text_at + i, text_at + i});
    for (int64_t f = 0; f < l->frames; f++)
        rope_frame(&r, f, l->rows, l->cols);
    rope_frame(&r, -1, l->cond_rows, l->cond_cols);
}

/* ---- a pass ---------------------------------------------------------------------------------------- */

static enum err_code prepare(struct qwen_image_pass *p, bool trace, struct err *e)
{
    const struct qwen_image_config *c = &p->m->cfg;
    size_t table = (size_t)(p->layout.n_text + p->n_img) * (size_t)c->head_dim / 2;
    p->cos_table = mem_try_array(table, sizeof(float));
    p->sin_table = mem_try_array(table, sizeof(float));
    if (!p->cos_table || !p->sin_table)
        return err_set(e, ERR_NOMEM, "no memory for rotary tables");
    qwen_image_rope_tables(c, &p->layout, p->cos_table, p->sin_table);
    nn_graph_init(&p->g, p->m->device, trace);
    p->g.exact = nn_params_precision(p->m->params) == NN_PRECISION_F32;
    build(p);
    return nn_graph_prepare(&p->g, e);
}

enum err_code qwen_image_pass_new(struct qwen_image_transformer *m,
                                  const struct qwen_image_layout *layout,
                                  const struct qwen_image_pass_options *options,
                                  struct qwen_image_pass **out, struct err *e)
{
    *out = NULL;
    struct qwen_image_pass *p = mem_try_alloc(sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for a transformer pass");
    p->m = m;
    p->tables = options->tables;
    p->condition =
        options->tables ? qwen_image_tables_condition(options->tables) : options->condition;
    p->layout = *layout;
    p->n_img = qwen_image_tokens(layout);
    enum err_code rc = prepare(p, options->trace, e);
    if (rc != ERR_OK) {
        qwen_image_pass_free(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void qwen_image_pass_free(struct qwen_image_pass *p)
{
    if (!p)
        return;
    nn_graph_deinit(&p->g);
    mem_free(p->cos_table);
    mem_free(p->sin_table);
    mem_free(p);
}

size_t qwen_image_pass_compute_bytes(const struct qwen_image_pass *p)
{
    return nn_graph_compute_bytes(&p->g);
}

enum err_code qwen_image_pass_run(struct qwen_image_pass *p, const float *x, const float *text,
                                  float time, float *out, const atomic_bool *cancel, struct err *e)
{
    struct nn_graph *g = &p->g;
    const struct qwen_image_transformer *m = p->m;
    if (p->tables) {
        const float *table = qwen_image_tables_find(p->tables, time);
        if (!table)
            return err_set(e, ERR_INTERNAL, "the modulation tables have no time %.9g",
                           (double)time);
        nn_graph_set(g, p->rows, table);
    }
    TRY(qwen_image_set_time(g, &m->cfg, &m->time, &p->time, time, p->condition, e));
    nn_graph_set(g, p->x, x);
    nn_graph_set(g, p->text, text);
    nn_graph_set(g, p->cos, p->cos_table);
    nn_graph_set(g, p->sin, p->sin_table);
    TRY(nn_graph_run(g, cancel, e));
    nn_graph_get(g, p->out, out);
    return ERR_OK;
}

const struct nn_graph *qwen_image_pass_graph(const struct qwen_image_pass *p)
{
    return &p->g;
}

/* vision.c - the vision tower: its parameters, its graph, and an image's way through it.
 *
 * Why window order: attention inside windows is cheap only when each window's patches lie side by side. So the
 * host puts patches (and their rotary angles) into window order once, the graph never permutes them, and read_out
 * puts the merged rows back. Windows of one size are seen as more heads of one attention.
 *
 * The kernel of the patch embedding is an input and not a parameter: its frames are summed on the host first, see
 * vision.h. A pass is made for each image and freed after it, as no two images need have the same grid.
 */
#include "model/qwen2_5_vl/vision.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/project.h"

static const float NORM_EPS = 1e-6f; /* in no config */

struct block {
    struct nn_param *norm1, *norm2, *q, *q_bias, *k, *k_bias, *v, *v_bias, *proj, *proj_bias;
    struct nn_param *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
};

struct qwen_vl_vision {
    struct qwen_vl_vision_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct nn_param *kernel[2]; /* read from the map: one of five dimensions, or one a frame */
    struct nn_param *ln_q, *merge_in, *merge_in_bias, *merge_out, *merge_out_bias;
    struct block blocks[MODEL_MAX_BLOCKS];
};

/* ---- parameters --------------------------------------------------------------------------------------- */

static void declare_block(struct model_loader *l, const struct qwen_vl_vision_config *c,
                          struct block *b)
{
    int64_t d = c->hidden, m = c->intermediate;
    b->norm1 = model_vector(l, "norm1.weight", d);
    b->norm2 = model_vector(l, "norm2.weight", d);
    b->q = model_matrix(l, "attn.q.weight", d, d);
    b->q_bias = model_vector(l, "attn.q.bias", d);
    b->k = model_matrix(l, "attn.k.weight", d, d);
    b->k_bias = model_vector(l, "attn.k.bias", d);
    b->v = model_matrix(l, "attn.v.weight", d, d);
    b->v_bias = model_vector(l, "attn.v.bias", d);
    b->proj = model_matrix(l, "attn.proj.weight", d, d);
    b->proj_bias = model_vector(l, "attn.proj.bias", d);
    b->gate = model_matrix(l, "mlp.gate_proj.weight", m, d);
    b->gate_bias = model_vector(l, "mlp.gate_proj.bias", m);
    b->up = model_matrix(l, "mlp.up_proj.weight", m, d);
    b->up_bias = model_vector(l, "mlp.up_proj.bias", m);
    b->down = model_matrix(l, "mlp.down_proj.weight", d, m);
    b->down_bias = model_vector(l, "mlp.down_proj.bias", d);
}

static enum err_code declare_kernel(struct qwen_vl_vision *v, struct component *comp, struct err *e)
{
    const struct qwen_vl_vision_config *c = &v->cfg;
    int64_t frame[] = {c->hidden, c->channels, c->patch, c->patch};
    if (!component_has(comp, "visual.patch_embed.proj.weight.0"))
        return nn_params_add(
            v->params, NN_HOST, "visual.patch_embed.proj.weight", 5,
            (int64_t[]){c->hidden, c->channels, c->temporal_patch, c->patch, c->patch},
            &v->kernel[0], e);
    TRY(nn_params_add(v->params, NN_HOST, "visual.patch_embed.proj.weight.0", 4, frame,
                      &v->kernel[0], e));
    return nn_params_add(v->params, NN_HOST, "visual.patch_embed.proj.weight.1", 4, frame,
                         &v->kernel[1], e);
}

static enum err_code declare(struct qwen_vl_vision *v, struct component *comp, struct err *e)
{
    const struct qwen_vl_vision_config *c = &v->cfg;
    int64_t side_by_side = c->merge * c->merge * c->hidden;
    struct model_loader l = {.ps = v->params, .e = e};
    l.rc = declare_kernel(v, comp, e);
    model_loader_prefix(&l, "visual.merger.");
    v->ln_q = model_vector(&l, "ln_q.weight", c->hidden);
    v->merge_in = model_matrix(&l, "mlp.0.weight", side_by_side, side_by_side);
    v->merge_in_bias = model_vector(&l, "mlp.0.bias", side_by_side);
    v->merge_out = model_matrix(&l, "mlp.2.weight", c->out_hidden, side_by_side);
    v->merge_out_bias = model_vector(&l, "mlp.2.bias", c->out_hidden);
    for (int64_t i = 0; i < c->depth; i++) {
        nn_params_set_group(v->params, (int)i + 1);
        model_loader_prefix(&l, "visual.blocks.%d.", (int)i);
        declare_block(&l, c, &v->blocks[i]);
    }
    return l.rc;
}

enum err_code qwen_vl_vision_new(struct component *c, struct nn_device *d,
                                 enum nn_precision precision,
                                 const struct qwen_vl_vision_config *cfg,
                                 struct qwen_vl_vision **out, struct err *e)
{
    *out = NULL;
    struct qwen_vl_vision *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the vision tower");
    v->cfg = *cfg;
    v->device = d;
    enum err_code rc;
    TRY_GOTO(nn_params_new(c, d, precision, &v->params, e), done);
    rc = declare(v, c, e);
done:
    if (rc != ERR_OK) {
        qwen_vl_vision_free(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void qwen_vl_vision_free(struct qwen_vl_vision *v)
{
    if (!v)
        return;
    nn_params_free(v->params);
    mem_free(v);
}

struct nn_params *qwen_vl_vision_params(struct qwen_vl_vision *v)
{
    return v->params;
}

const struct qwen_vl_vision_config *qwen_vl_vision_config(const struct qwen_vl_vision *v)
{
    return &v->cfg;
}

int64_t qwen_vl_patch_floats(const struct qwen_vl_vision_config *c)
{
    return c->channels * c->patch * c->patch;
}

int64_t qwen_vl_cells(const struct qwen_vl_vision_config *c, struct qwen_vl_grid grid)
{
    return (grid.h / c->merge) * (grid.w / c->merge);
}

/* ---- graph -------------------------------------------------------------------------------------------- */

struct pass {
    struct qwen_vl_vision *v;
    struct nn_graph g;
    struct qwen_vl_grid grid;
    struct qwen_vl_windows windows;
    struct ggml_tensor *x, *kernel, *cos, *sin, *out;
};

static int64_t patches_of(const struct pass *p)
{
    return p->grid.h * p->grid.w;
}

static struct ggml_tensor *patches_view(struct nn_graph *g, struct ggml_tensor *x, int64_t first,
                                        int64_t n)
{
    return ggml_view_3d(nn_ctx(g), x, x->ne[0], x->ne[1], n, x->nb[1], x->nb[2],
                        (size_t)first * x->nb[2]);
}

/* [windows * n, heads, head_dim] -> [n, windows * heads, head_dim]: a window looks like more heads. */
static struct ggml_tensor *windows_to_heads(struct nn_graph *g, struct ggml_tensor *x, int64_t n,
                                            int64_t windows)
{
    struct ggml_tensor *t = ggml_view_4d(nn_ctx(g), x, x->ne[0], x->ne[1], n, windows, x->nb[1],
                                         x->nb[2], (size_t)n * x->nb[2], 0);
    t = ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), t, 0, 1, 3, 2));
    return ggml_reshape_3d(nn_ctx(g), t, x->ne[0], x->ne[1] * windows, n);
}

/* [n, windows * dim] -> [windows * n, dim] */
static struct ggml_tensor *heads_to_windows(struct nn_graph *g, struct ggml_tensor *x,
                                            int64_t windows)
{
    int64_t dim = x->ne[0] / windows, n = x->ne[1];
    struct ggml_tensor *t = ggml_reshape_3d(nn_ctx(g), x, dim, windows, n);
    t = ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), t, 0, 2, 1, 3));
    return ggml_reshape_2d(nn_ctx(g), t, dim, n * windows);
}

/* Windows of one size at once, without a mask: time and memory are linear in patches. */
static struct ggml_tensor *window_attention(struct pass *p, struct ggml_tensor *q,
                                            struct ggml_tensor *k, struct ggml_tensor *v,
                                            float scale)
{
    struct nn_graph *g = &p->g;
    const struct qwen_vl_windows *w = &p->windows;
    int64_t per_cell = p->v->cfg.merge * p->v->cfg.merge;
    struct ggml_tensor *out = NULL;
    for (size_t i = 0; i < w->n_groups; i++) {
        int64_t first = w->group[i].first_cell * per_cell, n = w->group[i].cells * per_cell;
        int64_t windows = w->group[i].windows;
        struct ggml_tensor *part[3] = {q, k, v};
        for (int j = 0; j < 3; j++)
            part[j] = windows_to_heads(g, patches_view(g, part[j], first, n * windows), n, windows);
        struct ggml_tensor *y = nn_attention(g, part[0], part[1], part[2], NULL, scale);
        y = heads_to_windows(g, y, windows);
        out = out ? ggml_concat(nn_ctx(g), out, y, 1) : y;
    }
    return out;
}

/* x + attention of its norm. */
static struct ggml_tensor *attention(struct pass *p, int64_t i, struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct qwen_vl_vision_config *c = &p->v->cfg;
    const struct block *b = &p->v->blocks[i];
    int64_t head_dim = c->hidden / c->heads;
    float scale = 1.0f / sqrtf((float)head_dim);
    struct nn_qkv h = nn_project(g, nn_rms_norm_in(g, x, b->norm1, NORM_EPS),
                                 &(struct nn_projections){.q = {.w = b->q, .b = b->q_bias},
                                                          .k = {.w = b->k, .b = b->k_bias},
                                                          .v = {.w = b->v, .b = b->v_bias},
                                                          .head_dim = head_dim,
                                                          .cos = p->cos,
                                                          .sin = p->sin,
                                                          .mode = NN_ROPE_HALVES});
    struct ggml_tensor *a = c->full[i] ? nn_attention(g, h.q, h.k, h.v, NULL, scale)
                                       : window_attention(p, h.q, h.k, h.v, scale);
    return nn_linear_gate_add(g, b->proj, b->proj_bias, a, NULL, x);
}

static struct ggml_tensor *block_forward(struct pass *p, int64_t i, struct ggml_tensor *x)
{
    struct nn_graph *g = &p->g;
    const struct block *b = &p->v->blocks[i];
    x = attention(p, i, x);
    struct ggml_tensor *h = nn_rms_norm_in(g, x, b->norm2, NORM_EPS);
    h = nn_silu_mul(g, nn_linear(g, b->gate, b->gate_bias, h), nn_linear(g, b->up, b->up_bias, h));
    x = nn_linear_gate_add(g, b->down, b->down_bias, h, NULL, x);
    return nn_mid(g, x, "mid.blocks.%d", (int)i);
}

static void build(struct pass *p)
{
    struct nn_graph *g = &p->g;
    struct qwen_vl_vision *v = p->v;
    const struct qwen_vl_vision_config *c = &v->cfg;
    int64_t n = patches_of(p), floats = qwen_vl_patch_floats(c), per_cell = c->merge * c->merge;
    p->x = nn_input(g, floats, n, 1, 1);
    p->kernel = nn_input(g, floats, c->hidden, 1, 1);
    p->cos = nn_input(g, c->hidden / c->heads / 2, n, 1, 1);
    p->sin = nn_input(g, c->hidden / c->heads / 2, n, 1, 1);
    struct ggml_tensor *x = ggml_mul_mat(nn_ctx(g), p->kernel, p->x);
    ggml_prec_set_acc(x, GGML_PREC_F32);
    nn_mid(g, x, "mid.patch_embed");
    for (int64_t i = 0; i < c->depth; i++) {
        x = block_forward(p, i, x);
        nn_graph_block_end(g, x);
    }
    x = nn_rms_norm(g, x, v->ln_q, NORM_EPS);
    x = ggml_reshape_2d(nn_ctx(g), x, c->hidden * per_cell, n / per_cell);
    x = ggml_gelu_erf(nn_ctx(g), nn_linear(g, v->merge_in, v->merge_in_bias, x));
    p->out = nn_mid(g, nn_linear(g, v->merge_out, v->merge_out_bias, x), "mid.merger");
    nn_graph_output(g, p->out);
}

/* ---- host-side inputs --------------------------------------------------------------------------------- */

/* The frames' kernel slices added up: [hidden, channels * patch * patch]. */
static enum err_code summed_kernel(const struct qwen_vl_vision *v, float *out, struct err *e)
{
    const struct qwen_vl_vision_config *c = &v->cfg;
    int64_t area = c->patch * c->patch, frames = v->kernel[1] ? 1 : c->temporal_patch;
    int64_t planes = c->hidden * c->channels; /* of out */
    memset(out, 0, (size_t)(planes * area) * sizeof *out);
    float *stored = mem_try_array((size_t)(planes * frames * area), sizeof *stored);
    enum err_code rc;
    TRY_GOTO(stored ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the vision tower's kernel"),
             done);
    for (int k = 0; k < 2 && v->kernel[k]; k++) {
        TRY_GOTO(nn_view_rows_f32(&v->kernel[k]->view, 0, planes * frames * c->patch, stored, e),
                 done);
        for (int64_t i = 0; i < planes * frames; i++) {
            for (int64_t j = 0; j < area; j++)
                out[i / frames * area + j] += stored[i * area + j];
        }
    }
done:
    mem_free(stored);
    return rc;
}

struct host_inputs {
    float *x, *kernel, *cos, *sin;
    struct qwen_vl_patch_at *at;
};

static void host_inputs_free(struct host_inputs *h)
{
    mem_free(h->x);
    mem_free(h->kernel);
    mem_free(h->cos);
    mem_free(h->sin);
    mem_free(h->at);
}

static enum err_code host_inputs_make(const struct pass *p, const float *patches,
                                      struct host_inputs *h, struct err *e)
{
    const struct qwen_vl_vision_config *c = &p->v->cfg;
    size_t n = (size_t)patches_of(p), floats = (size_t)qwen_vl_patch_floats(c);
    size_t half = (size_t)(c->hidden / c->heads / 2);
    int64_t per_cell = c->merge * c->merge;
    h->x = mem_try_array(n * floats, sizeof *h->x);
    h->kernel = mem_try_array((size_t)c->hidden * floats, sizeof *h->kernel);
    h->cos = mem_try_array(n * half, sizeof *h->cos);
    h->sin = mem_try_array(n * half, sizeof *h->sin);
    h->at = mem_try_array(n, sizeof *h->at);
    if (!h->x || !h->kernel || !h->cos || !h->sin || !h->at)
        return err_set(e, ERR_NOMEM, "no memory for an image of %lld x %lld patches",
                       (long long)p->grid.w, (long long)p->grid.h);
    for (int64_t cell = 0; cell < p->windows.n_cells; cell++) {
        int64_t from = p->windows.cell[cell] * per_cell, to = cell * per_cell;
        memcpy(h->x + (size_t)to * floats, patches + (size_t)from * floats,
               (size_t)per_cell * floats * sizeof *h->x);
        for (int64_t k = 0; k < per_cell; k++)
            h->at[to + k] = qwen_vl_patch_position(c, p->grid, from + k);
    }
    qwen_vl_vision_rope_tables(c, h->at, (int64_t)n, h->cos, h->sin);
    return summed_kernel(p->v, h->kernel, e);
}

/* ---- a run -------------------------------------------------------------------------------------------- */

static enum err_code pass_init(struct pass *p, bool trace, struct err *e)
{
    const struct qwen_vl_vision_config *c = &p->v->cfg;
    if (p->grid.h < c->merge || p->grid.w < c->merge || p->grid.h > 1 << 15 ||
        p->grid.w > 1 << 15 || p->grid.h % c->merge != 0 || p->grid.w % c->merge != 0)
        return err_set(e, ERR_ARG, "the vision tower cannot take %lld x %lld patches",
                       (long long)p->grid.w, (long long)p->grid.h);
    TRY(qwen_vl_windows_init(c, p->grid, &p->windows, e));
    TRY(qwen_vl_windows_group(&p->windows, e));
    nn_graph_init(&p->g, p->v->device, trace);
    p->g.exact = nn_params_precision(p->v->params) == NN_PRECISION_F32;
    build(p);
    return nn_graph_prepare(&p->g, e);
}

static void pass_deinit(struct pass *p)
{
    qwen_vl_windows_deinit(&p->windows);
    nn_graph_deinit(&p->g);
}

/* Rows come in window order. */
static enum err_code read_out(const struct pass *p, float *out, struct err *e)
{
    size_t dim = (size_t)p->v->cfg.out_hidden;
    float *rows = mem_try_array((size_t)p->windows.n_cells * dim, sizeof *rows);
    if (!rows)
        return err_set(e, ERR_NOMEM, "no memory for an image's embedding");
    nn_graph_get(&p->g, p->out, rows);
    for (int64_t i = 0; i < p->windows.n_cells; i++)
        memcpy(out + (size_t)p->windows.cell[i] * dim, rows + (size_t)i * dim, dim * sizeof *out);
    mem_free(rows);
    return ERR_OK;
}

static enum err_code show_mids(const struct pass *p, const struct qwen_vl_vision_run *run,
                               struct err *e)
{
    for (size_t i = 0; i < p->g.n_mids; i++) {
        size_t n = (size_t)ggml_nelements(p->g.mids[i].t);
        float *f = mem_try_array(n, sizeof *f);
        if (!f)
            return err_set(e, ERR_NOMEM, "no memory to trace '%s'", p->g.mids[i].name);
        nn_graph_get(&p->g, p->g.mids[i].t, f);
        run->mid(p->g.mids[i].name, f, n, run->user);
        mem_free(f);
    }
    return ERR_OK;
}

enum err_code qwen_vl_vision_encode(struct qwen_vl_vision *v, const float *patches,
                                    struct qwen_vl_grid grid, float *out,
                                    const struct qwen_vl_vision_run *run, struct err *e)
{
    struct pass p = {.v = v, .grid = grid};
    struct host_inputs h = {0};
    enum err_code rc;
    TRY_GOTO(pass_init(&p, run && run->mid, e), done);
    TRY_GOTO(host_inputs_make(&p, patches, &h, e), done);
    nn_graph_set(&p.g, p.x, h.x);
    nn_graph_set(&p.g, p.kernel, h.kernel);
    nn_graph_set(&p.g, p.cos, h.cos);
    nn_graph_set(&p.g, p.sin, h.sin);
    TRY_GOTO(nn_graph_run(&p.g, run ? run->cancel : NULL, e), done);
    if (run && run->mid)
        TRY_GOTO(show_mids(&p, run, e), done);
    rc = read_out(&p, out, e);
done:
    host_inputs_free(&h);
    pass_deinit(&p);
    return rc;
}

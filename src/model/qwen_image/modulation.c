/* modulation.c - the blocks' modulation for each time step: the time embedding, and tables of it.
 *
 * Order of a build: engage the time embedder and embed every time step, release it; then for each block engage its
 * modulation, compute all time steps, read the rows to the host, release it. At most one block's modulation is on
 * the device at a time, which is why tables save a third of the model's memory. A set that was engaged before is
 * left engaged.
 *
 * One time step goes through the layers at a time, as sums may depend on the number of rows and the result must be
 * that of a pass in place; a card computes up to 8 rows each by itself, so there 8 go at once. Tables live on the
 * host, immutable once built.
 */
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "model/qwen_image/transformer_impl.h"

struct qwen_image_tables {
    int64_t n_times, condition;
    size_t per_time; /* floats: 2 * n_blocks * 6 * dim */
    float *times;
    float *rows; /* [n_times, n_blocks, 2, 6 * dim] */
};

/* ---- time embedding --------------------------------------------------------------------------------- */

struct ggml_tensor *qwen_image_time_embedding(struct nn_graph *g, const struct qwen_image_config *c,
                                              const struct qwen_image_time_embedder *t,
                                              struct qwen_image_time_input *in)
{
    in->sinusoid = nn_input(g, c->time_channels, 1, 1, 1);
    in->addition = nn_input(g, c->dim, 1, 1, 1);
    nn_mid(g, in->sinusoid, "mid.time_text_embed.time_proj");
    struct ggml_tensor *h = nn_silu(g, nn_linear(g, t->first.w, t->first.b, in->sinusoid));
    h = nn_linear(g, t->second.w, t->second.b, h);
    return nn_mid(g, ggml_add(nn_ctx(g), h, in->addition), "mid.time_text_embed");
}

enum err_code qwen_image_set_time(struct nn_graph *g, const struct qwen_image_config *c,
                                  const struct qwen_image_time_embedder *t,
                                  const struct qwen_image_time_input *in, float time,
                                  int64_t condition, struct err *e)
{
    float *sinusoid = mem_try_array((size_t)c->time_channels, sizeof *sinusoid);
    float *addition = mem_try_array((size_t)c->dim, sizeof *addition);
    enum err_code rc = ERR_OK;
    if (!sinusoid || !addition) {
        rc = err_set(e, ERR_NOMEM, "no memory for a time embedding");
        goto done;
    }
    TRY_GOTO(nn_view_rows_f32(&t->addition->view, condition, 1, addition, e), done);
    model_timestep_embedding_scaled(time, 1000.0f, c->time_channels, sinusoid);
    nn_graph_set(g, in->sinusoid, sinusoid);
    nn_graph_set(g, in->addition, addition);
done:
    mem_free(sinusoid);
    mem_free(addition);
    return rc;
}

/* ---- building --------------------------------------------------------------------------------------- */

struct build {
    struct qwen_image_transformer *m;
    struct qwen_image_tables *t;
    float *act; /* [n_times, dim]: silu of the time embedding */
    const atomic_bool *cancel;
};

static void graph_init(const struct build *b, struct nn_graph *g)
{
    nn_graph_init(g, b->m->device, false);
    g->exact = nn_params_precision(b->m->params) == NN_PRECISION_F32;
}

static enum err_code embed_times(const struct build *b, struct err *e)
{
    struct nn_graph g;
    struct qwen_image_time_input in;
    const struct qwen_image_config *c = &b->m->cfg;
    const struct qwen_image_time_embedder *t = &b->m->time_alone;
    graph_init(b, &g);
    struct ggml_tensor *act = nn_silu(&g, qwen_image_time_embedding(&g, c, t, &in));
    nn_graph_output(&g, act);
    enum err_code rc;
    TRY_GOTO(nn_graph_prepare(&g, e), done);
    for (int64_t i = 0; i < b->t->n_times; i++) {
        TRY_GOTO(qwen_image_set_time(&g, c, t, &in, b->t->times[i], b->t->condition, e), done);
        TRY_GOTO(nn_graph_run(&g, b->cancel, e), done);
        nn_graph_get(&g, act, b->act + i * c->dim);
    }
done:
    nn_graph_deinit(&g);
    return rc;
}

/* Times that go through the layers at once. Weights are read once for all of them, but the last bits then depend on how many
 * there are. A card takes so few rows as they are, in float32. */
static int64_t times_at_once(const struct build *b)
{
    enum { FEW_ROWS = 8 };
    int64_t most = nn_device_card(b->m->device) ? FEW_ROWS : 1;
    return b->t->n_times < most ? b->t->n_times : most;
}

struct modulation_graph {
    struct nn_graph g;
    struct ggml_tensor *act,
        *out[2]; /* [times, dim]; of the image and the text stream [times, 6 * dim] */
};

/* Times first .. first + n - 1, into their places. */
static void read_block(const struct build *b, const struct modulation_graph *mg, int64_t block,
                       int64_t first, int64_t n, float *room)
{
    size_t row = 6 * (size_t)b->m->cfg.dim;
    for (size_t k = 0; k < 2; k++) {
        nn_graph_get(&mg->g, mg->out[k], room);
        for (int64_t i = 0; i < n; i++)
            memcpy(b->t->rows + (size_t)(first + i) * b->t->per_time +
                       (2 * (size_t)block + k) * row,
                   room + (size_t)i * row, row * sizeof *room);
    }
}

static enum err_code modulate_block(const struct build *b, int64_t block, struct err *e)
{
    const struct qwen_image_modulation *mod = &b->m->modulation[block];
    int64_t dim = b->m->cfg.dim, at_once = times_at_once(b);
    size_t floats = (size_t)(at_once * dim);
    float *act = mem_try_array(floats, sizeof *act);
    float *room = mem_try_array(6 * floats, sizeof *room);
    struct modulation_graph mg;
    graph_init(b, &mg.g);
    mg.act = nn_input(&mg.g, dim, at_once, 1, 1);
    mg.out[0] = nn_linear(&mg.g, mod->img.w, mod->img.b, mg.act);
    mg.out[1] = nn_linear(&mg.g, mod->txt.w, mod->txt.b, mg.act);
    nn_graph_output(&mg.g, mg.out[0]);
    nn_graph_output(&mg.g, mg.out[1]);
    enum err_code rc;
    TRY_GOTO(act && room ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for modulation tables"), done);
    TRY_GOTO(nn_graph_prepare(&mg.g, e), done);
    for (int64_t i = 0; i < b->t->n_times; i += at_once) {
        int64_t n = b->t->n_times - i < at_once ? b->t->n_times - i : at_once;
        memcpy(act, b->act + i * dim, (size_t)(n * dim) * sizeof *act);
        nn_graph_set(&mg.g, mg.act, act);
        TRY_GOTO(nn_graph_run(&mg.g, b->cancel, e), done);
        read_block(b, &mg, block, i, n, room);
    }
done:
    nn_graph_deinit(&mg.g);
    mem_free(act);
    mem_free(room);
    return rc;
}

static enum err_code fill(const struct build *b, struct err *e)
{
    struct nn_device *d = b->m->device;
    enum err_code rc = governor_engage(d, "modulation", b->m->time_params, e);
    if (rc == ERR_OK)
        rc = embed_times(b, e);
    nn_params_release(b->m->time_params);
    for (int64_t i = 0; rc == ERR_OK && i < b->m->cfg.n_blocks; i++) {
        struct nn_params *ps = b->m->modulation[i].params;
        bool was_engaged = nn_params_engaged(ps);
        rc = governor_engage(d, "modulation", ps, e);
        if (rc == ERR_OK)
            rc = modulate_block(b, i, e);
        if (!was_engaged)
            nn_params_release(ps);
    }
    return rc;
}

enum err_code qwen_image_tables_build(struct qwen_image_transformer *m, const float *times,
                                      int64_t n_times, int64_t condition, const atomic_bool *cancel,
                                      struct qwen_image_tables **out, struct err *e)
{
    size_t floats;
    *out = NULL;
    struct qwen_image_tables *t = mem_try_alloc(sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for modulation tables");
    t->n_times = n_times;
    t->condition = condition;
    t->per_time = 12 * (size_t)m->cfg.n_blocks * (size_t)m->cfg.dim;
    struct build b = {.m = m, .t = t, .cancel = cancel};
    if (ck_mul_size(t->per_time, (size_t)n_times, &floats)) {
        t->times = mem_try_array((size_t)n_times, sizeof(float));
        t->rows = mem_try_array(floats, sizeof(float));
        b.act = mem_try_array((size_t)n_times, (size_t)m->cfg.dim * sizeof(float));
    }
    enum err_code rc = ERR_OK;
    if (!t->times || !t->rows || !b.act) {
        rc = err_set(e, ERR_NOMEM, "no memory for modulation tables of %lld steps",
                     (long long)n_times);
        goto done;
    }
    for (int64_t i = 0; i < n_times; i++)
        t->times[i] = times[i];
    rc = fill(&b, e);
done:
    mem_free(b.act);
    if (rc != ERR_OK) {
        qwen_image_tables_free(t);
        return rc;
    }
    *out = t;
    return ERR_OK;
}

void qwen_image_tables_free(struct qwen_image_tables *t)
{
    if (!t)
        return;
    mem_free(t->times);
    mem_free(t->rows);
    mem_free(t);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

size_t qwen_image_tables_bytes(const struct qwen_image_tables *t)
{
    return t->per_time * (size_t)t->n_times * sizeof(float);
}

const float *qwen_image_tables_find(const struct qwen_image_tables *t, float time)
{
    for (int64_t i = 0; i < t->n_times; i++)
        if (t->times[i] == time)
            return t->rows + (size_t)i * t->per_time;
    return NULL;
}

int64_t qwen_image_tables_condition(const struct qwen_image_tables *t)
{
    return t->condition;
}

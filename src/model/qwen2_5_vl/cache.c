/* cache.c - keys and values of earlier tokens, kept on the device.
 *
 * Room is reserved before a chunk runs and grows in steps: all layers get new tensor records of the new capacity,
 * and each layer's buffer is copied and freed in turn, so that the peak is the cache and one layer more. When a
 * layer cannot be had the whole cache is dropped, as old and new records would be mixed. `used` is set by the
 * caller once a chunk has run. The cache belongs to the caller and must not outlive the model.
 */
#include "base/mem.h"
#include "model/qwen2_5_vl/layers.h"
#include "nn/buffer.h"

enum { CACHE_STEP = 256 }; /* tokens that it grows by */

struct layer_cache {
    struct ggml_tensor *k, *v;
    struct nn_buffer *buffer;
};

struct qwen_vl_cache {
    struct qwen_vl *m;
    struct ggml_context *ctx;
    int64_t capacity, used;
    struct layer_cache layers[MODEL_MAX_BLOCKS];
};

enum err_code qwen_vl_cache_new(struct qwen_vl *m, struct qwen_vl_cache **out, struct err *e)
{
    *out = mem_try_alloc(sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for a key and value cache");
    (*out)->m = m;
    return ERR_OK;
}

void qwen_vl_cache_free(struct qwen_vl_cache *c)
{
    if (!c)
        return;
    for (int64_t i = 0; i < c->m->cfg.layers; i++)
        nn_buffer_free(c->layers[i].buffer);
    ggml_free(c->ctx);
    mem_free(c);
}

int64_t qwen_vl_cache_used(const struct qwen_vl_cache *c)
{
    return c->used;
}

void qwen_vl_cache_set_used(struct qwen_vl_cache *c, int64_t n)
{
    c->used = n;
}

static enum ggml_type cache_type(const struct qwen_vl *m)
{
    bool full = nn_params_precision(m->params) == NN_PRECISION_F32 || nn_device_is_cpu(m->device);
    if (!full && nn_device_card(m->device))
        return GGML_TYPE_BF16;
    return full ? GGML_TYPE_F32 : GGML_TYPE_F16;
}

static enum err_code layer_alloc(const struct qwen_vl *m, struct ggml_context *ctx,
                                 int64_t capacity, struct layer_cache *y, struct err *e)
{
    enum ggml_type type = cache_type(m);
    y->k = ggml_new_tensor_3d(ctx, type, m->cfg.head_dim, m->cfg.kv_heads, capacity);
    y->v = ggml_new_tensor_3d(ctx, type, m->cfg.head_dim, m->cfg.kv_heads, capacity);
    size_t one = nn_tensor_room(m->device, y->k);
    TRY(nn_buffer_new(m->device, NN_MEMORY_COMPUTE, 2 * one, "keys and values of earlier tokens",
                      &y->buffer, e));
    TRY(nn_buffer_place(y->buffer, y->k, 0, e));
    return nn_buffer_place(y->buffer, y->v, one, e);
}

/* Through the host, which every device supports; it happens once in hundreds of tokens. */
static enum err_code copy_used(struct nn_device *d, const struct ggml_tensor *from,
                               struct ggml_tensor *to, int64_t used, struct err *e)
{
    size_t bytes = (size_t)used * from->nb[2];
    if (bytes == 0)
        return ERR_OK;
    void *host = mem_try_alloc(bytes);
    if (!host)
        return err_set(e, ERR_NOMEM, "no memory to move a key and value cache");
    nn_tensor_get(d, from, host, 0, bytes);
    nn_tensor_set(d, to, host, 0, bytes);
    mem_free(host);
    return ERR_OK;
}

/* Old and new exist together for one layer at a time. */
static enum err_code layer_grow(struct qwen_vl_cache *c, struct ggml_context *ctx, int64_t capacity,
                                struct layer_cache *y, struct err *e)
{
    struct layer_cache bigger = {0};
    enum err_code rc;
    TRY_GOTO(layer_alloc(c->m, ctx, capacity, &bigger, e), done);
    bool copies = y->buffer && !nn_device_is_dry(c->m->device);
    if (copies) {
        TRY_GOTO(copy_used(c->m->device, y->k, bigger.k, c->used, e), done);
        rc = copy_used(c->m->device, y->v, bigger.v, c->used, e);
    }
done:
    if (rc != ERR_OK) {
        nn_buffer_free(bigger.buffer);
        return rc;
    }
    nn_buffer_free(y->buffer);
    *y = bigger;
    return ERR_OK;
}

enum err_code qwen_vl_cache_reserve(struct qwen_vl_cache *c, int64_t n, struct err *e)
{
    if (n <= c->capacity)
        return ERR_OK;
    int64_t capacity = (n + CACHE_STEP - 1) / CACHE_STEP * CACHE_STEP;
    size_t tensors = 2 * (size_t)c->m->cfg.layers + 1;
    struct ggml_init_params init = {.mem_size = tensors * ggml_tensor_overhead(), .no_alloc = true};
    struct ggml_context *ctx = ggml_init(init);
    if (!ctx)
        return err_set(e, ERR_NOMEM, "no memory for tensor records");
    for (int64_t i = 0; i < c->m->cfg.layers; i++) {
        enum err_code rc = layer_grow(c, ctx, capacity, &c->layers[i], e);
        if (rc != ERR_OK) { /* some layers have been moved already: the cache is unusable */
            for (int64_t k = 0; k < c->m->cfg.layers; k++) {
                nn_buffer_free(c->layers[k].buffer);
                c->layers[k] = (struct layer_cache){0};
            }
            c->capacity = c->used = 0;
            ggml_free(ctx);
            return rc;
        }
    }
    ggml_free(c->ctx);
    c->ctx = ctx;
    c->capacity = capacity;
    return ERR_OK;
}

static struct ggml_tensor *tokens_view(struct nn_graph *g, struct ggml_tensor *t, int64_t first,
                                       int64_t n)
{
    return ggml_view_3d(nn_ctx(g), t, t->ne[0], t->ne[1], n, t->nb[1], t->nb[2],
                        (size_t)first * t->nb[2]);
}

void qwen_vl_cache_append(struct qwen_vl_cache *c, struct nn_graph *g, int64_t layer,
                          struct ggml_tensor **k, struct ggml_tensor **v)
{
    struct layer_cache *y = &c->layers[layer];
    int64_t n = (*k)->ne[2];
    /* In the graph before anything that reads: ggml runs nodes in the order they are put there. */
    nn_graph_add(g, ggml_cpy(nn_ctx(g), *k, tokens_view(g, y->k, c->used, n)));
    nn_graph_add(g, ggml_cpy(nn_ctx(g), *v, tokens_view(g, y->v, c->used, n)));
    *k = tokens_view(g, y->k, 0, c->used + n);
    *v = tokens_view(g, y->v, 0, c->used + n);
}

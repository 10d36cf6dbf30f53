/* config.c - the model's numbers, from whichever source has them.
 *
 * Sources in the order in which later ones win: the tensors' shapes with what published models share, GGUF
 * metadata, config.json. At the end the result is checked against the shapes again, so that a config of another
 * model is refused here, with the key's name, and not by ggml. JSON values out of range are errors; GGUF metadata
 * out of range is ignored, and what the shapes say stands in for it.
 */
#include "model/qwen2_5_vl/config.h"

#include <stdio.h>
#include <string.h>

/* What every published size (3B, 7B, 32B, 72B) has. */
enum { PUBLISHED_HEAD_DIM = 128, PUBLISHED_VISION_HEAD_DIM = 80, PUBLISHED_FULL_EVERY = 8 };

/* ---- where a key may stand --------------------------------------------------------------------------- */

/* Objects to look into, the one that counts most last: readers keep what an earlier one gave. */
struct places {
    yyjson_val *obj[4];
    size_t n;
};

static void add_place(struct places *p, yyjson_val *obj)
{
    if (yyjson_is_obj(obj))
        p->obj[p->n++] = obj;
}

static struct places text_places(yyjson_val *json)
{
    struct places p = {.n = 0};
    add_place(&p, json);
    add_place(&p, yyjson_obj_get(json, "text_config"));
    return p;
}

static enum err_code get_i64(const struct places *p, const char *key, int64_t max, int64_t *out,
                             const char *what, struct err *e)
{
    for (size_t i = 0; i < p->n; i++)
        TRY(json_get_i64(p->obj[i], key, 1, max, out, what, e));
    return ERR_OK;
}

static enum err_code get_double(const struct places *p, const char *key, double lo, double hi,
                                double *out, const char *what, struct err *e)
{
    for (size_t i = 0; i < p->n; i++)
        TRY(json_get_double(p->obj[i], key, lo, hi, out, what, e));
    return ERR_OK;
}

/* ---- language model ----------------------------------------------------------------------------------- */

static enum err_code read_rope(const struct places *text, struct qwen_vl_config *c, size_t *n_mrope,
                               const char *what, struct err *e)
{
    static const char *const nests[] = {"rope_scaling", "rope_parameters"};
    enum err_code rc = get_double(text, "rope_theta", 1, 1e12, &c->rope_theta, what, e);
    for (size_t i = 0; i < text->n; i++) {
        for (size_t k = 0; rc == ERR_OK && k < sizeof nests / sizeof nests[0]; k++) {
            yyjson_val *rope = yyjson_obj_get(text->obj[i], nests[k]);
            if (!yyjson_is_obj(rope))
                continue;
            rc = json_get_double(rope, "rope_theta", 1, 1e12, &c->rope_theta, what, e);
            if (rc == ERR_OK)
                rc = json_get_i64_array(rope, "mrope_section", 0, MODEL_MAX_DIM, c->mrope,
                                        QWEN_VL_AXES, n_mrope, what, e);
        }
    }
    return rc;
}

static enum err_code read_json(yyjson_val *json, const char *what, struct qwen_vl_config *c,
                               size_t *n_mrope, struct err *e)
{
    struct places text = text_places(json);
    int64_t hidden = c->hidden;
    const struct {
        const char *key;
        int64_t *out, max;
    } dims[] = {
        {"hidden_size", &c->hidden, MODEL_MAX_DIM},
        {"intermediate_size", &c->intermediate, MODEL_MAX_DIM},
        {"num_hidden_layers", &c->layers, MODEL_MAX_BLOCKS},
        {"num_attention_heads", &c->heads, 1024},
        {"num_key_value_heads", &c->kv_heads, 1024},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        TRY(get_i64(&text, dims[i].key, dims[i].max, dims[i].out, what, e));
    if (c->hidden != hidden)
        return err_set(e, ERR_FORMAT, "%s: hidden_size is %lld, the weights have %lld", what,
                       (long long)c->hidden, (long long)hidden);
    if (c->heads > 0 && c->hidden % c->heads == 0)
        c->head_dim = c->hidden / c->heads;
    TRY(get_i64(&text, "head_dim", 1024, &c->head_dim, what, e));
    TRY(get_double(&text, "rms_norm_eps", 0, 1, &c->rms_eps, what, e));
    for (size_t i = 0; i < text.n; i++)
        TRY(json_get_bool(text.obj[i], "tie_word_embeddings", &c->tied, what, e));
    return read_rope(&text, c, n_mrope, what, e);
}

/* "qwen2vl.attention.head_count" and its like. */
static bool gguf_key(const struct checkpoint *cp, const char *tail, char *key, size_t n)
{
    struct str arch;
    if (!checkpoint_meta_str(cp, "general.architecture", &arch) || arch.n > 40)
        return false;
    (void)snprintf(key, n, "%.*s.%s", STR_ARG(arch), tail);
    return true;
}

/* Keeps *out when the key is absent or its value is absurd. */
static bool meta_i64(const struct checkpoint *cp, const char *key, int64_t max, int64_t *out)
{
    int64_t v;
    if (!checkpoint_meta_i64(cp, key, &v) || v < 1 || v > max)
        return false;
    *out = v;
    return true;
}

static void meta_double(const struct checkpoint *cp, const char *key, double lo, double hi,
                        double *out)
{
    double v;
    if (checkpoint_meta_double(cp, key, &v) && v >= lo && v <= hi)
        *out = v;
}

static void read_gguf(const struct checkpoint *cp, struct qwen_vl_config *c, size_t *n_mrope)
{
    char key[128];
    if (gguf_key(cp, "attention.head_count", key, sizeof key) && meta_i64(cp, key, 1024, &c->heads))
        c->head_dim = c->hidden / c->heads;
    if (gguf_key(cp, "attention.head_count_kv", key, sizeof key))
        (void)meta_i64(cp, key, 1024, &c->kv_heads);
    if (gguf_key(cp, "attention.layer_norm_rms_epsilon", key, sizeof key))
        meta_double(cp, key, 0, 1, &c->rms_eps);
    if (gguf_key(cp, "rope.freq_base", key, sizeof key))
        meta_double(cp, key, 1, 1e12, &c->rope_theta);
    if (!gguf_key(cp, "rope.dimension_sections", key, sizeof key) ||
        checkpoint_meta_array_count(cp, key) < QWEN_VL_AXES)
        return;
    for (size_t i = 0; i < QWEN_VL_AXES; i++) { /* files have a fourth section, which is 0 */
        double v = 0;
        if (checkpoint_meta_array_double(cp, key, i, &v) && v >= 0 && v < MODEL_MAX_DIM)
            c->mrope[i] = (int64_t)v;
    }
    *n_mrope = QWEN_VL_AXES;
}

static enum err_code check(struct qwen_vl_config *c, const struct component *comp,
                           const struct qwen_vl_config *shapes, size_t n_mrope, const char *what,
                           struct err *e)
{
    int64_t q = component_dim(comp, "model.layers.0.self_attn.q_proj.weight", 0);
    int64_t kv = component_dim(comp, "model.layers.0.self_attn.k_proj.weight", 0);
    if (c->layers > shapes->layers)
        return err_set(e, ERR_FORMAT, "%s: num_hidden_layers is %lld, the weights have %lld", what,
                       (long long)c->layers, (long long)shapes->layers);
    if (c->head_dim < 2 || c->head_dim % 2 != 0 || c->heads < 1 || c->kv_heads < 1 ||
        c->heads % c->kv_heads != 0 || c->heads * c->head_dim != q ||
        c->kv_heads * c->head_dim != kv)
        return err_set(e, ERR_FORMAT,
                       "%s: %lld heads and %lld key-value heads of %lld do not fit projections to "
                       "%lld and %lld",
                       what, (long long)c->heads, (long long)c->kv_heads, (long long)c->head_dim,
                       (long long)q, (long long)kv);
    if (n_mrope == 0 && c->head_dim == PUBLISHED_HEAD_DIM)
        memcpy(c->mrope, (int64_t[]){16, 24, 24}, sizeof c->mrope);
    int64_t sum = c->mrope[0] + c->mrope[1] + c->mrope[2];
    if ((n_mrope != 0 && n_mrope != QWEN_VL_AXES) || sum != c->head_dim / 2)
        return err_set(e, ERR_FORMAT,
                       "%s: mrope_section should be three numbers that add up to %lld, half a head",
                       what, (long long)c->head_dim / 2);
    return ERR_OK;
}

enum err_code qwen_vl_config_read(yyjson_val *json, const char *what, const struct component *c,
                                  struct qwen_vl_config *out, struct err *e)
{
    int64_t q = component_dim(c, "model.layers.0.self_attn.q_proj.weight", 0);
    int64_t kv = component_dim(c, "model.layers.0.self_attn.k_proj.weight", 0);
    if (q <= 0 || kv <= 0)
        return err_set(e, ERR_FORMAT, "%s: layer 0 has no attention", what);
    *out = (struct qwen_vl_config){
        .hidden = component_dim(c, "model.embed_tokens.weight", 1),
        .vocab = component_dim(c, "model.embed_tokens.weight", 0),
        .intermediate = component_dim(c, "model.layers.0.mlp.gate_proj.weight", 0),
        .layers = component_block_count(c, "model.layers"),
        .head_dim = PUBLISHED_HEAD_DIM,
        .heads = q / PUBLISHED_HEAD_DIM,
        .kv_heads = kv / PUBLISHED_HEAD_DIM,
        .rms_eps = 1e-6,
        .rope_theta = 1e6,
    };
    struct qwen_vl_config shapes = *out;
    size_t n_mrope = 0;
    read_gguf(component_checkpoint(c), out, &n_mrope);
    if (json)
        TRY(read_json(json, what, out, &n_mrope, e));
    out->tied = out->tied || !component_has(c, "lm_head.weight");
    return check(out, c, &shapes, n_mrope, what, e);
}

/* ---- vision tower ------------------------------------------------------------------------------------- */

bool qwen_vl_has_vision(const struct component *c)
{
    return component_has(c, "visual.merger.ln_q.weight");
}

static enum err_code read_full_blocks(yyjson_val *vision, const char *what,
                                      struct qwen_vl_vision_config *c, struct err *e)
{
    int64_t blocks[MODEL_MAX_BLOCKS];
    size_t n = MODEL_MAX_BLOCKS + 1; /* "the key is absent" */
    TRY(json_get_i64_array(vision, "fullatt_block_indexes", 0, MODEL_MAX_BLOCKS - 1, blocks,
                           MODEL_MAX_BLOCKS, &n, what, e));
    if (n > MODEL_MAX_BLOCKS)
        return ERR_OK;
    memset(c->full, 0, sizeof c->full);
    for (size_t i = 0; i < n; i++)
        c->full[blocks[i]] = true;
    return ERR_OK;
}

static enum err_code read_vision_json(yyjson_val *json, const char *what,
                                      struct qwen_vl_vision_config *c, struct err *e)
{
    yyjson_val *v = yyjson_obj_get(json, "vision_config");
    const struct {
        const char *key;
        int64_t *out, max;
    } dims[] = {
        {"depth", &c->depth, MODEL_MAX_BLOCKS},
        {"hidden_size", &c->hidden, MODEL_MAX_DIM},
        {"intermediate_size", &c->intermediate, MODEL_MAX_DIM},
        {"num_heads", &c->heads, 1024},
        {"out_hidden_size", &c->out_hidden, MODEL_MAX_DIM},
        {"in_chans", &c->channels, 16},
        {"in_channels", &c->channels, 16},
        {"patch_size", &c->patch, 256},
        {"temporal_patch_size", &c->temporal_patch, 16},
        {"spatial_merge_size", &c->merge, 16},
        {"window_size", &c->window, 1 << 16},
    };
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        TRY(json_get_i64(v, dims[i].key, 1, dims[i].max, dims[i].out, what, e));
    return read_full_blocks(v, what, c, e);
}

static void full_every(struct qwen_vl_vision_config *c, int64_t n)
{
    for (int64_t i = 0; i < MODEL_MAX_BLOCKS; i++)
        c->full[i] = (i + 1) % n == 0;
}

static void read_vision_gguf(const struct checkpoint *cp, struct qwen_vl_vision_config *c)
{
    int64_t every = PUBLISHED_FULL_EVERY;
    (void)meta_i64(cp, "clip.vision.attention.head_count", 1024, &c->heads);
    (void)meta_i64(cp, "clip.vision.window_size", 1 << 16, &c->window);
    (void)meta_i64(cp, "clip.vision.spatial_merge_size", 16, &c->merge);
    (void)meta_i64(cp, "clip.vision.n_wa_pattern", MODEL_MAX_BLOCKS, &every);
    full_every(c, every);
}

static enum err_code check_vision(const struct qwen_vl_vision_config *c,
                                  const struct component *comp,
                                  const struct qwen_vl_vision_config *shapes, const char *what,
                                  struct err *e)
{
    const struct {
        const char *key;
        int64_t config, weights;
    } same[] = {
        {"depth", c->depth, shapes->depth},
        {"hidden_size", c->hidden, shapes->hidden},
        {"out_hidden_size", c->out_hidden, shapes->out_hidden},
        {"patch_size", c->patch, shapes->patch},
        {"spatial_merge_size squared x hidden_size", c->merge * c->merge * c->hidden,
         component_dim(comp, "visual.merger.mlp.0.weight", 1)},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (same[i].config != same[i].weights || same[i].config < 1)
            return err_set(e, ERR_FORMAT,
                           "%s: the vision tower's %s is %lld, the weights have %lld", what,
                           same[i].key, (long long)same[i].config, (long long)same[i].weights);
    if (c->depth > MODEL_MAX_BLOCKS || c->heads < 1 || c->hidden % c->heads != 0 ||
        c->hidden / c->heads % 4 != 0)
        return err_set(e, ERR_FORMAT, "%s: a vision tower of %lld blocks with %lld heads in %lld",
                       what, (long long)c->depth, (long long)c->heads, (long long)c->hidden);
    if (c->window < c->patch * c->merge)
        return err_set(e, ERR_FORMAT, "%s: window_size %lld holds no cell of %lld pixels", what,
                       (long long)c->window, (long long)(c->patch * c->merge));
    return ERR_OK;
}

enum err_code qwen_vl_vision_config_read(yyjson_val *json, const char *what,
                                         const struct component *c,
                                         struct qwen_vl_vision_config *out, struct err *e)
{
    if (!qwen_vl_has_vision(c))
        return err_set(e, ERR_NOTFOUND, "'%s' has no vision tower",
                       checkpoint_path(component_checkpoint(c)));
    bool split = component_has(c, "visual.patch_embed.proj.weight.0");
    const char *kernel =
        split ? "visual.patch_embed.proj.weight.0" : "visual.patch_embed.proj.weight";
    int64_t hidden = component_dim(c, "visual.merger.ln_q.weight", 0);
    *out = (struct qwen_vl_vision_config){
        .depth = component_block_count(c, "visual.blocks"),
        .hidden = hidden,
        .intermediate = component_dim(c, "visual.blocks.0.mlp.gate_proj.weight", 0),
        .heads = hidden / PUBLISHED_VISION_HEAD_DIM,
        .out_hidden = component_dim(c, "visual.merger.mlp.2.weight", 0),
        .channels = component_dim(c, kernel, 1),
        .patch = component_dim(c, kernel, split ? 3 : 4),
        .temporal_patch = split ? 2 : component_dim(c, kernel, 2),
        .merge = 2,
        .window = 112,
    };
    struct qwen_vl_vision_config shapes = *out;
    read_vision_gguf(component_checkpoint(c), out);
    if (json)
        TRY(read_vision_json(json, what, out, e));
    return check_vision(out, c, &shapes, what, e);
}

/* ---- generation --------------------------------------------------------------------------------------- */

/* eos_token_id is a number or a list of numbers. */
static enum err_code read_eos(yyjson_val *obj, const char *what, struct qwen_vl_generation *g,
                              struct err *e)
{
    yyjson_val *v = yyjson_obj_get(obj, "eos_token_id");
    int64_t ids[QWEN_VL_MAX_EOS];
    size_t n = 0;
    enum err_code rc = ERR_OK;
    if (yyjson_is_arr(v)) {
        rc = json_get_i64_array(obj, "eos_token_id", 0, INT32_MAX, ids, QWEN_VL_MAX_EOS, &n, what,
                                e);
    } else if (v && !yyjson_is_null(v)) {
        rc = json_get_i64(obj, "eos_token_id", 0, INT32_MAX, &ids[0], what, e);
        n = 1;
    }
    if (rc != ERR_OK || n == 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->eos[i] = (int32_t)ids[i];
    g->n_eos = n;
    return ERR_OK;
}

enum err_code qwen_vl_generation_read(yyjson_val *generation, yyjson_val *json, const char *what,
                                      struct qwen_vl_generation *out, struct err *e)
{
    *out = (struct qwen_vl_generation){.repetition_penalty = 1.0};
    struct places p = text_places(json);
    add_place(&p, generation);
    for (size_t i = 0; i < p.n; i++)
        TRY(read_eos(p.obj[i], what, out, e));
    return json_get_double(generation, "repetition_penalty", 1e-3, 1e3, &out->repetition_penalty,
                           what, e);
}

#include <math.h>

#include "model/blocks.h"
#include "model/qwen3/qwen3.h"

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

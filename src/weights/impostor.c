/* impostor.c - recognises networks with the tensors of a supported one that were made for something else.
 *
 * They would run, and give noise or a poor image, so component_check refuses them and says what is needed instead.
 * What tells them apart is a tensor that only they have or lack, a config.json beside the checkpoint, or GGUF's
 * keys: so `said` is collected first, then the rows of the table are tried for the component's kind. Language
 * models with a small vocabulary are miniatures made for tests, of which nothing is known; those checks pass them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "weights/component_impl.h"

enum {
    CONFIG_MAX_BYTES = 4 << 20,
    PATH_BYTES = 4096,
    REAL_VOCABULARY = 100000, /* below it a model is a miniature, of which nothing is known */
    DEV_TEXT_WIDTH = 15360,   /* three states of Mistral side by side */
    LAYERED_CHANNELS = 4,
};

static const double klein_rope_base = 1e6;

/* What the files around a checkpoint say of it: a config.json in its folder, or GGUF's keys. */
struct said {
    char type[64];    /* "qwen3", GGUF's "qwen3vl"; "" when nothing says */
    double rope_base; /* 0 when nothing says */
};

static void read_config(yyjson_val *root, struct said *out)
{
    yyjson_val *text = yyjson_obj_get(root, "text_config"), *own = text ? text : root;
    yyjson_val *type = yyjson_obj_get(root, "model_type"),
               *base = yyjson_obj_get(own, "rope_theta");
    if (!base)
        base = yyjson_obj_get(yyjson_obj_get(own, "rope_parameters"), "rope_theta");
    if (yyjson_is_str(type))
        (void)snprintf(out->type, sizeof out->type, "%s", yyjson_get_str(type));
    if (yyjson_is_num(base))
        out->rope_base = yyjson_get_num(base);
}

/* The config.json of the checkpoint: in its folder, or beside the one file that a repository's folder has. Beside
 * a file of another name it may belong to something else. */
static bool find_config(const char *checkpoint, char *out, size_t n)
{
    static const char file[] = "/model.safetensors";
    char dir[PATH_BYTES];
    size_t len = strlen(checkpoint);
    if (len >= sizeof dir)
        return false;
    memcpy(dir, checkpoint, len + 1);
    if (!file_is_dir(dir) && str_ends(str_from(dir), str_from(file)))
        dir[len - strlen(file)] = '\0';
    return file_is_dir(dir) && file_join(out, n, dir, "config.json", NULL) == ERR_OK &&
           file_exists(out);
}

static struct said listen(const struct component *c)
{
    char path[PATH_BYTES];
    struct said out = {0};
    yyjson_doc *doc = NULL;
    struct str arch;
    if (checkpoint_meta_str(c->cp, "general.architecture", &arch))
        (void)snprintf(out.type, sizeof out.type, "%.*s", STR_ARG(arch));
    (void)checkpoint_meta_double(c->cp, "qwen3.rope.freq_base", &out.rope_base);
    if (find_config(checkpoint_path(c->cp), path, sizeof path) &&
        json_read_file(path, CONFIG_MAX_BYTES, &doc, NULL) == ERR_OK)
        read_config(yyjson_doc_get_root(doc), &out);
    yyjson_doc_free(doc);
    return out;
}

static bool is_real(const struct component *c)
{
    return component_dim(c, "model.embed_tokens.weight", 0) >= REAL_VOCABULARY;
}

static bool has_eyes(const struct component *c)
{
    static const char *const starts[] = {"visual.", "model.visual."};
    char name[NAMING_MAX_BYTES + 16];
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", c->prefix, starts[i]);
        if (component_any_begins(c->cp, name))
            return true;
    }
    return false;
}

static bool name_holds(const struct component *c, const char *part)
{
    struct str name;
    char z[128];
    if (!checkpoint_meta_str(c->cp, "general.name", &name))
        return false;
    (void)snprintf(z, sizeof z, "%.*s", STR_ARG(name));
    return strstr(z, part) != NULL;
}

static bool is_dev(const struct component *c, const struct said *s)
{
    (void)s;
    return component_has(c, "time_guidance_embed.guidance_embedder.linear_1.weight") ||
           component_dim(c, "context_embedder.weight", 1) == DEV_TEXT_WIDTH;
}

static bool is_qwen3_vl(const struct component *c, const struct said *s)
{
    return has_eyes(c) || strncmp(s->type, "qwen3_vl", 8) == 0 ||
           strncmp(s->type, "qwen3vl", 7) == 0;
}

static bool is_embedder(const struct component *c, const struct said *s)
{
    (void)s;
    return name_holds(c, "Embedding") || name_holds(c, "Reranker");
}

static bool is_other_qwen3(const struct component *c, const struct said *s)
{
    return is_real(c) && s->rope_base > 0 && fabs(s->rope_base - klein_rope_base) > 1;
}

static bool is_plain_qwen2_5(const struct component *c, const struct said *s)
{
    bool says_vl = strncmp(s->type, "qwen2_5_vl", 10) == 0;
    bool gguf = checkpoint_format(c->cp) == CHECKPOINT_GGUF;
    return is_real(c) && !gguf && !says_vl && !has_eyes(c);
}

static bool is_qwen2_vl(const struct component *c, const struct said *s)
{
    bool old_eyes = has_eyes(c) && !component_has(c, "visual.blocks.0.mlp.gate_proj.weight");
    return old_eyes || strcmp(s->type, "qwen2_vl") == 0 || name_holds(c, "Qwen2-VL") ||
           name_holds(c, "Qwen2 VL") || name_holds(c, "Omni");
}

static bool is_plain_qwen_image(const struct component *c, const struct said *s)
{
    (void)s;
    return !component_has(c, "time_text_embed.addition_t_embedding.weight");
}

static bool is_rgb_vae(const struct component *c, const struct said *s)
{
    (void)s;
    return component_dim(c, "decoder.conv_out.weight", 0) != LAYERED_CHANNELS;
}

static const struct {
    enum component_kind kind;
    bool (*is)(const struct component *c, const struct said *s);
    const char *what, *needed;
} impostors[] = {
    {COMPONENT_FLUX2_TRANSFORMER, is_dev,
     "FLUX.2-dev, which has a guidance input and takes another text encoder's states",
     "a FLUX.2-klein transformer"},
    {COMPONENT_QWEN3, is_qwen3_vl, "Qwen3-VL, whose language model is not Qwen3's",
     "Qwen3-4B or Qwen3-8B"},
    {COMPONENT_QWEN3, is_embedder,
     "a Qwen3 that was trained to compare texts, whose states are others", "Qwen3-4B or Qwen3-8B"},
    {COMPONENT_QWEN3, is_other_qwen3,
     "a later Qwen3 with another rope base (the 2507 models), which klein was not made with",
     "Qwen3-4B or Qwen3-8B of April 2025"},
    {COMPONENT_QWEN2_5_VL, is_plain_qwen2_5,
     "plain Qwen2.5 or Qwen2.5-VL without its vision tower, which cannot be told apart",
     "Qwen2.5-VL-7B-Instruct with its visual.* tensors, or its GGUF file"},
    {COMPONENT_QWEN2_5_VL, is_qwen2_vl, "Qwen2-VL or an Omni model, not Qwen2.5-VL",
     "Qwen2.5-VL-7B-Instruct"},
    {COMPONENT_QWEN_IMAGE_TRANSFORMER, is_plain_qwen_image,
     "plain Qwen-Image, without the time_text_embed.addition_t_embedding of the layered model",
     "Qwen-Image-Layered"},
    {COMPONENT_QWEN_IMAGE_VAE, is_rgb_vae,
     "the VAE of plain Qwen-Image or Wan, which knows no transparency",
     "qwen_image_layered_vae, with 4 channels"},
};

enum err_code component_refuse_impostor(const struct component *c, struct err *e)
{
    struct said s = listen(c);
    for (size_t i = 0; i < sizeof impostors / sizeof impostors[0]; i++)
        if (impostors[i].kind == c->naming->kind && impostors[i].is(c, &s))
            return err_set(e, ERR_FORMAT, "'%s' is %s; needed is %s", checkpoint_path(c->cp),
                           impostors[i].what, impostors[i].needed);
    return ERR_OK;
}

/* ---- strangers ------------------------------------------------------------------------------- */

/* Sentences about what a checkpoint is, or what it seems to be when we cannot use it. */

/* Known strangers, by how one of their tensors' names begins. */
static const struct {
    const char *start, *what;
} strangers[] = {
    {"double_blocks.0.img_mod.lin.", "a FLUX.1 transformer"},
    {"model.diffusion_model.double_blocks.0.img_mod.lin.", "a FLUX.1 transformer"},
    {"transformer_blocks.0.norm1_context.linear.", "a FLUX.1 or Stable Diffusion 3 transformer"},
    {"model.diffusion_model.joint_blocks.", "a Stable Diffusion 3 checkpoint"},
    {"model.diffusion_model.input_blocks.", "a Stable Diffusion checkpoint"},
    {"down_blocks.0.resnets.", "a Stable Diffusion UNet"},
    {"decoder.mid_block.attentions.0.", "a VAE without the latent statistics that FLUX.2's has"},
    {"decoder.mid.attn_1.", "a VAE without the latent statistics that FLUX.2's has"},
    {"encoder.block.0.layer.0.SelfAttention.", "a T5 text encoder"},
    {"enc.blk.0.", "a T5 text encoder"},
    {"text_model.encoder.layers.", "a CLIP text encoder"},
    {"model.layers.0.self_attn.q_proj.", "a language model, but neither Qwen3 nor Qwen2.5-VL"},
    {"blk.0.attn_q.", "a language model, but neither Qwen3 nor Qwen2.5-VL"},
    {"v.blk.0.", "a vision tower, but not Qwen2.5-VL's"},
};

static bool has_part(const struct checkpoint *cp, const char *part)
{
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        if (strstr(checkpoint_at(cp, i)->name, part))
            return true;
    }
    return false;
}

static bool has_packed_words(const struct checkpoint *cp)
{
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        if (t->n_dims == 2 && (t->dtype == DTYPE_U32 || t->dtype == DTYPE_I32))
            return true;
    }
    return false;
}

enum err_code component_refuse_unknown(const struct checkpoint *cp, struct err *e)
{
    const char *what = NULL;
    if (has_packed_words(cp))
        what = "a checkpoint that MLX or a 4-bit quantiser packed into 32-bit words; GGUF, float8, "
               "int8 "
               "and NVFP4 files work";
    if (has_part(cp, ".lora_A.") || has_part(cp, ".lora_down.") || has_part(cp, ".lora_up."))
        what = "a LoRA, not a whole network";
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0] && !what; i++) {
        if (component_any_begins(cp, strangers[i].start))
            what = strangers[i].what;
    }
    if (what)
        return err_set(e, ERR_FORMAT, "'%s' is not supported: it looks like %s",
                       checkpoint_path(cp), what);
    const struct weights_tensor *t = checkpoint_at(cp, 0);
    return err_set(
        e, ERR_FORMAT,
        "'%s' is not a network that this program knows: it has %zu tensors, the first is '%s' %s",
        checkpoint_path(cp), checkpoint_count(cp), catalogue_show(str_from(t->name)).z,
        catalogue_shape(t->dims, t->n_dims).z);
}

void component_describe(const struct component *c, char *out, size_t n)
{
    const char *title = component_kind_title(component_kind(c));
    switch (component_kind(c)) {
    case COMPONENT_FLUX2_TRANSFORMER:
        (void)snprintf(
            out, n, "%s (hidden %" PRId64 ", text %" PRId64 ", %" PRId64 " + %" PRId64 " blocks)",
            title, component_dim(c, "x_embedder.weight", 0),
            component_dim(c, "context_embedder.weight", 1),
            component_block_count(c, "transformer_blocks"),
            component_block_count(c, "single_transformer_blocks"));
        break;
    case COMPONENT_QWEN_IMAGE_TRANSFORMER:
        (void)snprintf(
            out, n, "%s%s (hidden %" PRId64 ", text %" PRId64 ", %" PRId64 " blocks)", title,
            component_has(c, "time_text_embed.addition_t_embedding.weight") ? " (layered)" : "",
            component_dim(c, "img_in.weight", 0), component_dim(c, "txt_in.weight", 1),
            component_block_count(c, "transformer_blocks"));
        break;
    case COMPONENT_QWEN3:
    case COMPONENT_QWEN2_5_VL:
        (void)snprintf(out, n, "%s (hidden %" PRId64 ", %" PRId64 " layers)", title,
                       component_dim(c, "model.embed_tokens.weight", 1),
                       component_block_count(c, "model.layers"));
        break;
    case COMPONENT_QWEN2_5_VL_VISION:
        (void)snprintf(out, n, "%s (hidden %" PRId64 ", %" PRId64 " blocks)", title,
                       component_dim(c, "visual.merger.ln_q.weight", 0),
                       component_block_count(c, "visual.blocks"));
        break;
    case COMPONENT_FLUX2_VAE:
    case COMPONENT_QWEN_IMAGE_VAE:
        (void)snprintf(out, n, "%s (%" PRId64 " image channels, %" PRId64 " latent channels)",
                       title, component_dim(c, "decoder.conv_out.weight", 0),
                       component_dim(c, "decoder.conv_in.weight", 1));
        break;
    default:
        (void)snprintf(out, n, "%s", title);
    }
}

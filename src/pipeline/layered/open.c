/* open.c - a layered model's components: opened, checked against each other, engaged in turn.
 *
 * Opening reads headers and configurations, no weights. Components that are each valid may come from different
 * models: the widths at which they meet are compared here, where a message can say so. Engaging goes through the
 * governor of the component's device, which releases others when the budget asks for it; the blocks' modulation is
 * a parameter set of its own.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "model/blocks.h"
#include "pipeline/layered/internal.h"

/* The component and its config.json; *doc is NULL when it has none. */
static enum err_code open_part(const struct model_part *part, enum component_kind kind,
                               struct component **c, yyjson_doc **doc, struct err *e)
{
    enum err_code rc = component_open(part->weights, kind, c, e);
    *doc = NULL;
    return rc == ERR_OK ? model_part_config(part, doc, e) : rc;
}

static const char *part_name(const struct model_part *part)
{
    return part->config[0] ? part->config : part->weights;
}

static enum err_code open_text(struct layered *l, struct err *e)
{
    const struct model_part *part = &l->dir->text_encoder;
    struct qwen_vl_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = open_part(part, COMPONENT_QWEN2_5_VL, &l->text_component, &doc, e);
    if (rc == ERR_OK)
        rc = qwen_vl_config_read(yyjson_doc_get_root(doc), part_name(part), l->text_component, &cfg,
                                 e);
    yyjson_doc_free(doc);
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(qwen_vl_new(l->text_component, l->on.text, nn_precision_for(l->text_component), &cfg,
                         QWEN_VL_ENCODE, &l->text, e),
             done);
    if (cfg.vocab < tokenizer_vocab_size(l->tokenizer))
        rc = err_set(
            e, ERR_FORMAT,
            "the tokenizer has %d tokens, the text encoder only %lld embeddings: they belong to "
            "different models",
            tokenizer_vocab_size(l->tokenizer), (long long)cfg.vocab);
done:
    return rc == ERR_OK ? rc : err_note(e, "text encoder");
}

static enum err_code open_transformer(struct layered *l, struct err *e)
{
    const struct model_part *part = &l->dir->transformer;
    struct qwen_image_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc =
        open_part(part, COMPONENT_QWEN_IMAGE_TRANSFORMER, &l->transformer_component, &doc, e);
    if (rc == ERR_OK)
        rc = qwen_image_config_read(yyjson_doc_get_root(doc), part_name(part),
                                    l->transformer_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = qwen_image_transformer_new(l->transformer_component, l->on.transformer,
                                        nn_precision_for(l->transformer_component), &cfg,
                                        &l->transformer, e);
    if (rc != ERR_OK)
        return err_note(e, "transformer");
    l->joint_dim = cfg.joint_dim;
    return ERR_OK;
}

static enum err_code open_vae(struct layered *l, struct err *e)
{
    const struct model_part *part = &l->dir->vae;
    struct qwen_image_vae_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = open_part(part, COMPONENT_QWEN_IMAGE_VAE, &l->vae_component, &doc, e);
    if (rc == ERR_OK)
        rc = qwen_image_vae_config_read(yyjson_doc_get_root(doc), part_name(part), l->vae_component,
                                        &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = qwen_image_vae_new(l->vae_component, l->on.vae, nn_precision_for(l->vae_component),
                                &cfg, VAE_ENCODER | VAE_DECODER, &l->vae, e);
    return rc == ERR_OK ? rc : err_note(e, "VAE");
}

/* Components that are each sound may still not belong together. */
static enum err_code check_fit(const struct layered *l, struct err *e)
{
    const struct qwen_image_config *t = qwen_image_transformer_config(l->transformer);
    int64_t hidden = qwen_vl_config(l->text)->hidden;
    int64_t latent = qwen_image_vae_config(l->vae)->latent_channels;
    if (hidden != t->joint_dim)
        return err_set(e, ERR_FORMAT,
                       "the text encoder's width is %lld, the transformer needs %lld: they belong "
                       "to different models",
                       (long long)hidden, (long long)t->joint_dim);
    if (4 * latent != t->in_channels)
        return err_set(e, ERR_FORMAT,
                       "the VAE has %lld latent channels, the transformer works on %lld (4 x %lld)",
                       (long long)latent, (long long)t->in_channels,
                       (long long)(t->in_channels / 4));
    if (LAYERED_SIDE_UNIT % layered_unit(l) != 0)
        return err_set(e, ERR_FORMAT, "the VAE's tokens are %d pixels wide, at most %d are wanted",
                       layered_unit(l), LAYERED_SIDE_UNIT);
    return ERR_OK;
}

enum err_code layered_open(const struct model_dir *dir, struct devices on, struct ahead *ahead,
                           struct layered **out, struct err *e)
{
    *out = NULL;
    if (dir->pipeline != MODEL_PIPELINE_LAYERED)
        return err_set(
            e, ERR_ARG,
            "the model '%s' makes and edits images; taking one apart into layers needs a "
            "Qwen-Image-Layered model",
            dir->name);
    struct layered *l = mem_try_alloc(sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for a model");
    l->dir = dir;
    l->on = on;
    enum err_code rc;
    TRY_GOTO(ahead_tokenizer(ahead, dir->tokenizer, &l->tokenizer, e), done);
    TRY_GOTO(open_text(l, e), done);
    TRY_GOTO(open_transformer(l, e), done);
    TRY_GOTO(open_vae(l, e), done);
    rc = check_fit(l, e);
done:
    if (rc != ERR_OK) {
        layered_free(l);
        return err_note(e, "model '%s'", dir->name);
    }
    *out = l;
    return ERR_OK;
}

void layered_free(struct layered *l)
{
    if (!l)
        return;
    caption_close(l->captioner);
    loras_deinit(&l->loras);
    qwen_vl_free(l->text);
    qwen_image_transformer_free(l->transformer);
    qwen_image_vae_free(l->vae);
    component_close(l->text_component);
    component_close(l->transformer_component);
    component_close(l->vae_component);
    tokenizer_free(l->tokenizer);
    preview_deinit(&l->preview);
    mem_free(l);
}

enum err_code layered_use_loras(struct layered *l, const struct vt_loras *loras, struct err *e)
{
    struct nn_params *sets[MODEL_MAX_BLOCKS + 2];
    struct model_network network = {.kind = COMPONENT_QWEN_IMAGE_TRANSFORMER,
                                    .sets = sets,
                                    .n_sets = qwen_image_transformer_sets(l->transformer, sets),
                                    .device = l->on.transformer};
    network.unread = qwen_image_unread(l->transformer, &network.n_unread);
    enum err_code rc = loras_use(&l->loras, loras, &network, e);
    if (rc != ERR_OK)
        loras_deinit(&l->loras);
    return rc;
}

int layered_unit(const struct layered *l)
{
    return 2 * qwen_image_vae_scale(qwen_image_vae_config(l->vae));
}

/* ---- engaging --------------------------------------------------------------------------------------- */

static int64_t block_count(const struct layered *l)
{
    return qwen_image_transformer_config(l->transformer)->n_blocks;
}

static enum err_code engage(struct layered *l, struct nn_params *ps, struct err *e)
{
    if (ps == qwen_vl_params(l->text))
        return governor_engage(l->on.text, "text_encoder", ps, e);
    if (ps == qwen_image_transformer_params(l->transformer))
        return governor_engage(l->on.transformer, "transformer", ps, e);
    bool encodes = ps == vae_params(qwen_image_vae_net(l->vae), VAE_ENCODER);
    return governor_engage(l->on.vae, encodes ? "vae_encoder" : "vae_decoder", ps, e);
}

static void note_bytes(struct vt_stats *s, uint64_t device, uint64_t mapped)
{
    if (device > s->device_weight_bytes)
        s->device_weight_bytes = device;
    if (mapped > s->mapped_weight_bytes)
        s->mapped_weight_bytes = mapped;
}

enum err_code layered_engage(struct layered *l, struct nn_params *ps, const struct layered_run *run,
                             struct err *e)
{
    if (!nn_params_engaged(ps))
        report_stage(run->callbacks, VT_STAGE_LOAD, 0, 1);
    int64_t start = clock_ns();
    enum err_code rc = engage(l, ps, e);
    run->stats->load_seconds += (double)(clock_ns() - start) * 1e-9;
    note_bytes(run->stats, nn_params_device_bytes(ps), nn_params_mapped_bytes(ps));
    return rc;
}

enum err_code layered_engage_modulation(struct layered *l, const struct layered_run *run,
                                        struct err *e)
{
    struct nn_params *rest = qwen_image_transformer_params(l->transformer);
    uint64_t device = nn_params_device_bytes(rest), mapped = nn_params_mapped_bytes(rest);
    enum err_code rc = ERR_OK;
    int64_t start = clock_ns();
    for (int64_t i = 0; rc == ERR_OK && i < block_count(l); i++) {
        struct nn_params *ps = qwen_image_modulation_params(l->transformer, i);
        rc = governor_engage_also(l->on.transformer, "transformer", ps, e);
        device += nn_params_device_bytes(ps);
        mapped += nn_params_mapped_bytes(ps);
    }
    run->stats->load_seconds += (double)(clock_ns() - start) * 1e-9;
    note_bytes(run->stats, device, mapped);
    return rc;
}

void layered_release_modulation(struct layered *l)
{
    for (int64_t i = 0; i < block_count(l) && !nn_device_is_cpu(l->on.transformer); i++)
        nn_params_release(qwen_image_modulation_params(l->transformer, i));
}

/* open.c - a klein model's components: opened, checked against each other, engaged in turn.
 *
 * Opening reads headers and configurations, no weights. Components that are each valid may come from different
 * models: the widths at which they meet are compared here, where a message can say so. The text encoder is cut off
 * after the last layer whose states the transformer takes. Engaging goes through the governor of the component's
 * device.
 */
#include "pipeline/klein/internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "memory/governor.h"

static enum err_code open_text(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->text_encoder;
    struct qwen3_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = component_open(part->weights, COMPONENT_QWEN3, &k->text_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "text encoder");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = qwen3_config_read(yyjson_doc_get_root(doc), what, k->text_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(qwen3_new(k->text_component, k->on.text, nn_precision_for(k->text_component), &cfg,
                       KLEIN_TEXT_LAYERS, &k->text, e),
             done);
    if (cfg.vocab < tokenizer_vocab_size(k->tokenizer))
        rc = err_set(
            e, ERR_FORMAT,
            "the tokenizer has %d tokens, the text encoder only %lld embeddings: they belong to "
            "different models",
            tokenizer_vocab_size(k->tokenizer), (long long)cfg.vocab);
done:
    return rc == ERR_OK ? rc : err_note(e, "text encoder");
}

static enum err_code open_transformer(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->transformer;
    struct flux2_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc =
        component_open(part->weights, COMPONENT_FLUX2_TRANSFORMER, &k->transformer_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "transformer");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = flux2_config_read(yyjson_doc_get_root(doc), what, k->transformer_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = flux2_transformer_new(k->transformer_component, k->on.transformer,
                                   nn_precision_for(k->transformer_component), &cfg,
                                   &k->transformer, e);
    k->joint_dim = cfg.joint_dim;
    return rc == ERR_OK ? rc : err_note(e, "transformer");
}

static enum err_code open_vae(struct klein *k, struct err *e)
{
    const struct model_part *part = &k->dir->vae;
    struct flux2_vae_config cfg;
    yyjson_doc *doc = NULL;
    enum err_code rc = component_open(part->weights, COMPONENT_FLUX2_VAE, &k->vae_component, e);
    if (rc == ERR_OK)
        rc = model_part_config(part, &doc, e);
    if (rc != ERR_OK)
        return err_note(e, "VAE");
    const char *what = part->config[0] ? part->config : part->weights;
    rc = flux2_vae_config_read(yyjson_doc_get_root(doc), what, k->vae_component, &cfg, e);
    yyjson_doc_free(doc);
    if (rc == ERR_OK)
        rc = flux2_vae_new(k->vae_component, k->on.vae, nn_precision_for(k->vae_component), &cfg,
                           VAE_ENCODER | VAE_DECODER, &k->vae, e);
    return rc == ERR_OK ? rc : err_note(e, "VAE");
}

/* Components that are each sound may still not belong together. */
static enum err_code check_fit(const struct klein *k, struct err *e)
{
    const struct flux2_config *t = flux2_transformer_config(k->transformer);
    int64_t hidden = qwen3_config(k->text)->hidden;
    int64_t latent = flux2_vae_config(k->vae)->latent_channels;
    if (3 * hidden != t->joint_dim)
        return err_set(
            e, ERR_FORMAT,
            "the text encoder's width is %lld (its embeddings %lld), the transformer needs %lld "
            "(%lld): they belong to different models",
            (long long)hidden, 3 * (long long)hidden, (long long)t->joint_dim / 3,
            (long long)t->joint_dim);
    if (4 * latent != t->in_channels || t->out_channels != t->in_channels)
        return err_set(e, ERR_FORMAT,
                       "the VAE has %lld latent channels, the transformer works on %lld (4 x %lld)",
                       (long long)latent, (long long)t->in_channels,
                       (long long)(t->in_channels / 4));
    return ERR_OK;
}

enum err_code klein_open(const struct model_dir *dir, struct devices on, struct ahead *ahead,
                         struct klein **out, struct err *e)
{
    *out = NULL;
    if (dir->pipeline != MODEL_PIPELINE_KLEIN)
        return err_set(e, ERR_ARG,
                       "the model '%s' takes images apart into layers; use `veetance layers`",
                       dir->name);
    struct klein *k = mem_try_alloc(sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "no memory for a model");
    k->dir = dir;
    k->on = on;
    enum err_code rc;
    TRY_GOTO(ahead_tokenizer(ahead, dir->tokenizer, &k->tokenizer, e), done);
    TRY_GOTO(open_text(k, e), done);
    TRY_GOTO(open_transformer(k, e), done);
    TRY_GOTO(open_vae(k, e), done);
    rc = check_fit(k, e);
done:
    if (rc != ERR_OK) {
        klein_free(k);
        return err_note(e, "model '%s'", dir->name);
    }
    *out = k;
    return ERR_OK;
}

void klein_free(struct klein *k)
{
    if (!k)
        return;
    klein_embeddings_free(k);
    loras_deinit(&k->loras);
    qwen3_free(k->text);
    flux2_transformer_free(k->transformer);
    flux2_vae_free(k->vae);
    component_close(k->text_component);
    component_close(k->transformer_component);
    component_close(k->vae_component);
    tokenizer_free(k->tokenizer);
    preview_deinit(&k->preview);
    mem_free(k);
}

enum err_code klein_use_loras(struct klein *k, const struct vt_loras *loras, struct err *e)
{
    struct nn_params *set = flux2_transformer_params(k->transformer);
    const struct model_network network = {.kind = COMPONENT_FLUX2_TRANSFORMER,
                                          .sets = &set,
                                          .n_sets = 1,
                                          .device = k->on.transformer};
    enum err_code rc = loras_use(&k->loras, loras, &network, e);
    if (rc != ERR_OK)
        loras_deinit(&k->loras);
    return rc;
}

int klein_size_unit(const struct klein *k)
{
    return 2 * flux2_vae_scale(flux2_vae_config(k->vae));
}

static enum err_code engage(struct klein *k, struct nn_params *ps, struct err *e)
{
    if (ps == qwen3_params(k->text))
        return governor_engage(k->on.text, "text_encoder", ps, e);
    if (ps == flux2_transformer_params(k->transformer))
        return governor_engage(k->on.transformer, "transformer", ps, e);
    bool encodes = ps == vae_params(flux2_vae_net(k->vae), VAE_ENCODER);
    return governor_engage(k->on.vae, encodes ? "vae_encoder" : "vae_decoder", ps, e);
}

enum err_code klein_engage(struct klein *k, struct nn_params *ps, const struct klein_run *run,
                           struct err *e)
{
    if (!nn_params_engaged(ps))
        report_stage(run->callbacks, VT_STAGE_LOAD, run->image, run->image_count);
    int64_t start = clock_ns();
    enum err_code rc = engage(k, ps, e);
    struct vt_stats *s = run->stats;
    s->load_seconds += (double)(clock_ns() - start) * 1e-9;
    if (nn_params_device_bytes(ps) > s->device_weight_bytes)
        s->device_weight_bytes = nn_params_device_bytes(ps);
    if (nn_params_mapped_bytes(ps) > s->mapped_weight_bytes)
        s->mapped_weight_bytes = nn_params_mapped_bytes(ps);
    return rc;
}

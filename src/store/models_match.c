/* models_match.c - which components make a model together.
 *
 * Told from shapes alone: a FLUX.2-klein transformer takes the states of a Qwen3 of one width and the latents
 * of FLUX.2's VAE; a layered Qwen-Image transformer those of a Qwen2.5-VL and of a VAE with four picture channels;
 * a tokenizer has about as many tokens as its text encoder has rows. Of several that fit, one that is there
 * goes first, then the one that lies nearest to the transformer. */
#include <string.h>

#include "store/models_impl.h"

/* Below it a model is a miniature, whose tokenizer says nothing about its family. */
enum { REAL_VOCABULARY = 100000 };

bool models_role_of(const struct models_component *c, enum models_role *out)
{
    static const struct {
        const char *kind;
        enum models_role role;
    } roles[] = {
        {"flux2_transformer", MODELS_TRANSFORMER},
        {"qwen_image_transformer", MODELS_TRANSFORMER},
        {"qwen3", MODELS_TEXT_ENCODER},
        {"qwen2_5_vl", MODELS_TEXT_ENCODER},
        {"flux2_vae", MODELS_VAE},
        {"qwen_image_vae", MODELS_VAE},
        {"qwen2_5_vl_vision", MODELS_VISION},
        {"tokenizer", MODELS_TOKENIZER},
        {"processor", MODELS_PROCESSOR},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(c->kind, roles[i].kind) == 0) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

static bool tokenizer_fits(const struct models_component *encoder, const struct models_component *c,
                           bool klein)
{
    if (!encoder || c->rows > encoder->rows || c->rows <= encoder->rows / 2)
        return false;
    return encoder->rows < REAL_VOCABULARY || c->vision == klein;
}

static bool fits(const struct models *m, const struct models_model *x, enum models_role role,
                 const struct models_component *c)
{
    const struct models_component *t = models_component(m, x->parts[MODELS_TRANSFORMER]);
    const struct models_component *encoder = models_component(m, x->parts[MODELS_TEXT_ENCODER]);
    bool klein = strcmp(x->pipeline, "klein") == 0;
    enum models_role own;
    if (!t || !models_role_of(c, &own) || own != role)
        return false;
    switch (role) {
    case MODELS_TEXT_ENCODER:
        return strcmp(c->kind, klein ? "qwen3" : "qwen2_5_vl") == 0 && c->text == t->text;
    case MODELS_VAE:
        return strcmp(c->kind, klein ? "flux2_vae" : "qwen_image_vae") == 0 &&
               c->latent == t->latent && (klein || c->channels == 4);
    case MODELS_VISION:
        return !klein && encoder && !encoder->vision && c->text == encoder->text;
    case MODELS_TOKENIZER:
        return tokenizer_fits(encoder, c, klein);
    case MODELS_PROCESSOR:
        return !klein;
    default:
        return false;
    }
}

static size_t shared_prefix(const char *a, const char *b)
{
    size_t n = 0, at = 0;
    for (; a[n] && a[n] == b[n]; n++)
        if (a[n] == '/')
            at = n + 1;
    return at;
}

/* How near the component lies to the transformer. */
static size_t nearness(const struct models_component *t, const struct models_component *c)
{
    char path[MODELS_PATH_BYTES];
    size_t best = 0;
    for (size_t i = 0; i < t->n_places; i++) {
        for (size_t k = 0; k < c->n_places; k++) {
            size_t n = shared_prefix(t->places[i].path, c->places[k].path);
            best = n > best ? n : best;
        }
    }
    return best + (models_component_state(c, path) == MODELS_READY ? 2 * MODELS_PATH_BYTES : 1);
}

void models_complete(const struct models *m, struct models_model *x)
{
    /* The text encoder comes before the vision tower and the tokenizer, which are chosen by it. */
    for (int r = MODELS_TEXT_ENCODER; r < MODELS_ROLES; r++) {
        const struct models_component *t = models_component(m, x->parts[MODELS_TRANSFORMER]);
        size_t best = 0;
        if (x->parts[r] || !t)
            continue;
        for (size_t i = 0; i < m->n_components; i++) {
            const struct models_component *c = &m->components[i];
            size_t score = fits(m, x, (enum models_role)r, c) ? nearness(t, c) : 0;
            if (score > best) {
                best = score;
                x->parts[r] = c->id;
            }
        }
    }
}

void models_complete_all(struct models *m)
{
    for (size_t i = 0; i < m->n_models; i++)
        models_complete(m, &m->models[i]);
}

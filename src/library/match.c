/* match.c - which components make a model together.
 *
 * Told from shapes alone: a FLUX.2-klein transformer takes the states of a Qwen3 of one width and the latents
 * of FLUX.2's VAE; a layered Qwen-Image transformer those of a Qwen2.5-VL and of a VAE with four image channels;
 * a tokenizer has about as many tokens as its text encoder has rows. Of several that fit, one that is there
 * goes first, then the one that lies nearest, then the one that is stored most exactly. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "library/impl.h"

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

/* How near the component lies to the one that it goes with. */
static size_t nearness(const struct models_component *t, const struct models_component *c)
{
    size_t best = 0;
    for (size_t i = 0; i < t->n_places; i++) {
        for (size_t k = 0; k < c->n_places; k++) {
            size_t n = shared_prefix(t->places[i].path, c->places[k].path);
            best = n > best ? n : best;
        }
    }
    return best;
}

/* Is it in a file with other networks, which it is meant to be used with? */
static bool has_company(const struct models *m, const struct models_component *c)
{
    for (size_t i = 0; i < m->n_components; i++) {
        const struct models_component *o = &m->components[i];
        for (size_t k = 0; o != c && k < o->n_places; k++)
            for (size_t j = 0; j < c->n_places; j++)
                if (!c->places[j].names && strcmp(o->places[k].path, c->places[j].path) == 0)
                    return true;
    }
    return false;
}

static bool share_a_file(const struct models_component *a, const struct models_component *b)
{
    for (size_t i = 0; i < a->n_places; i++)
        for (size_t k = 0; k < b->n_places; k++)
            if (!a->places[i].names && strcmp(a->places[i].path, b->places[k].path) == 0)
                return true;
    return false;
}

/* Is a the better of two that fit? The one in the same file; one that is there; one that is no part of another
 * model's file; then the nearer one; then the larger, which is stored more exactly; then by the files' hash: the
 * order in which they were found makes no difference. */
static bool is_better(const struct models *m, const struct models_component *with,
                      const struct models_component *a, const struct models_component *b)
{
    char path[MODELS_PATH_BYTES];
    bool a_there = models_component_state(a, path) == MODELS_READY;
    bool b_there = models_component_state(b, path) == MODELS_READY;
    bool a_with = share_a_file(a, with), b_with = share_a_file(b, with);
    bool a_company = has_company(m, a), b_company = has_company(m, b);
    size_t a_near = nearness(with, a), b_near = nearness(with, b);
    uint64_t a_bytes = models_component_bytes(a), b_bytes = models_component_bytes(b);
    if (a_with != b_with)
        return a_with;
    if (a_there != b_there)
        return a_there;
    if (a_company != b_company)
        return b_company;
    if (a_near != b_near)
        return a_near > b_near;
    if (a_bytes != b_bytes)
        return a_bytes > b_bytes;
    return strcmp(a->id, b->id) < 0;
}

/* The component that one for this role should lie near to: what is read before it belongs to the text encoder. */
static const struct models_component *companion(const struct models *m,
                                                const struct models_model *x, enum models_role role)
{
    const struct models_component *encoder = models_component(m, x->parts[MODELS_TEXT_ENCODER]);
    bool with_encoder =
        role == MODELS_VISION || role == MODELS_TOKENIZER || role == MODELS_PROCESSOR;
    return with_encoder && encoder ? encoder : models_component(m, x->parts[MODELS_TRANSFORMER]);
}

static const struct models_component *best_for(const struct models *m, const struct models_model *x,
                                               enum models_role role)
{
    const struct models_component *with = companion(m, x, role), *best = NULL;
    for (size_t i = 0; with && i < m->n_components; i++) {
        const struct models_component *c = &m->components[i];
        if (fits(m, x, role, c) && (!best || is_better(m, with, c, best)))
            best = c;
    }
    return best;
}

void models_complete(const struct models *m, struct models_model *x, const struct models_options *o)
{
    bool assembled = strcmp(x->layout, "assembled") == 0;
    char text[400];
    /* The text encoder comes before the vision tower and the tokenizer, which are chosen by it. */
    for (int r = MODELS_TEXT_ENCODER; r < MODELS_ROLES; r++) {
        const struct models_component *had = models_component(m, x->parts[r]);
        if (had && !assembled)
            continue;
        const struct models_component *best = best_for(m, x, (enum models_role)r);
        if (!best || best == had)
            continue;
        x->parts[r] = best->id;
        if (!had)
            continue;
        (void)snprintf(text, sizeof text, "'%.120s' now uses this %s: %.160s", x->name,
                       models_role_name((enum models_role)r), best->about);
        models_say(o, MODELS_NOTE, best->n_places ? best->places[0].path : "", text);
    }
}

void models_complete_all(struct models *m, const struct models_options *o)
{
    for (size_t i = 0; i < m->n_models; i++)
        models_complete(m, &m->models[i], o);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* A model that lies in two places is one: a folder and its copy in the hub's cache, or on another
 * drive. Its parts are known by their bytes; what the folders say must be the same, too (klein-4B and its base model
 * could share everything but that). */

static bool holds(const char *dir, const char *name)
{
    char path[MODELS_PATH_BYTES];
    return file_join(path, sizeof path, dir, name, NULL) == ERR_OK && file_exists(path);
}

/* A published folder. One with a veetance.json was put together by the user, who wants it under its own name. */
static bool is_published(const char *dir)
{
    return holds(dir, "model_index.json") && !holds(dir, "veetance.json");
}

static bool say_the_same(const char *a, const char *b)
{
    static const char *const keys[] = {"is_distilled", "reference_cache", "defaults"};
    yyjson_doc *x = NULL, *y = NULL;
    bool same = a && b && json_parse(str_from(a), "settings", &x, NULL) == ERR_OK &&
                json_parse(str_from(b), "settings", &y, NULL) == ERR_OK;
    for (size_t i = 0; same && i < sizeof keys / sizeof keys[0]; i++) {
        yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(x), keys[i]);
        yyjson_val *w = yyjson_obj_get(yyjson_doc_get_root(y), keys[i]);
        same = v && w ? yyjson_equals(v, w) : v == w;
    }
    yyjson_doc_free(x);
    yyjson_doc_free(y);
    return same;
}

/* Do the networks that both have agree, the transformer among them? */
static bool share_networks(const char *const a[MODELS_ROLES], const char *const b[MODELS_ROLES])
{
    static const enum models_role networks[] = {MODELS_TRANSFORMER, MODELS_TEXT_ENCODER, MODELS_VAE,
                                                MODELS_VISION};
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        const char *x = a[networks[i]], *y = b[networks[i]];
        if (x && y ? strcmp(x, y) != 0 : networks[i] == MODELS_TRANSFORMER)
            return false;
    }
    return true;
}

struct models_model *models_twin(const struct models *m, const struct models_model *x)
{
    for (size_t i = 0; i < m->n_models; i++) {
        struct models_model *at = &m->models[i];
        if (at->path[0] && strcmp(at->path, x->path) != 0 && is_published(at->path) &&
            is_published(x->path) && share_networks(at->parts, x->parts) &&
            say_the_same(at->settings, x->settings))
            return at;
    }
    return NULL;
}

/* ---- size ------------------------------------------------------------------------------------------ */

static bool is_counted(const struct models *m, const struct models_model *x, int role,
                       const struct models_file *f)
{
    for (int r = 0; r < role; r++) {
        const struct models_component *c = models_component(m, x->parts[r]);
        for (size_t i = 0; c && i < c->n_files; i++)
            if (c->files[i].bytes == f->bytes && strcmp(c->files[i].quick, f->quick) == 0)
                return true;
    }
    return false;
}

uint64_t models_model_bytes(const struct models *m, const struct models_model *x)
{
    uint64_t sum = 0;
    for (int r = 0; r < MODELS_ROLES; r++) {
        const struct models_component *c = models_component(m, x->parts[r]);
        for (size_t i = 0; c && i < c->n_files; i++)
            sum += is_counted(m, x, r, &c->files[i]) ? 0 : c->files[i].bytes;
    }
    return sum;
}

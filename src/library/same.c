/* same.c - a model that lies in two places is one: a folder and its copy in the hub's cache, or on another
 * drive. Its parts are known by their bytes; what the folders say must be the same, too (klein-4B and its base model
 * could share everything but that). */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "library/impl.h"

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

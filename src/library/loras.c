/* loras.c - LoRAs of the model store: their names, and where their files are. */
#include <string.h>

#include "base/file.h"
#include "library/discover.h"

bool models_is_lora(const struct models_component *c)
{
    return strcmp(c->kind, "lora") == 0;
}

/* As trainers call every one of theirs. */
static bool says_nothing(const char *name)
{
    static const char *const names[] = {"pytorch_lora_weights", "adapter_model", "lora", "model"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void models_lora_name(const struct models_component *c, char out[MODELS_NAME_BYTES])
{
    char folder[MODELS_PATH_BYTES];
    const char *path = c->n_places ? c->places[0].path : "", *slash = strrchr(path, '/');
    models_make_name(path, out);
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n == 0 || n >= sizeof folder || !says_nothing(out))
        return;
    memcpy(folder, path, n);
    folder[n] = 0;
    models_make_name(folder, out);
}

enum err_code models_find_lora(const struct models *m, const char *name,
                               struct models_component **out, struct err *e)
{
    char own[MODELS_NAME_BYTES];
    *out = NULL;
    for (size_t i = 0; i < m->n_components; i++) {
        struct models_component *c = &m->components[i];
        if (!models_is_lora(c))
            continue;
        models_lora_name(c, own);
        if (strcmp(own, name) != 0)
            continue;
        if (*out)
            return err_set(e, ERR_BUSY,
                           "two LoRAs are called '%.100s': '%.150s' and '%.150s'; give the path",
                           name, (*out)->places[0].path, c->places[0].path);
        *out = c;
    }
    return ERR_OK;
}

enum err_code models_resolve_lora_in(const struct models *m, const char *name,
                                     char out[MODELS_PATH_BYTES], struct err *e)
{
    struct models_component *c;
    TRY(models_find_lora(m, name, &c, e));
    if (!c)
        return err_set(e, ERR_NOTFOUND, "the model store has no LoRA '%.100s'", name);
    enum models_state s = models_component_state(c, out);
    if (s == MODELS_READY)
        return ERR_OK;
    return err_set(e, ERR_NOTFOUND, "the LoRA '%.100s' cannot be used: '%.200s' is %s", name,
                   c->n_places ? c->places[0].path : "", models_state_name(s));
}

enum err_code models_resolve_lora(const char *name, char out[MODELS_PATH_BYTES], struct err *e)
{
    struct models *m = NULL;
    TRY(models_load(NULL, &m, e));
    enum err_code rc = models_resolve_lora_in(m, name, out, e);
    models_free(m);
    return rc;
}

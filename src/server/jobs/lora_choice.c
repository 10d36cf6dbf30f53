#include "server/jobs/lora_choice.h"

#include <string.h>

#include "library/models.h"

_Static_assert((int)MODEL_PATH_BYTES >= (int)MODELS_PATH_BYTES, "a path of the store fits");

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static unsigned tasks_of(const char *base)
{
    if (begins(base, "FLUX.2") || begins(base, "a FLUX.2"))
        return MODEL_TASK_IMAGES;
    if (begins(base, "Qwen-Image") || begins(base, "a Qwen-Image"))
        return MODEL_TASK_LAYERS;
    return MODEL_TASK_IMAGES | MODEL_TASK_LAYERS;
}

void lora_each(void (*visit)(const struct lora_seen *l, void *user), void *user)
{
    struct models *m = NULL;
    struct err e = {0};
    if (models_load(NULL, &m, &e) != ERR_OK)
        err_clear(&e);
    for (size_t i = 0; m && i < m->n_components; i++) {
        const struct models_component *c = &m->components[i];
        char name[MODELS_NAME_BYTES], path[MODELS_PATH_BYTES];
        if (!models_is_lora(c))
            continue;
        models_lora_name(c, name);
        enum models_state state = models_component_state(c, path);
        visit(&(struct lora_seen){.name = name,
                                  .base = c->base,
                                  .about = c->about,
                                  .state = models_state_name(state),
                                  .path = path,
                                  .rank = c->rank,
                                  .bytes = models_component_bytes(c),
                                  .tasks = tasks_of(c->base)},
              user);
    }
    models_free(m);
}

enum err_code lora_choose(const char *name, char path[MODEL_PATH_BYTES], struct err *e)
{
    return models_resolve_lora(name, path, e);
}

enum err_code lora_request(yyjson_val *list, struct lora_paths *paths, struct vt_loras *out,
                           struct err *e)
{
    size_t i, n;
    yyjson_val *v;
    *out = (struct vt_loras){0};
    yyjson_arr_foreach(list, i, n, v)
    {
        yyjson_val *strength = yyjson_obj_get(v, "strength");
        struct vt_lora *l = &out->of[out->count];
        if (out->count == VT_MAX_LORAS)
            return err_set(e, ERR_ARG, "at most %d LoRAs can be used", VT_MAX_LORAS);
        l->name = yyjson_get_str(yyjson_obj_get(v, "name"));
        l->path = paths->of[out->count];
        l->strength = yyjson_is_num(strength) ? yyjson_get_num(strength) : 1;
        if (!l->name)
            return err_set(e, ERR_ARG, "LoRA %d has no name", out->count + 1);
        TRY(lora_choose(l->name, paths->of[out->count], e));
        out->count++;
    }
    return ERR_OK;
}

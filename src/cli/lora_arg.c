#include "cli/lora_arg.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/suggest.h"

enum { PROMPT_MAX_BYTES = 8 << 20 };

void cli_loras_init(struct cli_loras *l)
{
    memset(l, 0, sizeof *l);
    buf_init(&l->prompt, PROMPT_MAX_BYTES);
}

void cli_loras_deinit(struct cli_loras *l)
{
    buf_deinit(&l->prompt);
}

static void append(struct cli_loras *l, struct vt_loras *out, struct str name, double strength)
{
    char *own = l->of[out->count].name;
    memcpy(own, name.p, name.n);
    own[name.n] = 0;
    out->of[out->count++] = (struct vt_lora){.name = own, .strength = strength};
}

/* What is behind the last colon is a strength where it is a number. */
int cli_lora_add(const struct cli_args *a, struct cli_loras *l, struct vt_loras *out)
{
    struct str name = str_from(a->value);
    const char *colon = strrchr(a->value, ':');
    double strength = 1;
    if (colon && str_to_double(str_from(colon + 1), &strength))
        name.n = (size_t)(colon - a->value);
    if (out->count == VT_MAX_LORAS)
        return cli_usage_error(a->command, "--lora is given more than %d times", VT_MAX_LORAS);
    if (name.n == 0 || name.n >= MODELS_PATH_BYTES)
        return cli_usage_error(a->command, "--lora takes FILE[:STRENGTH], not '%.80s'", a->value);
    if (!(strength >= -VT_MAX_LORA_STRENGTH && strength <= VT_MAX_LORA_STRENGTH))
        return cli_usage_error(a->command, "the strength of --lora is %d to %d, not %g",
                               -VT_MAX_LORA_STRENGTH, VT_MAX_LORA_STRENGTH, strength);
    append(l, out, name, strength);
    return CLI_OK;
}

static enum err_code append_tags(struct cli_loras *l, const struct lora_tags *tags,
                                 struct vt_loras *out, struct err *e)
{
    for (int i = 0; i < tags->n; i++) {
        if (out->count == VT_MAX_LORAS)
            return err_set(e, ERR_ARG, "more than %d LoRAs are named", VT_MAX_LORAS);
        append(l, out, str_from(tags->of[i].name), tags->of[i].strength);
    }
    return ERR_OK;
}

enum err_code cli_loras_of_prompt(struct cli_loras *l, const char **prompt, struct vt_loras *out,
                                  struct err *e)
{
    struct lora_tags tags = {0};
    if (!*prompt || !lora_tag_find(*prompt))
        return ERR_OK;
    TRY(lora_tags_take(str_from(*prompt), &l->prompt, &tags, e));
    if (buf_failed(&l->prompt))
        return err_set(e, ERR_LIMIT, "the prompt is too long");
    *prompt = buf_z(&l->prompt);
    return append_tags(l, &tags, out, e);
}

void cli_loras_of_recipe(struct cli_loras *l, const struct lora_tags *tags, struct vt_loras *out)
{
    if (out->count == 0)
        (void)append_tags(l, tags, out, NULL);
}

static enum err_code not_found(const char *name, const struct models *m, struct err *e)
{
    struct cli_suggestion s = {.typed = name};
    char own[MODELS_NAME_BYTES], best[MODELS_NAME_BYTES];
    for (size_t i = 0; m && i < m->n_components; i++) {
        if (!models_is_lora(&m->components[i]))
            continue;
        models_lora_name(&m->components[i], own);
        cli_suggest(&s, own);
        if (s.best == own)
            s.best = memcpy(best, own, sizeof own);
    }
    return err_set(
        e, ERR_NOTFOUND,
        "there is no LoRA '%.150s': neither a name (`veetance models list`) nor a file%s", name,
        cli_suggest_text(&s));
}

static enum err_code find(const struct models *m, const char *name, char path[MODELS_PATH_BYTES],
                          struct err *e)
{
    struct models_component *c = NULL;
    if (m && !strchr(name, '/'))
        TRY(models_find_lora(m, name, &c, e));
    if (c)
        return models_resolve_lora_in(m, name, path, e);
    if (!file_native_path(name, path, MODELS_PATH_BYTES) || !file_exists(path))
        return not_found(name, m, e);
    return ERR_OK;
}

enum err_code cli_loras_find(struct cli_loras *l, struct vt_loras *loras, struct err *e)
{
    struct models *m = NULL;
    enum err_code rc = ERR_OK;
    if (loras->count == 0)
        return ERR_OK;
    if (models_load(NULL, &m, NULL) != ERR_OK)
        m = NULL; /* no home, so no store */
    for (int i = 0; rc == ERR_OK && i < loras->count; i++) {
        rc = find(m, loras->of[i].name, l->of[i].path, e);
        loras->of[i].path = l->of[i].path;
    }
    models_free(m);
    return rc;
}

/* loras.c - see loras.h. A file that is named twice in a request counts once, with the sum of its strengths. */
#include "pipeline/loras.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "memory/governor.h"

enum err_code loras_check(const struct vt_loras *wanted, struct err *e)
{
    if (wanted->count < 0 || wanted->count > VT_MAX_LORAS)
        return err_set(e, ERR_ARG, "%d LoRAs are given; at most %d can be used", wanted->count,
                       VT_MAX_LORAS);
    for (int i = 0; i < wanted->count; i++) {
        const struct vt_lora *l = &wanted->of[i];
        if (!l->name || !l->name[0])
            return err_set(e, ERR_ARG, "LoRA %d has no name", i + 1);
        if (!(fabs(l->strength) <= VT_MAX_LORA_STRENGTH))
            return err_set(e, ERR_ARG,
                           "the strength of the LoRA '%.80s' is %g; it should be %d to %d", l->name,
                           l->strength, -VT_MAX_LORA_STRENGTH, VT_MAX_LORA_STRENGTH);
    }
    return ERR_OK;
}

static const char *path_of(const struct vt_lora *l)
{
    return l->path ? l->path : l->name;
}

static void slot_free(struct loras_slot *s)
{
    model_adapter_free(s->adapter);
    mem_free(s->path);
    *s = (struct loras_slot){0};
}

void loras_deinit(struct loras *s)
{
    for (int i = 0; i < s->n; i++)
        slot_free(&s->slots[i]);
    s->n = 0;
}

/* The size and time of a file, by which another one in its place is told. 0 and 0 when it is gone. */
static void look(const char *path, int64_t *bytes, int64_t *changed_ns)
{
    struct stat st;
    *bytes = *changed_ns = 0;
    if (stat(path, &st) != 0)
        return;
    *bytes = st.st_size;
    *changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static struct loras_slot *find(struct loras *s, const char *path)
{
    int64_t bytes, changed;
    look(path, &bytes, &changed);
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->slots[i].path, path) == 0 && s->slots[i].bytes == bytes &&
            s->slots[i].changed_ns == changed)
            return &s->slots[i];
    return NULL;
}

static void let_go_unwanted(struct loras *s)
{
    for (int i = s->n - 1; i >= 0; i--) {
        if (s->slots[i].wanted)
            continue;
        slot_free(&s->slots[i]);
        memmove(&s->slots[i], &s->slots[i + 1], (size_t)(--s->n - i) * sizeof s->slots[0]);
    }
}

static enum err_code open_one(struct loras *s, const struct vt_lora *l,
                              const struct model_network *network, struct err *e)
{
    struct loras_slot *slot = &s->slots[s->n];
    struct lora *file = NULL;
    const char *path = path_of(l);
    *slot = (struct loras_slot){.path = mem_try_strndup(path, strlen(path)), .wanted = true};
    if (!slot->path)
        return err_set(e, ERR_NOMEM, "no memory for a LoRA");
    look(path, &slot->bytes, &slot->changed_ns);
    enum err_code rc = lora_open(path, &file, e);
    if (rc == ERR_OK)
        rc = model_adapter_new(file, network, &slot->adapter, e);
    if (rc != ERR_OK) {
        slot_free(slot);
        return err_note(e, "LoRA");
    }
    slot->strength = l->strength;
    s->n++;
    return ERR_OK;
}

enum err_code loras_use(struct loras *s, const struct vt_loras *wanted,
                        const struct model_network *network, struct err *e)
{
    bool is_new[VT_MAX_LORAS] = {false};
    for (int i = 0; i < s->n; i++) {
        model_adapter_detach(s->slots[i].adapter);
        s->slots[i].wanted = false;
        s->slots[i].strength = 0;
    }
    for (int i = 0; i < wanted->count; i++) {
        struct loras_slot *have = find(s, path_of(&wanted->of[i]));
        is_new[i] = !have;
        if (have) {
            have->wanted = true;
            have->strength += wanted->of[i].strength;
        }
    }
    let_go_unwanted(s);
    for (int i = 0; i < wanted->count; i++) {
        struct loras_slot *have = is_new[i] ? find(s, path_of(&wanted->of[i])) : NULL;
        if (have)
            have->strength += wanted->of[i].strength;
        else if (is_new[i])
            TRY(open_one(s, &wanted->of[i], network, e));
    }
    for (int i = 0; i < s->n; i++)
        model_adapter_attach(s->slots[i].adapter, s->slots[i].strength);
    return ERR_OK;
}

enum err_code loras_engage(const struct loras *s, struct nn_device *d, struct err *e)
{
    for (int i = 0; i < s->n; i++)
        if (model_adapter_attached(s->slots[i].adapter))
            TRY(governor_engage_to_stay(d, "lora", model_adapter_params(s->slots[i].adapter), e));
    return ERR_OK;
}

void loras_leave(struct nn_device *d)
{
    governor_leave(d);
}

enum err_code loras_check_finite(const struct loras *s, struct err *e)
{
    for (int i = 0; i < s->n; i++)
        TRY(nn_params_check_finite(model_adapter_params(s->slots[i].adapter), e));
    return ERR_OK;
}

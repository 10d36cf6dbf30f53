#include "pipeline/lora_tags.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

static const char *const openings[] = {"<lora:", "<lyco:"};
enum { OPENING_BYTES = 6 };

static bool opens(struct str s)
{
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++)
        if (s.n >= OPENING_BYTES && strncasecmp(s.p, openings[i], OPENING_BYTES) == 0)
            return true;
    return false;
}

const char *lora_tag_find(const char *prompt)
{
    for (const char *p = strchr(prompt, '<'); p; p = strchr(p + 1, '<'))
        if (opens(str_from(p)))
            return p;
    return NULL;
}

/* inside: "NAME" or "NAME:STRENGTH". */
static enum err_code read_tag(struct str inside, struct lora_tags *out, struct err *e)
{
    const char *colon = inside.n ? memchr(inside.p, ':', inside.n) : NULL;
    struct str name = {inside.p, colon ? (size_t)(colon - inside.p) : inside.n};
    double strength = 1;
    if (out->n == VT_MAX_LORAS)
        return err_set(e, ERR_ARG, "the prompt asks for more than %d LoRAs", VT_MAX_LORAS);
    if (name.n == 0 || name.n >= LORA_NAME_BYTES || memchr(name.p, 0, name.n))
        return err_set(e, ERR_ARG,
                       "the prompt asks for a LoRA without a sensible name: '<lora:%.*s>'",
                       inside.n < 60 ? (int)inside.n : 60, inside.p);
    if (colon && (!str_to_double(str_skip(inside, name.n + 1), &strength) ||
                  !(fabs(strength) <= VT_MAX_LORA_STRENGTH)))
        return err_set(e, ERR_ARG, "in '<lora:%.*s>' the strength should be a number from %d to %d",
                       inside.n < 80 ? (int)inside.n : 80, inside.p, -VT_MAX_LORA_STRENGTH,
                       VT_MAX_LORA_STRENGTH);
    memcpy(out->of[out->n].name, name.p, name.n);
    out->of[out->n].name[name.n] = 0;
    out->of[out->n++].strength = strength;
    return ERR_OK;
}

enum err_code lora_tags_take(struct str prompt, struct buf *rest, struct lora_tags *out,
                             struct err *e)
{
    size_t before = rest->n;
    bool any = false;
    while (prompt.n > 0) {
        const char *end = opens(prompt) ? memchr(prompt.p, '>', prompt.n) : NULL;
        if (!end) {
            buf_add_byte(rest, (unsigned char)prompt.p[0]);
            prompt = str_skip(prompt, 1);
            continue;
        }
        size_t n = (size_t)(end - prompt.p);
        TRY(read_tag((struct str){prompt.p + OPENING_BYTES, n - OPENING_BYTES}, out, e));
        prompt = str_skip(prompt, n + 1);
        any = true;
    }
    while (any && rest->n > before && rest->p[rest->n - 1] == ' ')
        buf_cut(rest, rest->n - 1);
    return ERR_OK;
}

bool lora_tag_name(const char *path, char out[LORA_NAME_BYTES])
{
    static const char ending[] = ".safetensors";
    const char *slash = strrchr(path, '/');
    struct str name = str_from(slash && slash[1] ? slash + 1 : path);
    if (str_ends(name, STR_LIT(ending)) && name.n > sizeof ending - 1)
        name.n -= sizeof ending - 1;
    if (name.n >= LORA_NAME_BYTES)
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = 0;
    return true;
}

void lora_tags_write(const struct vt_loras *loras, struct buf *out)
{
    char name[LORA_NAME_BYTES];
    for (int i = 0; i < loras->count; i++)
        if (lora_tag_name(loras->of[i].name, name))
            buf_printf(out, " <lora:%s:%g>", name, loras->of[i].strength);
}

void lora_tags_request(const struct lora_tags *t, struct vt_loras *out)
{
    *out = (struct vt_loras){.count = t->n};
    for (int i = 0; i < t->n; i++)
        out->of[i] = (struct vt_lora){.name = t->of[i].name, .strength = t->of[i].strength};
}

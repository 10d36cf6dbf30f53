/* messages_layers.c - stacks of layers as messages. What lies in what is a number, so it is checked before anybody
 * follows it: groups name only groups that are there, and do not go round (layer_stack_check_groups). */
#include <string.h>

#include "reader/messages.h"

enum {
    NOTES_BYTES = 1 << 17,
    LAYERS_SLACK = 4, /* groups that become one layer may be larger than what lies in them */
};

static void code_blend(struct code *c, enum blend_mode *blend)
{
    int mode = (int)*blend;
    code_int(c, &mode, 0, BLEND_MODES - 1);
    *blend = (enum blend_mode)mode;
}

static void code_bool(struct code *c, bool *v)
{
    int flag = *v;
    code_flag(c, &flag);
    *v = flag != 0;
}

static void code_rect(struct code *c, struct image_rect *r)
{
    code_int(c, &r->x, 0, IMAGE_SIDE_MAX);
    code_int(c, &r->y, 0, IMAGE_SIDE_MAX);
    code_int(c, &r->w, 0, IMAGE_SIDE_MAX);
    code_int(c, &r->h, 0, IMAGE_SIDE_MAX);
}

static void code_group(struct code *c, struct layer_group *g)
{
    code_chars(c, g->id, sizeof g->id);
    code_chars(c, g->name, sizeof g->name);
    code_double(c, &g->opacity);
    code_blend(c, &g->blend);
    code_bool(c, &g->visible);
    code_size(c, &g->parent);
}

static void read_groups(struct code *c, struct layer_stack *s, size_t n)
{
    struct layer_group g;
    size_t at;
    for (size_t i = 0; i < n && !c->bad; i++) {
        memset(&g, 0, sizeof g);
        code_group(c, &g);
        if (!c->bad && layer_stack_add_group(s, &g, &at, &c->err) != ERR_OK)
            return;
    }
}

void reader_code_stack(struct code *c, struct layer_stack *s, size_t *n)
{
    const char *notes = c->reading ? NULL : buf_z(&s->notes);
    size_t groups = s->n_groups;
    code_int(c, &s->w, 0, IMAGE_SIDE_MAX);
    code_int(c, &s->h, 0, IMAGE_SIDE_MAX);
    code_size(c, n);
    code_text(c, &notes, NOTES_BYTES);
    code_bool(c, &s->merged.known);
    code_double(c, &s->merged.psnr_db);
    code_rect(c, &s->merged.worst);
    code_double(c, &s->merged.worst_psnr_db);
    reader_code_about(c, &s->about);
    code_size(c, &groups);
    c->bad = c->bad || groups > LAYERS_MAX;
    if (c->reading) {
        read_groups(c, s, groups);
        if (notes && !c->bad)
            buf_add_z(&s->notes, notes);
        return;
    }
    for (size_t i = 0; i < groups && i < s->n_groups; i++)
        code_group(c, &s->groups[i]);
}

void reader_code_layer(struct code *c, struct layer *l, struct vt_image *pixels)
{
    code_chars(c, l->id, sizeof l->id);
    code_chars(c, l->name, sizeof l->name);
    code_int(c, &l->x, -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX);
    code_int(c, &l->y, -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX);
    code_double(c, &l->opacity);
    code_blend(c, &l->blend);
    code_bool(c, &l->visible);
    code_size(c, &l->group);
    code_image(c, pixels);
}

/* ---- what came --------------------------------------------------------------------------------------------- */

/* A name and an id as they would be taken from a file. */
static bool is_clean(const char *id, const char *name)
{
    struct layer l = {0};
    layer_set_name(&l, str_from(name));
    return layer_set_id(&l, str_from(id)) && strcmp(l.name, name) == 0;
}

static bool is_opacity(double v)
{
    return v >= 0 && v <= 1;
}

enum err_code reader_take_stack(struct code *c, struct reader_taking *t, struct err *e)
{
    struct layer_stack *s = t->stack;
    if (t->wish != READER_LAYERS || !t->has_size || t->has_stack)
        return err_set(e, ERR_FORMAT, "a stack came that nobody asked for");
    t->has_stack = true;
    reader_code_stack(c, s, &t->n);
    if (c->err.code == ERR_NOMEM) {
        reader_give_up(t, ERR_NOMEM, &c->err);
        return ERR_OK;
    }
    TRY(code_end(c, e));
    TRY(image_check_size((uint64_t)s->w, (uint64_t)s->h,
                         &(struct image_limits){.max_pixels = t->limits.max_pixels}, e));
    if (t->n > t->limits.max_layers)
        return err_set(e, ERR_FORMAT, "%zu layers are announced", t->n);
    for (size_t i = 0; i < s->n_groups; i++)
        if (!is_clean(s->groups[i].id, s->groups[i].name) || !is_opacity(s->groups[i].opacity))
            return err_set(e, ERR_FORMAT, "a group has no sound name or opacity");
    return layer_stack_check_groups(s, e);
}

static enum err_code check_layer(struct reader_taking *t, const struct layer *l,
                                 const struct vt_image *p, struct err *e)
{
    if (!is_clean(l->id, l->name) || layer_stack_has_id(t->stack, l->id) || !is_opacity(l->opacity))
        return err_set(e, ERR_FORMAT, "a layer has no sound name or opacity");
    if (l->group > t->stack->n_groups)
        return err_set(e, ERR_FORMAT, "a layer lies in a group that is not there");
    if (!p->pixels || p->channels != 4 || p->bits != 8)
        return err_set(e, ERR_FORMAT, "a layer has no pixels");
    t->pixels += (uint64_t)p->width * (uint64_t)p->height;
    const uint64_t canvas = (uint64_t)t->stack->w * (uint64_t)t->stack->h;
    if (t->pixels / LAYERS_SLACK > t->limits.max_pixels + canvas)
        return err_set(e, ERR_FORMAT, "the layers have more pixels than they may");
    return ERR_OK;
}

static enum err_code add(struct layer_stack *s, struct layer *l, const struct vt_image *p,
                         struct err *e)
{
    TRY(image_new(&l->image, p->width, p->height, 4, e));
    memcpy(l->image.p, p->pixels, l->image.stride * (size_t)l->image.h);
    return layer_stack_add(s, l, e);
}

enum err_code reader_take_layer(struct code *c, struct reader_taking *t, struct err *e)
{
    struct layer l = {0};
    struct vt_image pixels = {0};
    struct err why = {0};
    if (!t->has_stack || t->stack->n == t->n)
        return err_set(e, ERR_FORMAT, "a layer came that was not announced");
    reader_code_layer(c, &l, &pixels);
    TRY(code_end(c, e));
    TRY(check_layer(t, &l, &pixels, e));
    enum err_code rc = add(t->stack, &l, &pixels, &why);
    if (rc == ERR_NOMEM)
        reader_give_up(t, rc, &why);
    else if (rc != ERR_OK)
        return err_set(e, rc, "%s", why.text);
    return ERR_OK;
}

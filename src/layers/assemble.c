/* assemble.c - groups, clipping and Porter-Duff operators to a flat stack; see assemble.h.
 *
 * Our stacks know only layers over each other, so each thing a document can say more is turned into alpha, opacity
 * or blend modes of layers, as late as possible: a group's opacity, blend mode and mask are applied when the group
 * ends, a clipping base's when nothing more is clipped to it, because only then is it known what they apply to.
 * Masks and erasers with hard edges can go to several layers one by one; soft ones cannot (two half covered layers
 * do not add up to one), so there the layers are merged and a note says so.
 *
 * Groups that are kept are such a range with a name; they become layers as soon as something has to act on layers.
 *
 * Everything works on a range of the stack, from `first` to its top, and in 8 bits. Levels (struct layers_level)
 * are the open groups, the document itself being level 0.
 */
#include "layers/assemble.h"

#include <string.h>

#include "base/mem.h"

void layers_assembly_init(struct layers_assembly *a, struct layer_stack *s)
{
    *a = (struct layers_assembly){.stack = s, .levels = {{.isolated = true}}};
}

/* ---- ranges of the stack ---------------------------------------------------------------------- */

static size_t count_visible(const struct layer_stack *s, size_t first)
{
    size_t n = 0;
    for (size_t i = first; i < s->n; i++)
        n += s->layers[i].visible;
    return n;
}

static bool touch(const struct layer *a, const struct layer *b)
{
    return a->x < b->x + b->image.w && b->x < a->x + a->image.w && a->y < b->y + b->image.h &&
           b->y < a->y + a->image.h;
}

/* Whether two visible layers from first on share a pixel. */
static bool overlap(const struct layer_stack *s, size_t first)
{
    for (size_t i = first; i < s->n; i++)
        for (size_t k = i + 1; s->layers[i].visible && k < s->n; k++)
            if (s->layers[k].visible && touch(&s->layers[i], &s->layers[k]))
                return true;
    return false;
}

/* The topmost visible layer from first on; there is one. */
static struct layer *top_visible(const struct layer_stack *s, size_t first)
{
    size_t i = s->n - 1;
    while (i > first && !s->layers[i].visible)
        i--;
    return &s->layers[i];
}

/* The visible layers from first on become one; hidden ones go below it. name NULL: the topmost one's. */
static enum err_code merge(struct layer_stack *s, size_t first, const char *name, struct err *e)
{
    size_t hidden = 0;
    if (count_visible(s, first) < 2)
        return ERR_OK;
    for (size_t i = first; i < s->n; i++)
        if (!s->layers[i].visible)
            layer_stack_move(s, i, first + hidden++);
    TRY(layers_merge(s, first + hidden, s->n - 1, e));
    if (name && name[0])
        layer_set_name(&s->layers[s->n - 1], str_from(name));
    return ERR_OK;
}

/* What the visible layers from first on show, on a canvas of the given rectangle. */
static enum err_code render(const struct layer_stack *s, size_t first, struct image_rect at,
                            struct image *out, struct err *e)
{
    enum err_code rc = image_new(out, at.w, at.h, 4, e);
    for (size_t i = first; i < s->n && rc == ERR_OK; i++) {
        const struct layer *l = &s->layers[i];
        struct composite_layer c = {&l->image, l->x - at.x, l->y - at.y, l->opacity, l->blend};
        if (l->visible)
            rc = image_composite(out, &c, e);
    }
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}

static unsigned times(unsigned a, unsigned b)
{
    return (a * b + 127) / 255;
}

/* ---- masks ------------------------------------------------------------------------------------ */

static unsigned mask_at(const struct layers_mask *m, int64_t x, int64_t y)
{
    x -= m->x;
    y -= m->y;
    return m->image && x >= 0 && y >= 0 && x < m->image->w && y < m->image->h
               ? image_row(m->image, (int)y)[x]
               : m->outside;
}

void layers_apply_mask(struct layer *l, const struct layers_mask *mask)
{
    for (int y = 0; y < l->image.h; y++) {
        unsigned char *p = image_row(&l->image, y) + 3;
        for (int x = 0; x < l->image.w; x++, p += 4)
            *p = (unsigned char)times(*p, mask_at(mask, (int64_t)l->x + x, (int64_t)l->y + y));
    }
}

/* Hard edges only: such a mask can be applied to several layers one by one. */
static bool mask_is_hard(const struct layers_mask *m)
{
    if (m->outside != 0 && m->outside != 255)
        return false;
    for (int y = 0; m->image && y < m->image->h; y++)
        for (int x = 0; x < m->image->w; x++)
            if (image_row(m->image, y)[x] != 0 && image_row(m->image, y)[x] != 255)
                return false;
    return true;
}

static void mask_all(struct layer_stack *s, size_t first, const struct layers_mask *m)
{
    for (size_t i = first; i < s->n; i++)
        if (s->layers[i].visible)
            layers_apply_mask(&s->layers[i], m);
}

/* ---- Porter-Duff ------------------------------------------------------------------------------ */

/* The alpha of a layer as a mask over everything; inverted: one minus it. */
static enum err_code mask_of_layer(const struct layer *l, bool inverted, struct image *image,
                                   struct layers_mask *out, struct err *e)
{
    enum err_code rc;
    TRY_GOTO(image_new(image, l->image.w, l->image.h, 1, e), done);
    for (int y = 0; y < l->image.h; y++) {
        const unsigned char *p = image_row(&l->image, y) + 3;
        for (int x = 0; x < l->image.w; x++, p += 4) {
            unsigned v = (unsigned)((double)*p * l->opacity + 0.5);
            image_row(image, y)[x] = (unsigned char)(inverted ? 255 - v : v);
        }
    }
done:
    *out = (struct layers_mask){image, l->x, l->y, inverted ? 255 : 0};
    return rc;
}

/* Multiplies the alpha of everything visible from first on by the layer's. */
static enum err_code erase(struct layer_stack *s, size_t first, const struct layer *l,
                           bool inverted, struct err *e)
{
    struct image image;
    struct layers_mask mask;
    enum err_code rc;
    TRY_GOTO(mask_of_layer(l, inverted, &image, &mask, e), done);
    if (!mask_is_hard(&mask) && overlap(s, first)) {
        layer_stack_note(s, "the layers below '%s', which erases softly, became one", l->name);
        TRY_GOTO(merge(s, first, NULL, e), done);
    }
    mask_all(s, first, &mask);
done:
    image_free(&image);
    return rc;
}

static bool all_hard(const struct image *rgba)
{
    for (int y = 0; y < rgba->h; y++)
        for (int x = 0; x < rgba->w; x++) {
            unsigned a = image_row(rgba, y)[4 * (size_t)x + 3];
            if (a != 0 && a != 255)
                return false;
        }
    return true;
}

/* Composes the layer onto ground, a rendering of what is below it, and keeps ground's alpha. */
static enum err_code atop_soft(const struct image *ground, const struct layer *l, struct image *out,
                               struct err *e)
{
    struct image opaque = {0};
    enum err_code rc;
    TRY_GOTO(image_copy(ground, &opaque, e), done);
    for (int y = 0; y < opaque.h; y++) {
        for (int x = 0; x < opaque.w; x++)
            image_row(&opaque, y)[4 * (size_t)x + 3] = 255;
    }
    struct composite_layer c = {&l->image, 0, 0, l->opacity, l->blend};
    TRY_GOTO(image_composite(&opaque, &c, e), done);
    for (int y = 0; y < opaque.h; y++) {
        for (int x = 0; x < opaque.w; x++)
            image_row(&opaque, y)[4 * (size_t)x + 3] = image_row(ground, y)[4 * (size_t)x + 3];
    }
done:
    if (rc != ERR_OK)
        image_free(&opaque);
    *out = opaque;
    return rc;
}

/* Shows the layer only where the visible layers from first on are. Where those are partly transparent a
 * separate layer cannot do that: they are merged, with this layer in them. Takes the layer over. */
static enum err_code atop(struct layer_stack *s, size_t first, struct layer *l, struct err *e)
{
    struct image ground = {0}, mixed = {0};
    struct image_rect at = {l->x, l->y, l->image.w, l->image.h};
    enum err_code rc = render(s, first, at, &ground, e);
    if (rc != ERR_OK || all_hard(&ground)) {
        if (rc == ERR_OK)
            for (int y = 0; y < at.h; y++)
                for (int x = 0; x < at.w; x++)
                    image_row(&l->image, y)[4 * (size_t)x + 3] =
                        (unsigned char)times(image_row(&l->image, y)[4 * (size_t)x + 3],
                                             image_row(&ground, y)[4 * (size_t)x + 3]);
        image_free(&ground);
        if (rc == ERR_OK)
            return layer_stack_add(s, l, e);
        layer_deinit(l);
        return rc;
    }
    layer_stack_note(s, "'%s' became one layer with what it is clipped to, whose edge is soft",
                     l->name);
    TRY_GOTO(merge(s, first, NULL, e), done);
    TRY_GOTO(atop_soft(&ground, l, &mixed, e), done);
    /* in place of what the base has there */
    struct layer *base = top_visible(s, first);
    for (int y = 0; y < at.h; y++) {
        int64_t by = (int64_t)at.y + y - base->y;
        for (int x = 0; x < at.w && by >= 0 && by < base->image.h; x++) {
            int64_t bx = (int64_t)at.x + x - base->x;
            if (bx >= 0 && bx < base->image.w)
                memcpy(image_row(&base->image, (int)by) + 4 * bx,
                       image_row(&mixed, y) + 4 * (size_t)x, 4);
        }
    }
    base->opacity = 1;
    base->blend = BLEND_NORMAL;
done:
    image_free(&ground);
    image_free(&mixed);
    layer_deinit(l);
    return rc;
}

/* The layers below are kept only where this layer is, on top of it. Takes the layer over. */
static enum err_code below_atop(struct layer_stack *s, size_t first, struct layer *l, struct err *e)
{
    struct image ground = {0};
    struct image_rect at = {l->x, l->y, l->image.w, l->image.h};
    enum err_code rc = render(s, first, at, &ground, e);
    for (int y = 0; rc == ERR_OK && y < at.h; y++)
        for (int x = 0; x < at.w; x++) {
            unsigned char *p = image_row(&l->image, y) + 4 * (size_t)x;
            p[3] = (unsigned char)((double)p[3] * l->opacity + 0.5);
        }
    if (rc == ERR_OK) {
        struct layer mixed = *l;
        rc = atop_soft(&l->image, &(struct layer){.image = ground, .opacity = 1}, &mixed.image, e);
        if (rc == ERR_OK) {
            layer_stack_note(s, "the layers below '%s' became one with it (dst-atop)", l->name);
            image_free(&l->image);
            l->image = mixed.image;
            l->opacity = 1;
            l->blend = BLEND_NORMAL;
        }
    }
    image_free(&ground);
    if (rc != ERR_OK)
        goto done;
    for (size_t i = s->n; i-- > first;) {
        if (s->layers[i].visible)
            layer_stack_remove(s, i);
    }
    return layer_stack_add(s, l, e);
done:
    layer_deinit(l);
    return rc;
}

/* Takes the layer over. */
static enum err_code apply(struct layer_stack *s, size_t first, struct layer *l, enum layers_op op,
                           struct err *e)
{
    enum err_code rc;
    switch (op) {
    case LAYERS_SRC_ATOP:
        return atop(s, first, l, e);
    case LAYERS_DST_ATOP:
        return below_atop(s, first, l, e);
    case LAYERS_DST_OUT:
    case LAYERS_DST_IN:
        rc = erase(s, first, l, op == LAYERS_DST_OUT, e);
        layer_deinit(l);
        return rc;
    default:
        return layer_stack_add(s, l, e);
    }
}

/* ---- groups that stay --------------------------------------------------------------------------- */

/* How the outermost thing that the layer belongs to is put onto what lies below. */
static enum blend_mode outer_blend(const struct layer_stack *s, const struct layer *l)
{
    size_t g = layer_stack_outermost(s, l->group);
    return g ? s->groups[g - 1].blend : l->blend;
}

static bool can_stay(const struct layers_assembly *a, size_t first, const struct layers_group *g)
{
    const struct layer_stack *s = a->stack;
    if (!a->keep || a->depth > LAYERS_GROUP_DEPTH_MAX || g->clipped || g->op != LAYERS_OVER ||
        (g->mask && !mask_is_hard(g->mask)))
        return false;
    /* What passes through, and with nothing below it, looks as if it were isolated. */
    bool alone = count_visible(s, 0) == count_visible(s, first);
    for (size_t i = first; !g->isolated && !alone && i < s->n; i++)
        if (outer_blend(s, &s->layers[i]) != BLEND_NORMAL)
            return false;
    return true;
}

/* The layers from first on, with the groups that they are in, become the members of a new one. */
static enum err_code stay(struct layer_stack *s, size_t first, const struct layers_group *g,
                          struct err *e)
{
    struct layer named = {0};
    struct layer_group group = {.opacity = g->opacity, .blend = g->blend, .visible = g->visible};
    size_t at;
    layer_set_name(&named, str_from(g->name));
    if (g->id)
        (void)layer_set_id(&named, str_from(g->id));
    memcpy(group.id, named.id, sizeof group.id);
    memcpy(group.name, named.name, sizeof group.name);
    TRY(layer_stack_add_group(s, &group, &at, e));
    for (size_t i = first; i < s->n; i++) {
        size_t outer = layer_stack_outermost(s, s->layers[i].group);
        if (!outer)
            s->layers[i].group = at;
        else if (outer != at)
            s->groups[outer - 1].parent = at;
    }
    if (g->mask)
        mask_all(s, first, g->mask);
    return ERR_OK;
}

struct replay {
    struct layers_assembly a;
    struct layer *held; /* what lay from first on */
};

static enum err_code replay_begin(void *user, const struct layer_group *g, struct err *e)
{
    struct replay *r = user;
    (void)g;
    return layers_assembly_begin(&r->a, true, false, e);
}

static enum err_code replay_layer(void *user, size_t index, struct err *e)
{
    struct replay *r = user;
    struct layer l = r->held[index];
    r->held[index] = (struct layer){0};
    l.group = 0;
    return layers_assembly_add(&r->a, &l, LAYERS_OVER, false, e);
}

static enum err_code replay_end(void *user, const struct layer_group *g, struct err *e)
{
    struct replay *r = user;
    const struct layers_group group = {.name = g->name,
                                       .opacity = g->opacity,
                                       .blend = g->blend,
                                       .visible = g->visible,
                                       .isolated = true};
    return layers_assembly_end(&r->a, &group, e);
}

/* The groups from first on become layers that look the same: what follows acts on layers. They are assembled once
 * more, on top of what lies below them, and nothing is kept this time. */
static enum err_code dissolve(struct layer_stack *s, size_t first, struct err *e)
{
    struct replay r = {0};
    size_t n = s->n - first, grouped = 0;
    for (size_t i = first; i < s->n; i++)
        grouped += s->layers[i].group != 0;
    if (grouped == 0)
        return ERR_OK;
    r.held = mem_try_array(n, sizeof *r.held);
    if (!r.held)
        return err_set(e, ERR_NOMEM, "no memory for %zu layers", n);
    memcpy(r.held, s->layers + first, n * sizeof *r.held);
    s->n = first;
    layers_assembly_init(&r.a, s);
    r.a.levels[0].first = first;
    const struct layer_stack held = {
        .n = n, .layers = r.held, .n_groups = s->n_groups, .groups = s->groups};
    const struct layers_visitor v = {replay_begin, replay_layer, replay_end, &r, false};
    enum err_code rc = layers_visit(&held, &v, e);
    if (rc == ERR_OK)
        rc = layers_assembly_finish(&r.a, e);
    for (size_t i = 0; i < n; i++)
        layer_deinit(&r.held[i]);
    mem_free(r.held);
    return rc;
}

enum err_code layers_dissolve_groups(struct layer_stack *s, struct err *e)
{
    TRY(dissolve(s, 0, e));
    return layer_stack_prune_groups(s, e);
}

/* ---- levels ----------------------------------------------------------------------------------- */

/* Hidden layers as well: they may be shown later. */
static void fade(struct layer_stack *s, size_t first, double opacity)
{
    for (size_t i = first; i < s->n; i++)
        s->layers[i].opacity *= opacity;
}

/* Gives the layers from first on a common opacity, and the visible ones a blend mode and mask. */
static enum err_code dress(struct layer_stack *s, size_t first, const struct layers_group *g,
                           struct err *e)
{
    size_t n = count_visible(s, first);
    bool blends = false;
    if (n == 0) {
        fade(s, first, g->opacity);
        return ERR_OK;
    }
    for (size_t i = first; i < s->n; i++)
        blends = blends || (s->layers[i].visible && s->layers[i].blend != BLEND_NORMAL);
    bool soft = g->mask && !mask_is_hard(g->mask);
    bool fades = (g->opacity < 1 || soft) && overlap(s, first);
    /* With nothing below the group, isolated and not isolated blending give the same result. */
    bool alone = count_visible(s, 0) == n;
    bool mixes = g->isolated && (g->blend != BLEND_NORMAL || blends) && !alone;
    if (n > 1 && (mixes || (fades && (!blends || alone)))) {
        layer_stack_note(s, "'%s' became one layer: its parts would look different in a flat stack",
                         g->name);
        enum err_code rc = merge(s, first, g->name, e);
        if (rc != ERR_OK)
            return rc;
    } else if (n > 1 && fades) {
        layer_stack_note(s,
                         "the opacity or mask of the group '%s' was applied to each of its layers; "
                         "where they overlap it looks different",
                         g->name);
    }
    if (g->isolated && count_visible(s, first) == 1)
        top_visible(s, first)->blend = g->blend;
    fade(s, first, g->opacity);
    if (g->mask)
        mask_all(s, first, g->mask);
    return ERR_OK;
}

/* The base and what was clipped to it get, together, the opacity and blend mode that the base had. */
static enum err_code end_clipping(struct layers_assembly *a, struct err *e)
{
    struct layers_level *l = &a->levels[a->depth];
    bool clipping = l->clipping;
    l->has_base = l->clipping = false;
    if (!clipping || (l->opacity >= 1 && l->blend == BLEND_NORMAL))
        return ERR_OK;
    struct layers_group g = {.name = a->stack->layers[l->base].name,
                             .opacity = l->opacity,
                             .blend = l->blend,
                             .visible = true,
                             .isolated = true};
    char name[LAYER_NAME_SIZE];
    memcpy(name, g.name, sizeof name);
    g.name = name;
    return dress(a->stack, l->base, &g, e);
}

/* While layers are clipped to it the base is normal and opaque; end_clipping restores its values. */
static void begin_clipping(struct layers_assembly *a)
{
    struct layers_level *l = &a->levels[a->depth];
    if (l->clipping)
        return;
    l->clipping = true;
    l->opacity = 1;
    l->blend = BLEND_NORMAL;
    if (count_visible(a->stack, l->base) == 1) {
        struct layer *base = top_visible(a->stack, l->base);
        l->opacity = base->opacity;
        l->blend = base->blend;
        base->opacity = 1;
        base->blend = BLEND_NORMAL;
    }
}

/* A layer, or a group as one layer. Takes it over. */
static enum err_code place(struct layers_assembly *a, struct layer *l, enum layers_op op,
                           bool clipped, struct err *e)
{
    struct layers_level *level = &a->levels[a->depth];
    enum err_code rc;
    if (clipped && level->has_base) {
        if (count_visible(a->stack, level->base) == 0)
            l->visible = false; /* what it is clipped to is hidden */
        if (!l->visible)
            return layer_stack_add(a->stack, l, e);
        if ((rc = dissolve(a->stack, level->base, e)) != ERR_OK) {
            layer_deinit(l);
            return rc;
        }
        begin_clipping(a);
        return apply(a->stack, level->base, l, LAYERS_SRC_ATOP, e);
    }
    if ((rc = end_clipping(a, e)) != ERR_OK) {
        layer_deinit(l);
        return rc;
    }
    if (op != LAYERS_OVER && l->visible) {
        int owner = a->depth;
        while (owner > 0 && !a->levels[owner].isolated)
            owner--;
        if ((rc = dissolve(a->stack, a->levels[owner].first, e)) != ERR_OK) {
            layer_deinit(l);
            return rc;
        }
        return apply(a->stack, a->levels[owner].first, l, op, e);
    }
    level->has_base = true;
    level->base = a->stack->n;
    return layer_stack_add(a->stack, l, e);
}

enum err_code layers_assembly_begin(struct layers_assembly *a, bool isolated, bool clipped,
                                    struct err *e)
{
    if (a->depth == LAYERS_MAX_DEPTH)
        return err_set(e, ERR_LIMIT, "groups are nested deeper than %d", LAYERS_MAX_DEPTH);
    if (!clipped)
        TRY(end_clipping(a, e));
    a->levels[++a->depth] = (struct layers_level){.first = a->stack->n, .isolated = isolated};
    return ERR_OK;
}

enum err_code layers_assembly_add(struct layers_assembly *a, struct layer *l, enum layers_op op,
                                  bool clipped, struct err *e)
{
    return place(a, l, op, clipped, e);
}

static void hide_from(struct layer_stack *s, size_t first)
{
    for (size_t i = first; i < s->n; i++)
        s->layers[i].visible = false;
}

static enum err_code become_layers(struct layer_stack *s, size_t first,
                                   const struct layers_group *g, struct err *e)
{
    TRY(dissolve(s, first, e));
    if (!g->visible)
        hide_from(s, first);
    return dress(s, first, g, e);
}

enum err_code layers_assembly_end(struct layers_assembly *a, const struct layers_group *g,
                                  struct err *e)
{
    struct layer_stack *s = a->stack;
    enum err_code rc = end_clipping(a, e);
    if (rc != ERR_OK || a->depth == 0)
        return rc;
    size_t first = a->levels[a->depth].first;
    first = first < s->n ? first : s->n; /* an eraser may have taken what lay there */
    bool stays = first < s->n && can_stay(a, first, g);
    struct layers_level *outer = &a->levels[--a->depth];
    TRY(stays ? stay(s, first, g, e) : become_layers(s, first, g, e));
    bool acts = (g->clipped && outer->has_base) || g->op != LAYERS_OVER;
    if (acts && count_visible(s, first) > 0) {
        rc = merge(s, first, g->name, e);
        if (rc != ERR_OK)
            return rc;
        struct layer l = layer_stack_take(s, (size_t)(top_visible(s, first) - s->layers));
        return place(a, &l, g->op, g->clipped, e);
    }
    /* The whole group may be what the next layers are clipped to. */
    outer->has_base = true;
    outer->base = first;
    outer->clipping = false;
    return ERR_OK;
}

enum err_code layers_assembly_finish(struct layers_assembly *a, struct err *e)
{
    const struct layers_group plain = {.name = "", .opacity = 1, .visible = true};
    while (a->depth > 0)
        TRY(layers_assembly_end(a, &plain, e));
    TRY(end_clipping(a, e));
    return layer_stack_prune_groups(a->stack, e);
}

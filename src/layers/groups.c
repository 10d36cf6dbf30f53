/* groups.c - layers in groups: who lies in what, and what that looks like.
 *
 * The tree is told by the layers alone, each by its innermost group. So whatever goes through a stack with its groups
 * (composing, writing) does it by layers_visit: between two layers those groups end and begin that are not around
 * both. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "layers/stack.h"

static enum err_code make_room(struct layer_stack *s, struct err *e)
{
    if (s->n_groups < s->cap_groups)
        return ERR_OK;
    size_t cap = s->cap_groups ? 2 * s->cap_groups : 8;
    struct layer_group *p = mem_try_realloc(s->groups, cap * sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for %zu groups", cap);
    s->groups = p;
    s->cap_groups = cap;
    return ERR_OK;
}

enum err_code layer_stack_add_group(struct layer_stack *s, const struct layer_group *g, size_t *at,
                                    struct err *e)
{
    struct layer_group added = *g;
    TRY(make_room(s, e));
    for (size_t n = 1; !added.id[0] || layer_stack_has_id(s, added.id); n++)
        (void)snprintf(added.id, sizeof added.id, "group-%zu", n);
    s->groups[s->n_groups++] = added;
    *at = s->n_groups;
    return ERR_OK;
}

size_t layer_stack_outermost(const struct layer_stack *s, size_t group)
{
    while (group && s->groups[group - 1].parent)
        group = s->groups[group - 1].parent;
    return group;
}

static void mark_used(const struct layer_stack *s, size_t *numbers)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t g = s->layers[i].group; g; g = s->groups[g - 1].parent)
            numbers[g] = 1;
}

/* numbers: 1 for a group that stays; becomes its new number. */
static void renumber(struct layer_stack *s, size_t *numbers)
{
    size_t kept = 0;
    for (size_t g = 1; g <= s->n_groups; g++) {
        if (numbers[g])
            numbers[g] = kept + 1;
        if (numbers[g])
            s->groups[kept++] = s->groups[g - 1];
    }
    s->n_groups = kept;
    for (size_t i = 0; i < kept; i++)
        s->groups[i].parent = numbers[s->groups[i].parent];
    for (size_t i = 0; i < s->n; i++)
        s->layers[i].group = numbers[s->layers[i].group];
}

enum err_code layer_stack_prune_groups(struct layer_stack *s, struct err *e)
{
    if (s->n_groups == 0)
        return ERR_OK;
    size_t *numbers = mem_try_array(s->n_groups + 1, sizeof *numbers);
    if (!numbers)
        return err_set(e, ERR_NOMEM, "no memory for %zu groups", s->n_groups);
    mark_used(s, numbers);
    renumber(s, numbers);
    mem_free(numbers);
    return ERR_OK;
}

/* ---- one after the other ------------------------------------------------------------------------ */

/* The groups around something, outermost first. */
struct chain {
    size_t n, at[LAYERS_GROUP_DEPTH_MAX];
};

static struct chain chain_of(const struct layer_stack *s, size_t group)
{
    struct chain c = {0};
    for (size_t g = group; g && c.n < LAYERS_GROUP_DEPTH_MAX; g = s->groups[g - 1].parent)
        c.n++;
    for (size_t k = c.n; k-- > 0; group = s->groups[group - 1].parent)
        c.at[k] = group;
    return c;
}

static size_t common(const struct chain *a, const struct chain *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->at[n] == b->at[n])
        n++;
    return n;
}

/* From the groups that are open to those around the next layer. */
static enum err_code step(const struct layer_stack *s, const struct layers_visitor *v,
                          struct chain *open, const struct chain *next, struct err *e)
{
    size_t same = common(open, next);
    while (open->n > same) {
        const struct layer_group *g = &s->groups[open->at[--open->n] - 1];
        TRY(v->end ? v->end(v->user, g, e) : ERR_OK);
    }
    while (open->n < next->n) {
        const struct layer_group *g = &s->groups[next->at[open->n] - 1];
        open->at[open->n] = next->at[open->n];
        open->n++;
        TRY(v->begin ? v->begin(v->user, g, e) : ERR_OK);
    }
    return ERR_OK;
}

enum err_code layers_visit(const struct layer_stack *s, const struct layers_visitor *v,
                           struct err *e)
{
    struct chain open = {0}, none = {0};
    for (size_t k = 0; k < s->n; k++) {
        size_t i = v->down ? s->n - 1 - k : k;
        struct chain next = chain_of(s, s->layers[i].group);
        TRY(step(s, v, &open, &next, e));
        TRY(v->layer(v->user, i, e));
    }
    return step(s, v, &open, &none, e);
}

struct seen {
    const struct layer_stack *s;
    bool *begun;
};

static enum err_code begin_once(void *user, const struct layer_group *g, struct err *e)
{
    const struct seen *seen = user;
    bool *begun = &seen->begun[g - seen->s->groups];
    if (*begun)
        return err_set(e, ERR_FORMAT, "the layers of group '%s' do not lie together", g->id);
    *begun = true;
    return ERR_OK;
}

static enum err_code pass_layer(void *user, size_t index, struct err *e)
{
    (void)user;
    (void)index;
    (void)e;
    return ERR_OK;
}

static enum err_code check_nesting(const struct layer_stack *s, size_t i, struct err *e)
{
    int depth = 1;
    for (size_t g = s->groups[i].parent; g; g = s->groups[g - 1].parent) {
        if (g > s->n_groups)
            return err_set(e, ERR_FORMAT, "group '%s' lies in one that is not there",
                           s->groups[i].id);
        if (++depth > LAYERS_GROUP_DEPTH_MAX)
            return err_set(e, ERR_FORMAT, "group '%s' is nested deeper than %d", s->groups[i].id,
                           LAYERS_GROUP_DEPTH_MAX);
    }
    return ERR_OK;
}

enum err_code layer_stack_check_groups(const struct layer_stack *s, struct err *e)
{
    for (size_t i = 0; i < s->n_groups; i++)
        TRY(check_nesting(s, i, e));
    struct seen seen = {s, mem_try_array(s->n_groups + 1, sizeof(bool))};
    const struct layers_visitor v = {begin_once, pass_layer, NULL, &seen, false};
    if (!seen.begun)
        return err_set(e, ERR_NOMEM, "no memory for %zu groups", s->n_groups);
    enum err_code rc = layers_visit(s, &v, e);
    mem_free(seen.begun);
    return rc;
}

/* ---- what it looks like ------------------------------------------------------------------------- */

struct flattening {
    const struct layer_stack *s;
    const struct image_out *out;
    size_t depth;
    struct image canvas[LAYERS_GROUP_DEPTH_MAX + 1]; /* of the stack, then of each open group */
};

static enum err_code open_canvas(void *user, const struct layer_group *g, struct err *e)
{
    struct flattening *f = user;
    (void)g;
    f->depth++;
    return image_new(&f->canvas[f->depth], f->s->w, f->s->h, 4, e);
}

static enum err_code put_layer(void *user, size_t index, struct err *e)
{
    struct flattening *f = user;
    const struct layer *l = &f->s->layers[index];
    const struct composite_layer c = {&l->image, l->x, l->y, l->opacity, l->blend};
    if (!l->visible)
        return ERR_OK;
    TRY(f->out ? image_out_poll(f->out, e) : ERR_OK);
    return image_composite(&f->canvas[f->depth], &c, e);
}

static enum err_code put_canvas(void *user, const struct layer_group *g, struct err *e)
{
    struct flattening *f = user;
    struct image *inside = &f->canvas[f->depth--];
    const struct composite_layer c = {inside, 0, 0, g->opacity, g->blend};
    enum err_code rc = g->visible ? image_composite(&f->canvas[f->depth], &c, e) : ERR_OK;
    image_free(inside);
    return rc;
}

enum err_code layers_flatten_for(const struct layer_stack *s, const struct image_out *out,
                                 struct image *flat, struct err *e)
{
    struct flattening f = {.s = s, .out = out};
    const struct layers_visitor v = {open_canvas, put_layer, put_canvas, &f, false};
    *flat = (struct image){0};
    enum err_code rc = image_new(&f.canvas[0], s->w, s->h, 4, e);
    if (rc == ERR_OK)
        rc = layers_visit(s, &v, e);
    if (rc == ERR_OK) {
        *flat = f.canvas[0];
        return ERR_OK;
    }
    for (size_t i = 0; i <= LAYERS_GROUP_DEPTH_MAX; i++)
        image_free(&f.canvas[i]);
    return rc;
}

enum err_code layers_flatten(const struct layer_stack *s, struct image *out, struct err *e)
{
    return layers_flatten_for(s, NULL, out, e);
}

/* project_model.c - a project in memory: layers in order, and what values they may have. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/projects.h"

void project_init(struct project *p, int w, int h)
{
    *p = (struct project){.w = w, .h = h};
}

void project_deinit(struct project *p)
{
    mem_free(p->layers);
    *p = (struct project){0};
}

enum err_code project_copy(const struct project *p, struct project *out, struct err *e)
{
    *out = *p;
    out->cap = p->n ? p->n : 1;
    out->layers = mem_try_array(out->cap, sizeof *p->layers);
    if (!out->layers) {
        *out = (struct project){0};
        return err_set(e, ERR_NOMEM, "no memory for %zu layers", p->n);
    }
    if (p->n > 0)
        memcpy(out->layers, p->layers, p->n * sizeof *p->layers);
    return ERR_OK;
}

void project_turn(double degrees, double *s, double *c)
{
    double quarters = degrees / 90.0, radians = degrees * (3.14159265358979323846 / 180.0);
    if (quarters == floor(quarters)) {
        static const int sines[4] = {0, 1, 0, -1};
        int q = ((int)quarters % 4 + 4) % 4;
        *s = sines[q];
        *c = sines[(q + 1) % 4];
        return;
    }
    *s = sin(radians);
    *c = cos(radians);
}

void project_point(const struct project_layer *l, double px, double py, double *x, double *y)
{
    double s, c;
    project_turn(l->rotation, &s, &c);
    px *= l->scale_x;
    py *= l->scale_y;
    *x = l->x + c * px - s * py;
    *y = l->y + s * px + c * py;
}

struct project_layer project_layer_defaults(void)
{
    return (struct project_layer){.scale_x = 1, .scale_y = 1, .opacity = 1, .visible = true};
}

static enum err_code grow(struct project *p, struct err *e)
{
    size_t cap = p->cap ? p->cap * 2 : 8;
    if (p->n >= PROJECT_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "'layers' has more than %d layers", PROJECT_LAYERS_MAX);
    if (p->n < p->cap)
        return ERR_OK;
    struct project_layer *grown = mem_try_realloc(p->layers, cap * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, "no memory for %zu layers", cap);
    p->layers = grown;
    p->cap = cap;
    return ERR_OK;
}

enum err_code project_insert(struct project *p, size_t index, const struct project_layer *l,
                             struct err *e)
{
    if (index > p->n)
        return err_set(e, ERR_ARG, "'index' is %zu; it goes from 0 to %zu", index, p->n);
    TRY(grow(p, e));
    memmove(p->layers + index + 1, p->layers + index, (p->n - index) * sizeof *l);
    p->layers[index] = *l;
    p->n++;
    return ERR_OK;
}

static void remove_rows(struct project *p, size_t first, size_t n)
{
    p->n -= n;
    memmove(p->layers + first, p->layers + first + n, (p->n - first) * sizeof *p->layers);
}

void project_remove(struct project *p, size_t index)
{
    size_t first = index < p->n ? project_lowest(p, index) : 0;
    if (index < p->n)
        remove_rows(p, first, index + 1 - first);
}

void project_remove_members(struct project *p, size_t index)
{
    size_t first = project_lowest(p, index);
    remove_rows(p, first, index - first);
}

static void reverse(struct project_layer *l, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct project_layer kept = l[i];
        l[i] = l[n - 1 - i];
        l[n - 1 - i] = kept;
    }
}

/* The first k of n rows go behind the others. */
static void rotate(struct project_layer *l, size_t n, size_t k)
{
    reverse(l, k);
    reverse(l + k, n - k);
    reverse(l, n);
}

void project_move(struct project *p, size_t from, size_t to)
{
    size_t first = from < p->n ? project_lowest(p, from) : 0, n = from + 1 - first;
    if (from >= p->n || to >= p->n || to + 1 < n)
        return;
    if (from < to)
        rotate(p->layers + first, to + 1 - first, n);
    else
        rotate(p->layers + to + 1 - n, from + n - to, from - to);
}

size_t project_find(const struct project *p, const char *layer_id)
{
    size_t i = 0;
    while (i < p->n && strcmp(p->layers[i].id, layer_id) != 0)
        i++;
    return i;
}

/* ---- groups ------------------------------------------------------------------------------------- */

static const char *const kind_names[PROJECT_KINDS] = {"image", "group"};

const char *project_kind_name(enum project_kind kind)
{
    return kind_names[kind];
}

bool project_kind_from_name(struct str name, enum project_kind *out)
{
    for (int i = 0; i < PROJECT_KINDS; i++) {
        if (str_eq_z(name, kind_names[i])) {
            *out = (enum project_kind)i;
            return true;
        }
    }
    return false;
}

size_t project_lowest(const struct project *p, size_t index)
{
    size_t first = index;
    while (first > 0 && p->layers[first - 1].parent[0]) {
        size_t parent = project_find(p, p->layers[first - 1].parent);
        if (parent < first || parent > index)
            break;
        first--;
    }
    return first;
}

size_t project_unit(const struct project *p, size_t index, const char *parent)
{
    while (strcmp(p->layers[index].parent, parent) != 0)
        index = project_find(p, p->layers[index].parent);
    return index;
}

size_t project_top_of(const struct project *p, const char *parent)
{
    return parent[0] ? project_find(p, parent) : p->n;
}

/* ---- what is allowed ---------------------------------------------------------------------------- */

static enum err_code check_range(size_t i, const char *field, double v, double lo, double hi,
                                 struct err *e)
{
    if (v >= lo && v <= hi) /* false for NaN */
        return ERR_OK;
    return err_set(e, ERR_ARG, "'layers[%zu].%s' is %g; it goes from %g to %g", i, field, v, lo,
                   hi);
}

static enum err_code check_scale(size_t i, const char *field, double v, struct err *e)
{
    if (fabs(v) >= 0.0001 && fabs(v) <= 1000)
        return ERR_OK;
    return err_set(e, ERR_ARG,
                   "'layers[%zu].%s' is %g; its size goes from 0.0001 to 1000 (negative mirrors)",
                   i, field, v);
}

static enum err_code check_ids(const struct project *p, size_t i, struct err *e)
{
    const struct project_layer *l = &p->layers[i];
    struct layer probe = {0};
    if (l->id[0] && !layer_set_id(&probe, str_from(l->id)))
        return err_set(
            e, ERR_ARG,
            "'layers[%zu].id' is '%.70s'; an id has 1 to %d letters, digits, '.', '_' or "
            "'-'",
            i, l->id, LAYER_ID_SIZE - 1);
    for (size_t j = 0; l->id[0] && j < i; j++)
        if (strcmp(p->layers[j].id, l->id) == 0)
            return err_set(e, ERR_ARG, "'layers[%zu].id' is '%s', which layer %zu has already", i,
                           l->id, j);
    if (!l->asset[0] && l->kind == PROJECT_IMAGE)
        return err_set(e, ERR_ARG,
                       "'layers[%zu].asset' is missing; a layer of kind 'image' needs "
                       "the id of an asset",
                       i);
    if (l->asset[0] && !asset_is_id(l->asset))
        return err_set(e, ERR_ARG, "'layers[%zu].asset' is '%.70s', which is not an asset id", i,
                       l->asset);
    if (l->mask[0] && !asset_is_id(l->mask))
        return err_set(e, ERR_ARG, "'layers[%zu].mask' is '%.70s', which is not an asset id", i,
                       l->mask);
    return ERR_OK;
}

static enum err_code check_layer(const struct project *p, size_t i, struct err *e)
{
    const struct project_layer *l = &p->layers[i];
    TRY(check_ids(p, i, e));
    TRY(check_range(i, "x", l->x, -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX, e));
    TRY(check_range(i, "y", l->y, -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX, e));
    TRY(check_scale(i, "scale_x", l->scale_x, e));
    TRY(check_scale(i, "scale_y", l->scale_y, e));
    TRY(check_range(i, "rotation", l->rotation, -360, 360, e));
    TRY(check_range(i, "opacity", l->opacity, 0, 1, e));
    if ((unsigned)l->blend >= BLEND_MODES)
        return err_set(e, ERR_ARG, "'layers[%zu].blend_mode' is %d", i, (int)l->blend);
    return ERR_OK;
}

/* Why the layer cannot lie where it lies. */
static enum err_code bad_parent(const struct project *p, size_t i, struct err *e)
{
    const char *parent = p->layers[i].parent;
    size_t at = project_find(p, parent);
    if (at == p->n)
        return err_set(e, ERR_ARG, "'layers[%zu].parent' is '%.70s', and no layer has that id", i,
                       parent);
    if (p->layers[at].kind != PROJECT_GROUP)
        return err_set(e, ERR_ARG, "'layers[%zu].parent' is '%.70s', which is not a group", i,
                       parent);
    return err_set(e, ERR_ARG,
                   "'layers[%zu].parent' is '%.70s', but the layer does not lie together with the "
                   "members of that group, directly below it",
                   i, parent);
}

/* From the top down, so that a group is met before its members; open are the groups around the current row. */
static enum err_code check_groups(const struct project *p, struct err *e)
{
    const char *open[PROJECT_DEPTH_MAX];
    size_t depth = 0;
    for (size_t i = p->n; i-- > 0;) {
        const struct project_layer *l = &p->layers[i];
        while (depth > 0 && strcmp(open[depth - 1], l->parent) != 0)
            depth--;
        if (depth == 0 && l->parent[0])
            return bad_parent(p, i, e);
        if (l->kind != PROJECT_GROUP || !l->id[0])
            continue;
        if (depth == PROJECT_DEPTH_MAX)
            return err_set(e, ERR_LIMIT, "'layers[%zu].parent' nests groups deeper than %d", i,
                           PROJECT_DEPTH_MAX);
        open[depth++] = l->id;
    }
    return ERR_OK;
}

static enum err_code check_side(const char *field, int v, struct err *e)
{
    if (v >= 1 && v <= PROJECT_SIDE_MAX)
        return ERR_OK;
    return err_set(e, ERR_ARG, "'%s' is %d; it goes from 1 to %d", field, v, PROJECT_SIDE_MAX);
}

enum err_code project_check(const struct project *p, struct err *e)
{
    TRY(check_side("width", p->w, e));
    TRY(check_side("height", p->h, e));
    if ((uint64_t)p->w * (uint64_t)p->h > image_limits_defaults().max_pixels)
        return err_set(e, ERR_LIMIT, "'width' times 'height' is over %llu pixels",
                       (unsigned long long)image_limits_defaults().max_pixels);
    if (p->n > PROJECT_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "'layers' has more than %d layers", PROJECT_LAYERS_MAX);
    if (p->selection[0] && !asset_is_id(p->selection))
        return err_set(e, ERR_ARG, "'selection' is '%.70s', which is not an asset id",
                       p->selection);
    for (size_t i = 0; i < p->n; i++)
        TRY(check_layer(p, i, e));
    return check_groups(p, e);
}

bool project_is_seen(const struct project *p, const struct project_layer *l)
{
    while (l->visible && l->parent[0])
        l = &p->layers[project_find(p, l->parent)];
    return l->visible;
}

/* project_edit.c - some layers of a project, and new images in their places.
 *
 * Which layers take part is said by leaving the others out of a copy: what is left is drawn by project_flatten as any
 * project is. A merge draws them without the groups that its result will lie in, since these act on the result. Only
 * when the image is in the store are the rows changed, so a failure leaves the project as it was. */
#include "store/project_edit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "layers/clean.h"
#include "store/project_pixels.h"

/* ---- some of the layers ------------------------------------------------------------------------- */

enum { INSIDE = 1, SHOWN = 2 };

static bool is_named(struct project_choice choice, const char *id)
{
    for (size_t i = 0; i < choice.n; i++)
        if (strcmp(choice.ids[i], id) == 0)
            return true;
    return false;
}

/* Members lie below their groups: what is in a chosen group is found from the top, what is around from the bottom. */
static void mark(const struct project *p, struct project_choice choice, unsigned char *marks)
{
    for (size_t i = p->n; i-- > 0;) {
        const struct project_layer *l = &p->layers[i];
        if (is_named(choice, l->id))
            marks[i] = INSIDE | SHOWN;
        else if (l->parent[0])
            marks[i] = marks[project_find(p, l->parent)] & INSIDE;
    }
    for (size_t i = 0; i < p->n; i++)
        if ((marks[i] & SHOWN) && p->layers[i].parent[0])
            marks[project_find(p, p->layers[i].parent)] |= SHOWN;
}

enum err_code project_choose(struct project *p, struct project_choice choice, struct err *e)
{
    size_t kept = 0;
    TRY(project_check(p, e));
    for (size_t i = 0; i < choice.n; i++)
        if (project_find(p, choice.ids[i]) == p->n)
            return err_set(e, ERR_NOTFOUND, "the project has no layer '%.70s'", choice.ids[i]);
    unsigned char *marks = mem_try_array(p->n + 1, 1);
    if (!marks)
        return err_set(e, ERR_NOMEM, "no memory to choose among %zu layers", p->n);
    mark(p, choice, marks);
    for (size_t i = 0; i < p->n; i++) {
        if (!marks[i])
            continue;
        p->layers[kept] = p->layers[i];
        p->layers[kept++].visible |= (marks[i] & SHOWN) != 0;
    }
    p->n = kept;
    mem_free(marks);
    return ERR_OK;
}

/* Extends the box by where the layer's corners lie; rounding leaves a last digit that is no pixel. */
static void cover(const struct project_layer *l, const struct asset *a, double box[4])
{
    for (int corner = 0; corner < 4; corner++) {
        double x, y;
        project_point(l, corner & 1 ? a->width : 0, corner & 2 ? a->height : 0, &x, &y);
        box[0] = fmin(box[0], floor(x + 1e-3));
        box[1] = fmin(box[1], floor(y + 1e-3));
        box[2] = fmax(box[2], ceil(x - 1e-3));
        box[3] = fmax(box[3], ceil(y - 1e-3));
    }
}

enum err_code project_bounds(struct store *s, const struct project *p, struct image_rect *out,
                             struct err *e)
{
    const double far = (double)INFINITY;
    double box[4] = {far, far, -far, -far};
    *out = (struct image_rect){0};
    for (size_t i = 0; i < p->n; i++) {
        const struct project_layer *l = &p->layers[i];
        struct asset a;
        if (l->kind == PROJECT_GROUP || !project_is_seen(p, l))
            continue;
        TRY(asset_get(s, l->asset, &a, e));
        cover(l, &a, box);
    }
    double x0 = fmax(box[0], -p->w), y0 = fmax(box[1], -p->h);
    double x1 = fmin(box[2], 2.0 * p->w), y1 = fmin(box[3], 2.0 * p->h);
    if (x1 > x0 && y1 > y0)
        *out = (struct image_rect){(int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0)};
    return ERR_OK;
}

/* ---- merging ------------------------------------------------------------------------------------ */

static const struct project_layer *topmost(const struct project *p, struct project_choice choice)
{
    for (size_t at = p->n; at-- > 0;)
        if (is_named(choice, p->layers[at].id))
            return &p->layers[at];
    return NULL;
}

/* The groups around the result will act on it once it is there: they are no part of it. */
static void lift_out_of(struct project *part, const struct project *p, const char *parent)
{
    for (; parent[0]; parent = p->layers[project_find(p, parent)].parent) {
        for (size_t i = 0; i < part->n; i++)
            if (strcmp(part->layers[i].parent, parent) == 0)
                part->layers[i].parent[0] = '\0';
        project_remove(part, project_find(part, parent));
    }
}

/* The layers that are to become one, and where they lie. */
static enum err_code part_of(struct store *s, const struct project *p, struct project_choice choice,
                             struct project *part, struct image_rect *bounds, struct err *e)
{
    TRY(project_copy(p, part, e));
    enum err_code rc = project_choose(part, choice, e);
    const struct project_layer *top = topmost(p, choice);
    if (rc == ERR_OK && top)
        lift_out_of(part, p, top->parent);
    if (rc == ERR_OK)
        rc = project_bounds(s, part, bounds, e);
    if (rc == ERR_OK && bounds->w == 0)
        rc = err_set(e, ERR_ARG, "'layers' names nothing that is seen on the canvas or around it");
    if (rc != ERR_OK)
        project_deinit(part);
    return rc;
}

enum err_code project_merge_weight(struct store *s, const struct project *p,
                                   struct project_choice choice, uint64_t *bytes, struct err *e)
{
    struct project part;
    struct image_rect bounds;
    TRY(part_of(s, p, choice, &part, &bounds, e));
    enum err_code rc = project_image_weight(s, &part, &bounds, bytes, e);
    project_deinit(&part);
    return rc;
}

static enum err_code put_image(struct store *s, const struct image *im, const char *origin,
                               const struct image_about *about, char id[ASSET_ID_SIZE],
                               struct err *e)
{
    struct asset a;
    TRY(asset_put_image(s, im, &(struct asset_note){.origin = origin, .about = about}, &a, e));
    memcpy(id, a.id, ASSET_ID_SIZE);
    return ERR_OK;
}

/* In place of the asset `id`: of it the new file says what the old one did. */
static enum err_code replace_image(struct project_reading *from, const struct image *im,
                                   const char *origin, char id[ASSET_ID_SIZE], struct err *e)
{
    struct image_about about;
    image_about_init(&about);
    enum err_code rc = asset_about(from->store, id, &from->series, &about, e);
    if (rc == ERR_OK)
        rc = put_image(from->store, im, origin, &about, id, e);
    image_about_deinit(&about);
    return rc;
}

static enum err_code merged_layer(struct store *s, const struct project *part,
                                  const struct image_rect *bounds, const struct project_stop *stop,
                                  struct project_layer *out, struct err *e)
{
    struct image im = {0};
    struct image_about about;
    TRY(project_flatten(s, part, bounds, stop, &im, e));
    struct layer l = layer_from_image(&im);
    l.x = bounds->x;
    l.y = bounds->y;
    image_about_init(&about);
    enum err_code rc = layer_trim(&l, e);
    if (rc == ERR_OK)
        rc = project_about(s, part, &about, e);
    if (rc == ERR_OK)
        rc = put_image(s, &l.image, "merge", &about, out->asset, e);
    out->x = l.x;
    out->y = l.y;
    image_about_deinit(&about);
    layer_deinit(&l);
    return rc;
}

/* In place of the topmost one, and of all others. */
static void put_in_place(struct project *p, struct project_choice choice,
                         const struct project_layer *l)
{
    for (size_t i = 0; i < choice.n; i++) {
        size_t at = project_find(p, choice.ids[i]);
        if (at < p->n && strcmp(choice.ids[i], l->id) != 0)
            project_remove(p, at);
    }
    project_remove_members(p, project_find(p, l->id));
    p->layers[project_find(p, l->id)] = *l;
}

enum err_code project_merge(struct store *s, struct project *p, struct project_choice choice,
                            const char *name, const struct project_stop *stop, struct err *e)
{
    struct project part;
    struct image_rect bounds;
    const struct project_layer *top = topmost(p, choice);
    if (!top)
        return err_set(e, ERR_ARG, "'layers' names no layer of the project");
    TRY(part_of(s, p, choice, &part, &bounds, e));
    struct project_layer l = project_layer_defaults();
    struct layer named = {0};
    layer_set_name(&named, str_from(name ? name : top->name));
    memcpy(l.name, named.name, sizeof l.name);
    memcpy(l.id, top->id, sizeof l.id);
    memcpy(l.parent, top->parent, sizeof l.parent);
    enum err_code rc = merged_layer(s, &part, &bounds, stop, &l, e);
    if (rc == ERR_OK)
        put_in_place(p, choice, &l);
    project_deinit(&part);
    return rc;
}

/* ---- single layers ------------------------------------------------------------------------------ */

static enum err_code put_part(struct project_reading *from, const struct image *im,
                              struct image_rect r, char id[ASSET_ID_SIZE], struct err *e)
{
    struct image cut = {0};
    TRY(image_crop(im, r, &cut, e));
    enum err_code rc = replace_image(from, &cut, "trim", id, e);
    image_free(&cut);
    return rc;
}

/* Both the image and, at the image's size, the mask. */
static enum err_code cut_layer(struct project_reading *from, struct project_layer *l, int w, int h,
                               struct image_rect r, struct err *e)
{
    struct image im = {0}, mask = {0};
    enum err_code rc;
    if (l->mask[0]) {
        TRY_GOTO(project_mask(from, l->mask, w, h, &mask, e), done);
        TRY_GOTO(put_part(from, &mask, r, l->mask, e), done);
        image_free(&mask);
    }
    TRY_GOTO(project_pixels(from, l, false, &im, e), done);
    TRY_GOTO(put_part(from, &im, r, l->asset, e), done);
    project_point(l, r.x, r.y, &l->x, &l->y);
done:
    image_free(&im);
    image_free(&mask);
    return rc;
}

static enum err_code trim_layer(struct project_reading *from, struct project_layer *l,
                                struct err *e)
{
    struct project_layer changed = *l;
    struct image im = {0};
    TRY(project_pixels(from, l, true, &im, e));
    int w = im.w, h = im.h;
    struct layer seen = layer_from_image(&im);
    enum err_code rc = layer_trim(&seen, e);
    const struct image_rect r = {seen.x, seen.y, seen.image.w, seen.image.h};
    layer_deinit(&seen);
    if (rc != ERR_OK || (r.w == w && r.h == h))
        return rc;
    TRY(cut_layer(from, &changed, w, h, r, e));
    *l = changed;
    return ERR_OK;
}

enum err_code project_trim(struct store *s, struct project_layer *l, struct err *e)
{
    struct project_reading from = {.store = s};
    enum err_code rc = trim_layer(&from, l, e);
    reader_series_end(&from.series);
    return rc;
}

enum err_code project_clean(struct store *s, struct project_layer *l, struct err *e)
{
    const struct layer_alpha_params params = layer_alpha_defaults();
    struct project_reading from = {.store = s};
    struct image im = {0};
    enum err_code rc = project_pixels(&from, l, false, &im, e);
    struct layer cleaned = layer_from_image(&im);
    if (rc == ERR_OK)
        rc = layer_clean_alpha(&cleaned, &params, e);
    if (rc == ERR_OK)
        rc = replace_image(&from, &cleaned.image, "clean", l->asset, e);
    reader_series_end(&from.series);
    layer_deinit(&cleaned);
    return rc;
}

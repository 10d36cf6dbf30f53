/* project_render.c - a project's layers as images on the canvas.
 *
 * A layer's image goes mask, mirror, resize, turn. Scaling is done by image/resize (Lanczos, nothing
 * aliases); what is left - rotation, parts of a pixel - by image/affine. A layer without scale and rotation
 * at whole pixels stays as it is, bit for bit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "image/affine.h"
#include "image/resize.h"
#include "layers/assemble.h"
#include "store/project_pixels.h"
#include "store/projects.h"

/* An image enlarged beyond this is enlarged by image/affine, which makes only what is seen. */
#define RESIZE_MAX_PIXELS ((double)(16 << 20))

struct placed {
    struct image image;
    int x, y;
};

/* ---- mask --------------------------------------------------------------------------------------- */

/* Grey levels; what is transparent in the mask hides. */
static enum err_code mask_levels(const struct image *mask, int w, int h, struct image *out,
                                 struct err *e)
{
    struct image grey = {0};
    enum err_code rc = image_convert(mask, image_has_alpha(mask) ? 2 : 1, &grey, e);
    if (rc == ERR_OK && grey.channels == 2) {
        struct image flat = {0};
        image_premultiply(&grey);
        rc = image_convert(&grey, 1, &flat, e);
        image_free(&grey);
        grey = flat;
    }
    if (rc == ERR_OK)
        rc = image_resize(&grey, w, h, IMAGE_BILINEAR, out, e);
    image_free(&grey);
    return rc;
}

enum err_code project_mask(struct project_reading *from, const char *id, int w, int h,
                           struct image *out, struct err *e)
{
    struct image mask = {0};
    *out = (struct image){0};
    TRY(asset_load_next(from->store, id, &from->series, &mask, e));
    enum err_code rc = mask_levels(&mask, w, h, out, e);
    image_free(&mask);
    return rc;
}

static enum err_code apply_mask(struct project_reading *from, const char *id, struct image *im,
                                struct err *e)
{
    struct image levels = {0};
    TRY(project_mask(from, id, im->w, im->h, &levels, e));
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        const unsigned char *m = image_row(&levels, y);
        for (int x = 0; x < im->w; x++) {
            int t = p[4 * x + 3] * m[x] + 128;
            p[4 * x + 3] = (unsigned char)(((t >> 8) + t) >> 8);
        }
    }
    image_free(&levels);
    return ERR_OK;
}

enum err_code project_pixels(struct project_reading *from, const struct project_layer *l,
                             bool masked, struct image *out, struct err *e)
{
    struct image loaded = {0};
    *out = (struct image){0};
    TRY(asset_load_next(from->store, l->asset, &from->series, &loaded, e));
    enum err_code rc = image_convert(&loaded, 4, out, e);
    image_free(&loaded);
    if (rc == ERR_OK && masked && l->mask[0])
        rc = apply_mask(from, l->mask, out, e);
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}

/* ---- transform ---------------------------------------------------------------------------------- */

/* Replaces *im by its resized self; leaves the sides alone that affine does better. */
static enum err_code resize(struct image *im, double w, double h, struct err *e)
{
    bool enlarge = w * h <= RESIZE_MAX_PIXELS;
    int to_w = w < im->w || enlarge ? (int)fmax(1, round(w)) : im->w;
    int to_h = h < im->h || enlarge ? (int)fmax(1, round(h)) : im->h;
    if (to_w == im->w && to_h == im->h)
        return ERR_OK;
    struct image sized = {0};
    TRY(image_resize(im, to_w, to_h, IMAGE_LANCZOS, &sized, e));
    image_free(im);
    *im = sized;
    return ERR_OK;
}

/* Less than a thousandth of a pixel is what the numbers' last digits leave. */
static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-3;
}

static enum err_code place(struct image *im, const struct project_layer *l,
                           const struct image_rect *clip, struct placed *out, struct err *e)
{
    double sn, cs, w = im->w * fabs(l->scale_x), h = im->h * fabs(l->scale_y);
    project_turn(l->rotation, &sn, &cs);
    if (l->scale_x < 0)
        image_flip_horizontal(im);
    if (l->scale_y < 0)
        image_flip_vertical(im);
    TRY(resize(im, w, h, e));
    /* A mirrored image lies left of (above) its corner. */
    double ox = l->scale_x < 0 ? -w : 0, oy = l->scale_y < 0 ? -h : 0;
    double kx = w / im->w, ky = h / im->h;
    struct image_affine m = {.a = cs * kx,
                             .b = -sn * ky,
                             .tx = l->x + cs * ox - sn * oy,
                             .c = sn * kx,
                             .d = cs * ky,
                             .ty = l->y + sn * ox + cs * oy};
    if (sn == 0 && cs == 1 && is_near(w, im->w) && is_near(h, im->h) &&
        is_near(m.tx, round(m.tx)) && is_near(m.ty, round(m.ty))) {
        out->image = *im;
        out->x = (int)round(m.tx);
        out->y = (int)round(m.ty);
        *im = (struct image){0};
        return ERR_OK;
    }
    return image_transform(im, &m, clip, &out->image, &out->x, &out->y, e);
}

/* Caller frees out->image. */
static enum err_code render_layer(struct project_reading *from, const struct project_layer *l,
                                  const struct image_rect *clip, const struct project_stop *stop,
                                  struct placed *out, struct err *e)
{
    struct image im = {0};
    *out = (struct placed){0};
    enum err_code rc = project_go_on(stop, e);
    if (rc == ERR_OK)
        rc = project_pixels(from, l, true, &im, e);
    if (rc == ERR_OK)
        rc = project_go_on(stop, e);
    if (rc == ERR_OK)
        rc = place(&im, l, clip, out, e);
    image_free(&im);
    return rc == ERR_OK || !e ? rc : err_note(e, "layer '%s'", l->name[0] ? l->name : l->id);
}

enum err_code project_go_on(const struct project_stop *stop, struct err *e)
{
    return stop && stop->asked(stop->user) ? err_set(e, ERR_CANCELLED, "cancelled") : ERR_OK;
}

/* ---- all of them -------------------------------------------------------------------------------- */

struct rendering {
    struct project_reading *from;
    const struct project *p;
    struct image_rect part; /* what is wanted of the plane */
    const struct project_stop *stop;
    uint64_t pixels;            /* of a stack, so far */
    struct layers_assembly *to; /* of a stack */
};

static enum err_code compose(const struct rendering *r, size_t first, size_t end,
                             const char *parent, struct image *canvas, struct err *e);

static enum err_code compose_layer(const struct rendering *r, const struct project_layer *l,
                                   struct image *canvas, struct err *e)
{
    struct placed placed;
    enum err_code rc = render_layer(r->from, l, &r->part, r->stop, &placed, e);
    const struct composite_layer c = {.image = &placed.image,
                                      .x = placed.x - r->part.x,
                                      .y = placed.y - r->part.y,
                                      .opacity = l->opacity,
                                      .blend = l->blend};
    if (rc == ERR_OK)
        rc = image_composite(canvas, &c, e);
    image_free(&placed.image);
    return rc;
}

static enum err_code compose_group(const struct rendering *r, size_t first, size_t at,
                                   struct image *canvas, struct err *e)
{
    const struct project_layer *g = &r->p->layers[at];
    struct image inside = {0};
    enum err_code rc;
    TRY_GOTO(image_new(&inside, canvas->w, canvas->h, 4, e), done);
    TRY_GOTO(compose(r, first, at, g->id, &inside, e), done);
    rc = image_composite(
        canvas,
        &(struct composite_layer){.image = &inside, .opacity = g->opacity, .blend = g->blend}, e);
done:
    image_free(&inside);
    return rc;
}

/* The rows from first to before end, which lie in the group `parent`. */
static enum err_code compose(const struct rendering *r, size_t first, size_t end,
                             const char *parent, struct image *canvas, struct err *e)
{
    for (size_t i = first, at; i < end; i = at + 1) {
        at = project_unit(r->p, i, parent);
        const struct project_layer *l = &r->p->layers[at];
        if (!l->visible || (l->kind == PROJECT_GROUP && at == i))
            continue;
        TRY(l->kind == PROJECT_GROUP ? compose_group(r, i, at, canvas, e)
                                     : compose_layer(r, l, canvas, e));
    }
    return ERR_OK;
}

enum err_code project_flatten(struct store *s, const struct project *p,
                              const struct image_rect *part, const struct project_stop *stop,
                              struct image *out, struct err *e)
{
    struct project_reading from = {.store = s};
    const struct rendering r = {.from = &from,
                                .p = p,
                                .part = part ? *part : (struct image_rect){0, 0, p->w, p->h},
                                .stop = stop};
    *out = (struct image){0};
    TRY(project_check(p, e));
    TRY(image_new(out, r.part.w, r.part.h, 4, e));
    enum err_code rc = compose(&r, 0, p->n, "", out, e);
    reader_series_end(&from.series);
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}

/* ---- as a stack --------------------------------------------------------------------------------- */

static enum err_code add_layer(struct rendering *r, const struct project_layer *l, struct err *e)
{
    const struct layers_limits limits = layers_limits_defaults();
    struct placed placed;
    TRY(render_layer(r->from, l, &r->part, r->stop, &placed, e));
    struct layer layer = layer_from_image(&placed.image);
    r->pixels += (uint64_t)layer.image.w * (uint64_t)layer.image.h;
    layer_set_name(&layer, str_from(l->name));
    if (l->id[0])
        (void)layer_set_id(&layer, str_from(l->id));
    layer.x = placed.x;
    layer.y = placed.y;
    layer.opacity = l->opacity;
    layer.blend = l->blend;
    layer.visible = l->visible;
    TRY(layers_assembly_add(r->to, &layer, LAYERS_OVER, false, e));
    if (r->pixels > limits.max_pixels)
        return err_set(e, ERR_LIMIT, "the layers have more than %llu pixels together",
                       (unsigned long long)limits.max_pixels);
    return ERR_OK;
}

/* The rows from first to before end, which lie in the group `parent`. */
static enum err_code assemble(struct rendering *r, size_t first, size_t end, const char *parent,
                              struct err *e)
{
    for (size_t i = first, at; i < end; i = at + 1) {
        at = project_unit(r->p, i, parent);
        const struct project_layer *l = &r->p->layers[at];
        const struct layers_group g = {.id = l->id,
                                       .name = l->name,
                                       .opacity = l->opacity,
                                       .blend = l->blend,
                                       .visible = l->visible,
                                       .isolated = true};
        if (l->kind == PROJECT_IMAGE) {
            TRY(add_layer(r, l, e));
            continue;
        }
        TRY(layers_assembly_begin(r->to, true, false, e));
        TRY(assemble(r, i, at, l->id, e));
        TRY(layers_assembly_end(r->to, &g, e));
    }
    return ERR_OK;
}

enum err_code project_render(struct store *s, const struct project *p,
                             const struct project_stop *stop, struct layer_stack *out,
                             struct err *e)
{
    struct layers_assembly a;
    struct project_reading from = {.store = s};
    /* What lies off the canvas is kept as far as the canvas is wide: a person may still move it. */
    struct rendering r = {
        .from = &from, .p = p, .part = {-p->w, -p->h, 3 * p->w, 3 * p->h}, .stop = stop, .to = &a};
    layer_stack_init(out, p->w, p->h);
    layers_assembly_init(&a, out);
    a.keep = true;
    enum err_code rc = project_check(p, e);
    if (rc == ERR_OK)
        rc = assemble(&r, 0, p->n, "", e);
    reader_series_end(&from.series);
    if (rc == ERR_OK)
        rc = layers_assembly_finish(&a, e);
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}

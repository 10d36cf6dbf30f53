/* project_weight.c - the memory that work on a project takes at most, told before it begins. */
#include <math.h>

#include "store/project_edit.h"
#include "store/projects.h"

static const double SMALL_THINGS = 1 << 20;

/* In pixels, but for the peak. */
struct cost {
    double peak;   /* bytes: of the layer that takes most while it is placed */
    double widest; /* the largest placed layer */
    double all;    /* the placed layers together */
};

/* Pixels of the layer as it lies on the canvas, and around it; never more than the part that is wanted. */
static double placed_pixels(const struct project_layer *l, const struct asset *a, double most)
{
    double w = a->width * fabs(l->scale_x), h = a->height * fabs(l->scale_y);
    double n = l->rotation == 0 ? (w + 1) * (h + 1) : (w + h) * (w + h) / 2;
    return n < most ? n : most;
}

static enum err_code measure_layer(struct store *s, const struct project_layer *l, double most,
                                   struct cost *c, struct err *e)
{
    struct asset a, mask = {0};
    TRY(asset_get(s, l->asset, &a, e));
    if (l->mask[0])
        TRY(asset_get(s, l->mask, &mask, e));
    double placed = placed_pixels(l, &a, most), own = (double)a.width * a.height;
    /* As decoded and as RGBA, then with the mask's levels, then beside the placed one. */
    c->peak = fmax(c->peak, 4 * (own + fmax(own, placed)) + 5.0 * mask.width * mask.height);
    c->widest = fmax(c->widest, placed);
    c->all += placed;
    return ERR_OK;
}

static enum err_code measure(struct store *s, const struct project *p, double most, struct cost *c,
                             struct err *e)
{
    *c = (struct cost){0};
    for (size_t i = 0; i < p->n; i++)
        if (p->layers[i].kind == PROJECT_IMAGE)
            TRY(measure_layer(s, &p->layers[i], most, c, e));
    return ERR_OK;
}

/* How many groups lie in each other, at most. */
static size_t depth_of(const struct project *p)
{
    size_t deepest = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t depth = 0;
        const char *parent = p->layers[i].parent;
        for (; parent[0]; depth++)
            parent = p->layers[project_find(p, parent)].parent;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/* The part's image, and one for each group that is open. */
static enum err_code flatten_bytes(struct store *s, const struct project *p, double pixels,
                                   double *bytes, struct err *e)
{
    struct cost c;
    TRY(measure(s, p, pixels, &c, e));
    *bytes = 4 * pixels * (1 + (double)depth_of(p)) + c.peak + SMALL_THINGS;
    return ERR_OK;
}

/* A stack is kept while its file is made, with the image of all and of each group that is open, and in archives one packed layer in a buffer that
 * doubles. */
static enum err_code stack_bytes(struct store *s, const struct project *p,
                                 enum project_format format, double *bytes, struct err *e)
{
    double canvas = (double)p->w * p->h, most = 9 * canvas;
    bool archive = format != PROJECT_PSD;
    struct cost c;
    TRY(measure(s, p, most, &c, e));
    *bytes = 4 * canvas + 4 * c.all + c.peak + (archive ? 8 * fmax(canvas, c.widest) : 0) +
             4 * canvas * (double)depth_of(p) + SMALL_THINGS;
    return ERR_OK;
}

/* Beside the flattened image: cut, resized in two steps, and as the encoder has it with its file at the end. */
static double output_bytes(const struct project_output *how, double canvas)
{
    double by = how->scale != 0 ? how->scale : 1, pixels = canvas * by * by;
    return (how->trim ? 4 * canvas : 0) + (by != 1 ? 4 * (pixels + canvas * by) : 0) +
           (how->format == PROJECT_PNG ? 0 : 12 * pixels);
}

enum err_code project_weight(struct store *s, const struct project *p,
                             const struct project_output *how, uint64_t *bytes, struct err *e)
{
    double n, canvas = (double)p->w * p->h;
    if (project_format_is_flat(how->format)) {
        TRY(flatten_bytes(s, p, canvas, &n, e));
        n += output_bytes(how, canvas);
    } else {
        TRY(stack_bytes(s, p, how->format, &n, e));
    }
    *bytes = (uint64_t)n;
    return ERR_OK;
}

/* Beside the image there is a part of it, or its PNG in a buffer that doubles. */
enum err_code project_image_weight(struct store *s, const struct project *p,
                                   const struct image_rect *part, uint64_t *bytes, struct err *e)
{
    double n, pixels = (double)part->w * part->h;
    TRY(flatten_bytes(s, p, pixels, &n, e));
    *bytes = (uint64_t)(n + 12 * pixels);
    return ERR_OK;
}

/* Its image as decoded, as RGBA and cut, with its mask, and the PNG. */
enum err_code project_layer_weight(struct store *s, const struct project_layer *l, uint64_t *bytes,
                                   struct err *e)
{
    struct cost c;
    struct asset a;
    TRY(measure_layer(s, l, 0, &c, e));
    TRY(asset_get(s, l->asset, &a, e));
    *bytes = (uint64_t)(c.peak + 18.0 * a.width * a.height + SMALL_THINGS);
    return ERR_OK;
}

/* stack.c - from planes to a stack that a person can work with, and what is doubtful about it.
 *
 * The layers are compared with the model's own composite first, while nothing is left out. Then empty ones go,
 * duplicates are merged, and sizes are changed; names come after that, as they say where a layer lies. The
 * comparison with the source is made at the end, of what the person gets.
 */
#include "pipeline/layered/stack.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "layers/clean.h"
#include "layers/fit.h"

static enum err_code add_layers(const struct layered_result *r, struct layer_stack *s,
                                struct err *e)
{
    size_t plane = 4 * (size_t)r->w * (size_t)r->h;
    enum err_code rc = ERR_OK;
    layer_stack_init(s, r->w, r->h);
    for (int i = 0; rc == ERR_OK && i < r->layers; i++) {
        struct image im;
        rc = layered_to_image(r->planes + (size_t)i * plane, r->w, r->h, &im, e);
        if (rc != ERR_OK)
            break;
        struct layer l = layer_from_image(&im);
        rc = layer_stack_add(s, &l, e);
    }
    return rc;
}

static enum err_code compare_frame(const struct layered_result *r, struct layered_stack *out,
                                   struct err *e)
{
    struct image frame;
    enum err_code rc;
    TRY_GOTO(layered_to_image(r->frame, r->w, r->h, &frame, e), done);
    rc = layers_recompose_report(&out->stack, &frame, &out->frame, e);
done:
    image_free(&frame);
    return rc;
}

enum err_code layered_stack_make(const struct layered_result *r,
                                 const struct layered_stack_options *options,
                                 struct layered_stack *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    struct layer_stack *s = &out->stack;
    enum err_code rc;
    TRY_GOTO(add_layers(r, s, e), done);
    TRY_GOTO(compare_frame(r, out, e), done);
    if (!options->keep_empty)
        out->dropped = layers_drop_empty(s, LAYERS_EMPTY_ALPHA);
    if (options->merge_duplicates)
        TRY_GOTO(layers_merge_duplicates(s, LAYERS_DUPLICATE_LEVEL, &out->merged, e), done);
    if (options->full_size)
        TRY_GOTO(layers_to_full_size(s, options->source, e), done);
    layers_suggest_names(s);
    TRY_GOTO(layers_recompose_report(s, options->full_size ? options->source : &r->image,
                                     &out->source, e),
             done);
    rc = layers_flatten(s, &out->composite, e);
done:
    if (rc != ERR_OK)
        layered_stack_deinit(out);
    return rc;
}

void layered_stack_deinit(struct layered_stack *s)
{
    if (!s)
        return;
    layer_stack_deinit(&s->stack);
    image_free(&s->composite);
    memset(s, 0, sizeof *s);
}

/* ---- doubts ---------------------------------------------------------------------------------- */

/* Below this the flattened layers are visibly another image. */
static const double doubtful_psnr_db = 20.0;

struct list {
    struct layers_doubt *at;
    size_t n;
};

static void add(struct list *l, const char *code, const char *text, double value)
{
    if (l->n < LAYERS_DOUBTS_MAX)
        l->at[l->n++] = (struct layers_doubt){code, text, value};
}

static bool is_opaque(const struct vt_image *im)
{
    size_t pixels = (size_t)im->width * (size_t)im->height;
    for (size_t i = 0; im->channels == 4 && i < pixels; i++)
        if (im->pixels[4 * i + 3] != 255)
            return false;
    return true;
}

size_t layers_doubts(const struct vt_layers_result *result,
                     struct layers_doubt out[LAYERS_DOUBTS_MAX])
{
    const struct vt_layers_report *r = vt_layers_report(result);
    struct list l = {out, 0};
    if (vt_layers_count(result) == 0)
        add(&l, "no_layers", "all layers are empty", (double)NAN);
    if (r->source.psnr_db < doubtful_psnr_db)
        add(&l, "far_from_source", "the flattened layers differ much from the image",
            r->source.psnr_db);
    if (r->composite.psnr_db < doubtful_psnr_db)
        add(&l, "far_from_composite",
            "the flattened layers differ much from the model's own composite",
            r->composite.psnr_db);
    if (r->layers_dropped > 0)
        add(&l, "dropped_layers", "fewer layers than asked for have any content",
            r->layers_dropped);
    for (int i = 1; i < vt_layers_count(result); i++) {
        struct vt_layer layer = vt_layers_layer(result, i);
        bool covers = layer.image.width >= r->width && layer.image.height >= r->height;
        if (covers && is_opaque(&layer.image))
            add(&l, "opaque_layer",
                "a layer above the bottom one has no transparency and hides what is under it", i);
    }
    return l.n;
}

#include "pipeline/layered/stack.h"

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

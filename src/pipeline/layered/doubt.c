#include "pipeline/layered/doubt.h"

#include <math.h>
#include <stdbool.h>

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

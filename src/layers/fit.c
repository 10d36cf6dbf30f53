/* fit.c - layers at the source's size and in its colours, and how well they add up; see fit.h.
 *
 * Sizes come first, then colours. Colours are fitted from the top layer down with one plane of floats, free_way,
 * that says how much of a pixel can still be seen through the layers above. A layer's colour is replaced by the
 * source's only where it is nearly alone in being seen; the limit is gradual (certainty), since a hard one would
 * draw an edge.
 */
#include "layers/fit.h"

#include "base/mem.h"
#include "image/resize.h"
#include "layers/clean.h"

/* ---- size ------------------------------------------------------------------------------------ */

static bool fills_canvas(const struct layer *l, const struct layer_stack *s)
{
    return l->x == 0 && l->y == 0 && l->image.w == s->w && l->image.h == s->h;
}

/* The layer's part of the canvas on an image of the canvas' size. What reaches over the edges is cut:
 * a model's layers never do. */
static enum err_code spread_on_canvas(struct layer *l, int w, int h, struct err *e)
{
    struct image full = {0};
    struct composite_layer alone = {&l->image, l->x, l->y, 1, BLEND_NORMAL};
    TRY(image_flatten(&alone, 1, w, h, NULL, &full, e));
    image_free(&l->image);
    l->image = full;
    l->x = 0;
    l->y = 0;
    return ERR_OK;
}

/* A small layer is resampled as part of the whole canvas, so that it lands on the same fractions of
 * pixels as its neighbours, and is trimmed again. */
static enum err_code resize_layer(const struct layer_stack *s, struct layer *l, int w, int h,
                                  struct err *e)
{
    const bool full = fills_canvas(l, s);
    struct image im = {0};
    if (!full)
        TRY(spread_on_canvas(l, s->w, s->h, e));
    TRY(image_resize(&l->image, w, h, IMAGE_LANCZOS, &im, e));
    image_free(&l->image);
    l->image = im;
    return full ? ERR_OK : layer_trim(l, e);
}

enum err_code layers_resize(struct layer_stack *s, int w, int h, struct err *e)
{
    enum err_code rc = ERR_OK;
    if (w == s->w && h == s->h)
        return ERR_OK;
    for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
        rc = resize_layer(s, &s->layers[i], w, h, e);
        if (rc != ERR_OK)
            return err_note(e, "layer '%s'", s->layers[i].name);
    }
    s->w = w;
    s->h = h;
    return rc;
}

/* ---- colour ---------------------------------------------------------------------------------- */

/* 0 up to three quarters, 1 from 1 on, smooth between: how sure it is that only this layer is seen. */
static float certainty(float v)
{
    float t = (v - 0.75f) * 4.0f;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

/* n RGBA pixels of a layer and of the source; free_way[n] is how much of what lies here can be seen
 * through the layers above (1 = all), and is lessened by this layer. With fit, colours move to the
 * source's where layer, way and source are opaque. */
static void fit_row(unsigned char *layer, const unsigned char *source, float *free_way, int n,
                    float opacity, bool fit)
{
    for (int i = 0; i < n; i++, layer += 4, source += 4) {
        float a = (float)layer[3] * (1.0f / 255) * opacity;
        if (fit && a > 0.75f && free_way[i] > 0.75f) {
            float sure =
                certainty(a) * certainty(free_way[i]) * certainty((float)source[3] * (1.0f / 255));
            for (int c = 0; c < 3; c++) {
                float v = (float)layer[c];
                layer[c] = (unsigned char)(v + sure * ((float)source[c] - v) + 0.5f);
            }
        }
        free_way[i] *= 1 - a;
    }
}

/* One layer against the source, and what it hides of those below. */
static void fit_layer(const struct layer_stack *s, struct layer *l, const struct image *source,
                      float *free_way)
{
    int x0 = l->x > 0 ? l->x : 0, y0 = l->y > 0 ? l->y : 0;
    int x1 = l->x + l->image.w < s->w ? l->x + l->image.w : s->w;
    int y1 = l->y + l->image.h < s->h ? l->y + l->image.h : s->h;
    for (int y = y0; y < y1 && x0 < x1; y++)
        fit_row(image_row(&l->image, y - l->y) + 4 * (size_t)(x0 - l->x),
                image_row(source, y) + 4 * (size_t)x0,
                free_way + (size_t)y * (size_t)s->w + (size_t)x0, x1 - x0, (float)l->opacity,
                l->blend == BLEND_NORMAL);
}

static enum err_code fit_rgba(struct layer_stack *s, const struct image *source, struct err *e)
{
    const size_t n = (size_t)s->w * (size_t)s->h;
    float *free_way = mem_try_array(n, sizeof *free_way);
    if (!free_way)
        return err_set(e, ERR_NOMEM, "no memory to fit %d x %d pixels", s->w, s->h);
    for (size_t i = 0; i < n; i++)
        free_way[i] = 1;
    for (size_t i = s->n; i-- > 0;)
        if (s->layers[i].visible)
            fit_layer(s, &s->layers[i], source, free_way);
    mem_free(free_way);
    return ERR_OK;
}

static enum err_code check_size(const struct layer_stack *s, const struct image *im, struct err *e)
{
    if (im->w != s->w || im->h != s->h)
        return err_set(e, ERR_ARG, "the image is %d x %d pixels, the canvas %d x %d", im->w, im->h,
                       s->w, s->h);
    return ERR_OK;
}

enum err_code layers_fit_colours(struct layer_stack *s, const struct image *source, struct err *e)
{
    struct image rgba = {0};
    TRY(check_size(s, source, e));
    if (source->channels == 4)
        return fit_rgba(s, source, e);
    enum err_code rc;
    TRY_GOTO(image_convert(source, 4, &rgba, e), done);
    rc = fit_rgba(s, &rgba, e);
done:
    image_free(&rgba);
    return rc;
}

enum err_code layers_to_full_size(struct layer_stack *s, const struct image *source, struct err *e)
{
    TRY(layers_resize(s, source->w, source->h, e));
    return layers_fit_colours(s, source, e);
}

/* ---- how well the stack gives the image back ----------------------------------------------- */

static bool is_opaque(const struct image *rgba)
{
    for (int y = 0; y < rgba->h; y++) {
        const unsigned char *p = image_row(rgba, y) + 3;
        for (int x = 0; x < rgba->w; x++)
            if (p[4 * (size_t)x] != 255)
                return false;
    }
    return true;
}

static enum err_code compare_rgb(const struct image *a, const struct image *b,
                                 struct image_difference *out, struct err *e)
{
    struct image a3 = {0}, b3 = {0};
    enum err_code rc;
    TRY_GOTO(image_convert(a, 3, &a3, e), done);
    TRY_GOTO(image_convert(b, 3, &b3, e), done);
    rc = image_compare(&a3, &b3, out, e);
done:
    image_free(&a3);
    image_free(&b3);
    return rc;
}

enum err_code layers_recompose_report(const struct layer_stack *s, const struct image *reference,
                                      struct image_difference *out, struct err *e)
{
    struct image flat = {0}, ref = {0};
    enum err_code rc;
    TRY_GOTO(check_size(s, reference, e), done);
    TRY_GOTO(layers_flatten(s, &flat, e), done);
    TRY_GOTO(image_convert(reference, 4, &ref, e), done);
    if (is_opaque(&flat) && is_opaque(&ref)) {
        rc = compare_rgb(&flat, &ref, out, e);
    } else {
        image_premultiply(&flat);
        image_premultiply(&ref);
        rc = image_compare(&flat, &ref, out, e);
    }
done:
    image_free(&flat);
    image_free(&ref);
    return rc;
}

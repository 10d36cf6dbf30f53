/* canvas.c - the image that an inpainting starts from, its mask, and what is kept of it.
 *
 * The canvas is scaled down to a megapixel if larger and padded to whole tokens by repeating its edges. The result
 * has the image's own size again, and where nothing is painted the image's own bits, alpha too. As the reference
 * implementation does it, canvas and result are resampled to whole tokens. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/mask.h"
#include "image/resize.h"
#include "pipeline/klein/internal.h"

/* The reference stretches any mask; one for another orientation (4:3 for 3:4) is surely a mistake. */
#define MASK_MAX_STRETCH 1.5

/* ---- canvas and mask --------------------------------------------------------------------------------- */

enum err_code klein_mask_check(const struct image *mask, const struct image *image,
                               const struct vt_callbacks *cb, struct err *e)
{
    if (mask->w == image->w && mask->h == image->h)
        return ERR_OK;
    double a = (double)mask->w / mask->h, b = (double)image->w / image->h;
    if (a / b > MASK_MAX_STRETCH || b / a > MASK_MAX_STRETCH)
        return err_set(e, ERR_ARG,
                       "the mask is %d x %d, the image %d x %d: they do not belong together",
                       mask->w, mask->h, image->w, image->h);
    report_note(cb, "the mask is %d x %d, the image %d x %d: the mask is resized", mask->w, mask->h,
                image->w, image->h);
    return ERR_OK;
}

/* Right and below, by repeating the edges. */
static enum err_code pad_to(const struct image *im, struct size_px to, struct image *out,
                            struct err *e)
{
    struct image_border b = {.right = to.w - im->w, .bottom = to.h - im->h};
    return image_pad(im, b, NULL, out, e);
}

static enum err_code grey_mask(const struct image *mask, struct size_px size, struct image *out,
                               struct err *e)
{
    struct image sized = {0};
    *out = (struct image){0};
    enum err_code rc;
    TRY_GOTO(image_resize(mask, size.w, size.h, IMAGE_LANCZOS, &sized, e), done);
    rc = image_convert(&sized, 1, out, e);
done:
    image_free(&sized);
    return rc;
}

/* The mask over the result, of which something must be painted. */
static enum err_code make_pixel_mask(const struct image *mask, struct size_px size,
                                     struct klein_canvas *c, struct err *e)
{
    struct image grey;
    size_t pixels = (size_t)size.w * (size_t)size.h, white = 0;
    enum err_code rc = grey_mask(mask, size, &grey, e);
    c->pixel_mask = rc == ERR_OK ? mem_try_array(pixels, sizeof(float)) : NULL;
    if (rc == ERR_OK && !c->pixel_mask)
        rc = err_set(e, ERR_NOMEM, "no memory for the mask");
    if (rc == ERR_OK && c->pixel_mask) {
        image_mask_binarise(&grey, c->pixel_mask);
        for (size_t i = 0; i < pixels; i++)
            white += c->pixel_mask[i] > 0;
        if (white == 0)
            rc =
                err_set(e, ERR_ARG,
                        "the mask is empty: nothing would be painted (white is what gets painted)");
    }
    image_free(&grey);
    return rc;
}

/* The mask over the working size, then a value a token. */
static enum err_code make_token_mask(const struct image *mask, const struct klein_size *size,
                                     int unit, struct klein_canvas *c, struct err *e)
{
    struct image grey, whole = {0};
    struct image_plane dst = {.w = size->work.w / unit, .h = size->work.h / unit};
    enum err_code rc = grey_mask(mask, size->inner, &grey, e);
    if (rc == ERR_OK)
        rc = pad_to(&grey, size->work, &whole, e);
    struct image_plane src = {size->work.w, size->work.h, NULL};
    if (rc == ERR_OK) {
        src.p = mem_try_array((size_t)src.w * (size_t)src.h, sizeof(float));
        c->token_mask = mem_try_array((size_t)dst.w * (size_t)dst.h, sizeof(float));
        if (!src.p || !c->token_mask)
            rc = err_set(e, ERR_NOMEM, "no memory for the mask");
    }
    if (rc == ERR_OK && src.p) {
        dst.p = c->token_mask;
        image_mask_binarise(&whole, src.p);
        image_mask_to_grid(&src, &dst);
    }
    mem_free(src.p);
    image_free(&grey);
    image_free(&whole);
    return rc;
}

/* What the model sees of the canvas. */
static enum err_code make_image(const struct klein_request *rq, const struct klein_size *size,
                                struct klein_canvas *c, struct err *e)
{
    struct image limited = {0}, whole = {0};
    enum err_code rc;
    TRY_GOTO(
        image_resize(&rq->images[0], size->limited.w, size->limited.h, IMAGE_LANCZOS, &limited, e),
        done);
    if (rq->as_reference)
        TRY_GOTO(image_resize(&limited, size->work.w, size->work.h, IMAGE_LANCZOS, &whole, e),
                 done);
    else
        TRY_GOTO(pad_to(&limited, size->work, &whole, e), done);
    rc = image_convert(&whole, 3, &c->image, e);
done:
    image_free(&limited);
    image_free(&whole);
    return rc;
}

static enum err_code make_kept(const struct klein_request *rq, struct klein_canvas *c,
                               struct err *e)
{
    enum err_code rc =
        rq->as_reference
            ? image_copy(&c->image, &c->kept, e)
            : image_convert(rq->original, image_has_alpha(rq->original) ? 4 : 3, &c->kept, e);
    image_narrow(&c->kept);
    return rc;
}

enum err_code klein_canvas_make(struct klein *k, const struct klein_request *rq,
                                const struct klein_run *run, const struct klein_size *size,
                                struct klein_canvas *c, struct err *e)
{
    int unit = klein_size_unit(k);
    int64_t tokens = (int64_t)(size->work.w / unit) * (size->work.h / unit);
    memset(c, 0, sizeof *c);
    enum err_code rc;
    if (rq->mask)
        TRY_GOTO(klein_mask_check(rq->mask, &rq->images[0], run->callbacks, e), done);
    TRY_GOTO(make_image(rq, size, c, e), done);
    if (rq->mask) {
        TRY_GOTO(make_kept(rq, c, e), done);
        TRY_GOTO(make_pixel_mask(rq->mask, size->result, c, e), done);
        TRY_GOTO(make_token_mask(rq->mask, size, unit, c, e), done);
    }
    c->latents = mem_try_array(
        (size_t)(tokens * flux2_transformer_config(k->transformer)->in_channels), sizeof(float));
    struct report_part first = {0, rq->n_images};
    rc = c->latents ? klein_encode_image(k, &c->image, first, run, c->latents, e)
                    : err_set(e, ERR_NOMEM, "no memory for the image's latents");
done:
    if (rc != ERR_OK)
        klein_canvas_free(c);
    return rc;
}

void klein_canvas_free(struct klein_canvas *c)
{
    image_free(&c->image);
    image_free(&c->kept);
    mem_free(c->pixel_mask);
    mem_free(c->token_mask);
    mem_free(c->latents);
    memset(c, 0, sizeof *c);
}

/* ---- putting kept pixels back ------------------------------------------------------------------------ */

/* Distance of each painted pixel to the nearest kept one, in pixels, by two sweeps with steps of 1 and
 * sqrt 2 (a chamfer: within 8 % of the true distance, which a soft edge does not show). */
static void distance_inside(const float *mask, int w, int h, float *d)
{
    const float far = (float)w + (float)h, diagonal = 1.41421356f;
    for (int i = 0; i < w * h; i++)
        d[i] = mask[i] > 0 ? far : 0;
    for (int pass = 0; pass < 2; pass++) {
        int step = pass ? -1 : 1, first = pass ? w * h - 1 : 0;
        for (int n = 0, i = first; n < w * h; n++, i += step) {
            int x = i % w, y = i / w, py = y - step, px = x - step, nx = x + step;
            float best = d[i];
            if (px >= 0 && px < w)
                best = fminf(best, d[y * w + px] + 1);
            if (py >= 0 && py < h) {
                best = fminf(best, d[py * w + x] + 1);
                if (px >= 0 && px < w)
                    best = fminf(best, d[py * w + px] + diagonal);
                if (nx >= 0 && nx < w)
                    best = fminf(best, d[py * w + nx] + diagonal);
            }
            d[i] = best;
        }
    }
}

/* n pixels: painted ones (RGB) over kept ones (RGB or RGBA), as much as weight says, to the mode of the kept ones.
 * A weight of 0 keeps every bit, also of colours that are transparent. */
static void restore_row(const unsigned char *painted, const unsigned char *kept,
                        const float *weight, int n, int channels, unsigned char *out)
{
    for (int x = 0; x < n; x++, painted += 3, kept += channels, out += channels) {
        float w = weight[x], alpha = channels == 4 ? (float)kept[3] / 255.0f : 1.0f;
        float all = w + alpha * (1.0f - w);
        if (w <= 0.0f || all <= 0.0f) {
            memcpy(out, kept, (size_t)channels);
            continue;
        }
        for (int i = 0; i < 3; i++)
            out[i] = (unsigned char)lrintf(
                ((float)painted[i] * w + (float)kept[i] * alpha * (1.0f - w)) / all);
        if (channels == 4)
            out[3] = (unsigned char)lrintf(all * 255.0f);
    }
}

static bool is_opaque(const struct image *im)
{
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++)
            if (image_row(im, y)[4 * x + 3] != 255)
                return false;
    return true;
}

/* An image that shows no alpha has none. */
static enum err_code drop_alpha(struct image *im, struct err *e)
{
    struct image rgb = {0};
    if (im->channels != 4 || !is_opaque(im))
        return ERR_OK;
    TRY(image_convert(im, 3, &rgb, e));
    image_free(im);
    *im = rgb;
    return ERR_OK;
}

/* One row of weights: the mask, fading in over feather pixels. */
static void weights_of_row(const float *mask, const float *distance, int n, int feather, float *out)
{
    for (int x = 0; x < n; x++)
        out[x] =
            distance && mask[x] > 0 ? fminf(1.0f, distance[x] / (float)(feather + 1)) : mask[x];
}

enum err_code klein_canvas_restore(const struct klein_canvas *c, int feather, struct image *image,
                                   struct err *e)
{
    int w = image->w, h = image->h;
    size_t pixels = (size_t)w * (size_t)h;
    struct image out = {0};
    if (!c->pixel_mask)
        return ERR_OK;
    float *d = feather > 0 ? mem_try_array(pixels, sizeof *d) : NULL;
    float *weights = mem_try_array((size_t)w, sizeof *weights);
    enum err_code rc = image_new(&out, w, h, c->kept.channels, e);
    if (rc == ERR_OK && (!weights || (feather > 0 && !d)))
        rc = err_set(e, ERR_NOMEM, "no memory for a soft edge");
    if (rc == ERR_OK && d)
        distance_inside(c->pixel_mask, w, h, d);
    for (int y = 0; rc == ERR_OK && weights && y < h; y++) {
        size_t row = (size_t)y * (size_t)w;
        weights_of_row(c->pixel_mask + row, d ? d + row : NULL, w, feather, weights);
        restore_row(image_row(image, y), image_row(&c->kept, y), weights, w, out.channels,
                    image_row(&out, y));
    }
    if (rc == ERR_OK)
        rc = drop_alpha(&out, e);
    mem_free(d);
    mem_free(weights);
    if (rc != ERR_OK) {
        image_free(&out);
        return rc;
    }
    image_free(image);
    *image = out;
    return ERR_OK;
}

/* ---- the part back in the whole ----------------------------------------------------------------------- */

enum err_code klein_canvas_place(const struct klein_request *rq, struct image *image, struct err *e)
{
    const struct image_rect at = rq->region;
    struct image whole = {0}, part = {0};
    enum err_code rc;
    TRY_GOTO(image_convert(rq->whole, image_has_alpha(rq->whole) ? 4 : 3, &whole, e), done);
    image_narrow(&whole);
    TRY_GOTO(image_convert(image, whole.channels, &part, e), done);
    size_t pixel = (size_t)whole.channels;
    for (int y = 0; y < at.h; y++)
        memcpy(image_row(&whole, at.y + y) + (size_t)at.x * pixel, image_row(&part, y),
               (size_t)at.w * pixel);
    rc = drop_alpha(&whole, e);
done:
    image_free(&part);
    if (rc != ERR_OK) {
        image_free(&whole);
        return rc;
    }
    image_free(image);
    *image = whole;
    return ERR_OK;
}

/* klein_image.c - pictures that go into a run: references, the canvas of an inpainting, its mask.
 *
 * References are scaled down to a megapixel if larger and cropped in the middle to whole tokens; the canvas is
 * resampled to whole tokens. Both as the reference's pipelines do, in the picture's own mode before alpha is
 * dropped. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "image/resize.h"
#include "pipeline/klein_internal.h"
#include "sample/size.h"

/* The reference stretches any mask; one for another orientation (4:3 for 3:4) is surely a mistake. */
#define MASK_MAX_STRETCH 1.5

/* 8-bit RGB -> [3, h, w] in -1 to 1. */
static void to_planes(const struct image *im, float *out)
{
    size_t plane = (size_t)im->w * (size_t)im->h;
    for (int y = 0; y < im->h; y++) {
        const unsigned char *row = image_row(im, y);
        for (int x = 0; x < im->w; x++)
            for (int c = 0; c < 3; c++)
                out[(size_t)c * plane + (size_t)y * (size_t)im->w + (size_t)x] =
                    (float)row[3 * x + c] / 255.0f * 2.0f - 1.0f;
    }
}

static enum err_code check_moments(struct klein *k, const float *x, int64_t n, struct err *e)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            enum err_code rc =
                nn_params_check_finite(vae_params(flux2_vae_net(k->vae), VAE_ENCODER), e);
            return rc != ERR_OK
                       ? err_note(e, "VAE")
                       : err_set(e, ERR_NUMERIC, "the VAE encoder's output holds NaN or infinity");
        }
    return ERR_OK;
}

enum err_code klein_encode_picture(struct klein *k, const struct image *im,
                                   const struct klein_run *run, float *tokens, struct err *e)
{
    int s = flux2_vae_scale(flux2_vae_config(k->vae));
    int64_t h = im->h / s, w = im->w / s, c = flux2_vae_config(k->vae)->latent_channels;
    float *planes = mem_try_array(3 * (size_t)im->w * (size_t)im->h, sizeof *planes);
    float *moments = mem_try_array((size_t)(2 * c * h * w), sizeof *moments);
    enum err_code rc =
        planes && moments ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a picture");
    if (rc == ERR_OK)
        rc = klein_engage(k, vae_params(flux2_vae_net(k->vae), VAE_ENCODER), run, e);
    if (rc == ERR_OK && planes && moments) {
        report_stage(run->callbacks, VT_STAGE_ENCODE, run->image, run->image_count);
        int64_t start = clock_ns();
        struct vae_call vr = {.cancel = run->cancel,
                              .limits.compute = governor_compute_room(k->on.vae)};
        to_planes(im, planes);
        rc = vae_encode(flux2_vae_net(k->vae), planes, im->h, im->w, moments, &vr, e);
        run->stats->encode_seconds += (double)(clock_ns() - start) * 1e-9;
    }
    if (rc == ERR_OK && moments)
        rc = check_moments(k, moments, c * h * w, e);
    if (rc == ERR_OK)
        flux2_vae_pack(k->vae, moments, h, w, tokens);
    mem_free(planes);
    mem_free(moments);
    return rc;
}

/* ---- condition tokens -------------------------------------------------------------------------------- */

/* Appends the latents of a picture of w x h pixels as reference number index (time 10, 20, ...). */
static enum err_code condition_grow(struct klein *k, struct klein_condition *c, int w, int h,
                                    int index, float **latents, struct err *e)
{
    int unit = klein_size_unit(k);
    int64_t rows = h / unit, cols = w / unit, n = c->n + rows * cols;
    int64_t channels = flux2_transformer_config(k->transformer)->in_channels;
    float *l = mem_try_realloc(c->latents, (size_t)(n * channels) * sizeof *l);
    if (l)
        c->latents = l;
    struct flux2_id *ids = mem_try_realloc(c->ids, (size_t)n * sizeof *ids);
    if (ids)
        c->ids = ids;
    if (!l || !ids)
        return err_set(e, ERR_NOMEM, "no memory for reference picture %d", index + 1);
    for (int64_t i = 0; i < rows * cols; i++)
        ids[c->n + i] = (struct flux2_id){
            .axis = {10 + 10 * index, (int32_t)(i / cols), (int32_t)(i % cols), 0}};
    *latents = l + c->n * channels;
    c->n = n;
    return ERR_OK;
}

static enum err_code reference_picture(const struct klein *k, const struct image *src, int index,
                                       struct image *out, struct err *e)
{
    struct size_reference sr;
    struct image sized = {0}, cropped = {0};
    enum err_code rc =
        size_klein_reference((struct size_px){src->w, src->h}, klein_size_unit(k), &sr, e);
    if (rc == ERR_OK)
        rc = image_resize(src, sr.resized.w, sr.resized.h, IMAGE_LANCZOS, &sized, e);
    if (rc == ERR_OK)
        rc = image_crop(&sized, (struct image_rect){sr.crop.x, sr.crop.y, sr.crop.w, sr.crop.h},
                        &cropped, e);
    if (rc == ERR_OK)
        rc = image_convert(&cropped, 3, out, e);
    image_free(&sized);
    image_free(&cropped);
    return rc == ERR_OK ? rc : err_note(e, "reference picture %d", index + 1);
}

enum err_code klein_condition_make(struct klein *k, const struct klein_request *rq,
                                   const struct klein_canvas *canvas, const struct klein_run *run,
                                   struct klein_condition *c, struct err *e)
{
    float *at = NULL;
    int index = 0, first = 0;
    enum err_code rc = ERR_OK;
    memset(c, 0, sizeof *c);
    if (rq->inpaint) { /* the canvas itself is always the first reference */
        const struct image *p = &canvas->picture;
        int64_t n = (int64_t)(p->w / klein_size_unit(k)) * (p->h / klein_size_unit(k));
        rc = condition_grow(k, c, p->w, p->h, index++, &at, e);
        if (rc == ERR_OK && at)
            memcpy(at, canvas->latents,
                   (size_t)(n * flux2_transformer_config(k->transformer)->in_channels) *
                       sizeof *at);
        first = 1;
    }
    for (int i = first; rc == ERR_OK && i < rq->n_images; i++, index++) {
        struct image im = {0};
        rc = reference_picture(k, &rq->images[i], i, &im, e);
        if (rc == ERR_OK)
            rc = condition_grow(k, c, im.w, im.h, index, &at, e);
        if (rc == ERR_OK)
            rc = klein_encode_picture(k, &im, run, at, e);
        image_free(&im);
    }
    if (rc != ERR_OK)
        klein_condition_free(c);
    return rc;
}

void klein_condition_free(struct klein_condition *c)
{
    mem_free(c->latents);
    mem_free(c->ids);
    memset(c, 0, sizeof *c);
}

/* ---- canvas and mask --------------------------------------------------------------------------------- */

enum err_code klein_mask_check(const struct image *mask, const struct image *picture,
                               const struct vt_callbacks *cb, struct err *e)
{
    if (mask->w == picture->w && mask->h == picture->h)
        return ERR_OK;
    double a = (double)mask->w / mask->h, b = (double)picture->w / picture->h;
    if (a / b > MASK_MAX_STRETCH || b / a > MASK_MAX_STRETCH)
        return err_set(e, ERR_ARG,
                       "the mask is %d x %d, the picture %d x %d: they do not belong together",
                       mask->w, mask->h, picture->w, picture->h);
    report_note(cb, "the mask is %d x %d, the picture %d x %d: the mask is resized", mask->w,
                mask->h, picture->w, picture->h);
    return ERR_OK;
}

static enum err_code make_masks(const struct klein *k, const struct image *mask, int w, int h,
                                struct klein_canvas *c, struct err *e)
{
    int unit = klein_size_unit(k);
    struct image sized = {0}, grey = {0};
    size_t pixels = (size_t)w * (size_t)h, white = 0;
    enum err_code rc = image_resize(mask, w, h, IMAGE_LANCZOS, &sized, e);
    if (rc == ERR_OK)
        rc = image_convert(&sized, 1, &grey, e);
    c->pixel_mask = mem_try_array(pixels, sizeof(float));
    c->token_mask = mem_try_array((size_t)(w / unit) * (size_t)(h / unit), sizeof(float));
    if (rc == ERR_OK && (!c->pixel_mask || !c->token_mask))
        rc = err_set(e, ERR_NOMEM, "no memory for the mask");
    if (rc == ERR_OK && c->pixel_mask && c->token_mask) {
        image_mask_binarise(&grey, c->pixel_mask);
        struct image_plane src = {w, h, c->pixel_mask}, dst = {w / unit, h / unit, c->token_mask};
        image_mask_to_grid(&src, &dst);
        for (size_t i = 0; i < pixels; i++)
            white += c->pixel_mask[i] > 0;
        if (white == 0)
            rc =
                err_set(e, ERR_ARG,
                        "the mask is empty: nothing would be painted (white is what gets painted)");
    }
    image_free(&sized);
    image_free(&grey);
    return rc;
}

enum err_code klein_canvas_make(struct klein *k, const struct klein_request *rq,
                                const struct klein_run *run, int w, int h, struct klein_canvas *c,
                                struct err *e)
{
    struct size_inpaint si;
    struct image limited = {0}, sized = {0};
    const struct image *src = &rq->images[0];
    int64_t tokens = (int64_t)(w / klein_size_unit(k)) * (h / klein_size_unit(k));
    memset(c, 0, sizeof *c);
    enum err_code rc =
        size_klein_inpaint((struct size_px){src->w, src->h}, klein_size_unit(k), &si, e);
    if (rc == ERR_OK && rq->mask)
        rc = klein_mask_check(rq->mask, src, run->callbacks, e);
    if (rc == ERR_OK && (w != src->w || h != src->h))
        report_note(run->callbacks,
                    "the picture of %d x %d is resampled to %d x %d, kept parts too (sides are "
                    "whole tokens)",
                    src->w, src->h, w, h);
    if (rc == ERR_OK)
        rc = image_resize(src, si.limited.w, si.limited.h, IMAGE_LANCZOS, &limited, e);
    if (rc == ERR_OK)
        rc = image_resize(&limited, w, h, IMAGE_LANCZOS, &sized, e);
    if (rc == ERR_OK)
        rc = image_convert(&sized, 3, &c->picture, e);
    if (rc == ERR_OK && rq->mask)
        rc = make_masks(k, rq->mask, w, h, c, e);
    if (rc == ERR_OK) {
        c->latents =
            mem_try_array((size_t)(tokens * flux2_transformer_config(k->transformer)->in_channels),
                          sizeof(float));
        rc = c->latents ? klein_encode_picture(k, &c->picture, run, c->latents, e)
                        : err_set(e, ERR_NOMEM, "no memory for the picture's latents");
    }
    image_free(&limited);
    image_free(&sized);
    if (rc != ERR_OK)
        klein_canvas_free(c);
    return rc;
}

void klein_canvas_free(struct klein_canvas *c)
{
    image_free(&c->picture);
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

enum err_code klein_canvas_restore(const struct klein_canvas *c, int feather, struct image *picture,
                                   struct err *e)
{
    int w = picture->w, h = picture->h;
    if (!c->pixel_mask)
        return ERR_OK;
    float *d = feather > 0 ? mem_try_array((size_t)w * (size_t)h, sizeof *d) : NULL;
    if (feather > 0 && !d)
        return err_set(e, ERR_NOMEM, "no memory for a soft edge");
    if (d)
        distance_inside(c->pixel_mask, w, h, d);
    for (int y = 0; y < h; y++) {
        unsigned char *out = image_row(picture, y);
        const unsigned char *keep = image_row(&c->picture, y);
        for (int x = 0; x < w; x++) {
            float a = c->pixel_mask[y * w + x];
            if (d && a > 0)
                a = fminf(1.0f, d[y * w + x] / (float)(feather + 1));
            for (int i = 3 * x; i < 3 * x + 3; i++)
                out[i] = (unsigned char)lrintf((float)out[i] * a + (float)keep[i] * (1.0f - a));
        }
    }
    mem_free(d);
    return ERR_OK;
}

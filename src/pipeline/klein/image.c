/* image.c - images that go into a run as references.
 *
 * They are scaled down to a megapixel if larger, and padded to whole tokens by repeating their edges. As the
 * reference implementation does it, they are cropped in the middle instead, in their own mode before alpha is
 * dropped. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "image/resize.h"
#include "memory/governor.h"
#include "pipeline/klein/internal.h"
#include "sample/size.h"

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

enum err_code klein_encode_image(struct klein *k, const struct image *im, struct report_part part,
                                 const struct klein_run *run, float *tokens, struct err *e)
{
    int s = flux2_vae_scale(flux2_vae_config(k->vae));
    int64_t h = im->h / s, w = im->w / s, c = flux2_vae_config(k->vae)->latent_channels;
    float *planes = mem_try_array(3 * (size_t)im->w * (size_t)im->h, sizeof *planes);
    float *moments = mem_try_array((size_t)(2 * c * h * w), sizeof *moments);
    enum err_code rc = ERR_OK;
    if (!planes || !moments) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image");
        goto done;
    }
    TRY_GOTO(klein_engage(k, vae_params(flux2_vae_net(k->vae), VAE_ENCODER), run, e), done);
    struct report_graphs report = {
        .callbacks = run->callbacks,
        .at = {.stage = VT_STAGE_ENCODE, .image = run->image, .image_count = run->image_count},
        .part = part};
    report_graphs_begin(&report, k->on.vae);
    int64_t start = clock_ns();
    struct vae_call vr = {.cancel = run->cancel,
                          .limits.compute = governor_compute_room(k->on.vae)};
    image_planes(im, planes);
    rc = vae_encode(flux2_vae_net(k->vae), planes, im->h, im->w, moments, &vr, e);
    report_graphs_end(k->on.vae);
    run->stats->encode_seconds += (double)(clock_ns() - start) * 1e-9;
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(check_moments(k, moments, c * h * w, e), done);
    flux2_vae_pack(k->vae, moments, h, w, tokens);
done:
    mem_free(planes);
    mem_free(moments);
    return rc;
}

/* ---- condition tokens -------------------------------------------------------------------------------- */

/* Appends the latents of an image of w x h pixels as reference number index (time 10, 20, ...). */
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
        return err_set(e, ERR_NOMEM, "no memory for reference image %d", index + 1);
    for (int64_t i = 0; i < rows * cols; i++)
        ids[c->n + i] = (struct flux2_id){
            .axis = {10 + 10 * index, (int32_t)(i / cols), (int32_t)(i % cols), 0}};
    *latents = l + c->n * channels;
    c->n = n;
    return ERR_OK;
}

/* To whole tokens: by repeating edges, or by cutting, as the reference implementation does. */
static enum err_code to_tokens(const struct image *sized, const struct klein_request *rq,
                               const struct size_reference *sr, int unit, struct image *out,
                               struct err *e)
{
    if (rq->as_reference)
        return image_crop(
            sized, (struct image_rect){sr->crop.x, sr->crop.y, sr->crop.w, sr->crop.h}, out, e);
    struct size_px whole = size_ceil_to(sr->resized, unit);
    struct image_border b = {.right = whole.w - sized->w, .bottom = whole.h - sized->h};
    return image_pad(sized, b, NULL, out, e);
}

static enum err_code reference_image(const struct klein *k, const struct klein_request *rq,
                                     int index, struct image *out, struct err *e)
{
    struct size_reference sr;
    struct image sized = {0}, whole = {0};
    const struct image *src = &rq->images[index];
    enum err_code rc;
    TRY_GOTO(size_klein_reference((struct size_px){src->w, src->h}, klein_size_unit(k), &sr, e),
             done);
    TRY_GOTO(image_resize(src, sr.resized.w, sr.resized.h, IMAGE_LANCZOS, &sized, e), done);
    TRY_GOTO(to_tokens(&sized, rq, &sr, klein_size_unit(k), &whole, e), done);
    rc = image_convert(&whole, 3, out, e);
done:
    image_free(&sized);
    image_free(&whole);
    return rc == ERR_OK ? rc : err_note(e, "reference image %d", index + 1);
}

/* Adds reference image i of the request as the index-th condition. */
static enum err_code condition_add(struct klein *k, const struct klein_request *rq, int i,
                                   int index, const struct klein_run *run,
                                   struct klein_condition *c, struct err *e)
{
    struct image im = {0};
    float *at = NULL;
    enum err_code rc;
    TRY_GOTO(reference_image(k, rq, i, &im, e), done);
    TRY_GOTO(condition_grow(k, c, im.w, im.h, index, &at, e), done);
    rc = klein_encode_image(k, &im, (struct report_part){i, rq->n_images}, run, at, e);
done:
    image_free(&im);
    return rc;
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
        const struct image *p = &canvas->image;
        int64_t n = (int64_t)(p->w / klein_size_unit(k)) * (p->h / klein_size_unit(k));
        TRY_GOTO(condition_grow(k, c, p->w, p->h, index++, &at, e), done);
        memcpy(at, canvas->latents,
               (size_t)(n * flux2_transformer_config(k->transformer)->in_channels) * sizeof *at);
        first = 1;
    }
    for (int i = first; i < rq->n_images; i++, index++) {
        TRY_GOTO(condition_add(k, rq, i, index, run, c, e), done);
    }
done:
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

/* engine_inputs.c - the images of a request, made ready for the model; see engine_inputs.h.
 *
 * The order matters: the mask is read in the image's own size and turned round, then image and mask are extended by
 * the same border, the mask grows (over the inner edge of that border, too), and what is cut out is the part around
 * what it is then. Only at the end does the matte remove alpha from what the model sees. The original keeps its
 * alpha, as kept pixels are taken from it at the end. All images here are copies; the request is not changed.
 */
#include "pipeline/engine_inputs.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "image/composite.h"
#include "image/mask.h"
#include "image/resize.h"
#include "pipeline/engine_internal.h"
#include "pipeline/lend.h"
#include "pipeline/report.h"

enum err_code matte_parse(const char *text, struct matte *out, struct err *e)
{
    *out = (struct matte){.rgb = {255, 255, 255}};
    if (!text)
        return ERR_OK;
    out->none = strcmp(text, "none") == 0;
    if (out->none || image_colour_parse(str_from(text), out->rgb))
        return ERR_OK;
    return err_set(e, ERR_ARG,
                   "the matte is '%.40s'; it should be white, black, grey, a colour like #80c0ff, "
                   "or none",
                   text);
}

/* Brings the mask to the image's size, so that a border of as many pixels fits both. */
static enum err_code fit_mask(struct engine_inputs *in, const struct vt_callbacks *cb,
                              struct err *e)
{
    struct image sized = {0};
    const struct image *src = &in->original;
    TRY(klein_mask_check(&in->mask, src, cb, e));
    TRY(image_resize(&in->mask, src->w, src->h, IMAGE_LANCZOS, &sized, e));
    image_free(&in->mask);
    in->mask = sized;
    return ERR_OK;
}

/* Adds the border to the image and, white, to the mask (black inside when there was none). */
static enum err_code extend(struct engine_inputs *in, const int by[4],
                            const struct vt_callbacks *cb, struct err *e)
{
    struct image_border b = {by[0], by[1], by[2], by[3]};
    static const unsigned char white[4] = {255, 255, 255, 255};
    struct image inner = {0}, wide = {0}, extended = {0};
    const struct image *src = &in->original;
    enum err_code rc;
    TRY_GOTO(image_check_size((uint64_t)src->w + (uint64_t)b.left + (uint64_t)b.right,
                              (uint64_t)src->h + (uint64_t)b.top + (uint64_t)b.bottom, NULL, e),
             done);
    TRY_GOTO(image_pad(src, b, NULL, &extended, e), done);
    if (in->has_mask) {
        TRY_GOTO(fit_mask(in, cb, e), done);
        TRY_GOTO(image_convert(&in->mask, 1, &inner, e), done);
    } else {
        TRY_GOTO(image_new(&inner, src->w, src->h, 1, e), done);
    }
    rc = image_pad(&inner, b, white, &wide, e);
done:
    image_free(&inner);
    if (rc != ERR_OK) {
        image_free(&extended);
        return rc;
    }
    image_free(&in->mask);
    image_free(&in->original);
    in->mask = wide;
    in->original = extended;
    in->has_mask = true;
    return ERR_OK;
}

/* To mode L in the image's size. */
static enum err_code plain_mask(struct engine_inputs *in, const struct vt_callbacks *cb,
                                struct err *e)
{
    struct image grey = {0};
    TRY(fit_mask(in, cb, e));
    TRY(image_convert(&in->mask, 1, &grey, e));
    image_free(&in->mask);
    in->mask = grey;
    return ERR_OK;
}

static enum err_code invert_mask(struct engine_inputs *in, const struct vt_callbacks *cb,
                                 struct err *e)
{
    TRY(plain_mask(in, cb, e));
    image_mask_invert(&in->mask);
    return ERR_OK;
}

/* A soft edge begins outside: what is painted reaches as far as it can be seen. */
static enum err_code grow_mask(const struct vt_request *rq, struct engine_inputs *in,
                               const struct vt_callbacks *cb, struct err *e)
{
    int by = rq->mask_grow + rq->mask_feather;
    struct image_rect bounds;
    if (by == 0)
        return ERR_OK;
    TRY(plain_mask(in, cb, e));
    bool any = image_mask_bounds(&in->mask, MASK_PAINTED, &bounds);
    TRY(image_mask_grow(&in->mask, by, e));
    if (any && !image_mask_bounds(&in->mask, MASK_PAINTED, &bounds))
        return err_set(e, ERR_ARG,
                       "the mask is empty after it is shrunk by %d pixels: nothing would be "
                       "painted",
                       -by);
    return ERR_OK;
}

static enum err_code crop(struct image *im, struct image_rect r, struct err *e)
{
    struct image part = {0};
    TRY(image_crop(im, r, &part, e));
    image_free(im);
    *im = part;
    return ERR_OK;
}

/* The part around the mask, in the aspect of the size that was asked for. A soft edge begins at the nearest kept pixel,
 * so it needs one even where no padding is asked for. */
static enum err_code crop_to_mask(const struct vt_request *rq, struct engine_inputs *in,
                                  const struct vt_callbacks *cb, struct err *e)
{
    bool soft = rq->feather > 0 || rq->mask_feather > 0;
    struct mask_frame frame = {.padding = soft && rq->crop_padding == 0 ? 1 : rq->crop_padding};
    struct image_rect bounds;
    if (rq->width > 0 && rq->height > 0) {
        frame.w = rq->width;
        frame.h = rq->height;
    }
    TRY(plain_mask(in, cb, e));
    if (!image_mask_bounds(&in->mask, MASK_PAINTED, &bounds))
        return err_set(e, ERR_ARG,
                       "the mask is empty: nothing would be painted (white is what gets painted)");
    in->region = image_mask_frame(&in->mask, bounds, frame);
    TRY(image_copy(&in->original, &in->whole, e));
    in->cropped = true;
    TRY(crop(&in->original, in->region, e));
    return crop(&in->mask, in->region, e);
}

static enum err_code read_mask(const struct vt_request *rq, const struct vt_callbacks *cb,
                               struct engine_inputs *in, struct err *e)
{
    struct image given = borrow_image(&rq->mask), mask;
    enum mask_reading how = MASK_LIGHTNESS;
    if (rq->mask_from_alpha)
        return image_mask_of_alpha(&in->original, &in->mask, e);
    enum err_code rc = image_narrowed(&given, &mask, e);
    if (rc == ERR_OK)
        rc = image_mask_read(&mask, &in->mask, &how, e);
    image_free(&mask);
    if (rc == ERR_OK && how == MASK_ALPHA)
        report_note(cb, "the mask has nothing white on its transparent ground: its strokes are "
                        "painted, whatever their colour");
    return rc;
}

static enum err_code gather(const struct vt_request *rq, const struct vt_callbacks *cb,
                            struct engine_inputs *in, struct err *e)
{
    bool grows = rq->extend[0] || rq->extend[1] || rq->extend[2] || rq->extend[3];
    struct matte matte;
    TRY(matte_parse(rq->matte, &matte, e));
    in->as_reference = matte.none;
    in->has_mask = rq->mask.pixels != NULL || rq->mask_from_alpha;
    in->inpaint = in->has_mask || grows || rq->strength >= 0;
    if (in->inpaint && rq->image_count == 0)
        return err_set(e, ERR_ARG, "a mask, a strength or an extension needs an image to work on");
    if (in->inpaint) {
        struct image first = borrow_image(&rq->images[0]);
        TRY(image_copy(&first, &in->original, e));
    }
    if (in->has_mask)
        TRY(read_mask(rq, cb, in, e));
    if (in->has_mask && rq->mask_invert)
        TRY(invert_mask(in, cb, e));
    if (grows)
        TRY(extend(in, rq->extend, cb, e));
    if (in->has_mask)
        TRY(grow_mask(rq, in, cb, e));
    if (in->has_mask && rq->crop_to_mask)
        TRY(crop_to_mask(rq, in, cb, e));
    for (int i = 0; i < rq->image_count; i++) {
        struct image given = borrow_image(&rq->images[i]);
        const struct image *src = i == 0 && in->inpaint ? &in->original : &given;
        TRY(matte.none ? image_copy(src, &in->images[i], e)
                       : image_on_ground(src, matte.rgb, &in->images[i], e));
    }
    return ERR_OK;
}

enum err_code engine_inputs_make(const struct vt_request *rq, const struct vt_callbacks *cb,
                                 struct engine_inputs *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    enum err_code rc = gather(rq, cb, out, e);
    if (rc != ERR_OK)
        engine_inputs_deinit(out);
    return rc;
}

void engine_inputs_deinit(struct engine_inputs *in)
{
    for (int i = 0; i < VT_MAX_IMAGES; i++)
        image_free(&in->images[i]);
    image_free(&in->original);
    image_free(&in->mask);
    image_free(&in->whole);
    memset(in, 0, sizeof *in);
}

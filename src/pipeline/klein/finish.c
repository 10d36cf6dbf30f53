/* finish.c - a finished image brought back to the one that was edited, before what is kept of that is put over it: a
 * shift under a pixel first (it does not mind a tint), then the tint (which minds a shift at every edge).
 *
 * Both are measured on what the mask keeps. An edit without a mask is measured on all of it; what it changed does not
 * agree with the rest and has no say. */
#include <math.h>

#include "image/match.h"
#include "image/resize.h"
#include "pipeline/klein/internal.h"

#define SHIFT_LEAST 0.02 /* pixels; less is not worth the resampling */
#define TINT_LEAST 0.5   /* levels, at black or at white */
#define ASPECT_SLACK 0.02

/* What the model saw of the first image, in the result's size. */
static enum err_code before_edit(const struct klein_request *rq, const struct image *image,
                                 struct image *out, struct err *e)
{
    struct image sized = {0};
    *out = (struct image){0};
    enum err_code rc;
    TRY_GOTO(image_resize(&rq->images[0], image->w, image->h, IMAGE_LANCZOS, &sized, e), done);
    TRY_GOTO(image_convert(&sized, 3, out, e), done);
    image_narrow(out);
done:
    image_free(&sized);
    return rc;
}

static enum err_code undo_shift(const struct image_match *m, struct image *image,
                                const struct vt_callbacks *cb, struct err *e)
{
    struct image_shift shift;
    bool found;
    TRY(image_shift_find(m, &shift, &found, e));
    if (!found) {
        report_note(cb, "register has no effect: what is kept does not tell of a shift of up to a "
                        "pixel");
        return ERR_OK;
    }
    if (hypot(shift.dx, shift.dy) < SHIFT_LEAST)
        return ERR_OK;
    report_note(cb, "a shift by %.2f, %.2f pixels is undone", shift.dx, shift.dy);
    return image_shift_undo(image, shift, e);
}

static double change_at(const struct image_tint *t, int channel, double level)
{
    return fabs(t->gain[channel] * level + t->offset[channel] - level);
}

static enum err_code undo_tint(const struct image_match *m, struct image *image,
                               const struct vt_callbacks *cb, struct err *e)
{
    struct image_tint tint;
    double most = 0;
    bool found;
    TRY(image_tint_find(m, &tint, &found, e));
    if (!found) {
        report_note(cb, "match_colours has no effect: next to nothing is kept");
        return ERR_OK;
    }
    for (int c = 0; c < 3; c++)
        most = fmax(most, fmax(change_at(&tint, c, 0), change_at(&tint, c, 255)));
    if (most < TINT_LEAST)
        return ERR_OK;
    report_note(cb, "a tint of up to %.1f levels is undone", most);
    image_tint_undo(image, &tint);
    return ERR_OK;
}

enum err_code klein_finish(const struct klein_request *rq, const struct klein_canvas *canvas,
                           const struct klein_run *run, struct image *image, struct err *e)
{
    struct image before = {0};
    const struct image_match m = {image, &before, canvas->pixel_mask};
    const struct vt_callbacks *cb = run->callbacks;
    if (!rq->match_colours && !rq->align)
        return ERR_OK;
    double stretch = (double)image->w / image->h * rq->images[0].h / rq->images[0].w;
    if (fabs(stretch - 1) > ASPECT_SLACK) {
        report_note(cb, "the result has another shape than the image: its tint and shift are left");
        return ERR_OK;
    }
    enum err_code rc = before_edit(rq, image, &before, e);
    if (rc == ERR_OK && rq->align)
        rc = undo_shift(&m, image, cb, e);
    if (rc == ERR_OK && rq->match_colours)
        rc = undo_tint(&m, image, cb, e);
    image_free(&before);
    return rc;
}

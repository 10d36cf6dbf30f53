/* size.c - the sizes of a run: what the model works at, and what comes out. */
#include <math.h>

#include "base/mem.h"
#include "image/resize.h"
#include "pipeline/klein/internal.h"

enum { MAGNIFIED_MOST = 4, MODEL_SIDE = 1024 };

/* Pixels to work on a part of an image at. */
static int64_t part_area(const struct klein *k, const struct klein_request *rq, struct size_px part)
{
    const struct model_defaults *d = &k->dir->defaults;
    int64_t most = (int64_t)part.w * part.h * MAGNIFIED_MOST * MAGNIFIED_MOST;
    int64_t area = (int64_t)MODEL_SIDE * MODEL_SIDE;
    if (rq->width && rq->height)
        return (int64_t)rq->width * rq->height;
    if (d->width > 0 && d->height > 0)
        area = d->width * d->height;
    return area < most ? area : most;
}

/* A part of an image: scaled up or down to that area, then padded to whole tokens. */
static void part_size(const struct klein *k, const struct klein_request *rq, struct klein_size *out)
{
    struct size_px part = {rq->images[0].w, rq->images[0].h};
    double scale = sqrt((double)part_area(k, rq, part) / ((double)part.w * (double)part.h));
    struct size_px limited = {(int)lrint(part.w * scale), (int)lrint(part.h * scale)};
    limited.w = limited.w < 1 ? 1 : limited.w;
    limited.h = limited.h < 1 ? 1 : limited.h;
    *out = (struct klein_size){limited, size_ceil_to(limited, klein_size_unit(k)), limited, part};
}

static enum err_code inpaint_size(const struct klein *k, const struct klein_request *rq,
                                  struct klein_size *out, struct err *e)
{
    struct size_inpaint si;
    struct size_px src = {rq->images[0].w, rq->images[0].h};
    if (rq->whole) {
        part_size(k, rq, out);
        return ERR_OK;
    }
    TRY(rq->as_reference ? size_klein_inpaint(src, klein_size_unit(k), &si, e)
                         : size_klein_padded(src, klein_size_unit(k), &si, e));
    *out = rq->as_reference ? (struct klein_size){si.limited, si.work, si.work, si.work}
                            : (struct klein_size){si.limited, si.work, si.limited, src};
    return ERR_OK;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static enum err_code free_size(const struct klein *k, const struct klein_request *rq,
                               struct klein_size *out, struct err *e)
{
    int unit = klein_size_unit(k);
    struct size_px wanted = {rq->width, rq->height}, first = {0, 0}, work;
    struct size_reference sr = {0};
    if (rq->n_images > 0) {
        struct size_px src = {rq->images[0].w, rq->images[0].h};
        enum err_code rc = size_klein_reference(src, unit, &sr, e);
        if (rc != ERR_OK)
            return err_note(e, "reference image 1");
        first = rq->as_reference ? (struct size_px){sr.crop.w, sr.crop.h}
                                 : size_ceil_to(sr.resized, unit);
    } else {
        if (!wanted.w && k->dir->defaults.width)
            wanted.w = (int)k->dir->defaults.width;
        if (!wanted.h && k->dir->defaults.height)
            wanted.h = (int)k->dir->defaults.height;
    }
    enum err_code rc = size_klein_output(wanted, first, unit, &work, e);
    if (rc != ERR_OK)
        return rc;
    *out = (struct klein_size){work, work, work, work};
    if (!rq->as_reference && rq->n_images > 0) {
        out->inner.w = wanted.w ? work.w : smaller(work.w, sr.resized.w);
        out->inner.h = wanted.h ? work.h : smaller(work.h, sr.resized.h);
        out->result = out->inner;
    }
    return ERR_OK;
}

/* What was done to a size that nobody asked for. */
static void note_size(const struct klein_request *rq, const struct klein_size *s,
                      const struct vt_callbacks *cb)
{
    const struct image *src = rq->n_images > 0 ? &rq->images[0] : NULL;
    if (rq->whole) {
        report_note(cb, "the part of %d x %d around the mask is painted at %d x %d", s->result.w,
                    s->result.h, s->inner.w, s->inner.h);
        return;
    }
    if ((rq->width && rq->width != s->result.w) || (rq->height && rq->height != s->result.h))
        report_note(cb, "the size is %d x %d: %s", s->result.w, s->result.h,
                    rq->inpaint ? "the image that is painted in decides"
                                : "sides are rounded down to whole tokens");
    if (!src || rq->width || rq->height)
        return;
    if (s->result.w != src->w || s->result.h != src->h)
        report_note(cb, "the image of %d x %d is %s to %d x %d%s", src->w, src->h,
                    rq->as_reference && !rq->inpaint ? "scaled and cut" : "resampled", s->result.w,
                    s->result.h, rq->inpaint ? ", kept parts too (sides are whole tokens)" : "");
    else if (s->inner.w != src->w || s->inner.h != src->h)
        report_note(cb,
                    "the image of %d x %d is painted at %d x %d and scaled up again; what is "
                    "kept stays as it is",
                    src->w, src->h, s->inner.w, s->inner.h);
}

enum err_code klein_size_make(const struct klein *k, const struct klein_request *rq,
                              const struct klein_run *run, struct klein_size *out, struct err *e)
{
    TRY(rq->inpaint ? inpaint_size(k, rq, out, e) : free_size(k, rq, out, e));
    note_size(rq, out, run->callbacks);
    return ERR_OK;
}

enum err_code klein_size_finish(const struct klein_size *s, struct image *image, struct err *e)
{
    struct image inner = {0}, sized = {0};
    bool is_whole = s->inner.w == image->w && s->inner.h == image->h;
    if (is_whole && image->w == s->result.w && image->h == s->result.h)
        return ERR_OK;
    enum err_code rc;
    TRY_GOTO(image_crop(image, (struct image_rect){0, 0, s->inner.w, s->inner.h}, &inner, e), done);
    rc = image_resize(&inner, s->result.w, s->result.h, IMAGE_LANCZOS, &sized, e);
done:
    image_free(&inner);
    if (rc != ERR_OK)
        return rc;
    image_free(image);
    *image = sized;
    return ERR_OK;
}

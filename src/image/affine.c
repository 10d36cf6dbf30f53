#include "image/affine.h"

#include <math.h>

struct span {
    double lo, hi;
};

/* Where the image's corners go, along one axis of the output. */
static struct span reach(double a, double b, double t, const struct image *src)
{
    double w = a * src->w, h = b * src->h;
    return (struct span){t + (w < 0 ? w : 0) + (h < 0 ? h : 0),
                         t + (w > 0 ? w : 0) + (h > 0 ? h : 0)};
}

/* The whole pixels that the span touches, within [from, from + size). A rounding error past a border does not count. */
static void touch(struct span s, int from, int size, int *first, int *count)
{
    double lo = floor(s.lo + 1e-6), hi = ceil(s.hi - 1e-6);
    double end = (double)from + size;
    lo = lo > from ? lo : from;
    hi = hi < end ? hi : end;
    *first = lo < end ? (int)lo : from;
    *count = hi > lo ? (int)(hi - lo) : 0;
}

enum err_code image_transform(const struct image *src, const struct image_affine *m,
                              const struct image_rect *clip, struct image *out, int *x, int *y,
                              struct err *e)
{
    *out = (struct image){0};
    double det = m->a * m->d - m->b * m->c;
    if (src->channels != 4)
        return err_set(e, ERR_ARG, "cannot transform an image of mode %s",
                       image_mode_name(src->channels));
    if (!(fabs(det) > 1e-12) || !isfinite(det) || !isfinite(m->tx) || !isfinite(m->ty))
        return err_set(e, ERR_ARG, "the transformation leaves no pixels");
    int w, h;
    touch(reach(m->a, m->b, m->tx, src), clip->x, clip->w, x, &w);
    touch(reach(m->c, m->d, m->ty, src), clip->y, clip->h, y, &h);
    if (w < 1 || h < 1)
        return image_new(out, 1, 1, 4, e);
    TRY(image_check_size((uint64_t)w, (uint64_t)h, NULL, e));
    TRY(image_new(out, w, h, 4, e));
    struct affine_row row = {.src = src->p,
                             .stride = src->stride,
                             .w = src->w,
                             .h = src->h,
                             .du = m->d / det,
                             .dv = -m->c / det};
    double ux = row.du, uy = -m->b / det, vx = row.dv, vy = m->a / det;
    row.per_u = (float)(1.0 / hypot(ux, uy));
    row.per_v = (float)(1.0 / hypot(vx, vy));
    for (int i = 0; i < h; i++) {
        double px = *x + 0.5 - m->tx, py = *y + i + 0.5 - m->ty;
        row.u = ux * px + uy * py;
        row.v = vx * px + vy * py;
        affine_kern_row(image_row(out, i), w, &row);
    }
    return ERR_OK;
}

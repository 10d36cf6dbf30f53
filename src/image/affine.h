/* affine.h - images turned, sheared, and moved by parts of a pixel.
 *
 * Bilinear in premultiplied colours, so that what lies under transparent pixels does not bleed. The
 * image's own edge is cut by how much of a pixel it covers, not blurred by how much it was enlarged. A
 * shift by whole pixels and turns by 90 degrees move every pixel exactly. Shrinking aliases: resize first. */
#ifndef VT_IMAGE_AFFINE_H
#define VT_IMAGE_AFFINE_H

#include "image/image.h"

#include <stddef.h>

/* (x, y) of the image goes to (a x + b y + tx, c x + d y + ty); pixel i covers i to i + 1. */
struct image_affine {
    double a, b, tx;
    double c, d, ty;
};

/* src is RGBA. out is what of the moved image lies in clip (1 x 1 and transparent when nothing does), its
 * upper left pixel at *x, *y. ERR_ARG for another mode or a matrix without an inverse, ERR_LIMIT over the
 * default limits of an image. */
ERR_MUST_CHECK enum err_code image_transform(const struct image *src, const struct image_affine *m,
                                             const struct image_rect *clip, struct image *out,
                                             int *x, int *y, struct err *e);

/* One row of a moved image.
 * Where a row of the output lies in the source, in source pixels. */
struct affine_row {
    const unsigned char *src; /* RGBA, w x h */
    size_t stride;
    int w, h;
    double u, v;        /* of the first output pixel's centre */
    double du, dv;      /* to the next one */
    float per_u, per_v; /* output pixels across which u (v) changes by one */
};

/* n RGBA pixels, transparent outside the source. */
void affine_kern_row(unsigned char *dst, int n, const struct affine_row *row);

#endif

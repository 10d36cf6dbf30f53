/* affine.h - images turned, sheared, and moved by parts of a pixel.
 *
 * Bilinear in premultiplied colours, so that what lies under transparent pixels does not bleed. The
 * image's own edge is cut by how much of a pixel it covers, not blurred by how much it was enlarged. A
 * shift by whole pixels and turns by 90 degrees move every pixel exactly. Shrinking aliases: resize first. */
#ifndef VT_IMAGE_AFFINE_H
#define VT_IMAGE_AFFINE_H

#include "image/image.h"

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

#endif

/* grounds.h - alpha from two pictures of one subject, on a light and on a dark ground.
 *
 * A pixel of alpha a and colour c is  light = a c + (1 - a) l  on a ground of colour l, and  dark = a c + (1 - a) d  on
 * one of colour d. So light - dark = (1 - a) (l - d): alpha by least squares over the three channels, then c from both.
 * The colours of the grounds are those of the picture where the two differ most. */
#ifndef VT_IMAGE_GROUNDS_H
#define VT_IMAGE_GROUNDS_H

#include "image/image.h"

struct image_grounds {
    double light[3], dark[3]; /* their colours */
    /* How far alpha of plain ground is off for nearly all of it (in parts of 1): models paint no ground quite the same
     * twice. So close to 0 and to 1, alpha becomes these. */
    double noise;
};

/* RGB of 8 bits, of one size. ERR_ARG when nothing of the picture is a ground: the two hardly differ anywhere. */
ERR_MUST_CHECK enum err_code image_grounds_find(const struct image *light, const struct image *dark,
                                                struct image_grounds *out, struct err *e);
/* *out: RGBA; black where alpha is 0. */
ERR_MUST_CHECK enum err_code image_grounds_solve(const struct image *light,
                                                 const struct image *dark,
                                                 const struct image_grounds *grounds,
                                                 struct image *out, struct err *e);

/* n pixels: two rows of RGB to one of RGBA. */
void grounds_kern_row(const unsigned char *light, const unsigned char *dark, int n,
                      const struct image_grounds *grounds, unsigned char *out);

#endif

/* mask.h - what a mask means: white is painted, black is kept.
 *
 * People make masks with alpha, too: strokes on a transparent layer. What is seen counts, then:
 *
 *   - without alpha, or opaque everywhere: the lightness;
 *   - white strokes (or any other light ones) on transparent ground: the lightness as on black ground, so that
 *     what is transparent is kept;
 *   - nothing light, but strokes on transparent ground (black, or of any dark colour): the strokes themselves,
 *     that is the alpha.
 *
 * Half or more is painted (v / 255 >= 0.5). */
#ifndef VT_IMAGE_MASK_H
#define VT_IMAGE_MASK_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"

enum { MASK_PAINTED = 128 }; /* this light or lighter */

enum mask_reading {
    MASK_LIGHTNESS, /* there is no alpha, or it is opaque everywhere */
    MASK_LIGHTNESS_ON_BLACK,
    MASK_ALPHA,
};

/* The mask without alpha, in mode L or as it is when it has none (callers resample before they make it grey). */
ERR_MUST_CHECK enum err_code image_mask_read(const struct image *mask, struct image *out,
                                             enum mask_reading *how, struct err *e);

/* White where the image, which may be deep, is transparent. ERR_ARG when it has no alpha. */
ERR_MUST_CHECK enum err_code image_mask_of_alpha(const struct image *im, struct image *mask,
                                                 struct err *e);

/* White where the image, of any mode, has this colour: no channel differs by more than tolerance (0 to 255). What
 * is more transparent than not has no colour. */
ERR_MUST_CHECK enum err_code image_mask_of_colour(const struct image *im,
                                                  const unsigned char rgb[3], int tolerance,
                                                  struct image *mask, struct err *e);

/* ---- shaping: masks of mode L, in place ------------------------------------------------------------ */

/* What lies outside the image counts as nothing: a mask that touches a border neither grows over it nor shrinks
 * away from it. Both take 0 to MASK_REACH pixels and leave the mask alone for 0. */
enum { MASK_REACH = 2048 };

void image_mask_invert(struct image *mask);
/* White at this lightness or above, else black. */
void image_mask_threshold(struct image *mask, int at);
/* Hard, and with all that lies within so many pixels of what is painted (between centres, Euclidean); negative: without
 * all that lies within so many pixels of what is not. */
ERR_MUST_CHECK enum err_code image_mask_grow(struct image *mask, int by, struct err *e);
/* Fading from white to black over so many pixels at both sides of its edge, linearly with the distance. */
ERR_MUST_CHECK enum err_code image_mask_feather(struct image *mask, int by, struct err *e);
/* The smallest rectangle that holds all that is this light or lighter. False: nothing is. */
bool image_mask_bounds(const struct image *mask, int least, struct image_rect *out);
/* Bounds with padding around them, then widened to the aspect w : h (0: any), as far as the mask has room. */
struct mask_frame {
    int padding, w, h;
};
struct image_rect image_mask_frame(const struct image *mask, struct image_rect bounds,
                                   struct mask_frame frame);

/* Distances of mask_shape.c. Column distances, capped at reach + 1, of every pixel to the next one that is painted
 * (or, with of_kept, that is not). g: w * h. */
void mask_kern_columns(const struct image *mask, bool of_kept, int reach, uint16_t *g);
/* One row of them to squared distances in the plane; what is beyond reach has some number beyond reach squared.
 * s and t: scratch of w. */
void mask_kern_row(const uint16_t *g, int w, int *s, int *t, int64_t *out);

/* A mode L mask to 0 and 1. p holds w * h floats. */
void image_mask_binarise(const struct image *mask, float *p);

/* A plane of floats [h, w], rows without gaps. */
struct image_plane {
    int w, h;
    float *p;
};

/* Bilinear between sample centres, without antialiasing (torch's F.interpolate(mode="bilinear",
 * align_corners=False)): what brings an inpainting mask to the token grid, with fractional values at
 * its edges. dst->w, dst->h and dst->p are the caller's. */
void image_mask_to_grid(const struct image_plane *src, struct image_plane *dst);

#endif

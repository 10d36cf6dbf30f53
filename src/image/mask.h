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

#include <stdint.h>

#include "image/image.h"

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

/* inpaint.h - what Automatic1111's clients expect around an inpainting: fitting images to a size, masks that are
 * inverted and blurred, the part of an image that is worked on, what is under the mask before work begins, and
 * the result back in its place. Pure functions on images. */
#ifndef VT_SERVER_COMPAT_INPAINT_H
#define VT_SERVER_COMPAT_INPAINT_H

#include <stdint.h>

#include "image/image.h"

/* The numbers of their API. */
enum inpaint_fit { INPAINT_STRETCH, INPAINT_CROP, INPAINT_PAD };
enum inpaint_fill { INPAINT_AROUND, INPAINT_ORIGINAL, INPAINT_NOISE, INPAINT_GREY };

/* To w x h, keeping the aspect unless it is stretched: what is too much is cut off at both sides, what is missing
 * repeats the edges. */
ERR_MUST_CHECK enum err_code inpaint_fit(const struct image *src, enum inpaint_fit fit, int w,
                                         int h, struct image *out, struct err *e);

/* On white, without alpha. */
ERR_MUST_CHECK enum err_code inpaint_flatten(const struct image *src, struct image *out,
                                             struct err *e);

/* Mode L, white is painted, read as every mask is (image/mask.h). */
ERR_MUST_CHECK enum err_code inpaint_mask(const struct image *src, bool invert, struct image *out,
                                          struct err *e);

/* Gaussian, in place, of a mode L image; sigmas 0 to 256, windows of 2.5 sigmas. */
ERR_MUST_CHECK enum err_code inpaint_blur(struct image *mask, int sigma_x, int sigma_y,
                                          struct err *e);

/* In place, of a mode L image: twice as light; and white wherever it is not black. */
void inpaint_double(struct image *mask);
void inpaint_any(struct image *mask);

/* The part that holds everything of the mask that is not black, with padding, widened to the aspect of w x h where
 * the image has room. False: all is black. */
bool inpaint_region(const struct image *mask, int padding, int w, int h, struct image_rect *out);

/* In place: what is under the mask (mode L) of an RGB image of the same size. seed: of noise. */
ERR_MUST_CHECK enum err_code inpaint_fill(struct image *im, const struct image *mask,
                                          enum inpaint_fill fill, uint64_t seed, struct err *e);

struct inpaint_place {
    struct image_rect rect; /* in the original */
    enum inpaint_fit fit;   /* how the result comes to that size */
};

/* original with result in its place, shown through mask (mode L, of original's size). Where the mask is black, every
 * bit of original stays. */
ERR_MUST_CHECK enum err_code inpaint_paste(const struct image *original, const struct image *result,
                                           struct inpaint_place place, const struct image *mask,
                                           struct image *out, struct err *e);

#endif

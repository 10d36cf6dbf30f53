/* size.h - size arithmetic of the pipelines, in pixels, as the reference rounds it.
 *
 * The sides of a klein image must be multiples of `unit`: twice the VAE's scale factor (16 for the
 * real model: one token is 2 x 2 latents). Pure functions; sides are positive ints, checked against
 * SIZE_MAX_SIDE where they come from outside.
 */
#ifndef VT_SAMPLE_SIZE_H
#define VT_SAMPLE_SIZE_H

#include <stdint.h>

#include "base/err.h"

enum {
    SIZE_MAX_SIDE = 1 << 20,
    SIZE_REFERENCE_AREA = 1024 * 1024, /* larger reference images are scaled down */
    SIZE_REFERENCE_MIN_SIDE = 64,
    SIZE_REFERENCE_MAX_ASPECT = 8,
};

struct size_px {
    int w, h;
};

struct size_rect {
    int x, y, w, h;
};

/* Smallest multiple of unit that is not below each side. */
struct size_px size_ceil_to(struct size_px s, int unit);

/* Python's round(): halves go to the even neighbour. */
double size_round_half_even(double x);

/* Largest multiple of unit that is not above each side (0 when a side is below unit). */
struct size_px size_floor_to(struct size_px s, int unit);

/* An image of more than area pixels, scaled down to that; sides truncated, never below 1. */
struct size_px size_limit_area(struct size_px s, int64_t area);

/* Size of the image that klein generates: each wanted side that is not 0, else the first reference's
 * cropped side, else 64 * unit (1024), rounded down to unit. ERR_ARG when a side ends below unit or a
 * number is negative or too large. */
ERR_MUST_CHECK enum err_code size_klein_output(struct size_px wanted,
                                               struct size_px first_reference, int unit,
                                               struct size_px *out, struct err *e);

struct size_reference {
    struct size_px resized; /* resample the image to this (LANCZOS) if it differs ... */
    struct size_rect crop;  /* ... then cut this out of the middle, without resampling */
};

/* What happens to a klein reference image. ERR_ARG when it is too small (a side under 64) or more
 * than 8 times as long as wide. */
ERR_MUST_CHECK enum err_code size_klein_reference(struct size_px image, int unit,
                                                  struct size_reference *out, struct err *e);

struct size_inpaint {
    struct size_px limited; /* resample to this first if it differs (area limit) ... */
    struct size_px work;    /* ... then resample image and mask to this; also the output size */
};

/* Sizes of an inpainting run: the image decides, width and height that were asked for do not count.
 * ERR_ARG when a side ends below unit. */
ERR_MUST_CHECK enum err_code size_klein_inpaint(struct size_px image, int unit,
                                                struct size_inpaint *out, struct err *e);

/* The same without losing a pixel: work is limited with sides rounded up to unit, to be reached by padding. */
ERR_MUST_CHECK enum err_code size_klein_padded(struct size_px image, int unit,
                                               struct size_inpaint *out, struct err *e);

/* The layered pipeline's working size: about resolution^2 pixels, sides multiples of 32 with the
 * image's aspect. ERR_ARG when the image is so narrow that a side would become 0. */
ERR_MUST_CHECK enum err_code size_layered(struct size_px image, int resolution, struct size_px *out,
                                          struct err *e);

struct size_vision {
    int factor; /* patch size * merge size: 28 */
    int64_t min_pixels;
    int64_t max_pixels;
};

/* The vision tower's input size: multiples of factor near the image's own, area within the limits.
 * ERR_ARG for an aspect above 200. */
ERR_MUST_CHECK enum err_code size_vision_input(struct size_px image,
                                               const struct size_vision *limits,
                                               struct size_px *out, struct err *e);

#endif

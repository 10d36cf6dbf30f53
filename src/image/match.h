/* match.h - an edited image brought back to the one that it was made of: its tint, and a shift of less than a pixel.
 *
 * Both are measured where nothing was to change: on the pixels that a mask keeps, or on all. What did change there
 * (an edit without a mask changes what it likes) is an outlier, and has no say: both fits weigh a pixel by how well it
 * agrees with the others (Tukey's biweight, about 4.7 standard deviations of the rest). */
#ifndef VT_IMAGE_MATCH_H
#define VT_IMAGE_MATCH_H

#include "image/image.h"

/* Two images of one size, RGB of 8 bits. painted: [h, w], above 0 where the image was to change; NULL: nowhere. */
struct image_match {
    const struct image *image, *before;
    const float *painted;
};

/* before = gain * image + offset, in levels, for red, green and blue. */
struct image_tint {
    double gain[3], offset[3];
};

/* False: there are too few pixels to tell. A channel of one level only has an offset and a gain of 1. */
ERR_MUST_CHECK enum err_code image_tint_find(const struct image_match *m, struct image_tint *out,
                                             bool *found, struct err *e);
/* In place; values beyond black and white become these. */
void image_tint_undo(struct image *im, const struct image_tint *tint);

/* What is at (x, y) in before is at (x + dx, y + dy) in the image. */
struct image_shift {
    double dx, dy;
};

enum { IMAGE_SHIFT_MOST = 1 }; /* pixels; a larger one is no shift of this kind */

/* False: too little in it tells where it lies, or it is not a shift of up to IMAGE_SHIFT_MOST. A tint does not disturb. */
ERR_MUST_CHECK enum err_code image_shift_find(const struct image_match *m, struct image_shift *out,
                                              bool *found, struct err *e);
/* Lanczos with three lobes; beyond its edges the image repeats them. RGB of 8 bits, in place. */
ERR_MUST_CHECK enum err_code image_shift_undo(struct image *im, struct image_shift shift,
                                              struct err *e);

/* ---- loops of match_shift.c -------------------------------------------------------------------------- */

enum { SHIFT_TAPS = 6, SHIFT_UNKNOWNS = 4 };

/* The six weights that make a sample out of its neighbours. */
struct shift_taps {
    int first; /* where the first of them lies, from the sample's own place */
    float weight[SHIFT_TAPS];
};
struct shift_taps shift_taps_of(double shift);
/* n samples, step from one to the next in both, at their places plus the shift. */
void shift_kern_line(const float *src, size_t step, int n, const struct shift_taps *taps,
                     float *out);

/* Normal equations of: before = gain * moved(x + dx, y + dy) + offset, over a row. Unknowns: dx, dy, gain, offset. */
struct shift_sums {
    double a[SHIFT_UNKNOWNS][SHIFT_UNKNOWNS], b[SHIFT_UNKNOWNS];
    double used;
};
struct shift_fit {
    double gain, offset, cut; /* cut: residuals from here on have no say */
};
/* above, here, below: rows of the moved image; painted may be NULL. Pixels from 1 to n - 2. */
void shift_kern_sums(const float *const rows[3], const float *before, const float *painted, int n,
                     const struct shift_fit *fit, struct shift_sums *sums);

#endif

/* resize.h - resampling that equals PIL's and torchvision's of 8 bits bit for bit.
 *
 * Every output sample is a weighted sum over a window of the input; the window widens when shrinking,
 * so that nothing aliases. Horizontal pass first, always, rounding to 8 bits (of a deep image, 16) after each pass. LA and
 * RGBA are resampled with premultiplied colours, so that what lies under transparent pixels does not
 * bleed (not IMAGE_NEAREST, which copies). The same size gives an exact copy; an axis that keeps its
 * size is not touched. */
#ifndef VT_IMAGE_RESIZE_H
#define VT_IMAGE_RESIZE_H

#include <stdint.h>

#include "image/image.h"

enum image_filter {
    IMAGE_NEAREST,
    IMAGE_BOX,
    IMAGE_BILINEAR,
    IMAGE_BICUBIC,       /* PIL, a = -0.5 */
    IMAGE_LANCZOS,       /* PIL, 3 lobes */
    IMAGE_TORCH_BICUBIC, /* torchvision on uint8 tensors: the same windows, 16-bit weights */
};

ERR_MUST_CHECK enum err_code image_resize(const struct image *src, int w, int h,
                                          enum image_filter filter, struct image *out,
                                          struct err *e);

/* The largest size with the same aspect inside w x h (never larger than the image), Lanczos. */
ERR_MUST_CHECK enum err_code image_thumbnail(const struct image *src, int w, int h,
                                             struct image *out, struct err *e);

/* int(w * s), int(h * s) with s = sqrt(area / (w h)): the size that has about that area. */
void image_area_size(int w, int h, uint64_t area, int *out_w, int *out_h);

#endif

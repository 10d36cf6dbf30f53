/* png_pixels.h - an image's rows as the compressed stream of a PNG, several strips at a time. Only for this folder.
 *
 * Strips have a fixed size and know nothing of each other, so the stream is the same whatever the number of threads. */
#ifndef VT_IMAGE_PNG_PIXELS_H
#define VT_IMAGE_PNG_PIXELS_H

#include "image/image.h"

struct png_pixels;

/* The image must stay as it is. */
ERR_MUST_CHECK enum err_code png_pixels_new(const struct image *im, struct png_pixels **out,
                                            struct err *e);
void png_pixels_free(struct png_pixels *p);

/* The next piece of the stream, good until the next call; n = 0 behind the last. */
ERR_MUST_CHECK enum err_code png_pixels_next(struct png_pixels *p, struct str *out, struct err *e);

#endif

/* layers_png.h - a layer's picture from PNG bytes out of somebody's archive or folder. Internal. */
#ifndef VT_IMAGE_LAYERS_PNG_H
#define VT_IMAGE_LAYERS_PNG_H

#include "base/str.h"
#include "image/layers.h"

/* Decodes a PNG (nothing else) to RGBA and counts its pixels in *pixels against the limits. what names
 * it in messages. */
ERR_MUST_CHECK enum err_code layers_png_read(struct str bytes, const char *what,
                                             const struct layers_limits *limits, uint64_t *pixels,
                                             struct image *out, struct err *e);

#endif

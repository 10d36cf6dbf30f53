/* png.h - a layer's image from PNG bytes out of somebody's archive or folder, and into an archive. Internal. */
#ifndef VT_LAYERS_PNG_H
#define VT_LAYERS_PNG_H

#include "base/str.h"
#include "layers/stack.h"
#include "layers/zipfile.h"

/* Decodes a PNG (nothing else) to RGBA and counts its pixels in *pixels against the limits. what names
 * it in messages. */
ERR_MUST_CHECK enum err_code layers_png_read(struct str bytes, const char *what,
                                             const struct layers_limits *limits, uint64_t *pixels,
                                             struct image *out, struct err *e);

/* The image as an entry, packed once it is whole. Ends at once when the archive is not wanted any more. */
ERR_MUST_CHECK enum err_code layers_png_add(struct zipfile_writer *z, const char *name,
                                            const struct image *im, struct err *e);

#endif

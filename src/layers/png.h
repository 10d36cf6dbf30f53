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

/* The image as an entry, packed once it is whole, with what is known about it. Ends at once when the archive is not
 * wanted any more. */
ERR_MUST_CHECK enum err_code layers_png_add(struct zipfile_writer *z, const char *name,
                                            const struct image *im, const struct image_about *about,
                                            struct err *e);

/* What the file says of itself is taken over for the stack; it had `before` such files before. */
void layers_about_join(struct layer_stack *s, size_t before, struct str file);

#endif

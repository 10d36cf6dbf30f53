/* pptx.h - a stack as a PowerPoint file: one slide of the canvas' shape, one image a layer, each at
 * its place, named, and movable. For people whose editor is a slide.
 *
 * Opacity is kept; hidden layers are there and hidden. Blend modes have no counterpart: all images
 * are laid over each other as they are. Only written, never read. */
#ifndef VT_LAYERS_PPTX_H
#define VT_LAYERS_PPTX_H

#include "base/err.h"
#include "image/sink.h"
#include "layers/stack.h"

/* Entry by entry: no more than one packed layer is in memory. */
ERR_MUST_CHECK enum err_code pptx_write(const struct layer_stack *s, const struct image_out *out,
                                        struct err *e);

#endif

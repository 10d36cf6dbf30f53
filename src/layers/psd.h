/* psd.h - Photoshop documents. Format: docs/formats/psd.md.
 *
 * Written: one record a layer (name, offset, opacity, blend mode, visibility, id), rows packed by
 * PackBits, and the flattened image with its transparency for programs that read no layers.
 * Read: RGB, grey, CMYK and indexed documents of 8 or 16 bits a channel, brought to sRGB (in 16 bits where there
 * are) and then to 8 bits, which is what layers have. Masks, clipping, and groups where they are not wanted become layers
 * that look the same (layers/assemble.h); what cannot be kept is in the stack's notes, with how it compares with the document's own
 * flattened image. A document without layers gives one layer.
 *
 * What psd_write wrote comes back from psd_decode with the same ids, names, offsets, opacities, blend
 * modes and pixels. Thread-safe: no state. The bytes may be hostile.
 */
#ifndef VT_LAYERS_PSD_H
#define VT_LAYERS_PSD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/sink.h"
#include "layers/stack.h"

enum { PSD_MAX_SIDE = 30000 };

/* Channel by channel, in pieces of some 64 KiB. ERR_LIMIT, before anything is written, over 30,000 pixels a side or
 * 2 GiB: the format's own bounds. */
ERR_MUST_CHECK enum err_code psd_write(const struct layer_stack *s, const struct image_out *out,
                                       struct err *e);

/* Into out, which this initialises (empty after a failure). Caller frees with layer_stack_deinit. */
ERR_MUST_CHECK enum err_code psd_decode(struct str bytes, const struct layers_limits *limits,
                                        struct layer_stack *out, struct err *e);
/* What reading it takes, by its records alone. */
ERR_MUST_CHECK enum err_code psd_measure(struct str bytes, struct layers_size *out, struct err *e);

#endif

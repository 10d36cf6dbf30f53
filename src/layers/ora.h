/* ora.h - OpenRaster, the open layer format of Krita, GIMP and MyPaint. Format:
 * docs/formats/openraster.md.
 *
 * Written: mimetype (first, stored), stack.xml, data/layer<i>.png, mergedimage.png and
 * Thumbnails/thumbnail.png. Read: any OpenRaster whose layers are PNG files. Nested stacks become
 * groups, or layers that look the same (layers/assemble.h); unknown elements are left out, a
 * document type definition is refused.
 *
 * What ora_write wrote comes back from ora_decode with the same ids, names, offsets, opacities, blend
 * modes and pixels. Thread-safe: no state. The bytes may be hostile.
 */
#ifndef VT_LAYERS_ORA_H
#define VT_LAYERS_ORA_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/sink.h"
#include "layers/stack.h"

/* Entry by entry: no more than one packed layer is in memory. */
ERR_MUST_CHECK enum err_code ora_write(const struct layer_stack *s, const struct image_out *out,
                                       struct err *e);

/* Into out, which this initialises (empty after a failure). Caller frees with layer_stack_deinit. */
ERR_MUST_CHECK enum err_code ora_decode(struct str bytes, const struct layers_limits *limits,
                                        struct layer_stack *out, struct err *e);

#endif

/* ora_format.h - what the OpenRaster writer and reader share. */
#ifndef VT_IMAGE_ORA_FORMAT_H
#define VT_IMAGE_ORA_FORMAT_H

#include "base/str.h"
#include "image/composite.h"

#define ORA_MIMETYPE "image/openraster"
/* Our own attribute, which other programs leave alone: the layer's id. */
#define ORA_NAMESPACE "urn:veetance:layers"
#define ORA_ID_ATTRIBUTE "veetance:id"

enum { ORA_THUMBNAIL_MAX = 256 };

/* "svg:src-over" and so on; the mode of such a name (normal for those that we lack). */
const char *ora_composite_op(enum blend_mode mode);
enum blend_mode ora_blend_from_op(struct str op);

#endif

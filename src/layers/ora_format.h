/* ora_format.h - what the OpenRaster writer and reader share. */
#ifndef VT_LAYERS_ORA_FORMAT_H
#define VT_LAYERS_ORA_FORMAT_H

#include "base/str.h"
#include "image/composite.h"
#include "layers/assemble.h"

#define ORA_MIMETYPE "image/openraster"
/* Our own attribute, which other programs leave alone: the layer's id. */
#define ORA_NAMESPACE "urn:veetance:layers"
#define ORA_ID_ATTRIBUTE "veetance:id"

enum { ORA_THUMBNAIL_MAX = 256 };

/* "svg:src-over" and so on. Static string. */
const char *ora_composite_op(enum blend_mode mode);
/* Blend mode and operator of such a name, "" included; normal and false for those that we lack. */
bool ora_op_read(struct str name, enum blend_mode *blend, enum layers_op *op);

#endif

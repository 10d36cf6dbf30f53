/* ora_xml.h - stack.xml to a list of layers, on expat. Internal.
 *
 * A document type definition is refused (no entities, so no expansion), and depth, the number of
 * layers and the length of what is kept are bounded. */
#ifndef VT_LAYERS_ORA_XML_H
#define VT_LAYERS_ORA_XML_H

#include "base/err.h"
#include "base/str.h"
#include "image/composite.h"
#include "layers/assemble.h"
#include "layers/stack.h"

enum { ORA_SRC_SIZE = 256 };

enum ora_kind { ORA_LAYER, ORA_STACK, ORA_STACK_END };

struct ora_entry {
    enum ora_kind kind;
    struct layer layer; /* all but the image; of a stack and its end: what the stack says */
    enum layers_op op;
    bool isolated;          /* stacks: composed by themselves */
    bool outermost;         /* the stack that is the image */
    char src[ORA_SRC_SIZE]; /* layers: name of the image in the archive */
};

struct ora_image {
    int64_t w, h;
    struct ora_entry *entries; /* top first, as in the file; caller frees with mem_free */
    size_t n;
    char unknown[64]; /* a composite-op that nobody knows; "" when all are known */
};

ERR_MUST_CHECK enum err_code ora_xml_parse(struct str text, size_t max_layers,
                                           struct ora_image *out, struct err *e);

/* What the OpenRaster writer and reader share. */

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

/* ora_xml.h - stack.xml to a list of layers, on expat. Internal.
 *
 * A document type definition is refused (no entities, so no expansion), and depth, the number of
 * layers and the length of what is kept are bounded. */
#ifndef VT_IMAGE_ORA_XML_H
#define VT_IMAGE_ORA_XML_H

#include "base/err.h"
#include "base/str.h"
#include "image/layers.h"

enum { ORA_SRC_SIZE = 256 };

struct ora_entry {
    struct layer layer;     /* all but the picture */
    char src[ORA_SRC_SIZE]; /* name of the picture in the archive */
};

struct ora_image {
    int64_t w, h;
    struct ora_entry *entries; /* top first; caller frees with mem_free */
    size_t n;
};

ERR_MUST_CHECK enum err_code ora_xml_parse(struct str text, size_t max_layers,
                                           struct ora_image *out, struct err *e);

#endif

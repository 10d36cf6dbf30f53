/* xml.h - writing XML text: escaping, and numbers that read back exactly. Internal. */
#ifndef VT_LAYERS_XML_H
#define VT_LAYERS_XML_H

#include "base/buf.h"
#include "base/str.h"

/* text as an attribute's value, without the quotes. The text holds no control characters. */
void layers_xml_add(struct buf *b, struct str text);

/* The shortest decimal that reads back as the same double. */
void layers_xml_add_double(struct buf *b, double v);

#endif

/* xmp.h - XMP packets: RDF in XML, in which image files of all kinds carry what they say of themselves. */
#ifndef VT_IMAGE_XMP_H
#define VT_IMAGE_XMP_H

#include "base/buf.h"
#include "base/str.h"
#include "image/about.h"

/* What a JPEG can hold in a segment behind XMP_JPEG_HEAD. All formats have the same packets, so that no file says more
 * than the others. */
enum { XMP_PACKET_MAX = 65533 - 29 };

#define XMP_JPEG_HEAD "http://ns.adobe.com/xap/1.0/\0"

/* Appends a packet of at most XMP_PACKET_MAX bytes. A recipe that is too long is cut in its prompt and says so
 * ("[cut]"); what XML cannot hold of it - control characters, broken UTF-8 - becomes U+FFFD. */
void xmp_write(enum image_source source, struct str recipe, struct buf *out);

/* The source and the recipe of a packet, appended to recipe; either may be missing. What is behind damage is not read,
 * nor is a packet above a megabyte or with a document type definition. False: it has no recipe. */
bool xmp_read(struct str packet, enum image_source *source, struct buf *recipe);

/* tiff:Orientation, as an attribute or an element, 1 to 8; 0 when there is none. Bounds as above. */
int xmp_orientation(struct str packet);

#endif

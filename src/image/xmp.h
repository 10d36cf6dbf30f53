/* xmp.h - what we want from an XMP packet: the orientation of the camera. */
#ifndef VT_IMAGE_XMP_H
#define VT_IMAGE_XMP_H

#include "base/str.h"

/* tiff:Orientation, as an attribute or an element, 1 to 8; 0 when there is none, or the packet is larger than a
 * megabyte or makes no sense before it. A packet with a document type definition is not read. */
int xmp_orientation(struct str packet);

/* How to turn an image whose file has these ("" where it has not): what EXIF says, else XMP, else 1. */
int xmp_or_exif_orientation(struct str exif, struct str xmp);

#endif

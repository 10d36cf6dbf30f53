/* png_exif.h - the orientation of the camera, from every place where a PNG may have it. */
#ifndef VT_IMAGE_PNG_EXIF_H
#define VT_IMAGE_PNG_EXIF_H

#include "base/str.h"

/* 1 to 8. From the chunk eXIf, the texts that ImageMagick and others wrote before there was one, and XMP, in this
 * order; before or behind the pixels. 1 when none says it. What is damaged is passed over: the worst that it can do
 * is another orientation. */
int png_orientation(struct str file);

/* "\nexif\n      42\n4578...\n": a name, a number of bytes, and so many in hexadecimal, in lines. Appends them to out.
 * False when they are not all there, or more than out may hold. */
struct buf;
bool png_profile_unpack(struct str text, struct buf *out);

#endif

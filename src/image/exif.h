/* exif.h - the one thing we want from EXIF data: how the camera was held. */
#ifndef VT_IMAGE_EXIF_H
#define VT_IMAGE_EXIF_H

#include "base/str.h"

/* tiff begins with "II" or "MM" (the bytes after "Exif\0\0" in a JPEG). 1 to 8; 1 when there is no
 * orientation or the data make no sense. */
int exif_orientation(struct str tiff);

/* Skips "Exif\0\0" where it is there. */
struct str exif_payload(struct str s);

#endif

/* exif.h - what we want from EXIF data: the orientation of the camera, and the comment, where recipes of images
 * are kept. */
#ifndef VT_IMAGE_EXIF_H
#define VT_IMAGE_EXIF_H

#include "base/buf.h"
#include "base/str.h"

/* tiff begins with "II" or "MM" (the bytes after "Exif\0\0" in a JPEG). 1 to 8; 0 when there is no
 * orientation or the data make no sense. */
int exif_orientation(struct str tiff);

/* Skips "Exif\0\0" where it is there. */
struct str exif_payload(struct str s);

/* Appends the user comment as UTF-8 to out. False when there is none, or none that can be read. */
bool exif_comment(struct str tiff, struct buf *out);

/* Appends EXIF data (no "Exif\0\0") with this program's name and a user comment, well-formed UTF-8, of at most
 * max_bytes in all: a longer comment is cut before its last line and says so ("[cut]"). */
void exif_write(struct str comment, size_t max_bytes, struct buf *out);

/* How to turn an image whose file has these ("" where it has not): what EXIF says, else XMP, else 1. */
int xmp_or_exif_orientation(struct str exif, struct str xmp);

#endif

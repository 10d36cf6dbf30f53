/* late_jpeg.h - the library of JPEG, for reading and writing. Only for this folder. */
#ifndef VT_IMAGE_LATE_JPEG_H
#define VT_IMAGE_LATE_JPEG_H

#include "base/late.h"

extern struct late_library image_jpeg;

#endif

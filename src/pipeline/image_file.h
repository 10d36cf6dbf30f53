/* image_file.h - a finished image as the file that every way out of this program writes: with what it was made
 * of in it. */
#ifndef VT_PIPELINE_IMAGE_FILE_H
#define VT_PIPELINE_IMAGE_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "image/load.h"
#include "veetance.h"

/* Image i of the result, appended to out. quality of JPEG and WebP: 1..100, 0 for the default. */
ERR_MUST_CHECK enum err_code image_file(const struct vt_result *result, int i,
                                        enum image_format format, int quality, struct buf *out,
                                        struct err *e);

#endif

/* picture_png.h - a finished picture as the PNG that every way out of this program writes: with what it was made
 * of in text chunks. */
#ifndef VT_PIPELINE_PICTURE_PNG_H
#define VT_PIPELINE_PICTURE_PNG_H

#include "base/buf.h"
#include "base/err.h"
#include "veetance.h"

/* Picture i of the result, appended to out. */
ERR_MUST_CHECK enum err_code picture_png(const struct vt_result *result, int i, struct buf *out,
                                         struct err *e);

#endif

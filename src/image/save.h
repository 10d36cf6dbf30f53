/* save.h - pictures to JPEG and WebP, for previews and exports. PNG is in png_write.h.
 *
 * Both append the file's bytes to out, which the caller has given its maximum; the _file versions write
 * all or nothing (base/file.h). Colours are marked or understood as sRGB. */
#ifndef VT_IMAGE_SAVE_H
#define VT_IMAGE_SAVE_H

#include "base/buf.h"
#include "base/err.h"
#include "image/image.h"

/* quality 1..100. 4:2:0 chroma up to 89, 4:4:4 from 90 on. JPEG has no alpha: a picture that has is put
 * on white. Sides up to 65,500. */
ERR_MUST_CHECK enum err_code image_jpeg_write(const struct image *im, int quality, struct buf *out,
                                              struct err *e);
ERR_MUST_CHECK enum err_code image_jpeg_write_file(const char *path, const struct image *im,
                                                   int quality, struct err *e);

enum { IMAGE_WEBP_LOSSLESS = 101 };

/* quality 1..100, or IMAGE_WEBP_LOSSLESS, which keeps every bit (colours under zero alpha, too). Grey
 * pictures become RGB. Sides up to 16,383. */
ERR_MUST_CHECK enum err_code image_webp_write(const struct image *im, int quality, struct buf *out,
                                              struct err *e);
ERR_MUST_CHECK enum err_code image_webp_write_file(const char *path, const struct image *im,
                                                   int quality, struct err *e);

#endif

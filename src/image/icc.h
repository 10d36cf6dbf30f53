/* icc.h - embedded colour profiles to sRGB, in the image's own depth. */
#ifndef VT_IMAGE_ICC_H
#define VT_IMAGE_ICC_H

#include "base/str.h"
#include "image/load.h"

/* In place; alpha stays. A profile that is sRGB within one level of 255 leaves every bit as it is. One that is
 * broken or made for another kind of image leaves the pixels alone and adds a note. */
void icc_to_srgb(struct image *im, struct str profile, struct image_info *info);

/* cmyk holds four inverted channels (Adobe's way); out becomes RGB. Without a usable profile
 * R = (255 - C) (255 - K) / 255 and so on (a deep image: 65535), rounded as PIL does. */
ERR_MUST_CHECK enum err_code icc_cmyk_to_srgb(const struct image *cmyk, struct str profile,
                                              struct image_info *info, struct image *out,
                                              struct err *e);

#endif

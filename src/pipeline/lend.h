/* lend.h - images of ours as those of the public library, and back; the pixels stay whose they are. */
#ifndef VT_PIPELINE_LEND_H
#define VT_PIPELINE_LEND_H

#include "image/image.h"
#include "veetance.h"

/* im has no gaps between its rows. */
static inline struct vt_image lend_image(const struct image *im)
{
    return (struct vt_image){.width = im->w,
                             .height = im->h,
                             .channels = im->channels,
                             .pixels = im->p,
                             .bits = im->deep ? 16 : 8};
}

static inline struct image borrow_image(const struct vt_image *im)
{
    const bool deep = im->bits == 16;
    return (struct image){.w = im->width,
                          .h = im->height,
                          .channels = im->channels,
                          .stride = (size_t)im->width * (size_t)im->channels * (deep ? 2 : 1),
                          .p = (unsigned char *)(uintptr_t)im->pixels,
                          .deep = deep};
}

#endif
